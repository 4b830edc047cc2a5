"""A session moves: families once, calendars revised, reminders and shifts with it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from functools import partial

import pytest

from coordination.domain.practice import services as practice
from coordination.ground.errors import Conflict, Invalid
from coordination.settings import Settings
from coordination.worker import drain
from notifications.models import OutboxMessage
from tests.build.outing import DAY, FRIDAY, HOUR, NOW, ZONE, Outing


@pytest.fixture
def going(stage: Outing) -> int:
    """Class 3(2) goes; two kids of class 3(1) wait; a parent and a volunteer help."""
    session = stage.plan(capacity=5, helpers=2)
    stage.enrol(session)
    stage.enrol(session, "class_c", role="teacher_c")
    stage.take(session, "guardian_b")
    stage.forget_messages()
    return session


def test_those_affected_are_told_and_once_each(stage: Outing, going: int) -> None:
    stage.move(going, FRIDAY + DAY)
    # a household once: siblings, shared phone; nobody cut off; nobody who only waits
    assert stage.told("session_moved", going) == [
        "english",
        "friend_mother",
        "guardian",
        "kid_0_mother",
    ]
    assert stage.told("session_moved_staff", going) == [
        "guardian_b",
        "partner",
        "teacher",
        "teacher_c",
    ]
    assert stage.told("consent_asked") == []


def test_the_text_names_the_new_time_and_asks_again(stage: Outing, going: int) -> None:
    stage.answer(going, "friend_mother", "friend")
    before = stage.request_of(going)
    stage.move(going, FRIDAY + DAY)
    message = next(
        m
        for m in stage.messages("session_moved", going)
        if m.recipient_id == stage.world.people["friend_mother"]
    )
    assert "12月12日（周六）08:30" in message.body
    assert stage.request_of(going) != before
    assert stage.states(going)["friend"] == "enrolled"  # the yes was for the old time


def test_a_family_that_refused_is_not_told_again(stage: Outing, going: int) -> None:
    stage.answer(going, "friend_mother", "friend", "refused")
    stage.move(going, FRIDAY + DAY)
    assert "friend_mother" not in stage.told("session_moved", going)
    assert stage.states(going)["friend"] == "refused"


def test_a_parent_who_also_helps_is_told_once(stage: Outing, going: int) -> None:
    stage.take(going, "guardian")
    stage.forget_messages()
    stage.move(going, FRIDAY + DAY)
    assert "guardian" in stage.told("session_moved", going)
    assert "guardian" not in stage.told("session_moved_staff", going)


def test_the_calendar_keeps_its_uid_and_raises_its_sequence(stage: Outing, going: int) -> None:
    before = stage.entry("session", going)
    stage.move(going, FRIDAY + DAY)
    after = stage.entry("session", going)
    assert (after.uid, after.sequence) == (before.uid, before.sequence + 1)
    assert after.starts_at == FRIDAY + DAY
    stage.move(going, FRIDAY + 2 * DAY)
    assert stage.entry("session", going).sequence == before.sequence + 2


def test_going_there_and_back_and_there_again_tells_every_time(stage: Outing, going: int) -> None:
    for starts in (FRIDAY + DAY, FRIDAY, FRIDAY + DAY):
        stage.forget_messages()
        stage.move(going, starts)
        assert len(stage.told("session_moved", going)) == 4
        assert len(stage.told("session_moved_staff", going)) == 4


def test_a_later_return_alone_is_told_too(stage: Outing, going: int) -> None:
    for back in (FRIDAY + 9 * HOUR, FRIDAY + 10 * HOUR):
        stage.forget_messages()
        stage.act(
            "coordinator",
            partial(
                practice.move_session,
                session_id=going,
                starts_at=FRIDAY,
                ends_at=FRIDAY + 7 * HOUR,
                return_at=back,
            ),
        )
        assert len(stage.told("session_moved", going)) == 4


def reminders(stage: Outing, session_id: int, state: str = "pending") -> list[datetime]:
    rows = stage.sql(
        "select due_at from reminder where subject_type = 'session' and subject_id = :s"
        " and state = :state order by due_at",
        s=session_id,
        state=state,
    )
    return [due.astimezone(ZONE) for (due,) in rows]  # type: ignore[attr-defined]


def test_reminders_move_with_the_session(stage: Outing, going: int) -> None:
    assert reminders(stage, going) == [
        datetime(2026, 12, 8, 18, tzinfo=ZONE),
        datetime(2026, 12, 10, 18, tzinfo=ZONE),
    ]
    stage.move(going, FRIDAY + 3 * DAY)
    assert reminders(stage, going) == [
        datetime(2026, 12, 11, 18, tzinfo=ZONE),
        datetime(2026, 12, 13, 18, tzinfo=ZONE),
    ]
    assert len(reminders(stage, going, "cancelled")) == 2


def test_a_move_close_to_the_day_plans_only_what_is_ahead(stage: Outing, going: int) -> None:
    stage.move(going, NOW + DAY)
    assert reminders(stage, going) == [NOW.replace(hour=18)]


def test_the_shifts_move_too(stage: Outing, going: int) -> None:
    stage.move(going, FRIDAY + DAY)
    ((need_start, during),) = stage.sql(
        "select n.starts_at, lower(a.during) from shift_need n"
        " join shift_assignment a on a.need_id = n.id where n.session_id = :s",
        s=going,
    )
    assert need_start == during == FRIDAY + DAY
    ((assignment,),) = stage.sql("select id from shift_assignment")
    entry = stage.entry("shift", int(str(assignment)))
    assert (entry.starts_at, entry.sequence) == (FRIDAY + DAY, 1)


def test_a_helper_who_cannot_come_then_gives_the_shift_back_and_is_told(
    stage: Outing, going: int
) -> None:
    other = stage.plan(FRIDAY + DAY, helpers=1)
    stage.take(other, "guardian_b")
    stage.forget_messages()
    stage.move(going, FRIDAY + DAY)
    rows = stage.sql(
        "select n.session_id, a.state, n.filled from shift_assignment a"
        " join shift_need n on n.id = a.need_id order by n.session_id"
    )
    assert rows == [(going, "withdrawn", 0), (other, "assigned", 1)]
    assert stage.told("shift_released") == ["guardian_b"]
    assert "guardian_b" not in stage.told("session_moved_staff", going)


@pytest.mark.parametrize("state", ["cancelled", "departed", "on_site", "returned", "closed_out"])
def test_what_has_begun_or_is_cancelled_does_not_move(
    stage: Outing, going: int, state: str
) -> None:
    stage.sql("update practice_session set state = :state where id = :id", state=state, id=going)
    with pytest.raises(Conflict):
        stage.move(going, FRIDAY + DAY)


def test_moving_into_the_past_or_nowhere_is_refused(stage: Outing, going: int) -> None:
    with pytest.raises(Invalid) as refused:
        stage.move(going, NOW - DAY)
    assert "day" in refused.value.fields
    with pytest.raises(Conflict) as same:
        stage.move(going, FRIDAY)
    assert same.value.code == "unchanged"
    assert stage.told("session_moved") == []


def test_sign_up_never_closes_after_the_new_start(stage: Outing, going: int) -> None:
    stage.move(going, NOW + 2 * DAY)
    assert stage.session(going).signup_until <= NOW + 2 * DAY


def test_a_child_that_has_another_session_then_keeps_it_from_moving(
    stage: Outing, going: int
) -> None:
    other = stage.plan(FRIDAY + 2 * DAY)
    stage.enrol(other, leave_out=["brother", "friend", "reader"])
    stage.forget_messages()
    with pytest.raises(Conflict) as refused:
        stage.move(going, FRIDAY + 2 * DAY)
    assert refused.value.code == "child_clash"
    assert stage.session(going).starts_at == FRIDAY
    assert stage.told("session_moved") == []


def _limited(stage: Outing, child: str) -> None:
    stage.sql(
        "update guardianship set no_disclosure = true where guardian_id = :who and child_id = :child",
        who=stage.world.people["guardian"],
        child=stage.world.people[child],
    )


def _mothers(stage: Outing, going: int) -> OutboxMessage:
    mother = stage.world.people["guardian"]
    (found,) = (m for m in stage.messages("session_moved", going) if m.recipient_id == mother)
    return found


def test_a_text_that_names_a_sibling_whom_custody_hides_since_does_not_leave(
    stage: Outing, going: int
) -> None:
    stage.move(going, FRIDAY + DAY)
    assert "王*雨、王*宇" in (_mothers(stage, going).body or "")
    _limited(stage, "brother")
    drain(stage.engine, replace(Settings(), database_url=stage.url))
    held = _mothers(stage, going)
    assert (held.state, held.reason_code) == ("suppressed", "no_longer_concerned")
    others = [m for m in stage.messages("session_moved", going) if m.id != held.id]
    assert {m.state for m in others} == {"delivered"}


def test_a_text_written_after_custody_hid_a_sibling_names_the_other_and_leaves(
    stage: Outing, going: int
) -> None:
    _limited(stage, "brother")
    stage.move(going, FRIDAY + DAY)
    assert "王*宇" not in (_mothers(stage, going).body or "")
    drain(stage.engine, replace(Settings(), database_url=stage.url))
    assert _mothers(stage, going).state == "delivered"
