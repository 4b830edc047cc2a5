"""A freed place goes to the next in line, once, and tells the right family."""

from __future__ import annotations

import pytest

from coordination.ground import clock
from coordination.ground.errors import TooLate
from tests.build.outing import FRIDAY, HOUR, NOW, Outing


@pytest.fixture
def full(stage: Outing) -> int:
    """Four places, taken by class 3(2); class 3(1) waits."""
    session = stage.plan(capacity=4)
    stage.enrol(session)
    stage.enrol(session, "class_c", role="teacher_c")
    stage.forget_messages()
    return session


def test_a_refusal_gives_the_place_to_the_first_in_line(stage: Outing, full: int) -> None:
    assert stage.answer(full, "friend_mother", "friend", "refused") == "refused"
    states = stage.states(full)
    assert states["friend"] == "refused"
    assert states["kid_0"] == "enrolled"
    assert states["kid_1"] == states["kid_2"] == "waiting"
    assert stage.session(full).taken == 4


def test_only_the_family_that_moves_up_is_told_and_once(stage: Outing, full: int) -> None:
    stage.answer(full, "friend_mother", "friend", "refused")
    assert stage.told("enrolment_place", full) == ["kid_0_mother"]
    assert stage.told("consent_asked", full) == []
    (message,) = stage.messages("enrolment_place", full)
    assert "候补成功" in message.body
    assert "孙*" in message.body
    # answering again changes nothing for anybody
    stage.answer(full, "friend_mother", "friend", "refused")
    assert stage.told("enrolment_place", full) == ["kid_0_mother"]


def test_the_class_that_moves_up_has_it_in_its_calendar(stage: Outing, full: int) -> None:
    assert ("child", "kid_0") not in stage.audience("session", full)
    stage.answer(full, "friend_mother", "friend", "refused")
    audience = stage.audience("session", full)
    assert ("child", "kid_0") in audience
    assert ("child", "friend") not in audience
    assert ("child", "kid_1") not in audience


def test_places_go_in_the_order_of_the_list(stage: Outing, full: int) -> None:
    for role, child in (("friend_mother", "friend"), ("english", "reader"), ("guardian", "child")):
        stage.answer(full, role, child, "refused")
    assert [stage.states(full)[f"kid_{n}"] for n in range(3)] == ["enrolled"] * 3
    assert stage.session(full).taken == 4
    told = [m.recipient_id for m in stage.messages("enrolment_place", full)]
    assert told == [stage.world.people[f"kid_{n}_mother"] for n in range(3)]


def test_a_child_that_refused_and_comes_back_goes_to_the_end(stage: Outing, full: int) -> None:
    stage.answer(full, "friend_mother", "friend", "refused")
    stage.answer(full, "friend_mother", "friend", "given")
    assert stage.states(full)["friend"] == "waiting"
    assert stage.session(full).taken == 4
    for role, child in (("english", "reader"), ("guardian", "child")):
        stage.answer(full, role, child, "refused")
    assert stage.states(full)["kid_2"] == "enrolled"
    assert stage.states(full)["friend"] == "waiting"


def test_a_child_that_moves_up_with_its_consent_given_is_cleared_at_once(
    stage: Outing, full: int
) -> None:
    stage.answer(full, "friend_mother", "friend", "refused")
    stage.answer(full, "friend_mother", "friend", "given")
    for role, child in (
        ("english", "reader"),
        ("guardian", "child"),
        ("guardian", "brother"),
    ):
        stage.answer(full, role, child, "refused")
    assert stage.states(full)["friend"] == "cleared"
    assert stage.told("enrolment_place", full).count("friend_mother") == 1


def test_a_family_that_moves_up_a_second_time_is_told_a_second_time(
    stage: Outing, full: int
) -> None:
    stage.answer(full, "friend_mother", "friend", "refused")
    stage.answer(full, "kid_0_mother", "kid_0", "refused")
    stage.answer(full, "kid_1_mother", "kid_1", "refused")
    stage.answer(full, "kid_0_mother", "kid_0", "given")  # to the end of the list
    clock.travel_to(NOW + HOUR)
    stage.answer(full, "kid_2_mother", "kid_2", "refused")
    assert stage.states(full)["kid_0"] == "cleared"
    assert stage.told("enrolment_place", full).count("kid_0_mother") == 2


def test_a_child_with_room_left_comes_straight_back(stage: Outing) -> None:
    session = stage.plan()
    stage.enrol(session)
    stage.answer(session, "friend_mother", "friend", "refused")
    assert stage.session(session).taken == 3
    stage.answer(session, "friend_mother", "friend", "given")
    assert stage.states(session)["friend"] == "cleared"
    assert stage.session(session).taken == 4


def test_who_is_elsewhere_at_that_time_is_passed_over(stage: Outing, full: int) -> None:
    other = stage.plan(FRIDAY + HOUR)
    stage.enrol(other, "class_c", role="teacher_c", leave_out=["kid_1", "kid_2"])
    assert stage.answer(full, "friend_mother", "friend", "refused") == "refused"
    states = stage.states(full)
    assert states["kid_0"] == "waiting"
    assert states["kid_1"] == "enrolled"
    assert stage.told("enrolment_place", full) == ["kid_1_mother"]


def test_nobody_moves_up_when_the_session_is_cancelled(stage: Outing, full: int) -> None:
    request = stage.request_of(full)
    stage.cancel(full)
    with pytest.raises(TooLate) as refused:
        stage.answer(full, "friend_mother", "friend", "refused", request_id=request)
    assert refused.value.code == "consent_closed"
    assert stage.told("enrolment_place") == []


def test_the_count_of_places_always_fits_the_children(stage: Outing, full: int) -> None:
    for role, child, response in (
        ("friend_mother", "friend", "refused"),
        ("friend_father", "friend", "given"),
        ("friend_mother", "friend", "given"),
        ("guardian", "child", "withdrawn"),
        ("guardian", "child", "given"),
        ("kid_0_mother", "kid_0", "refused"),
    ):
        stage.answer(full, role, child, response)
        ((taken, held),) = stage.sql(
            "select s.taken, (select count(*) from enrolment e where e.session_id = s.id"
            " and e.state in ('enrolled', 'cleared')) from practice_session s where s.id = :s",
            s=full,
        )
        assert taken == held <= 4
