"""When SEQUENCE rises, and when it must not."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from icalendar import Event

from calendars.feed import render_entry
from calendars.revision import cancel, revise
from calendars.values import Entry
from tests.unit.calendars.builders import NOON, make_entry

LATER = NOON + timedelta(hours=1)


@pytest.mark.parametrize(
    "changes",
    [
        {"starts_at": make_entry().starts_at + timedelta(minutes=5)},
        {"ends_at": make_entry().ends_at + timedelta(minutes=5)},
        {"location": "二楼"},
        {"geo": (22.7, 113.9)},
        {"summary": "陶艺课(带表)"},
        {"status": "cancelled"},
        {"status": "tentative"},
    ],
)
def test_a_change_of_time_place_title_or_state_raises_the_sequence(
    changes: dict[str, object],
) -> None:
    old = make_entry()
    revised = revise(old, make_entry(**changes), LATER)
    assert revised.sequence == old.sequence + 1
    assert revised.last_modified == LATER
    assert revised.uid == old.uid


@pytest.mark.parametrize(
    "changes",
    [
        {"description": "改了"},
        {"categories": ("课",)},
        {"url": None},
        {"alarm_minutes": 10},
        {"summary": " 陶艺课\r\n"},
        {"starts_at": make_entry().starts_at.astimezone(ZoneInfo("Europe/Berlin"))},  # type: ignore[union-attr]
    ],
)
def test_nothing_else_raises_it(changes: dict[str, object]) -> None:
    old = make_entry()
    revised = revise(old, make_entry(**changes), LATER)
    assert (revised.sequence, revised.last_modified) == (old.sequence, old.last_modified)


def test_a_revision_without_change_renders_the_same_bytes() -> None:
    old = make_entry()
    assert render_entry(revise(old, make_entry(), LATER)) == render_entry(old)


def test_the_uid_and_creation_never_change() -> None:
    old = make_entry()
    revised = revise(old, make_entry(uid="other@x", created=LATER, sequence=99), LATER)
    assert (revised.uid, revised.created, revised.sequence) == (old.uid, old.created, 0)


def test_cancelling_twice_changes_nothing_more() -> None:
    once = cancel(make_entry(), LATER)
    assert (once.status, once.sequence) == ("cancelled", 1)
    assert cancel(once, LATER + timedelta(days=1)) == once


def test_a_clock_set_back_cannot_make_a_revision_older() -> None:
    old = make_entry()
    assert cancel(old, NOON - timedelta(days=1)).last_modified > old.last_modified


EDITS = st.lists(
    st.one_of(
        st.just("cancel"),
        st.just("revive"),
        st.builds(lambda n: ("summary", n), st.text(max_size=5)),
        st.builds(lambda n: ("location", n), st.text(max_size=5)),
        st.builds(lambda n: ("description", n), st.text(max_size=5)),
        st.builds(lambda n: ("move", n), st.integers(-3, 3)),
    ),
    max_size=20,
)


def edited(entry: Entry, edit: object, now: datetime) -> Entry:
    if edit == "cancel":
        return cancel(entry, now)
    if edit == "revive":
        return revise(entry, replace(entry, status="confirmed"), now)
    assert isinstance(edit, tuple)
    name, value = edit
    if name == "move":
        shift = timedelta(hours=value)
        moved = replace(entry, starts_at=entry.starts_at + shift, ends_at=entry.ends_at + shift)
        return revise(entry, moved, now)
    return revise(entry, replace(entry, **{name: value}), now)


@settings(deadline=None, max_examples=500)
@given(edits=EDITS, seconds=st.lists(st.integers(-5, 90), min_size=20, max_size=20))
def test_any_history_keeps_the_uid_and_only_ever_rises(
    edits: list[object], seconds: list[int]
) -> None:
    entry, now = make_entry(), NOON
    other = render_entry(make_entry(uid="other@x"))
    for edit, pause in zip(edits, seconds, strict=False):
        now += timedelta(seconds=pause)
        after = edited(entry, edit, now)
        assert after.uid == entry.uid
        seen_before, seen_after = _acted_on(entry), _acted_on(after)
        rose = after.sequence == entry.sequence + 1 and after.last_modified > entry.last_modified
        same = (after.sequence, after.last_modified) == (entry.sequence, entry.last_modified)
        assert rose if seen_before != seen_after else same
        entry = after
    assert render_entry(make_entry(uid="other@x")) == other


def _acted_on(entry: Entry) -> tuple[str, ...]:
    event = Event.from_ical(render_entry(entry))
    return tuple(
        str(event[name].to_ical()) if name in event else ""
        for name in ("summary", "location", "dtstart", "dtend", "status", "geo")
    )
