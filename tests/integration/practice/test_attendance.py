"""The roll: called by those who lead the class, on the day, the last mark counts."""

from __future__ import annotations

import pytest

from coordination.domain.practice import services as practice
from coordination.ground import clock
from coordination.ground.errors import Conflict, Forbidden, Invalid, NotFound, TooLate
from tests.build.outing import DAY, FRIDAY, HOUR, Outing


@pytest.fixture
def today(stage: Outing) -> int:
    """Class 3(2) and one child of 3(1) are at the gate; two children of 3(1) wait."""
    session = stage.plan(capacity=5)
    stage.enrol(session)
    stage.enrol(session, "class_c", role="teacher_c")
    stage.answer(session, "friend_mother", "friend")
    clock.travel_to(FRIDAY)
    return session


def enrolments(stage: Outing, session_id: int) -> dict[str, int]:
    names = {person: key for key, person in stage.world.people.items()}
    rows = stage.sql("select child_id, id from enrolment where session_id = :s", s=session_id)
    return {names[int(str(child))]: int(str(i)) for child, i in rows}


def mark(stage: Outing, session_id: int, role: str = "teacher", **marks: str) -> int:
    ids = enrolments(stage, session_id)
    return stage.act(
        role,
        lambda uow: practice.take_attendance(
            uow, session_id=session_id, marks={ids[child]: m for child, m in marks.items()}
        ),
    )


def roll(stage: Outing) -> dict[str, str]:
    names = {person: key for key, person in stage.world.people.items()}
    rows = stage.sql(
        "select e.child_id, a.status from attendance a join enrolment e on e.id = a.enrolment_id"
    )
    return {names[int(str(child))]: str(status) for child, status in rows}


def test_the_teacher_marks_her_children(stage: Outing, today: int) -> None:
    assert mark(stage, today, child="present", brother="late", friend="absent") == 3
    assert roll(stage) == {"child": "present", "brother": "late", "friend": "absent"}
    states = stage.states(today)
    assert (states["child"], states["brother"], states["friend"], states["reader"]) == (
        "attended",
        "attended",
        "absent",
        "enrolled",
    )


def test_the_last_mark_counts(stage: Outing, today: int) -> None:
    mark(stage, today, child="absent")
    mark(stage, today, child="present")
    assert roll(stage) == {"child": "present"}
    assert stage.states(today)["child"] == "attended"
    mark(stage, today, child="left_early")
    assert roll(stage) == {"child": "left_early"}


@pytest.mark.parametrize("role", ["school_admin", "coordinator", "district_admin"])
def test_the_school_and_the_district_may_too(stage: Outing, today: int, role: str) -> None:
    assert mark(stage, today, role, child="present") == 1


@pytest.mark.parametrize(
    "role", ["teacher_c", "teacher_b", "school_admin_b", "partner", "guardian", "volunteer"]
)
def test_others_may_not(stage: Outing, today: int, role: str) -> None:
    with pytest.raises(Forbidden):
        mark(stage, today, role, child="present")
    assert roll(stage) == {}


def test_one_foreign_child_refuses_the_whole_roll(stage: Outing, today: int) -> None:
    with pytest.raises(Forbidden):
        mark(stage, today, child="present", kid_0="present")
    assert roll(stage) == {}
    assert stage.states(today)["child"] == "enrolled"


@pytest.mark.parametrize("bad", ["", "here", "PRESENT", "x" * 500])
def test_a_mark_that_is_not_known_is_refused(stage: Outing, today: int, bad: str) -> None:
    with pytest.raises(Invalid):
        mark(stage, today, child=bad)
    assert roll(stage) == {}


def test_nobody_who_waits_or_refused_can_be_marked(stage: Outing, today: int) -> None:
    with pytest.raises(Invalid):
        mark(stage, today, "teacher_c", kid_1="present")
    with pytest.raises(Invalid):
        mark(stage, today)
    assert roll(stage) == {}


def test_a_child_of_another_session_is_not_marked_here(stage: Outing, today: int) -> None:
    ((other,),) = stage.sql(
        "select id from enrolment where session_id = :s", s=stage.world.things["session"]
    )
    with pytest.raises(NotFound):
        stage.act(
            "teacher",
            lambda uow: practice.take_attendance(
                uow, session_id=today, marks={int(str(other)): "present"}
            ),
        )


def test_the_roll_is_not_called_before_the_day(stage: Outing, today: int) -> None:
    for early in (FRIDAY - 3 * DAY, FRIDAY - 3 * HOUR):
        clock.travel_to(early)
        with pytest.raises(Conflict) as refused:
            mark(stage, today, child="present")
        assert refused.value.code == "too_early"
    clock.travel_to(FRIDAY - HOUR)
    assert mark(stage, today, child="present") == 1


def test_the_roll_of_a_cancelled_session_is_not_called(stage: Outing) -> None:
    session = stage.plan()
    stage.enrol(session)
    stage.cancel(session)
    clock.travel_to(FRIDAY)
    with pytest.raises(Invalid):
        mark(stage, session, child="present")


def test_a_mark_of_yesterday_can_be_corrected(stage: Outing, today: int) -> None:
    mark(stage, today, child="absent")
    clock.travel_to(FRIDAY + DAY)
    assert mark(stage, today, child="late") == 1


def test_an_answer_after_the_roll_does_not_undo_it(stage: Outing, today: int) -> None:
    mark(stage, today, friend="present")
    with pytest.raises(TooLate):
        stage.answer(today, "friend_father", "friend", "refused")
    assert stage.states(today)["friend"] == "attended"
