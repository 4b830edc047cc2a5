"""Series become single occurrences, exactly."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calendars.errors import RefusedRule, UnfitSeries
from calendars.recurrence import expand_rule, occurrences, refuse_unsafe_rule
from tests.unit.calendars.builders import unhurried

RULES = Path(__file__).parents[2] / "data/calendars/recur/libical_recur_shared.json"


def test_eight_wednesdays_without_the_skipped_one() -> None:
    spans = occurrences(
        weekday=2,
        from_date=date(2026, 9, 1),
        to_date=date(2026, 10, 28),
        starts=time(14),
        ends=time(15, 30),
        skip={date(2026, 10, 7)},
    )
    assert len(spans) == 8
    assert spans[0].starts_at == datetime(2026, 9, 2, 6, tzinfo=UTC)
    assert all(span.starts_at.date() != date(2026, 10, 7) for span in spans)


def test_every_other_week_keeps_its_beat_over_a_skipped_day() -> None:
    spans = occurrences(
        weekday=0,
        from_date=date(2026, 9, 7),
        to_date=date(2026, 10, 19),
        starts=time(9),
        ends=time(10),
        skip={date(2026, 9, 21)},
        every_weeks=2,
    )
    assert [span.starts_at.day for span in spans] == [7, 5, 19]


def test_wall_time_stays_when_summer_time_ends() -> None:
    spans = occurrences(
        weekday=6,
        from_date=date(2026, 10, 18),
        to_date=date(2026, 11, 1),
        starts=time(9),
        ends=time(10),
        zone="Europe/Berlin",
    )
    assert [span.starts_at.hour for span in spans] == [9, 9, 9]
    assert [span.starts_at.astimezone(UTC).hour for span in spans] == [7, 8, 8]


def test_a_time_that_summer_time_skips_moves_forward() -> None:
    (span,) = occurrences(
        weekday=6,
        from_date=date(2026, 3, 29),
        to_date=date(2026, 3, 29),
        starts=time(2, 30),
        ends=time(4),
        zone="Europe/Berlin",
    )
    assert span.starts_at == datetime(2026, 3, 29, 3, 30, tzinfo=ZoneInfo("Europe/Berlin"))


@unhurried
@given(
    weekday=st.integers(0, 6),
    first=st.dates(date(2020, 1, 1), date(2030, 1, 1)),
    length=st.integers(0, 700),
)
def test_every_day_of_the_weekday_is_there_once(weekday: int, first: date, length: int) -> None:
    last = date.fromordinal(first.toordinal() + length)
    spans = occurrences(
        weekday=weekday, from_date=first, to_date=last, starts=time(8), ends=time(9)
    )
    wanted = [
        day
        for day in map(date.fromordinal, range(first.toordinal(), last.toordinal() + 1))
        if day.weekday() == weekday
    ]
    assert [span.starts_at.date() for span in spans] == wanted


def test_series_without_sense_are_refused() -> None:
    day = date(2026, 9, 1)
    for changes in (
        {"weekday": 7},
        {"ends": time(8)},
        {"to_date": date(2026, 8, 1)},
        {"every_weeks": 0},
        {"to_date": date(2050, 1, 1)},
    ):
        wanted = {
            "weekday": 1,
            "from_date": day,
            "to_date": day,
            "starts": time(9),
            "ends": time(10),
        } | changes
        with pytest.raises(UnfitSeries):
            occurrences(**wanted)  # type: ignore[arg-type]


def moment(text: str) -> datetime:
    if len(text) == 8:
        return datetime.strptime(text, "%Y%m%d")
    naive = datetime.strptime(text.rstrip("Z"), "%Y%m%dT%H%M%S")
    return naive.replace(tzinfo=UTC) if text.endswith("Z") else naive


def test_every_known_rule_expands_exactly() -> None:
    for case in json.loads(RULES.read_text())["cases"]:
        wanted = tuple(moment(text) for text in case["INSTANCES"].split(","))
        assert expand_rule(case["RRULE"], moment(case["DTSTART"])) == wanted, case["RRULE"]


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=SECONDLY",
        "FREQ=MINUTELY;COUNT=999999",
        "FREQ=HOURLY;INTERVAL=2",
        "FREQ=FORTNIGHTLY",
        "COUNT=3",
        "FREQ=DAILY;COUNT=0",
        "FREQ=DAILY;COUNT=3;UNTIL=20270101",
        "FREQ=DAILY;INTERVAL=99999999999",
        "FREQ=DAILY;FREQ=DAILY",
        "FREQ=DAILY;X-EVIL=1",
        "FREQ=DAILY;BYEASTER=1",
        "",
    ],
)
def test_rules_outside_the_allow_list_are_refused(rule: str) -> None:
    with pytest.raises(RefusedRule):
        refuse_unsafe_rule(rule)


def test_a_rule_with_too_many_instances_is_refused() -> None:
    with pytest.raises(RefusedRule):
        expand_rule("FREQ=DAILY", datetime(2026, 1, 1), most=100)
