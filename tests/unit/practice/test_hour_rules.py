"""How many periods a session counts for: whole ones, by the plan, a day up to its most."""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest

from coordination.domain.practice import hour_rules
from coordination.domain.practice.hour_rules import Rule, Stretch, Target
from coordination.ground.text import Text
from coordination.web.sheets import harmless

ZONE = ZoneInfo("Asia/Shanghai")


def at(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 12, day, hour, minute, tzinfo=ZONE).astimezone(ZoneInfo("UTC"))


@pytest.mark.parametrize(
    ("starts", "ends", "expected"),
    [
        (at(11, 9), at(11, 9, 39), 0),
        (at(11, 9), at(11, 9, 40), 1),
        (at(11, 9), at(11, 10, 19), 1),
        (at(11, 9), at(11, 12), 4),
        (at(11, 8, 30), at(11, 15, 30), 6),  # ten by the clock, six at most
        (at(11, 8), at(13, 16), 18),  # three days of six
        (at(11, 22), at(12, 1), 4),  # three before midnight, one after
        (at(11, 7), at(12, 0), 6),  # ends as the next day begins
    ],
)
def test_periods_are_whole_and_a_day_has_a_most(
    starts: datetime, ends: datetime, expected: int
) -> None:
    assert Rule(40, 6).periods_of(starts, ends, ZONE) == expected


def test_the_day_is_that_of_the_district() -> None:
    # one afternoon in China, over midnight in UTC
    assert Rule(40, 4).periods_of(at(11, 7), at(11, 9), ZONE) == 3
    assert Rule(40, 4).periods_of(at(11, 7), at(11, 9), ZoneInfo("UTC")) == 2


def test_the_last_day_there_is_has_hours_too() -> None:
    last = datetime(9999, 12, 31, 9, tzinfo=ZONE)
    assert Rule().periods_of(last, last.replace(hour=12), ZONE) == 4


def test_the_rule_of_a_day_is_the_last_that_began() -> None:
    early, late = Rule(starts_on=date(2026, 9, 1)), Rule(45, starts_on=date(2026, 12, 1))
    rules = [late, early]
    assert hour_rules.on(rules, date(2026, 11, 30)) is early
    assert hour_rules.on(rules, date(2026, 12, 1)) is late
    assert hour_rules.on(rules, date(2026, 8, 31)) is hour_rules.PROPOSED


def test_targets_are_of_grades_one_to_nine() -> None:
    rule = Rule(periods=tuple(range(1, 10)), times=(2,) * 9)
    assert rule.target(3) == Target(3, 2)
    assert not rule.target(None)
    assert not rule.target(10)
    assert not rule.target(0)


def test_what_is_proposed_is_the_outlines_least_for_each_week() -> None:
    term = Stretch(Text("", ""), date(2026, 9, 1), date(2027, 1, 22))
    assert term.weeks == 21
    assert hour_rules.proposed(term).periods == (21, 21, 42, 42, 42, 42, 42, 42, 42)


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        ("王小雨", "王小雨"),
        ("=1+1", "'=1+1"),
        ("  @SUM(A1)", "'  @SUM(A1)"),
        ("＝cmd", "'＝cmd"),
        ("-2", "'-2"),
        (-2, "-2"),
        (None, ""),
    ],
)
def test_a_cell_of_a_file_is_never_a_formula(cell: object, written: str) -> None:
    assert harmless(cell) == written
