"""Volunteer shifts: taken by whom, refused when, given back how."""

from __future__ import annotations

import pytest
from sqlalchemy.orm import Session

from coordination.domain.volunteering import queries
from coordination.domain.volunteering import services as volunteering
from coordination.ground import clock
from coordination.ground.actor import ANONYMOUS
from coordination.ground.errors import Conflict, Forbidden, Full, Invalid, NotFound, TooLate
from coordination.ground.text import Text
from coordination.reactions.work import begin
from tests.build.outing import DAY, FRIDAY, HOUR, NOW, Outing


@pytest.fixture
def held(stage: Outing) -> int:
    return stage.plan(helpers=2)


def filled(stage: Outing, session_id: int) -> int:
    ((count,),) = stage.sql("select filled from shift_need where session_id = :s", s=session_id)
    return int(str(count))


def seen(stage: Outing, role: str) -> list[queries.ShiftLine]:
    with Session(stage.engine, expire_on_commit=False) as session:
        lines = queries.shifts_ahead(session, stage.actor(role), clock.now())
        session.expunge_all()
        return lines


@pytest.mark.parametrize("role", ["guardian", "guardian_b", "volunteer", "teacher"])
def test_whoever_is_known_may_take_one(stage: Outing, held: int, role: str) -> None:
    stage.take(held, role)
    assert filled(stage, held) == 1
    assert [x.mine for x in seen(stage, role) if x.session.id == held] == [True]


def test_the_volunteer_gets_one_text_and_a_calendar_entry(stage: Outing, held: int) -> None:
    assignment = stage.take(held, "guardian")
    (message,) = stage.messages("shift_taken", assignment)
    assert message.recipient_id == stage.world.people["guardian"]
    assert "12月11日（周五）08:30" in message.body
    assert stage.audience("shift", assignment) == {("person", "guardian")}


def test_the_session_and_its_shifts_lie_at_the_base(stage: Outing) -> None:
    held = stage.plan(helpers=2)
    stage.sql(
        "update organisation set lat = 22.75, lng = 113.93 where id = :base",
        base=stage.session(held).base_id,
    )
    stage.enrol(held)
    assignment = stage.take(held, "guardian")
    for entry in (stage.entry("session", held), stage.entry("shift", assignment)):
        assert b"GEO:22.75;113.93" in entry.fragment_zh
        assert b"GEO:22.75;113.93" in entry.fragment_en


def test_taking_it_twice_is_one_place_and_one_text(stage: Outing, held: int) -> None:
    assert stage.take(held, "guardian") == stage.take(held, "guardian")
    assert filled(stage, held) == 1
    assert len(stage.told("shift_taken")) == 1


def test_when_it_is_full_the_next_is_refused(stage: Outing, held: int) -> None:
    stage.take(held, "guardian")
    stage.take(held, "guardian_b")
    with pytest.raises(Full):
        stage.take(held, "volunteer")
    assert filled(stage, held) == 2
    assert "volunteer" not in stage.told("shift_taken")


def test_a_place_given_back_is_open_again(stage: Outing, held: int) -> None:
    stage.take(held, "guardian_b")
    first = stage.take(held, "guardian")
    stage.leave(held, "guardian")
    assert filled(stage, held) == 1
    assert stage.entry("shift", first).status == "cancelled"
    stage.take(held, "volunteer")
    with pytest.raises(Full):
        stage.take(held, "guardian")


def test_who_comes_back_has_the_same_entry_again(stage: Outing, held: int) -> None:
    first = stage.take(held, "guardian")
    stage.leave(held, "guardian")
    clock.travel_to(NOW + HOUR)
    assert stage.take(held, "guardian") == first
    entry = stage.entry("shift", first)
    assert entry.status == "confirmed"
    assert entry.sequence == 2
    assert len(stage.told("shift_taken")) == 2


def test_two_shifts_at_one_time_are_refused(stage: Outing, held: int) -> None:
    other = stage.plan(FRIDAY + HOUR, helpers=2)
    stage.take(held, "guardian")
    with pytest.raises(Conflict) as refused:
        stage.take(other, "guardian")
    assert refused.value.code == "shift_clash"
    assert filled(stage, other) == 0


def test_nobody_leaves_a_shift_that_is_not_theirs(stage: Outing, held: int) -> None:
    stage.take(held, "guardian")
    with pytest.raises(NotFound):
        stage.leave(held, "guardian_b")
    stage.leave(held, "guardian")
    with pytest.raises(NotFound):
        stage.leave(held, "guardian")
    assert filled(stage, held) == 0


def test_a_shift_that_has_begun_can_be_neither_taken_nor_left(stage: Outing, held: int) -> None:
    stage.take(held, "guardian")
    clock.travel_to(FRIDAY)
    with pytest.raises(TooLate):
        stage.take(held, "guardian_b")
    with pytest.raises(TooLate):
        stage.leave(held, "guardian")
    assert filled(stage, held) == 1


@pytest.mark.parametrize("state", ["closed", "cancelled", "done"])
def test_a_shift_that_is_not_open_cannot_be_taken(stage: Outing, held: int, state: str) -> None:
    stage.sql("update shift_need set state = :state where session_id = :s", state=state, s=held)
    with pytest.raises(TooLate):
        stage.take(held, "guardian")


def test_a_shift_that_does_not_exist_is_not_found(stage: Outing) -> None:
    with pytest.raises(NotFound):
        stage.act("guardian", lambda uow: volunteering.take_shift(uow, need_id=999_999))
    with pytest.raises(NotFound):
        stage.act("guardian", lambda uow: volunteering.leave_shift(uow, need_id=999_999))


def test_whom_custody_keeps_away_sees_none_and_gets_none(stage: Outing, held: int) -> None:
    assert seen(stage, "restricted") == []
    with pytest.raises(NotFound):
        stage.take(held, "restricted")
    assert filled(stage, held) == 0


def test_nobody_in_particular_takes_nothing(stage: Outing, held: int) -> None:
    need = stage.world.things[f"need-{held}"]
    with (
        pytest.raises(Forbidden),
        Session(stage.engine) as session,
        begin(session, ANONYMOUS) as uow,
    ):
        volunteering.take_shift(uow, need_id=need)


@pytest.mark.parametrize(("least", "most"), [(0, 2), (3, 2), (-1, -1), (1, 3_000_000_000)])
def test_the_numbers_of_a_shift_must_be_possible(
    stage: Outing, held: int, least: int, most: int
) -> None:
    with pytest.raises(Invalid) as refused:
        stage.act(
            "coordinator",
            lambda uow: volunteering.open_shift(
                uow, session_id=held, role=Text("x", "x"), min_people=least, max_people=most
            ),
        )
    assert "max_people" in refused.value.fields


def test_only_the_district_opens_shifts_and_only_on_what_is_to_come(
    stage: Outing, held: int
) -> None:
    def ask(role: str, session_id: int) -> None:
        stage.act(
            role,
            lambda uow: volunteering.open_shift(
                uow, session_id=session_id, role=Text("x", "x"), min_people=1, max_people=2
            ),
        )

    for role in ("teacher", "partner", "guardian"):
        with pytest.raises(Forbidden):
            ask(role, held)
    with pytest.raises(NotFound):
        ask("coordinator", 999_999)
    stage.cancel(held)
    with pytest.raises(TooLate):
        ask("coordinator", held)


def test_shifts_of_cancelled_or_past_sessions_are_not_offered(stage: Outing, held: int) -> None:
    later = stage.plan(FRIDAY + 7 * DAY, helpers=1)
    assert {x.session.id for x in seen(stage, "guardian_b")} >= {held, later}
    stage.cancel(held)
    assert held not in {x.session.id for x in seen(stage, "guardian_b")}
    clock.travel_to(FRIDAY + 7 * DAY)
    assert later not in {x.session.id for x in seen(stage, "guardian_b")}
