"""The time of volunteers: signed by code, written down, confirmed; and by whom not."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial

import pytest
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from coordination.domain.volunteering import site_codes, time_queries, time_rules, times
from coordination.domain.volunteering.models import ShiftNeed, ShiftTime
from coordination.domain.volunteering.queries import shifts_of_session
from coordination.domain.volunteering.time_rules import TimeRule
from coordination.domain.volunteering.times import Confirmed, Mark, Way
from coordination.ground import clock
from coordination.ground.errors import (
    Conflict,
    CoordinationError,
    Forbidden,
    Invalid,
    NotFound,
    TooLate,
    TooMany,
)
from tests.build.outing import DAY, FRIDAY, HOUR, ZONE, Outing, all_at_once, meet

MINUTE = timedelta(minutes=1)


@pytest.fixture
def shift(stage: Outing) -> int:
    """A mother and a volunteer have taken a shift of Friday, 08:30 to 16:30; class 3(2) goes along."""
    session = stage.plan(helpers=4)
    stage.enrol(session)
    stage.take(session, "guardian")
    stage.take(session, "volunteer")
    clock.travel_to(FRIDAY)
    return stage.world.things[f"need-{session}"]


def sign(
    stage: Outing, need: int, way: Way, *, role: str = "guardian", code: str | None = None
) -> bool:
    typed = site_codes.code_at(need, clock.now()) if code is None else code
    return (
        stage.act(role, lambda uow: times.sign(uow, need_id=need, way=way, code=typed)) is not None
    )


def wrong_code(need: int) -> str:
    good = {site_codes.code_at(need, clock.now() - n * site_codes.TURNS) for n in (0, 1)}
    return next(c for c in ("0000", "1111", "2222") if c not in good)


def assignment(stage: Outing, need: int, role: str = "guardian") -> int:
    ((found,),) = stage.sql(
        "select id from shift_assignment where need_id = :n and person_id = :p",
        n=need,
        p=stage.world.people[role],
    )
    return int(str(found))


def mark(
    stage: Outing, need: int, given: Mark, *, of: str = "guardian", by: str = "teacher"
) -> int:
    marks = {assignment(stage, need, of): given}
    return stage.act(by, lambda uow: times.mark(uow, need_id=need, marks=marks))


def stamps(stage: Outing, need: int, by: str = "coordinator") -> dict[int, str]:
    actor = stage.actor(by)
    with Session(stage.engine) as session:
        found = session.get_one(ShiftNeed, need)
        return {
            line.time.id: times.stamp(line.time)
            for line in time_queries.volunteers(session, actor, found)
            if line.time
        }


def confirm(
    stage: Outing, need: int, by: str = "coordinator", seen: dict[int, str] | None = None
) -> Confirmed:
    looked = stamps(stage, need) if seen is None else seen
    return stage.act(by, lambda uow: times.confirm(uow, need_id=need, seen=looked))


def time_of(stage: Outing, role: str = "guardian") -> tuple[object, ...] | None:
    rows = stage.sql(
        "select in_at, out_at, absent, minutes, confirmed_by_id from shift_time where person_id = :p",
        p=stage.world.people[role],
    )
    return rows[0] if rows else None


def state(stage: Outing, need: int, role: str = "guardian") -> str:
    ((found,),) = stage.sql(
        "select state from shift_assignment where id = :i", i=assignment(stage, need, role)
    )
    return str(found)


def session_of(stage: Outing, need: int) -> int:
    ((found,),) = stage.sql("select session_id from shift_need where id = :n", n=need)
    return int(str(found))


def test_in_and_out_by_the_code_and_confirmed_is_what_counts(stage: Outing, shift: int) -> None:
    clock.travel_to(FRIDAY - 10 * MINUTE)
    assert sign(stage, shift, "in")
    assert state(stage, shift) == "signed_in"
    clock.travel_to(FRIDAY + 7 * HOUR + 33 * MINUTE)
    assert sign(stage, shift, "out")
    assert state(stage, shift) == "signed_out"
    row = time_of(stage)
    assert row is not None
    assert row[3] is None  # nothing counts yet
    assert confirm(stage, shift) == Confirmed(1, 0, 0)
    row = time_of(stage)
    assert row is not None
    # 463 minutes, to the nearest quarter of an hour
    assert row[3:] == (465, stage.world.people["coordinator"])


def test_pressed_twice_it_is_done_once(stage: Outing, shift: int) -> None:
    sign(stage, shift, "in")
    before = time_of(stage)
    clock.travel_to(FRIDAY + MINUTE)
    assert sign(stage, shift, "in")
    assert time_of(stage) == before
    clock.travel_to(FRIDAY + HOUR)
    sign(stage, shift, "out")
    before = time_of(stage)
    clock.travel_to(FRIDAY + 2 * HOUR)
    assert sign(stage, shift, "out")
    assert time_of(stage) == before


def test_a_double_press_at_once_is_one_row(stage: Outing, shift: int) -> None:
    press = partial(sign, stage, shift, "in")
    assert all_at_once(press, press, press) == ["ok"] * 3
    assert stage.sql("select count(*) from shift_time") == [(1,)]


def test_without_the_lock_a_double_press_breaks(
    stage: Outing, shift: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control."""

    look = times._times

    def looked(session: Session, need_id: int) -> dict[int, ShiftTime]:
        found = look(session, need_id)
        meet()  # all have looked and none has written
        return found

    # counted tries queue up as well
    monkeypatch.setattr(times, "_lock", lambda uow, n: uow.session.get_one(ShiftNeed, n))
    monkeypatch.setattr(times, "_times", looked)
    monkeypatch.setattr(times, "admit", lambda *_a, **_k: True)
    monkeypatch.setattr(times, "forgive", lambda *_a, **_k: None)
    press = partial(sign, stage, shift, "in")
    try:
        found = all_at_once(press, press)
    except IntegrityError as broken:
        assert "uq_shift_time_assignment_id" in str(broken)
        return
    assert found != ["ok", "ok"]


@pytest.mark.parametrize("code", ["", "12345", "abcd", "壹贰叁肆"])
def test_a_wrong_code_signs_nobody_in(stage: Outing, shift: int, code: str) -> None:
    assert not sign(stage, shift, "in", code=code)
    assert not sign(stage, shift, "in", code=wrong_code(shift))
    assert time_of(stage) is None


def test_after_five_wrong_codes_even_the_right_one_must_wait(stage: Outing, shift: int) -> None:
    for _ in range(times.GUESSES):
        assert not sign(stage, shift, "in", code=wrong_code(shift))
    with pytest.raises(TooMany):
        sign(stage, shift, "in")
    assert sign(stage, shift, "in", role="volunteer")  # somebody else is not shut out
    clock.travel_to(FRIDAY + times.WINDOW)
    assert sign(stage, shift, "in")


def test_the_code_of_another_shift_is_none(stage: Outing, shift: int) -> None:
    other = stage.plan(FRIDAY + 7 * DAY, helpers=1)
    assert not sign(
        stage,
        shift,
        "in",
        code=site_codes.code_at(stage.world.things[f"need-{other}"], clock.now()),
    )


@pytest.mark.parametrize("at", [FRIDAY - 2 * HOUR - MINUTE, FRIDAY + 11 * HOUR + MINUTE])
def test_signing_is_open_around_the_shift_only(stage: Outing, shift: int, at: datetime) -> None:
    clock.travel_to(at)
    with pytest.raises(TooLate):
        sign(stage, shift, "in")
    assert time_of(stage) is None


def test_who_has_no_place_signs_nothing(stage: Outing, shift: int) -> None:
    for role in ("guardian_b", "teacher", "restricted"):
        with pytest.raises(NotFound):
            sign(stage, shift, "in", role=role)
    with pytest.raises(Conflict):
        sign(stage, shift, "out")


def test_a_cancelled_shift_is_neither_signed_nor_confirmed(stage: Outing, shift: int) -> None:
    clock.travel_to(FRIDAY - HOUR)
    sign(stage, shift, "in")
    with pytest.raises(Conflict):  # who has signed in does not leave by the list
        stage.leave(session_of(stage, shift), "guardian")
    stage.sql("update shift_need set state = 'cancelled' where id = :n", n=shift)
    for use in (partial(sign, stage, shift, "out"), partial(confirm, stage, shift)):
        with pytest.raises((TooLate, NotFound)):
            use()


# -- by hand --------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["teacher", "school_admin", "coordinator", "district_admin"])
def test_those_in_charge_write_times_down(stage: Outing, shift: int, by: str) -> None:
    clock.travel_to(FRIDAY + 9 * HOUR)
    assert mark(stage, shift, Mark(FRIDAY, FRIDAY + 8 * HOUR), by=by) == 1
    assert state(stage, shift) == "signed_out"
    assert mark(stage, shift, Mark(FRIDAY, FRIDAY + 8 * HOUR), by=by) == 0


@pytest.mark.parametrize(
    "by", ["teacher_c", "teacher_b", "school_admin_b", "partner", "guardian_b", "volunteer"]
)
def test_others_do_not(stage: Outing, shift: int, by: str) -> None:
    clock.travel_to(FRIDAY + 9 * HOUR)
    with pytest.raises(NotFound):
        mark(stage, shift, Mark(FRIDAY, FRIDAY + 8 * HOUR), by=by)
    with pytest.raises((NotFound, Forbidden)):
        confirm(stage, shift, by, seen={})


@pytest.mark.parametrize("by", ["teacher", "school_admin"])
def test_the_school_writes_down_and_does_not_confirm(stage: Outing, shift: int, by: str) -> None:
    with pytest.raises(NotFound):
        confirm(stage, shift, by)


@pytest.mark.parametrize(
    "given",
    [
        Mark(),
        Mark(None, FRIDAY),
        Mark(FRIDAY, FRIDAY),
        Mark(FRIDAY + HOUR, FRIDAY),
        Mark(FRIDAY - 3 * HOUR, FRIDAY),
        Mark(FRIDAY, FRIDAY + 12 * HOUR),
        Mark(FRIDAY, FRIDAY + 11 * HOUR),  # still to come
        Mark(FRIDAY, None, absent=True),
    ],
)
def test_times_must_be_possible(stage: Outing, shift: int, given: Mark) -> None:
    clock.travel_to(FRIDAY + 9 * HOUR)
    with pytest.raises(Invalid) as refused:
        mark(stage, shift, given)
    assert list(refused.value.fields) == [f"row-{assignment(stage, shift)}"]
    assert time_of(stage) is None


def test_who_was_away_is_a_no_show_and_can_be_put_right(stage: Outing, shift: int) -> None:
    clock.travel_to(FRIDAY + 9 * HOUR)
    mark(stage, shift, Mark(absent=True))
    assert state(stage, shift) == "no_show"
    mark(stage, shift, Mark(FRIDAY, FRIDAY + HOUR))
    assert state(stage, shift) == "signed_out"
    mark(stage, shift, Mark(absent=True))
    assert confirm(stage, shift).count == 1
    row = time_of(stage)
    assert row is not None
    assert row[3] == 0


def test_nobody_writes_down_or_confirms_their_own(stage: Outing, shift: int) -> None:
    clock.travel_to(FRIDAY - 2 * DAY)
    stage.take(session_of(stage, shift), "coordinator")
    clock.travel_to(FRIDAY + 9 * HOUR)
    with pytest.raises(Invalid):
        mark(stage, shift, Mark(FRIDAY, FRIDAY + HOUR), of="coordinator", by="coordinator")
    mark(stage, shift, Mark(FRIDAY, FRIDAY + HOUR), of="coordinator")
    assert confirm(stage, shift) == Confirmed(0, 0, 1)
    assert confirm(stage, shift, "district_admin") == Confirmed(1, 0, 0)


def test_what_changed_since_it_was_looked_at_is_not_confirmed(stage: Outing, shift: int) -> None:
    clock.travel_to(FRIDAY + 9 * HOUR)
    mark(stage, shift, Mark(FRIDAY, FRIDAY + 8 * HOUR))
    looked = stamps(stage, shift)
    mark(stage, shift, Mark(FRIDAY, FRIDAY + HOUR))
    assert confirm(stage, shift, seen=looked) == Confirmed(0, 1, 0)
    assert confirm(stage, shift, seen={}) == Confirmed(0, 0, 0)
    assert confirm(stage, shift) == Confirmed(1, 0, 0)
    with pytest.raises(Invalid):  # and what is confirmed is not written over
        mark(stage, shift, Mark(FRIDAY, FRIDAY + 8 * HOUR))
    assert confirm(stage, shift) == Confirmed(0, 0, 0)


def test_plan_and_fact_far_apart_is_pointed_out(stage: Outing, shift: int) -> None:
    clock.travel_to(FRIDAY + 9 * HOUR)
    mark(stage, shift, Mark(FRIDAY, FRIDAY + 7 * HOUR + 29 * MINUTE))
    mark(stage, shift, Mark(FRIDAY, FRIDAY + 7 * HOUR + 30 * MINUTE), of="volunteer")
    with Session(stage.engine) as session:
        need = session.get_one(ShiftNeed, shift)
        lines = time_queries.volunteers(session, stage.actor("coordinator"), need)
    assert [line.deviates for line in lines] == [True, False]


def test_the_rule_of_the_district_counts(stage: Outing, shift: int) -> None:
    rule = TimeRule(60, 0, 10, "光教〔2026〕13号")
    office = stage.world.things["district"]
    day = clock.today(ZONE)
    stage.act(
        "district_admin",
        lambda uow: time_rules.set_rule(uow, org_id=office, rule=rule, today=day),
    )
    clock.travel_to(FRIDAY + 10 * HOUR)
    mark(stage, shift, Mark(FRIDAY, FRIDAY + 10 * HOUR))
    confirm(stage, shift)
    row = time_of(stage)
    assert row is not None
    assert row[3] == 480  # eight hours were planned and nothing more counts
    for role in ("coordinator", "teacher"):
        with pytest.raises(Forbidden):
            stage.act(
                role, lambda uow: time_rules.set_rule(uow, org_id=office, rule=rule, today=day)
            )


@pytest.mark.parametrize(
    ("field", "rule"),
    [
        ("round_to", TimeRule(7)),
        ("most_over", TimeRule(15, 241)),
        ("most_over", TimeRule(15, -1)),
        ("objection_days", TimeRule(15, 60, 2)),
        ("source", TimeRule(15, 60, 15, " ")),
        ("source", TimeRule(15, 60, 15, "长" * 121)),
    ],
)
def test_a_rule_that_cannot_be_is_refused(stage: Outing, field: str, rule: TimeRule) -> None:
    day, office = clock.today(ZONE), stage.world.things["district"]
    with pytest.raises(CoordinationError) as refused:
        stage.act(
            "district_admin",
            lambda uow: time_rules.set_rule(uow, org_id=office, rule=rule, today=day),
        )
    assert set(refused.value.fields) == {field}


def test_who_has_gone_home_is_still_named_on_the_session(stage: Outing, shift: int) -> None:
    sign(stage, shift, "in")
    clock.travel_to(FRIDAY + HOUR)
    sign(stage, shift, "out")
    with Session(stage.engine) as session:
        need = session.get_one(ShiftNeed, shift)
        ((_, names),) = shifts_of_session(session, need.session_id)
    assert names == ["王敏", "钱进"]
