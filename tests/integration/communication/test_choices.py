"""A notice with options: chosen for each child, by either guardian, seen by the own school alone."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from coordination.domain.communication.models import Notice, NoticeRecipient
from coordination.domain.communication.notices import choices, queries, services
from coordination.ground import clock
from coordination.ground.errors import Conflict, Invalid, NotFound, TooLate
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork
from tests.build.outing import all_at_once, meet
from tests.integration.communication.conftest import BODY, TITLE, Stage

Visit = Callable[[str], FlaskClient]
COMES, LATE, STAYS = Text("参加", "Comes"), Text("晚到", "Comes late"), Text("不参加", "Stays away")
FORM = {
    "draft_key": "choice",
    "title_zh": "运动会",
    "title_en": "Sports day",
    "body_zh": "周五八点。",
    "body_en": "Friday at eight.",
    "level": "choice",
    "options_zh": "参加\n晚到\n不参加",
    "options_en": "Comes\nComes late\nStays away",
}


def ask(stage: Stage, **more: object) -> int:
    return stage.act(
        "teacher",
        lambda uow: (
            services.send_notice(
                uow,
                draft_key="choice",
                class_ids=[stage.world.things["class_a"]],
                title=TITLE,
                body=BODY,
                level="confirm",
                options=[COMES, LATE, STAYS],
                **more,  # type: ignore[arg-type]
            ).id
        ),
    )


def choose(stage: Stage, notice: int, role: str, child: str, position: int = 0) -> None:
    stage.act(
        role,
        lambda uow: choices.choose(
            uow, notice_id=notice, child_id=stage.world.people[child], position=position
        ),
    )


def tally(stage: Stage, notice: int, role: str = "teacher") -> dict[str, tuple[int, list[str]]]:
    actor = stage.actor(role)
    with Session(stage.engine) as session:
        found = choices.tally_of(session, actor, session.get_one(Notice, notice))
        return {
            line.option.en if line.option else "": (line.count, sorted(line.names))
            for line in found
        }


def recipient(stage: Stage, notice: int, role: str) -> NoticeRecipient:
    with Session(stage.engine) as session:
        return services.recipient_of(session, notice, stage.world.people[role])


def test_each_child_has_a_choice_of_its_own_and_a_guardian_is_done_after_the_last(
    stage: Stage,
) -> None:
    notice = ask(stage)
    choose(stage, notice, "guardian", "child")
    assert recipient(stage, notice, "guardian").confirmed_at is None
    choose(stage, notice, "guardian", "brother", 2)
    assert recipient(stage, notice, "guardian").confirmed_at is not None
    assert tally(stage, notice) == {
        "Comes": (1, ["王小雨"]),
        "Comes late": (0, []),
        "Stays away": (1, ["王小宇"]),
        "": (1, ["李想"]),
    }


def test_the_other_guardian_need_not_choose_again_and_nobody_is_phoned(stage: Stage) -> None:
    notice = ask(stage)
    stage.deliver()
    choose(stage, notice, "friend_mother", "friend")
    father = recipient(stage, notice, "friend_father")
    assert (father.told, father.confirmed_at) == ("family", None)
    assert recipient(stage, notice, "english").told == "family"
    choose(stage, notice, "guardian", "child")
    choose(stage, notice, "guardian", "brother")
    with Session(stage.engine) as session:
        counts = queries.funnel(session, session.get_one(Notice, notice), clock.now())
    assert (counts.silent, counts.to_call) == (0, 0)
    # the father may still choose otherwise; the last word stands
    choose(stage, notice, "friend_father", "friend", 2)
    assert tally(stage, notice)["Stays away"] == (1, ["李想"])
    assert recipient(stage, notice, "friend_father").confirmed_at is not None


def test_what_is_not_ones_own_cannot_be_chosen_for(stage: Stage) -> None:
    notice = ask(stage)
    for role, child in (
        *(("guardian", "friend"), ("restricted", "child"), ("former", "child")),
        *(("guardian_b", "child"), ("teacher", "child")),
    ):
        with pytest.raises(NotFound):
            choose(stage, notice, role, child)
    with pytest.raises(Invalid):
        choose(stage, notice, "guardian", "child", 3)
    plain = stage.send(key="plain")
    with pytest.raises(NotFound):
        choose(stage, plain, "guardian", "child")


def test_a_plain_confirmation_is_no_choice(stage: Stage) -> None:
    notice = ask(stage)
    stage.acknowledge("guardian", notice)
    row = recipient(stage, notice, "guardian")
    assert row.read_at is not None
    assert row.confirmed_at is None


def test_after_the_day_and_after_a_withdrawal_nothing_is_chosen(stage: Stage) -> None:
    notice = ask(stage, due_at=clock.now() + timedelta(hours=2))
    clock.travel_to(clock.now() + timedelta(hours=2))
    with pytest.raises(TooLate, match="class teacher"):
        choose(stage, notice, "guardian", "child")
    clock.travel_to(clock.now() - timedelta(hours=1))
    stage.act("teacher", lambda uow: services.stop_notice(uow, notice_id=notice))
    with pytest.raises(Conflict, match="withdrawn"):
        choose(stage, notice, "guardian", "child")


def test_others_see_numbers_and_no_names(stage: Stage) -> None:
    notice = ask(stage)
    choose(stage, notice, "guardian", "child")
    assert tally(stage, notice, "school_admin")["Comes"] == (1, ["王小雨"])
    for role in ("teacher_b", "district_admin", "school_admin_b"):
        assert tally(stage, notice, role)["Comes"] == (1, [])


def test_two_guardians_who_choose_at_once_leave_one_choice(stage: Stage) -> None:
    notice = ask(stage)
    found = Counter(
        all_at_once(
            partial(choose, stage, notice, "friend_mother", "friend", 0),
            partial(choose, stage, notice, "friend_father", "friend", 2),
        )
    )
    assert found == {"ok": 2}
    assert sum(count for count, _ in tally(stage, notice).values()) == 3


def test_without_the_lock_one_of_them_fails(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def unlocked(uow: UnitOfWork, notice_id: int, child_id: int) -> Sequence[NoticeRecipient]:
        rows = uow.session.scalars(
            select(NoticeRecipient).where(NoticeRecipient.notice_id == notice_id)
        ).all()
        meet()
        return rows

    notice = ask(stage)
    monkeypatch.setattr(choices, "_locked", unlocked)
    with pytest.raises(Exception, match="uq_notice_choice_notice_id_child_id"):
        all_at_once(
            partial(choose, stage, notice, "friend_mother", "friend", 0),
            partial(choose, stage, notice, "friend_father", "friend", 2),
        )


def test_a_teacher_writes_it_a_family_taps_twice_and_the_page_counts(
    stage: Stage, visit: Visit
) -> None:
    teacher = visit("teacher")
    form = {**FORM, "class_ids": str(stage.world.things["class_a"])}
    bad = teacher.post(
        "/notices/new?lang=en", data={**form, "options_en": "Comes", "step": "check"}
    )
    assert bad.status_code == 422
    assert "Write 2 to 6 options" in bad.text
    assert "不参加" in bad.text  # nothing typed is lost
    check = teacher.post("/notices/new?lang=en", data={**form, "step": "check"}).text
    assert "choose one" in check
    place = teacher.post("/notices/new", data={**form, "step": "send"}).headers["Location"]
    notice = int(place.rsplit("/", 1)[-1])
    mother = next(
        m.body or ""
        for m in stage.messages(notice)
        if m.recipient_id == stage.world.people["friend_mother"]
    )
    code = "".join(re.search(r"\b([0-9A-Z]{5})-([0-9A-Z]{5})\b", mother).groups())  # type: ignore[union-attr]
    before = stage.fingerprint()
    anybody = visit("nobody")
    page = anybody.get(f"/notices/open/{code}").text
    assert page.count('name="choice"') == 3
    assert 'value="confirm"' not in page
    assert stage.fingerprint() == before
    child = str(stage.world.people["friend"])
    after = anybody.post(
        f"/notices/open/{code}", data={"child": child, "choice": "1"}, follow_redirects=True
    ).text
    assert "已选“晚到”" in after
    shown = teacher.get(f"{place}?lang=en").text
    assert "What families chose" in shown
    assert "李想" in shown
    for odd in ({"child": child, "choice": "7"}, {"child": "99999", "choice": "0"}):
        assert anybody.post(f"/notices/open/{code}", data=odd).status_code in (404, 422)


def test_a_notice_that_waits_keeps_its_options_when_it_is_changed(
    stage: Stage, visit: Visit
) -> None:
    notice = ask(stage, send_at=clock.now() + timedelta(days=1))
    page = visit("teacher").get(f"/notices/{notice}/change").text
    assert "参加\n晚到\n不参加" in page
    stage.act(
        "teacher",
        lambda uow: services.change_notice(
            uow,
            notice_id=notice,
            class_ids=[stage.world.things["class_a"]],
            title=TITLE,
            body=BODY,
            level="confirm",
        ),
    )
    with Session(stage.engine) as session:
        assert session.get_one(Notice, notice).options_zh == []
