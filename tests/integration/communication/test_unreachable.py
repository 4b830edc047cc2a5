"""Families that are not reached, as the class teacher sees them and ticks them off, month by month."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text
from sqlalchemy.orm import Session

from coordination.domain.communication.models import FollowUp
from coordination.domain.communication.unanswered import unreachable
from coordination.domain.communication.unanswered.unreachable import Unreachable
from coordination.domain.people import contacts
from coordination.ground import clock
from coordination.ground.errors import Forbidden, NotFound
from coordination.ground.text import Text
from tests.build.outing import all_at_once
from tests.integration.communication.conftest import Stage

Visit = Callable[[str], FlaskClient]
NOON = datetime(2026, 11, 25, 12, 0, tzinfo=ZoneInfo("Asia/Shanghai"))


@pytest.fixture(autouse=True)
def _noon() -> None:
    clock.travel_to(NOON)


def _send(
    stage: Stage, count: int, *, ago: int = 10, classes: tuple[str, ...] = ("class_a",)
) -> list[int]:
    """Notices of so many days ago."""
    clock.travel_to(NOON - timedelta(days=ago))
    sent = [
        stage.send(
            key=f"{ago}-{n}-{classes}",
            title=Text(f"第{n}条", f"No. {n}"),
            level="info",
            classes=classes,
        )
        for n in range(count)
    ]
    clock.travel_to(NOON)
    return sent


def _lines(stage: Stage, role: str = "teacher") -> dict[str, Unreachable]:
    actor = stage.actor(role)
    with Session(stage.engine) as session:
        query = unreachable.unreachable_query(session, actor, clock.now(), clock.now().date())
        rows = session.execute(query).all()
        found = unreachable.unreachable_lines(session, rows, clock.now().date())
    assert len({line.child_id for line in found}) == len(found)
    return {line.child: line for line in found}


def test_a_child_is_listed_when_nobody_of_the_family_opened_any(stage: Stage) -> None:
    first, *_ = _send(stage, 3)
    found = _lines(stage)
    assert set(found) == {"王小雨", "王小宇", "李想"}
    assert {line.notices for line in found.values()} == {3}
    stage.acknowledge("english", first, confirm=False)
    # one guardian who looks is enough for the child, and a brother has his own family's reader
    assert set(_lines(stage)) == {"王小雨", "王小宇"}
    stage.acknowledge("guardian", first, confirm=False)
    assert _lines(stage) == {}


def test_two_notices_may_be_a_coincidence_and_the_newest_is_given_a_day(stage: Stage) -> None:
    _send(stage, 2)
    _send(stage, 1, ago=0)
    assert _lines(stage) == {}
    clock.travel_to(NOON + timedelta(days=1, minutes=1))
    assert len(_lines(stage)) == 3


def test_what_is_long_ago_does_not_count_but_is_remembered(stage: Stage) -> None:
    old, *_ = _send(stage, 3, ago=100)
    assert _lines(stage) == {}
    clock.travel_to(NOON - timedelta(days=99))
    stage.acknowledge("guardian", old, confirm=False)
    _send(stage, 3)
    found = _lines(stage)
    assert found["王小雨"].last_opened == NOON - timedelta(days=99)
    assert found["李想"].last_opened is None


def test_who_was_told_by_phone_is_not_silent(stage: Stage) -> None:
    first, *_ = _send(stage, 3)
    with stage.engine.begin() as connection:
        connection.execute(
            text(
                "update notice_recipient set reached_at = :at"
                " where notice_id = :notice and guardian_id = :guardian"
            ),
            {"at": NOON, "notice": first, "guardian": stage.world.people["no_phone"]},
        )
    assert "李想" not in _lines(stage)


def test_who_may_not_be_told_is_not_named(stage: Stage) -> None:
    _send(stage, 3)
    named = {g.name for line in _lines(stage).values() for g in line.guardians}
    with Session(stage.engine) as session:
        hidden = {
            name
            for (name,) in session.execute(
                text("select name from person where id = any(:ids)"),
                {"ids": [stage.world.people[r] for r in ("restricted", "former")]},
            )
        }
    assert hidden
    assert not named & hidden


@pytest.mark.parametrize("role", ["teacher_b", "coordinator", "partner", "volunteer"])
def test_nobody_sees_another_class(stage: Stage, role: str) -> None:
    _send(stage, 3)
    if role in stage.world.people:
        assert _lines(stage, role) == {}


def test_the_page_names_them_with_masked_phones(stage: Stage, visit: Visit) -> None:
    _send(stage, 3)
    teacher = visit("teacher")
    assert "/notices/unreachable" in teacher.get("/notices/").get_data(as_text=True)
    page = teacher.get("/notices/unreachable").get_data(as_text=True)
    assert "李想" in page
    assert "138****8055" in page
    assert "13800138055" not in page
    assert "从未" in page
    assert "Last notice opened" in teacher.get("/notices/unreachable?lang=en").get_data(
        as_text=True
    )
    assert "都联系得上" in visit("coordinator").get("/notices/unreachable").get_data(as_text=True)
    assert "/notices/unreachable" not in visit("coordinator").get("/notices/").get_data(
        as_text=True
    )


@pytest.mark.parametrize("role", ["anonymous", "guardian"])
def test_families_do_not_get_in(stage: Stage, visit: Visit, role: str) -> None:
    assert visit(role).get("/notices/unreachable").status_code in (302, 403)


# -- no phone, or none that takes texts ----------------------------------------------------------


def _phones(stage: Stage, statement: str, *roles: str) -> None:
    with stage.engine.begin() as connection:
        connection.execute(
            text(f"{statement} where kind = 'phone' and person_id = any(:who)"),
            {"who": [stage.world.people[r] for r in roles]},
        )


STOP = "update contact_point set suppressed_at = now(), suppressed_reason = 'bad_number'"


def test_a_child_whose_family_has_no_phone_is_listed_at_once(stage: Stage) -> None:
    _phones(stage, "delete from contact_point", "guardian")
    found = _lines(stage)
    assert {(child, line.why) for child, line in found.items()} == {
        ("王小雨", "no_phone"),
        ("王小宇", "no_phone"),
    }


def test_one_phone_that_works_is_enough(stage: Stage) -> None:
    _phones(stage, STOP, "friend_mother", "friend_father")
    assert _lines(stage) == {}
    _phones(stage, STOP, "english")
    assert {(child, line.why) for child, line in _lines(stage).items()} == {("李想", "stopped")}


def test_a_new_number_takes_the_child_off_the_list(stage: Stage) -> None:
    _phones(stage, STOP, "guardian")
    assert set(_lines(stage)) == {"王小雨", "王小宇"}
    with Session(stage.engine) as session, session.begin():
        contacts.set_phone(session, stage.world.people["guardian"], "13800138099")
    assert _lines(stage) == {}


def test_a_child_nobody_may_be_told_of_has_nobody(stage: Stage) -> None:
    with stage.engine.begin() as connection:
        connection.execute(
            text("update guardianship set no_disclosure = true where child_id = :c"),
            {"c": stage.world.people["friend"]},
        )
    found = _lines(stage)
    assert {(child, line.why) for child, line in found.items()} == {("李想", "no_phone")}
    assert found["李想"].guardians == ()


def test_it_says_when_a_text_last_arrived(stage: Stage) -> None:
    _send(stage, 1, ago=3)
    stage.deliver(NOON - timedelta(days=3))
    clock.travel_to(NOON)
    _phones(stage, STOP, "guardian")
    assert _lines(stage)["王小雨"].last_delivered == NOON - timedelta(days=3)


# -- what was done -------------------------------------------------------------------------------


def _note(stage: Stage, child: str = "child", done: str = "spoke", role: str = "teacher") -> None:
    stage.act(
        role,
        lambda uow: unreachable.follow_up(
            uow, child_id=stage.world.people[child], done=done, today=clock.now().date()
        ),
    )


def _to_do(stage: Stage, role: str = "teacher") -> int:
    with Session(stage.engine) as session:
        return unreachable.count_to_do(session, stage.actor(role), clock.now(), clock.now().date())


def test_ticked_off_it_is_quiet_until_next_month_if_it_is_still_true(stage: Stage) -> None:
    _phones(stage, STOP, "guardian")
    assert _to_do(stage) == 2
    _note(stage)
    assert _to_do(stage) == 1
    line = _lines(stage)["王小雨"]
    assert (line.done, line.done_by) == ("spoke", "李静")
    # what was done goes to the end of the list
    assert list(_lines(stage)) == ["王小宇", "王小雨"]
    clock.travel_to(NOON + timedelta(days=6))
    assert _to_do(stage) == 2
    assert _lines(stage)["王小雨"].done is None


def test_said_again_the_last_word_stands(stage: Stage) -> None:
    _phones(stage, STOP, "guardian")
    _note(stage)
    _note(stage, done="paper", role="school_admin")
    with Session(stage.engine) as session:
        (kept,) = session.query(FollowUp).all()
    assert (kept.done, kept.by_id) == ("paper", stage.world.people["school_admin"])


@pytest.mark.parametrize("role", ["teacher_b", "coordinator", "partner", "guardian"])
def test_only_the_school_of_the_child_says_what_was_done(stage: Stage, role: str) -> None:
    with pytest.raises((NotFound, Forbidden)):
        _note(stage, role=role)


def test_the_teacher_is_reminded_today_until_all_is_done(stage: Stage, visit: Visit) -> None:
    _phones(stage, STOP, "guardian")
    teacher = visit("teacher")
    assert "本月有 2 个孩子的家里联系不上" in teacher.get("/").get_data(as_text=True)
    for child in ("child", "brother"):
        answer = teacher.post(
            f"/notices/unreachable/{stage.world.people[child]}", data={"done": "number"}
        )
        assert answer.status_code == 303
    assert "联系不上" not in teacher.get("/").get_data(as_text=True)
    page = teacher.get("/notices/unreachable").get_data(as_text=True)
    assert "本月：已问到新号码（李静）" in page


def test_nothing_chosen_is_said_and_nothing_kept(stage: Stage, visit: Visit) -> None:
    _phones(stage, STOP, "guardian")
    answer = visit("teacher").post(
        f"/notices/unreachable/{stage.world.people['child']}",
        data={"done": ""},
        follow_redirects=True,
    )
    assert "请选择列出的一项" in answer.get_data(as_text=True)
    assert _to_do(stage) == 2


def test_two_who_note_at_once_leave_one_note_and_the_second_is_told(stage: Stage) -> None:
    """The database keeps one a month: without its key there would be two rows, and the counts wrong."""
    _phones(stage, STOP, "guardian")
    done = all_at_once(
        lambda: _note(stage, done="spoke"), lambda: _note(stage, done="paper", role="school_admin")
    )
    with Session(stage.engine) as session:
        (kept,) = session.query(FollowUp).all()
    # whoever came second either found the first's note and changed it, or was shown it
    assert sorted(done) in (["ok", "ok"], ["ok", "stale"])
    assert kept.done in ("spoke", "paper")
