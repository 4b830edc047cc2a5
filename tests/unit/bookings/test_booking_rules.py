"""What a resource's own terms allow, tried on many terms and times."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calendars.workdays import DayKind
from coordination.domain.bookings import rules
from coordination.domain.bookings.values import Hours, Slot, Terms
from coordination.ground.errors import Conflict, Invalid

ZONE = ZoneInfo("Asia/Shanghai")
NOW = datetime(2026, 11, 24, 9, 0, tzinfo=ZONE)
EVERY_DAY = tuple(Hours(day, time(9), time(17, 30)) for day in range(7))


def terms(**changes: object) -> Terms:
    given: dict[str, object] = {
        "notice_hours": 24,
        "horizon_days": 120,
        "slot_minutes": 30,
        "max_minutes": 240,
        "capacity_min": 1,
        "capacity_max": 40,
        "hours": EVERY_DAY,
        **changes,
    }
    return Terms(**given)  # type: ignore[arg-type]


def slot(day: date, at: str, minutes: int = 120) -> Slot:
    start = datetime.combine(day, time.fromisoformat(at), tzinfo=ZONE)
    return Slot(start, start + timedelta(minutes=minutes))


def problems(asked: Slot, of: Terms | None = None, **more: object) -> dict[str, object]:
    return dict(rules.problems_of_slot(of or terms(), asked, NOW, ZONE, **more))  # type: ignore[arg-type]


FRIDAY = date(2026, 12, 4)


def test_a_fitting_slot_is_not_refused() -> None:
    assert problems(slot(FRIDAY, "14:00")) == {}


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        (slot(FRIDAY, "14:00", -60), "ends"),
        (slot(FRIDAY, "14:00", 0), "ends"),
        (slot(date(2026, 11, 23), "14:00"), "day"),
        (slot(date(2026, 11, 24), "14:00"), "day"),
        (slot(date(2027, 12, 3), "14:00"), "day"),
        (slot(FRIDAY, "16:00"), "starts"),
        (slot(FRIDAY, "08:30"), "starts"),
        (slot(FRIDAY, "14:10"), "starts"),
        (slot(FRIDAY, "09:00", 300), "minutes"),
    ],
)
def test_each_refusal_names_its_field_with_reason_and_remedy(asked: Slot, field: str) -> None:
    found = problems(asked)
    assert field in found
    said = found[field]
    assert said.zh.endswith("。")  # type: ignore[attr-defined]
    assert said.en.endswith(".")  # type: ignore[attr-defined]


def test_a_public_holiday_is_closed_unless_the_owner_opens_that_very_date() -> None:
    new_year = date(2027, 1, 1)
    assert "day" in problems(slot(new_year, "10:00"))
    opened = (*EVERY_DAY, Hours(4, time(10), time(12), new_year, new_year))
    assert problems(slot(new_year, "10:00"), terms(hours=opened)) == {}
    assert "starts" in problems(slot(new_year, "14:00"), terms(hours=opened))


def test_the_districts_own_calendar_wins_over_the_published_one() -> None:
    assert "day" in problems(slot(FRIDAY, "14:00"), overrides={FRIDAY: DayKind.HOLIDAY})
    new_year = date(2027, 1, 1)
    assert problems(slot(new_year, "10:00"), overrides={new_year: DayKind.SCHOOL_DAY}) == {}


def test_weekly_hours_hold_only_while_they_are_valid() -> None:
    season = (Hours(4, time(9), time(17), date(2026, 12, 10), None),)
    assert "day" in problems(slot(FRIDAY, "10:00"), terms(hours=season))
    assert problems(slot(date(2026, 12, 11), "10:00"), terms(hours=season)) == {}


def test_a_series_names_the_week_that_does_not_fit() -> None:
    weeks = rules.weekly(slot(FRIDAY, "14:00"), 6, ZONE)
    found = rules.problems_of_series(terms(), weeks, NOW, ZONE)
    assert "1月1日" in found["weeks"].zh
    assert "1 Jan" in found["weeks"].en


@pytest.mark.parametrize(
    ("children", "adults", "field"),
    [(0, 2, "children"), (39, 2, "children"), (10, 0, "adults"), (3, 1, "children")],
)
def test_the_size_of_the_group_is_checked(children: int, adults: int, field: str) -> None:
    assert field in rules.problems_of_group(terms(capacity_min=5), children, adults)


def test_all_problems_are_named_at_once() -> None:
    with pytest.raises(Invalid) as refused:
        rules.refuse_unfit_request(
            terms(),
            [slot(FRIDAY, "08:00")],
            children=90,
            adults=2,
            purpose=" ",
            needs="",
            now=NOW,
            zone=ZONE,
        )
    assert set(refused.value.fields) == {"starts", "children", "purpose"}


def test_a_licence_that_runs_out_before_the_day_refuses() -> None:
    rules.refuse_expired_documents([None, FRIDAY], FRIDAY)
    with pytest.raises(Conflict) as refused:
        rules.refuse_expired_documents([FRIDAY - timedelta(days=1)], FRIDAY)
    assert refused.value.code == "documents_expired"


# -- properties --------------------------------------------------------------------------------

quarters = st.integers(0, 95).map(lambda n: time(n // 4, n % 4 * 15))


@st.composite
def openings(draw: st.DrawFn) -> Hours:
    a, b = sorted(draw(st.lists(quarters, min_size=2, max_size=2, unique=True)))
    dated = draw(st.one_of(st.none(), st.dates(date(2026, 11, 24), date(2027, 3, 1))))
    if dated is None:
        return Hours(draw(st.integers(0, 6)), a, b)
    return Hours(dated.weekday(), a, b, dated, dated)


many_terms = st.builds(
    Terms,
    notice_hours=st.integers(0, 200),
    horizon_days=st.integers(1, 120),
    slot_minutes=st.sampled_from([15, 20, 30, 45, 60, 90]),
    max_minutes=st.integers(60, 300),
    capacity_min=st.just(1),
    capacity_max=st.just(40),
    hours=st.lists(openings(), max_size=8).map(tuple),
    buffer_before=st.sampled_from([0, 15, 30]),
    buffer_after=st.sampled_from([0, 10, 30]),
)
days = st.dates(date(2026, 11, 20), date(2027, 3, 10))
spans = st.builds(
    lambda start, length: Slot(start, start + timedelta(minutes=length)),
    st.datetimes(datetime(2026, 11, 20), datetime(2027, 3, 10)).map(
        lambda at: at.replace(tzinfo=ZONE)
    ),
    st.integers(10, 600),
)


@given(of=many_terms, day=days, taken=st.lists(spans, max_size=4), minutes=st.integers(15, 60))
def test_every_slot_that_is_offered_may_be_booked(
    of: Terms, day: date, taken: list[Slot], minutes: int
) -> None:
    for free in rules.free_slots(of, day, taken, minutes=minutes, now=NOW, zone=ZONE):
        assert rules.problems_of_slot(of, free, NOW, ZONE) == {}
        assert free.starts_at.astimezone(ZONE).date() == day
        wide = free.widened(of.buffer_before, of.buffer_after)
        assert not any(wide.overlaps(t) for t in taken)


@given(of=many_terms, day=days, at=quarters, minutes=st.integers(15, 60))
def test_every_slot_that_may_be_booked_is_offered(
    of: Terms, day: date, at: time, minutes: int
) -> None:
    start = datetime.combine(day, at, tzinfo=ZONE)
    asked = Slot(start, start + timedelta(minutes=minutes))
    offered = rules.free_slots(of, day, [], minutes=minutes, now=NOW, zone=ZONE)
    if rules.problems_of_slot(of, asked, NOW, ZONE) == {}:
        assert asked in offered


@given(of=many_terms, day=days)
def test_what_is_taken_never_adds_a_slot(of: Terms, day: date) -> None:
    free = rules.free_slots(of, day, [], minutes=60, now=NOW, zone=ZONE)
    for one in free[:5]:
        left = rules.free_slots(of, day, [one], minutes=60, now=NOW, zone=ZONE)
        assert set(left) < set(free)
        assert one not in left


@given(first=spans, weeks=st.integers(1, 20))
def test_a_series_keeps_its_local_time(first: Slot, weeks: int) -> None:
    slots = rules.weekly(first, weeks, ZONE)
    assert len(slots) == weeks
    assert {s.starts_at.astimezone(ZONE).timetz() for s in slots} == {
        first.starts_at.astimezone(ZONE).timetz()
    }
    assert all(b.starts_at - a.starts_at == timedelta(weeks=1) for a, b in pairwise(slots))


def test_no_weeks_and_too_many_weeks_are_refused() -> None:
    for weeks in (0, -1, 21, 10**9):
        with pytest.raises(Invalid):
            rules.weekly(slot(FRIDAY, "14:00"), weeks, ZONE)
