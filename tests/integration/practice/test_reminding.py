"""Reminders: three days and one day before at 18:00, with what is true when they are due."""

from __future__ import annotations

from datetime import date, datetime

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from coordination.domain.people.models import ClassMember, Guardianship
from coordination.ground import clock
from coordination.reactions import reminders
from tests.build.outing import DAY, FRIDAY, HOUR, ZONE, Outing

THREE = datetime(2026, 12, 8, 18, tzinfo=ZONE)
ONE = datetime(2026, 12, 10, 18, tzinfo=ZONE)


@pytest.fixture
def going(stage: Outing) -> int:
    session = stage.plan(helpers=2)
    stage.enrol(session)
    stage.take(session, "guardian_b")
    return session


def send(stage: Outing, at: datetime) -> int:
    clock.travel_to(at)
    return stage.system(lambda uow: reminders.send_due(uow))


def test_they_go_out_when_due_and_not_a_second_before(stage: Outing, going: int) -> None:
    assert send(stage, THREE.replace(hour=17, minute=59, second=59)) == 0
    assert stage.told("session_reminder") == []
    assert send(stage, THREE) == 1
    assert stage.told("session_reminder", going) == ["english", "friend_mother", "guardian"]
    assert stage.told("session_reminder_staff", going) == ["guardian_b", "teacher"]
    assert send(stage, THREE) == 0  # the clock ticks again
    assert len(stage.told("session_reminder")) == 3


def test_the_second_one_comes_the_day_before(stage: Outing, going: int) -> None:
    send(stage, THREE)
    assert send(stage, ONE) == 1
    assert stage.told("session_reminder", going).count("guardian") == 2


def test_it_says_when_where_and_what_to_bring(stage: Outing, going: int) -> None:
    send(stage, ONE)
    bodies = {m.recipient_id: m.body for m in stage.messages("session_reminder", going)}
    mother = bodies[stage.world.people["guardian"]]
    assert "12月11日（周五）08:30" in mother
    assert "南门集合" in mother
    assert "16:30返校" in mother
    english = bodies[stage.world.people["english"]]
    assert "Fri 11 Dec" in english
    assert "South gate" in english


def test_who_refused_meanwhile_is_not_reminded(stage: Outing, going: int) -> None:
    stage.answer(going, "friend_mother", "friend", "refused")
    send(stage, THREE)
    assert stage.told("session_reminder", going) == ["english", "guardian"]
    (staff, *_) = stage.messages("session_reminder_staff", going)
    assert "3名学生" in staff.body


def test_who_was_cut_off_meanwhile_is_not_reminded(stage: Outing, going: int) -> None:
    with Session(stage.engine) as session:
        session.execute(
            update(Guardianship)
            .where(Guardianship.guardian_id == stage.world.people["english"])
            .values(no_disclosure=True)
        )
        session.commit()
    send(stage, THREE)
    assert stage.told("session_reminder", going) == ["friend_mother", "guardian"]


def test_a_child_that_moved_up_meanwhile_is_reminded(stage: Outing) -> None:
    session = stage.plan(capacity=4)
    stage.enrol(session)
    stage.enrol(session, "class_c", role="teacher_c")
    stage.answer(session, "friend_mother", "friend", "refused")
    send(stage, THREE)
    assert stage.told("session_reminder", session) == ["english", "guardian", "kid_0_mother"]


def test_a_moved_session_reminds_for_its_new_day_only(stage: Outing, going: int) -> None:
    stage.move(going, FRIDAY + 3 * DAY)
    assert send(stage, THREE) == 0
    assert send(stage, THREE + 3 * DAY) == 1
    (first, *_) = stage.messages("session_reminder", going)
    assert "12月14日" in first.body


def test_a_cancelled_session_reminds_nobody(stage: Outing, going: int) -> None:
    stage.cancel(going)
    assert send(stage, THREE) == 0
    assert stage.told("session_reminder") == []


def test_one_that_is_too_late_to_be_of_use_expires(stage: Outing, going: int) -> None:
    assert send(stage, FRIDAY + HOUR) == 0
    assert stage.told("session_reminder") == []
    assert stage.sql("select distinct state from reminder") == [("expired",)]


def test_a_child_that_left_the_school_meanwhile_is_not_reminded(stage: Outing, going: int) -> None:
    with Session(stage.engine) as session:
        session.execute(
            update(ClassMember)
            .where(ClassMember.person_id == stage.world.people["reader"])
            .values(ends_on=date(2026, 12, 1))
        )
        session.commit()
    stage.sql("update person set status = 'left' where id = :p", p=stage.world.people["reader"])
    send(stage, THREE)
    assert "english" not in stage.told("session_reminder", going)
