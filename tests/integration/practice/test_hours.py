"""The ledger of practice hours: what the roll makes of it, what it adds up to, who sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from functools import partial

import pytest
from sqlalchemy.orm import Session

from coordination.domain.practice import hour_rules, hours, ledger
from coordination.domain.practice import services as practice
from coordination.domain.practice.hour_rules import Rule
from coordination.domain.practice.models import Enrolment, PracticeSession
from coordination.ground import clock
from coordination.ground.actor import Actor
from coordination.ground.errors import Forbidden, Invalid, NotFound
from coordination.ground.uow import UnitOfWork
from tests.build.outing import DAY, FRIDAY, HOUR, ZONE, Outing, all_at_once, meet, outstay

RULE = Rule(40, 6, (8,) * 9, (2,) * 9, source="光教〔2026〕12号", starts_on=date(2026, 9, 1))


@pytest.fixture
def today(stage: Outing) -> int:
    """Class 3(2) is at the gate; seven hours are planned, which is six periods."""
    session = stage.plan()
    stage.enrol(session)
    clock.travel_to(FRIDAY)
    return session


def mark(stage: Outing, session_id: int, role: str = "teacher", **marks: str) -> None:
    people = stage.world.people
    ids = {
        int(str(child)): int(str(i))
        for child, i in stage.sql(
            "select child_id, id from enrolment where session_id = :s", s=session_id
        )
    }
    wanted = {ids[people[child]]: mark for child, mark in marks.items()}
    stage.act(role, lambda uow: practice.take_attendance(uow, session_id=session_id, marks=wanted))


def entries(stage: Outing, session_id: int) -> dict[str, int]:
    names = {person: key for key, person in stage.world.people.items()}
    rows = stage.sql(
        "select child_id, periods from practice_hour where session_id = :s", s=session_id
    )
    return {names[int(str(child))]: int(str(periods)) for child, periods in rows}


def set_rule(stage: Outing, rule: Rule = RULE, role: str = "district_admin") -> None:
    day = clock.today(ZONE)
    stage.act(
        role,
        lambda uow: hour_rules.set_rule(
            uow, org_id=stage.world.things["district"], rule=rule, today=day
        ),
    )


def season(session: Session) -> hours.Season:
    return hours.season_of(session, clock.today(ZONE), clock.now(), ZONE)


def tallies(stage: Outing, role: str = "guardian") -> Mapping[str, hours.Tally]:
    names = {person: key for key, person in stage.world.people.items()}
    actor: Actor = stage.actor(role)
    with Session(stage.engine) as session:
        found = hours.of_children(session, season(session), actor)
    return {names[child.id]: child.tally for child in found}


def test_who_was_there_has_the_periods_of_the_plan(stage: Outing, today: int) -> None:
    mark(stage, today, child="present", brother="late", friend="absent", reader="left_early")
    assert entries(stage, today) == {"child": 6, "brother": 6}


def test_a_corrected_mark_corrects_the_ledger_and_nothing_is_there_twice(
    stage: Outing, today: int
) -> None:
    mark(stage, today, child="absent", brother="present")
    mark(stage, today, child="present")
    mark(stage, today, child="late", brother="present")
    assert entries(stage, today) == {"child": 6, "brother": 6}
    mark(stage, today, child="left_early")
    assert entries(stage, today) == {"brother": 6}


def test_it_counts_once_the_session_is_over(stage: Outing, today: int) -> None:
    set_rule(stage)
    mark(stage, today, child="present")
    before = tallies(stage)
    assert (before["child"].done, before["child"].booked, before["child"].missing) == (0, 6, 2)
    clock.travel_to(FRIDAY + 7 * HOUR)
    after = tallies(stage)
    assert (after["child"].done, after["child"].booked, after["child"].missing) == (6, 0, 2)
    assert (after["child"].done_times, after["child"].missing_times) == (1, 1)
    # nobody called him: neither done nor missed, and said so
    assert (after["brother"].done, after["brother"].unmarked) == (0, 1)
    assert after["brother"].missing == 8


def test_a_session_that_moves_or_is_called_off_after_an_early_roll(
    stage: Outing, today: int
) -> None:
    clock.travel_to(FRIDAY - HOUR)
    mark(stage, today, child="present")
    stage.act(
        "coordinator",
        lambda uow: practice.move_session(
            uow,
            session_id=today,
            starts_at=FRIDAY + HOUR,
            ends_at=FRIDAY + 3 * HOUR,
            return_at=FRIDAY + 4 * HOUR,
        ),
    )
    assert entries(stage, today) == {"child": 3}
    stage.cancel(today)
    assert entries(stage, today) == {}


def test_another_rule_counts_anew_what_was_since_its_day(stage: Outing, today: int) -> None:
    mark(stage, today, child="present")
    set_rule(stage, replace(RULE, most_a_day=4))
    assert entries(stage, today) == {"child": 4}
    set_rule(stage, replace(RULE, most_a_day=5, starts_on=date(2026, 12, 12)))
    assert entries(stage, today) == {"child": 4}
    set_rule(stage, replace(RULE, most_a_day=3))
    assert entries(stage, today) == {"child": 3}


def test_hours_follow_a_child_into_another_class(stage: Outing, today: int) -> None:
    set_rule(stage)
    mark(stage, today, child="present")
    clock.travel_to(FRIDAY + DAY)
    stage.sql(
        "update class_member set class_id = :new where person_id = :p",
        new=stage.world.things["class_five"],
        p=stage.world.people["child"],
    )
    with Session(stage.engine) as session:
        group, _ = hours.class_of(
            session, stage.actor("teacher_five"), stage.world.things["class_five"]
        )
        (line,) = hours.of_class(session, season(session), group)
    assert line.tally.done == 6


def test_the_class_page_has_the_widest_gap_first(stage: Outing, today: int) -> None:
    set_rule(stage)
    mark(stage, today, child="present", brother="absent", friend="present", reader="present")
    clock.travel_to(FRIDAY + DAY)
    with Session(stage.engine) as session:
        group, _ = hours.class_of(session, stage.actor("teacher"), stage.world.things["class_a"])
        lines = hours.of_class(session, season(session), group)
    assert lines[0].id == stage.world.people["brother"]
    assert [c.tally.missing for c in lines] == [8, 2, 2, 2]


def test_the_district_sees_numbers_and_no_names(stage: Outing, today: int) -> None:
    set_rule(stage)
    mark(stage, today, child="present", brother="present", friend="present", reader="present")
    clock.travel_to(FRIDAY + DAY)
    for role in ("district_admin", "coordinator"):
        actor = stage.actor(role)
        with Session(stage.engine) as session:
            with pytest.raises(Forbidden):
                hours.class_of(session, actor, stage.world.things["class_a"])
            school = next(
                p
                for p in hours.schools(session, season(session), actor)
                if p.id == stage.world.things["school_a"]
            )
            found = hours.classes(session, season(session), actor, school.id)
        assert (school.children, school.done, school.short) == (7, 24, 7)
        ours = next(p for p in found if p.id == stage.world.things["class_a"])
        assert ours.is_small  # four children: no figures
        assert not ours.open


@pytest.mark.parametrize(
    "role", ["teacher_c", "teacher_b", "school_admin_b", "partner", "guardian"]
)
def test_a_class_is_not_for_others(stage: Outing, role: str) -> None:
    with Session(stage.engine) as session, pytest.raises(NotFound):
        hours.class_of(session, stage.actor(role), stage.world.things["class_a"])


def test_whom_custody_keeps_out_sees_no_hours(stage: Outing, today: int) -> None:
    mark(stage, today, child="present")
    assert set(tallies(stage)) == {"child", "brother"}
    assert tallies(stage, "restricted") == {}
    assert tallies(stage, "former") == {}
    with Session(stage.engine) as session:
        one = season(session)
        child = stage.world.people["child"]
        assert len(hours.sessions_of(session, one, stage.actor("guardian"), child)) == 2
        assert hours.sessions_of(session, one, stage.actor("restricted"), child) == []


def test_only_the_office_sets_the_rule(stage: Outing) -> None:
    for role in ("coordinator", "school_admin", "teacher", "data_officer"):
        with pytest.raises(Forbidden):
            set_rule(stage, role=role)


@pytest.mark.parametrize(
    ("field", "rule"),
    [
        ("starts_on", replace(RULE, starts_on=date(2026, 8, 31))),
        ("starts_on", replace(RULE, starts_on=date(2099, 1, 1))),
        ("starts_on", replace(RULE, starts_on=None)),
        ("minutes", replace(RULE, minutes=0)),
        ("minutes", replace(RULE, minutes=100_000)),
        ("most_a_day", replace(RULE, most_a_day=13)),
        ("periods_2", replace(RULE, periods=(0, -1, *(0,) * 7))),
        ("times_9", replace(RULE, times=(*(0,) * 8, 61))),
        ("source", replace(RULE, source="  ")),
        ("source", replace(RULE, source="长" * 121)),
    ],
)
def test_a_rule_must_be_possible_and_say_what_it_rests_on(
    stage: Outing, field: str, rule: Rule
) -> None:
    with pytest.raises(Invalid) as refused:
        set_rule(stage, rule)
    assert set(refused.value.fields) == {field}


# -- two who mark at once -------------------------------------------------------------------------


def test_two_who_mark_at_once_lose_no_entry(
    stage: Outing, today: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = ledger._marked

    def slowly(session: Session, held: PracticeSession) -> dict[int, Enrolment]:
        found = look(session, held)
        meet()
        return found

    mark(stage, today, child="absent")
    monkeypatch.setattr(ledger, "_marked", slowly)
    found = all_at_once(
        partial(mark, stage, today, child="present"),
        partial(mark, stage, today, "school_admin", brother="present"),
    )
    assert found == ["ok", "ok"]
    assert entries(stage, today) == {"child": 6, "brother": 6}


def test_without_the_lock_an_entry_is_lost(
    stage: Outing, today: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control: the one who looked first writes last, from a roll that is no longer true."""

    def unlocked(uow: UnitOfWork, *, session_id: int) -> PracticeSession:
        return uow.session.get_one(PracticeSession, session_id)

    look = ledger._marked
    brother = stage.world.people["brother"]

    def late(session: Session, held: PracticeSession) -> dict[int, Enrolment]:
        found = look(session, held)
        if brother in found:
            outstay()
        else:
            meet()
        return found

    monkeypatch.setattr(practice, "lock_session", unlocked)
    mark(stage, today, child="absent")
    monkeypatch.setattr(ledger, "_marked", late)
    found = all_at_once(
        partial(mark, stage, today, child="present"),
        partial(mark, stage, today, "school_admin", brother="present"),
    )
    assert found == ["ok", "ok"]
    assert entries(stage, today) == {"brother": 6}
