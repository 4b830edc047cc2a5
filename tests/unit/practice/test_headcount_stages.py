"""The stages of a day: which there are, what each allows, and what they make of a session."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from coordination.domain.practice.headcount import stages
from coordination.domain.practice.headcount.counting import tapped
from coordination.ground.errors import Conflict, Invalid, TooLate

ZONE = ZoneInfo("Asia/Shanghai")
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def at(hour: int, minute: int = 0, day: int = 11) -> datetime:
    return datetime(2026, 12, day, hour, minute, tzinfo=ZONE)


@pytest.mark.parametrize(
    ("starts", "ends", "lunch"),
    [
        (at(8, 30), at(15, 30), True),
        (at(8, 30), at(12, 30), False),  # back by the end of noon: no lunch on the way
        (at(8, 30), at(12, 31), True),
        (at(12, 0), at(17, 0), False),
        (at(11, 59), at(17, 0), True),
        (at(14, 0), at(16, 0), False),
        (at(14, 0), at(15, 0, 13), False),  # lunch is the first day's
        (at(8, 30), at(15, 0, 13), True),
    ],
)
def test_there_is_lunch_if_the_activity_goes_on_over_noon(
    starts: datetime, ends: datetime, *, lunch: bool
) -> None:
    found = stages.stages_of(starts.astimezone(UTC), ends.astimezone(UTC))
    assert ("lunch" in found) is lunch
    assert found == tuple(s for s in stages.ORDER if s in found)


def test_the_count_opens_at_midnight_of_the_district_and_says_the_day() -> None:
    starts, back = at(8, 30), at(16, 30)
    with pytest.raises(Conflict) as refused:
        stages.refuse_other_day("closed", starts, back, at(0) - timedelta(seconds=1))
    assert "12月11日" in refused.value.message.zh
    assert "11 December" in refused.value.message.en
    stages.refuse_other_day("closed", starts, back, at(0))
    stages.refuse_other_day("returned", starts, back, back + DAY)
    with pytest.raises(TooLate):
        stages.refuse_other_day("returned", starts, back, back + DAY + timedelta(seconds=1))


@pytest.mark.parametrize("state", ["cancelled", "aborted", "closed_out"])
def test_nobody_is_counted_where_nothing_takes_place(state: str) -> None:
    with pytest.raises(Conflict):
        stages.refuse_other_day(state, at(8, 30), at(16, 30), at(9))


@pytest.mark.parametrize(
    ("classes", "state"),
    [
        ([], "closed"),
        ([set()], "closed"),
        ([{"leave"}, set()], "departed"),
        ([{"leave", "arrive"}, {"leave"}], "on_site"),
        ([{"leave", "arrive", "board", "back"}, {"leave", "arrive"}], "on_site"),
        ([{"leave", "arrive", "board", "back"}, set()], "returned"),
        ([{"leave", "back"}, {"leave", "back"}], "returned"),
        ([{"leave", "back"}, {"leave"}], "departed"),
    ],
)
def test_the_first_to_leave_and_the_last_to_be_back_speak_for_the_session(
    classes: list[set[str]], state: str
) -> None:
    assert stages.state_of("closed", classes) == state


@pytest.mark.parametrize("stage", stages.ORDER)
@pytest.mark.parametrize("reason", [*stages.FROM_THE_START, *stages.ON_THE_WAY, "", "bored"])
def test_a_reason_belongs_to_its_stage(stage: str, reason: str) -> None:
    fits = reason in (stages.FROM_THE_START if stage == "leave" else stages.ON_THE_WAY)
    if fits:
        assert stages.refuse_unfit_leaving(stage, reason, " 母亲 ") == "母亲"
    else:
        with pytest.raises(Invalid):
            stages.refuse_unfit_leaving(stage, reason, "母亲")


@pytest.mark.parametrize("note", ["", "  ", "\u200b", "x" * 41])
def test_whoever_takes_a_child_is_named(note: str) -> None:
    with pytest.raises(Invalid) as refused:
        stages.refuse_unfit_leaving("board", "guardian", note)
    assert set(refused.value.fields) == {"note"}


NOW = at(10)
OPENS = at(0)


@pytest.mark.parametrize("wrong", [timedelta(0), 3 * HOUR, -3 * HOUR, 400 * DAY, -400 * DAY])
def test_a_tap_is_as_old_as_the_phone_says_whatever_its_clock_says(wrong: timedelta) -> None:
    phone = NOW + wrong
    assert tapped(phone - 20 * timedelta(minutes=1), phone, NOW, OPENS) == at(9, 40)


def test_no_tap_is_of_the_future_or_of_another_day() -> None:
    # the phone's clock was put back between tap and sending; and a phone that claims a week
    assert tapped(NOW + HOUR, NOW, NOW, OPENS) == NOW
    assert tapped(NOW - 7 * DAY, NOW, NOW, OPENS) == OPENS
    assert tapped(None, NOW, NOW, OPENS) == NOW
