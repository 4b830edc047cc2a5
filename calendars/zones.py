"""Zone names to zones, and wall time to instants.

Must not know the wall clock or the settings: the zone always comes in as an argument.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from functools import cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from calendars.errors import UnfitEntry, UnknownZone

DISTRICT = "Asia/Shanghai"

# Outlook writes these instead of IANA names; only zones a partner here plausibly uses.
WINDOWS_NAMES = {
    "China Standard Time": "Asia/Shanghai",
    "Taipei Standard Time": "Asia/Taipei",
    "Singapore Standard Time": "Asia/Singapore",
    "Tokyo Standard Time": "Asia/Tokyo",
    "Korea Standard Time": "Asia/Seoul",
    "SE Asia Standard Time": "Asia/Bangkok",
    "W. Australia Standard Time": "Australia/Perth",
    "AUS Eastern Standard Time": "Australia/Sydney",
    "India Standard Time": "Asia/Kolkata",
    "GMT Standard Time": "Europe/London",
    "W. Europe Standard Time": "Europe/Berlin",
    "Romance Standard Time": "Europe/Paris",
    "Eastern Standard Time": "America/New_York",
    "Pacific Standard Time": "America/Los_Angeles",
    "UTC": "UTC",
}
LONGEST_NAME = 80


@cache
def zone_named(name: str) -> ZoneInfo:
    """The zone of an IANA or Windows name."""
    if len(name) > LONGEST_NAME:
        # each slash is one more package to look into, until the stack is full
        raise UnknownZone(name[:LONGEST_NAME])
    try:
        return ZoneInfo(WINDOWS_NAMES.get(name, name))
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UnknownZone(name) from error


def instant(moment: datetime) -> datetime:
    """An aware moment in UTC, whole seconds; a naive one is refused."""
    if moment.utcoffset() is None:
        raise UnfitEntry(f"naive time {moment.isoformat()}")
    return moment.astimezone(UTC).replace(microsecond=0)


def at_wall(day: date, clock: time, zone: ZoneInfo) -> datetime:
    """The moment the wall clock of `zone` shows `clock` on `day`.

    A time skipped by a change to summer time moves forward by the gap, as RFC 5545 asks.
    """
    wall = datetime.combine(day, clock.replace(tzinfo=None), tzinfo=zone)
    return wall.astimezone(UTC).astimezone(zone)
