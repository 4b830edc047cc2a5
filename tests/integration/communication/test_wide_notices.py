"""Notices to a whole school or district: written out a stretch at a time, stopped in between."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from coordination.authz.actor import SYSTEM
from coordination.domain.communication.models import Notice, NoticeRecipient
from coordination.domain.communication.notices import audience, queries, rounds, services
from coordination.ground import clock
from coordination.ground.errors import Conflict, Forbidden, NotFound
from coordination.ground.text import Text
from coordination.reactions.work import begin
from notifications import outbox
from tests.integration.communication.conftest import Stage

Visit = Callable[[str], FlaskClient]


def _send(stage: Stage, role: str, place: str, key: str = "wide") -> int:
    return stage.act(
        role,
        lambda uow: (
            services.send_notice(
                uow,
                draft_key=key,
                org_id=stage.world.things[place],
                title=Text("停课通知", "School closes at noon"),
                body=Text("请十二点接孩子。", "Please collect your child at twelve."),
                level="confirm",
            ).id
        ),
    )


def _write(stage: Stage, stretches: int | None = None) -> int:
    """Do as the clock does; how many stretches were written."""
    done = 0
    with Session(stage.engine) as session:
        begun = rounds.open_rounds(session)
    for number in begun:
        more = True
        while more and (stretches is None or done < stretches):
            with Session(stage.engine) as session, begin(session, SYSTEM) as uow:
                more = rounds.write_stretch(uow, round_id=number)
            done += 1
    return done


def _people(stage: Stage, notice: int) -> set[int]:
    with Session(stage.engine) as session:
        return set(
            session.scalars(
                select(NoticeRecipient.guardian_id).where(NoticeRecipient.notice_id == notice)
            )
        )


def test_the_click_writes_no_text_and_the_clock_writes_them_all(stage: Stage) -> None:
    notice = _send(stage, "school_admin", "school_a")
    assert stage.messages(notice) == []
    _write(stage)
    alone = stage.send(key="class")
    assert {m.recipient_id for m in stage.messages(notice)} >= {
        m.recipient_id for m in stage.messages(alone)
    }
    assert _people(stage, notice) >= _people(stage, alone)


def test_a_clock_that_dies_between_stretches_loses_and_doubles_nothing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds, "STRETCH", 1)
    notice = _send(stage, "school_admin", "school_a")
    assert _write(stage, stretches=1) == 1
    assert len(stage.messages(notice)) == 1
    _write(stage)
    texts = stage.messages(notice)
    assert len({m.household_key for m in texts}) == len(texts) > 1
    with Session(stage.engine) as session:
        told = session.scalars(
            select(NoticeRecipient.guardian_id).where(
                NoticeRecipient.notice_id == notice,
                NoticeRecipient.told_via_id == NoticeRecipient.guardian_id,
            )
        ).all()
    assert {m.recipient_id for m in texts} == set(told)


def test_the_district_reaches_every_school_and_reads_only_its_own_notices(stage: Stage) -> None:
    notice = _send(stage, "district_admin", "district")
    _write(stage)
    school = _send(stage, "school_admin", "school_a", "school")
    _write(stage)
    assert _people(stage, notice) > _people(stage, school)
    with Session(stage.engine) as session:
        office = stage.actor("district_admin")
        assert queries.notice_of(session, office, notice).reach == "district"
        with pytest.raises(NotFound):
            queries.notice_of(session, office, school)


@pytest.mark.parametrize("role", ["teacher", "school_admin_b", "partner", "coordinator"])
def test_nobody_else_writes_to_a_whole_school(stage: Stage, role: str) -> None:
    with pytest.raises(Forbidden):
        _send(stage, role, "school_a")


def test_nobody_writes_to_the_families_of_a_partner(stage: Stage) -> None:
    with pytest.raises(NotFound):
        _send(stage, "district_admin", "partner_p")


def test_counts_before_sending_agree_with_what_is_written(stage: Stage) -> None:
    with Session(stage.engine) as session:
        counts = audience.counts_of_organisation(
            session, stage.world.things["school_a"], clock.now().date()
        )
    notice = _send(stage, "school_admin", "school_a")
    _write(stage)
    texts = stage.messages(notice)
    assert counts.guardians == len(_people(stage, notice))
    assert counts.texts == len(texts)
    assert dict(counts.languages) == {
        language: sum(m.language == language for m in texts)
        for language in {m.language for m in texts}
    }


def test_what_is_stopped_between_stretches_goes_no_further(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds, "STRETCH", 1)
    notice = _send(stage, "school_admin", "school_a")
    _write(stage, stretches=2)
    stage.act("school_admin", lambda uow: services.stop_notice(uow, notice_id=notice))
    _write(stage)
    texts = stage.messages(notice)
    assert len(texts) == 2
    assert {m.state for m in texts} == {"cancelled"}
    with Session(stage.engine) as session:
        row = session.get_one(Notice, notice)
        assert not queries.is_going_out(session, row)
        assert outbox.waiting_count(session, "notice", notice) == 0
        assert queries.funnel(session, row, clock.now()).stopped > 2
    with pytest.raises(Conflict):
        stage.nudge(notice, "school_admin")


def test_the_silent_are_not_reminded_while_the_first_text_is_still_written(stage: Stage) -> None:
    notice = _send(stage, "school_admin", "school_a")
    with pytest.raises(Conflict):
        stage.nudge(notice, "school_admin")


def test_a_school_office_chooses_the_whole_school_and_sees_the_numbers(
    stage: Stage, visit: Visit
) -> None:
    client = visit("school_admin")
    form = {
        "draft_key": "page",
        "org_id": str(stage.world.things["school_a"]),
        "title_zh": "停课通知",
        "title_en": "School closes at noon",
        "body_zh": "请十二点接孩子。",
        "body_en": "Please collect your child at twelve.",
        "level": "confirm",
    }
    check = client.post("/notices/new", data={**form, "step": "check"}).get_data(as_text=True)
    assert "全体家长" in check
    sent = client.post("/notices/new", data={**form, "step": "send"})
    assert sent.status_code == 303
    page = client.get(sent.headers["Location"]).get_data(as_text=True)
    assert "停止发送" in page
    stopped = client.post(sent.headers["Location"] + "/stop", follow_redirects=True)
    assert "已停止" in stopped.get_data(as_text=True)


def test_a_class_teacher_is_not_offered_the_whole_school(stage: Stage, visit: Visit) -> None:
    page = visit("teacher").get("/notices/new").get_data(as_text=True)
    assert "全体家长" not in page
    refused = visit("teacher").post(
        "/notices/new",
        data={"org_id": str(stage.world.things["school_a"]), "step": "check", "level": "info"},
    )
    assert refused.status_code == 422
