"""How fast a channel may be asked: carefully at first, wider with success, not at all if it fails."""

from __future__ import annotations

import pytest

from notifications.lanes import FAILURES_TO_HALT, FIRST_CALLS, Lane
from notifications.values import Answer, Doubt, Refused, Sent

TOO_MANY = Refused("20429", "twilio_20429", permanent=False, slower=True, retry_after=7)
BAD_NUMBER = Refused("21211", "twilio_21211", permanent=True, strike=True)
NOT_CONNECTED = Refused("not_connected", "not_connected", permanent=False)


def start_all(lane: Lane, at: float = 0.0) -> int:
    """How many calls may run at once."""
    count = 0
    while lane.wait(at) == 0:
        lane.start(at)
        count += 1
    return count


def test_a_lane_begins_carefully_and_widens_to_its_limit() -> None:
    lane = Lane("sms", 64)
    assert start_all(lane) == FIRST_CALLS
    for _ in range(100):
        lane.heard(Sent("SM1"), 0.0)
    assert FIRST_CALLS + start_all(lane) == 64


def test_too_many_halves_once_for_a_burst_and_waits_as_told() -> None:
    lane = Lane("sms", 64)
    for _ in range(100):
        lane.heard(Sent("SM1"), 0.0)
    for _ in range(20):
        lane.heard(TOO_MANY, 10.0)
    assert lane.width == 32 and lane.wait(10.0) == 7 and lane.wait(17.0) == 0
    lane.heard(TOO_MANY, 12.0)
    assert lane.width == 16


def test_a_rate_spaces_the_calls() -> None:
    lane = Lane("sms", 64, rate=10)
    lane.start(5.0)
    assert lane.wait(5.0) == pytest.approx(0.1) and lane.per_second == pytest.approx(10)
    lane.pace(5)
    lane.start(5.1)
    assert lane.wait(5.1) == pytest.approx(0.2)


@pytest.mark.parametrize("answer", [NOT_CONNECTED, Doubt("http_503")])
def test_a_provider_that_fails_again_and_again_is_halted_once(answer: Answer) -> None:
    lane = Lane("sms", 64)
    heard = [lane.heard(answer, 0.0) for _ in range(FAILURES_TO_HALT + 5)]
    assert heard.count(True) == 1 and heard[FAILURES_TO_HALT - 1]
    assert lane.halted and lane.width == 1


@pytest.mark.parametrize("good", [Sent("SM1"), BAD_NUMBER])
def test_one_answer_that_shows_it_well_begins_the_count_again(good: Answer) -> None:
    lane = Lane("sms", 64)
    for _ in range(FAILURES_TO_HALT - 1):
        lane.heard(NOT_CONNECTED, 0.0)
    lane.heard(good, 0.0)
    assert not any(lane.heard(NOT_CONNECTED, 0.0) for _ in range(FAILURES_TO_HALT - 1))


def test_wrong_credentials_halt_at_once() -> None:
    lane = Lane("sms", 64)
    lane.heard(Refused("20003", "twilio_20003", permanent=False, halt=True), 0.0)
    assert lane.halted
