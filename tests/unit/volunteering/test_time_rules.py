"""How volunteer time is rounded and capped; how the code of a place turns."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from coordination.domain.volunteering import site_codes
from coordination.domain.volunteering.time_rules import TimeRule
from coordination.web.when import duration

NOON = datetime(2026, 12, 11, 4, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("spent", "step", "expected"),
    [
        (0, 15, 0),
        (7, 15, 0),
        (8, 15, 15),  # seven and a half would go up
        (22, 15, 15),
        (23, 15, 30),
        (2, 5, 0),
        (3, 5, 5),
        (30, 60, 60),  # a half goes up
        (29, 60, 0),
        (61, 1, 61),
        (179, 15, 180),
        (181, 15, 180),
        (400, 15, 180),  # two hours were planned, and one more counts
    ],
)
def test_time_goes_to_the_nearest_step_up_to_the_most(spent: int, step: int, expected: int) -> None:
    rule = TimeRule(round_to=step, most_over=60)
    assert rule.minutes(NOON, NOON + spent * MINUTE, 120) == expected


def test_seconds_do_not_make_a_minute() -> None:
    assert TimeRule(round_to=1).minutes(NOON, NOON + timedelta(seconds=119), 120) == 1


def test_the_code_turns_and_the_one_before_is_still_good() -> None:
    first, second = site_codes.code_at(7, NOON), site_codes.code_at(7, NOON + site_codes.TURNS)
    assert first != second
    assert len(first) == 4
    assert first.isdecimal()
    assert site_codes.fits(7, first, NOON + 4 * MINUTE)
    assert site_codes.fits(7, first, NOON + 9 * MINUTE)
    assert not site_codes.fits(7, first, NOON + 10 * MINUTE)
    assert not site_codes.fits(7, second, NOON)
    assert not site_codes.fits(8, first, NOON)
    assert site_codes.turns_at(NOON + MINUTE) == NOON + 5 * MINUTE


@pytest.mark.parametrize("typed", ["{}", " {} ", "{0[0]} {0[1]}{0[2]}{0[3]}"])
def test_a_code_may_be_typed_with_spaces_or_full_width(typed: str) -> None:
    code = site_codes.code_at(7, NOON)
    assert site_codes.fits(7, typed.format(code), NOON)
    wide = "".join(chr(ord(c) + 0xFEE0) for c in code)
    assert site_codes.fits(7, wide, NOON)


@pytest.mark.parametrize("typed", ["", "12", "abcd", "😀", "0" * 5000])
def test_anything_else_does_not_fit(typed: str) -> None:
    assert not site_codes.fits(7, typed, NOON)


def test_codes_are_spread_over_all_digits() -> None:
    codes = [site_codes.code_at(7, NOON + n * site_codes.TURNS) for n in range(2000)]
    assert len(set(codes)) > 1700
    assert all(count > 100 for count in Counter(code[0] for code in codes).values())


def test_a_duration_reads_as_one_says_it() -> None:
    assert [duration(n, "zh") for n in (0, 45, 60, 465)] == [
        "0分钟",
        "45分钟",
        "1小时",
        "7小时45分",
    ]
    assert [duration(n, "en") for n in (0, 45, 60, 465)] == ["0 min", "45 min", "1 h", "7 h 45 min"]
