"""When cards open and shut, to the second."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from coordination.domain.care import keeping, window
from coordination.ground.errors import CoordinationError

START = datetime(2026, 12, 11, 8, 30, tzinfo=ZoneInfo("Asia/Shanghai"))
BACK = START + timedelta(hours=8)
SECOND = timedelta(seconds=1)


def refused(now: datetime, state: str = "open") -> str:
    try:
        window.refuse_closed(state, START, BACK, now)
    except CoordinationError as refusal:
        assert not window.is_open(state, START, BACK, now)
        return refusal.code
    assert window.is_open(state, START, BACK, now)
    return ""


@pytest.mark.parametrize(
    ("now", "code"),
    [
        (START - timedelta(hours=12) - SECOND, "cards_not_yet"),
        (START - timedelta(hours=12), ""),
        (START, ""),
        (BACK + timedelta(hours=6) - SECOND, ""),
        (BACK + timedelta(hours=6), "cards_over"),
    ],
)
def test_the_window_has_two_edges(now: datetime, code: str) -> None:
    assert refused(now) == code


@pytest.mark.parametrize("state", ["cancelled", "closed_out"])
def test_nobody_is_out_so_nobody_looks(state: str) -> None:
    assert refused(START, state) == "cards_over"


def test_an_aborted_session_still_brings_children_home() -> None:
    assert refused(START, "aborted") == ""


def test_a_card_is_asked_about_in_a_new_term_and_after_half_a_year() -> None:
    written = date(2026, 6, 1)
    assert not keeping.asks_again(written, date(2026, 8, 31), date(2026, 2, 16))
    assert keeping.asks_again(written, date(2026, 9, 1), date(2026, 9, 1))
    assert not keeping.asks_again(date(2026, 9, 1), date(2026, 9, 1), date(2026, 9, 1))
    assert keeping.asks_again(date(2026, 9, 1), date(2027, 3, 3), date(2026, 9, 1))
