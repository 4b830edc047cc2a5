"""Entries for the tests of the calendar library."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import settings

from calendars.values import Entry, FeedHead

# Deadlines say nothing on a shared machine.
unhurried = settings(deadline=None, max_examples=150)

NOON = datetime(2026, 11, 24, 4, 0, tzinfo=UTC)

HEAD = FeedHead(
    name="王小雨的日历",
    description="家校社协同",
    zone="Asia/Shanghai",
    refresh_hours=6,
    color="teal",
)


def make_entry(**changes: object) -> Entry:
    entry = Entry(
        uid="session-1@coordination",
        sequence=0,
        summary="陶艺课",
        description="带围裙",
        location="社区陶艺室",
        starts_at=datetime(2026, 12, 2, 6, 0, tzinfo=UTC),
        ends_at=datetime(2026, 12, 2, 7, 30, tzinfo=UTC),
        all_day=False,
        status="confirmed",
        last_modified=NOON,
        created=NOON,
        categories=("实践活动",),
        url="https://example.org/s/1",
        geo=(22.75, 113.93),
    )
    return replace(entry, **changes)  # type: ignore[arg-type]
