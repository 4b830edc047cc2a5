"""Segments, templates, quiet hours, states and retries: pure decisions."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifications import retry
from notifications.errors import ForbiddenMove, TemplateRefused
from notifications.quiet import Gathering, QuietHours, earliest
from notifications.segments import GSM_BASIC, GSM_EXTENDED, Segments, segments
from notifications.states import FINAL, MOVES, State, may_become, refuse_forbidden_move
from notifications.templates import clean, placeholders, render
from notifications.values import Refused
from tests.unit.notifications.making import NOON

SMS = Path(__file__).parents[2] / "data" / "sms"
SHANGHAI = ZoneInfo("Asia/Shanghai")


@pytest.mark.parametrize(
    ("body", "encoding", "count", "units"),
    [
        ("a" * 160, "GSM-7", 1, 160),
        ("a" * 161, "GSM-7", 2, 161),
        ("a" * 306, "GSM-7", 2, 306),
        ("a" * 307, "GSM-7", 3, 307),
        ("{" * 80, "GSM-7", 1, 160),
        ("{" * 81, "GSM-7", 2, 162),
        # an escape pair is not split: 76 braces and one letter fill 153
        ("{" * 153, "GSM-7", 3, 306),
        ("@£$¥èéùìòÇ\nØøÅå", "GSM-7", 1, 15),
        ("€", "GSM-7", 1, 2),
        ("`", "UCS-2", 1, 1),
        ("明" * 70, "UCS-2", 1, 70),
        ("明" * 71, "UCS-2", 2, 71),
        ("明" * 134, "UCS-2", 2, 134),
        ("明" * 135, "UCS-2", 3, 135),
        ("😜" * 35, "UCS-2", 1, 70),
        ("😜" * 36, "UCS-2", 2, 72),
        # a flag is four units and stays whole: 67 = 16 flags and three units of air
        ("🇨🇳" * 33, "UCS-2", 3, 132),
    ],
)
def test_segments_of_known_texts(body: str, encoding: str, count: int, units: int) -> None:
    assert segments(body) == Segments(encoding, count, units)  # type: ignore[arg-type]


def _vectors(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((SMS / name).read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("vector", _vectors("twilio.json"), ids=lambda v: v["testDescription"])
def test_segments_agree_with_the_providers_own_vectors(vector: dict[str, Any]) -> None:
    counted = segments(vector["body"])
    assert (counted.encoding, counted.count) == (vector["encoding"], vector["segments"])
    unit = 7 if counted.encoding == "GSM-7" else 16
    assert counted.units * unit == vector["messageSize"]


@pytest.mark.parametrize("vector", _vectors("own.json"), ids=lambda v: v["testDescription"])
def test_segments_agree_with_what_was_counted_by_hand(vector: dict[str, Any]) -> None:
    assert segments(vector["body"]) == Segments(
        vector["encoding"], vector["segments"], vector["units"]
    )


@given(st.text(min_size=1, max_size=400))
def test_segments_never_hold_more_than_fits(body: str) -> None:
    if any(0xD800 <= ord(char) <= 0xDFFF for char in body):
        return
    counted = segments(body)
    room = 160 if counted.encoding == "GSM-7" else 70
    assert (counted.count == 1) == (counted.units <= room)
    assert (counted.encoding == "GSM-7") == (set(body) <= GSM_BASIC | GSM_EXTENDED)


def test_a_template_is_filled_in_one_pass() -> None:
    params = {"child": "{school}", "school": "光明实验小学"}
    assert render("{child}:{school}", params, params) == "{school}:光明实验小学"
    assert placeholders("{child}:{school}") == {"child", "school"}


@pytest.mark.parametrize(
    ("template", "params"),
    [
        ("{child}", {}),
        ("{child}", {"child": "  "}),
        ("{child}", {"child": "\u202e\x00"}),
        ("{phone}", {"phone": "1"}),
        ("{child}", {"child": "a", "phone": "1"}),
        ("{child.__class__}", {"child": "a"}),
        ("{{child}}", {"child": "a"}),
        ("{child", {"child": "a"}),
    ],
)
def test_a_template_that_would_print_something_raw_is_refused(
    template: str, params: dict[str, str]
) -> None:
    with pytest.raises(TemplateRefused):
        render(template, params, {"child"})


def test_values_lose_control_characters_and_line_breaks() -> None:
    assert clean("李\u202e静\x07\r\nLi\tJing\u200b ") == "李静 Li Jing"
    assert clean("👨\u200d👩\u200d👧") == "👨\u200d👩\u200d👧"


POLICY = QuietHours(time(20), time(7, 30), SHANGHAI, rest_days=True)


def _local(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 11, day, hour, minute, tzinfo=SHANGHAI)


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (_local(24, 12), _local(24, 12)),
        (_local(24, 19, 59), _local(24, 19, 59)),
        (_local(24, 20), _local(25, 7, 30)),
        (_local(25, 3), _local(25, 7, 30)),
        (_local(25, 7, 30), _local(25, 7, 30)),
        # Friday night, then a weekend
        (_local(27, 22), _local(30, 7, 30)),
        (_local(28, 12), _local(30, 7, 30)),
    ],
)
def test_quiet_hours_and_rest_days(now: datetime, expected: datetime) -> None:
    def weekend(day: date) -> bool:
        return day.weekday() >= 5

    assert earliest(POLICY, now, weekend) == expected


def test_quiet_hours_by_day_and_none_at_all() -> None:
    noon_rest = QuietHours(time(12), time(14), SHANGHAI)
    assert earliest(noon_rest, _local(24, 13)) == _local(24, 14)
    never = QuietHours(time(0), time(0), SHANGHAI)
    assert earliest(never, _local(24, 3)) == _local(24, 3)


EVENING = Gathering(time(16, 30), time(19, 30))


def _weekend(day: date) -> bool:
    return day.weekday() >= 5


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (_local(24, 16, 29), _local(24, 16, 29)),
        (_local(24, 16, 30), _local(24, 19, 30)),
        (_local(24, 19, 29), _local(24, 19, 30)),
        (_local(24, 19, 30), _local(24, 19, 30)),
        # quiet hours hold all the same
        (_local(24, 20), _local(25, 7, 30)),
        # a day of rest has no evening: what it holds leaves when the quiet hours after it are over
        (_local(28, 17), _local(30, 7, 30)),
        (_local(27, 17), _local(27, 19, 30)),
    ],
)
def test_what_is_gathered_waits_for_the_end_of_the_evening(
    now: datetime, expected: datetime
) -> None:
    assert earliest(POLICY, now, _weekend, EVENING) == expected


def test_the_last_second_of_the_evening_waits_and_its_end_does_not() -> None:
    last = _local(24, 19, 29).replace(second=59, microsecond=999_999)
    assert earliest(POLICY, last, _weekend, EVENING) == _local(24, 19, 30)
    assert earliest(POLICY, last, _weekend) == last


@pytest.mark.parametrize(
    ("quiet", "now", "expected"),
    [
        # the hours end within the evening, begin within it, and lie in it
        ((time(12), time(17)), _local(24, 12), _local(24, 19, 30)),
        ((time(12), time(16, 30)), _local(24, 13), _local(24, 19, 30)),
        ((time(12), time(16)), _local(24, 13), _local(24, 16)),
        ((time(18), time(19)), _local(24, 17), _local(24, 19, 30)),
        ((time(18), time(19)), _local(24, 18, 30), _local(24, 19, 30)),
        # an end that falls into quiet hours, which the form refuses, is passed over
        ((time(19), time(21)), _local(24, 17), _local(24, 21)),
        ((time(0), time(0)), _local(24, 17), _local(24, 19, 30)),
    ],
)
def test_quiet_hours_and_an_evening_that_overlap_both_hold(
    quiet: tuple[time, time], now: datetime, expected: datetime
) -> None:
    assert earliest(QuietHours(*quiet, SHANGHAI), now, gathering=EVENING) == expected


def test_an_evening_may_end_just_before_midnight_and_never_reaches_the_next_day() -> None:
    late = Gathering(time(22), time(23, 59))
    none = QuietHours(time(0), time(0), SHANGHAI)
    assert earliest(none, _local(24, 22), gathering=late) == _local(24, 23, 59)
    assert earliest(none, _local(24, 23, 59), gathering=late) == _local(24, 23, 59)
    assert earliest(none, _local(25, 0), gathering=late) == _local(25, 0)
    # by the district's clock, whatever zone the moment is given in
    assert earliest(none, datetime(2026, 11, 24, 14, 30, tzinfo=UTC), gathering=late) == _local(
        24, 23, 59
    )


def test_a_final_state_never_moves() -> None:
    for before in FINAL:
        assert not any(may_become(before, after) for after in State)
    with pytest.raises(ForbiddenMove):
        refuse_forbidden_move(State.DELIVERED, State.FAILED)


def test_every_state_has_its_moves_and_doubt_is_never_claimed() -> None:
    assert set(MOVES) == set(State)
    assert not may_become(State.UNKNOWN, State.SENDING)
    assert not may_become(State.ACCEPTED, State.QUEUED)


def _refused(**changes: object) -> Refused:
    return Refused(**({"code": "c", "reason": "r", "permanent": False} | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("refused", "tries", "valid_minutes", "state", "wait"),
    [
        (_refused(), 1, None, State.QUEUED, 5),
        (_refused(), 3, None, State.QUEUED, 60),
        (_refused(), 11, None, State.QUEUED, 3600),
        (_refused(retry_after=30.0), 1, None, State.QUEUED, 30),
        (_refused(), 12, None, State.NEEDS_HUMAN, 0),
        (_refused(), 6, 10, State.EXPIRED, 0),
        (_refused(permanent=True), 1, None, State.FAILED, 0),
        (_refused(permanent=True, suppress=True), 1, None, State.SUPPRESSED, 0),
        (_refused(halt=True), 50, None, State.QUEUED, 300),
    ],
)
def test_retries_after_a_definite_no(
    refused: Refused, tries: int, valid_minutes: int | None, state: State, wait: int
) -> None:
    valid_until = None if valid_minutes is None else NOON + timedelta(minutes=valid_minutes)
    decision = retry.after_refusal(refused, tries=tries, now=NOON, valid_until=valid_until)
    assert (decision.state, decision.at) == (state, NOON + timedelta(seconds=wait))


def test_an_old_code_is_never_sent_again() -> None:
    decision = retry.after_absence(
        message_class="otp", resends=0, now=datetime.now(UTC), valid_until=None
    )
    assert decision.state is State.EXPIRED
