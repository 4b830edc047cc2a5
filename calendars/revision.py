"""What makes a calendar entry change.

SEQUENCE and LAST-MODIFIED rise together when something changes that a reader must act on:
the time, the place (location or coordinates), the title, or the state. The title counts
because some clients ignore an entry whose SEQUENCE did not rise, and "parents' meeting"
becoming "parents' meeting, bring the form" must arrive. Description, categories, address and
alarm are carried over without a rise: they are replaced at the next whole read.

Must not know the clock or what the entry stands for.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta

from calendars.text import one_line
from calendars.values import Entry
from calendars.zones import instant


def revise(old: Entry, new: Entry, now: datetime) -> Entry:
    """`new` as the next revision of `old`: the same UID and creation, counted if it matters."""
    carried = replace(
        new,
        uid=old.uid,
        created=old.created,
        sequence=old.sequence,
        last_modified=old.last_modified,
    )
    if not changes_what_matters(old, new):
        return carried
    # A second later at least: a clock set back, or two edits in one second, must still be newer.
    later = max(instant(now), instant(old.last_modified) + timedelta(seconds=1))
    return replace(carried, sequence=old.sequence + 1, last_modified=later)


def cancel(entry: Entry, now: datetime) -> Entry:
    """The entry as a tombstone (已取消): kept under its UID; cancelling twice changes nothing."""
    return revise(entry, replace(entry, status="cancelled"), now)


def changes_what_matters(old: Entry, new: Entry) -> bool:
    """Whether time, place, title or state differ between two readings of one entry."""
    return _what_matters(old) != _what_matters(new)


def _what_matters(entry: Entry) -> tuple[object, ...]:
    return (
        entry.all_day,
        _moment(entry.starts_at),
        _moment(entry.ends_at),
        one_line(entry.location),
        entry.geo,
        one_line(entry.summary),
        entry.status,
    )


def _moment(value: datetime | date) -> datetime | date:
    return instant(value) if isinstance(value, datetime) else value
