"""Families that have opened no notice for a long time, as the class teacher sees them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text
from sqlalchemy.orm import Session

from coordination.domain.communication import unread
from coordination.domain.communication.unread import UnreadLine
from coordination.ground import clock
from coordination.ground.text import Text
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


def _lines(stage: Stage, role: str = "teacher") -> dict[str, UnreadLine]:
    actor = stage.actor(role)
    with Session(stage.engine) as session:
        query = unread.unread_query(session, actor, clock.now(), clock.now().date())
        rows = session.execute(query).all()
        found = unread.unread_lines(session, rows, clock.now().date())
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
    assert "/notices/unread" in teacher.get("/notices/").get_data(as_text=True)
    page = teacher.get("/notices/unread").get_data(as_text=True)
    assert "李想" in page
    assert "138****8055" in page
    assert "13800138055" not in page
    assert "从未" in page
    assert "Last opened" in teacher.get("/notices/unread?lang=en").get_data(as_text=True)
    assert "没有这样的家庭" in visit("coordinator").get("/notices/unread").get_data(as_text=True)
    assert "/notices/unread" not in visit("coordinator").get("/notices/").get_data(as_text=True)


@pytest.mark.parametrize("role", ["anonymous", "guardian"])
def test_families_do_not_get_in(stage: Stage, visit: Visit, role: str) -> None:
    assert visit(role).get("/notices/unread").status_code in (302, 403)
