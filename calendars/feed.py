"""Entries and heads to the bytes of an iCalendar feed.

An entry is rendered once, when it changes; a feed is head + stored fragments + tail, and its
ETag is a version. Must not know who reads the feed, where fragments are kept, or the clock:
the same values always give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from urllib.parse import quote, urlsplit

from icalendar import Alarm, Calendar, Event, Timezone, vDuration

from calendars.text import lines, one_line
from calendars.values import Entry, FeedHead
from calendars.zones import DISTRICT, instant, zone_named

PRODUCT = "-//Coordination//District calendar//ZH"
TAIL = b"END:VCALENDAR\r\n"

# Part of every ETag: raise it when the bytes written for the same values change.
FORMAT = 1

# Observances before this matter to no entry; China's summer time of 1986 to 1991 confuses readers.
_ZONE_FROM = date(2000, 1, 1)
_ZONE_UNTIL = date(2038, 1, 1)

_COLOR_NAME = re.compile(r"[a-z]+")
_COLOR_CODE = re.compile(r"#[0-9a-fA-F]{6}")

Options = str | Mapping[str, object] | Sequence[object]


def render_entry(entry: Entry, zone: str = DISTRICT) -> bytes:
    """One VEVENT, times on the wall clock of `zone`, DTSTAMP the last change.

    Folded by the icalendar library at 75 octets, on character borders.
    """
    return bytes(event_of(entry, zone).to_ical())


@lru_cache(maxsize=256)
def render_head(head: FeedHead) -> bytes:
    """Everything of a feed before its first entry, the VTIMEZONE of its zone included.

    No METHOD: a subscription is not a message, and libical refuses PUBLISH without ORGANIZER.
    """
    calendar = Calendar()
    calendar.add("version", "2.0")
    calendar.add("prodid", PRODUCT)
    calendar.add("calscale", "GREGORIAN")
    name = one_line(head.name)
    calendar.add("name", name)
    calendar.add("x-wr-calname", name)
    description = lines(head.description)
    if description:
        calendar.add("description", description)
        calendar.add("x-wr-caldesc", description)
    calendar.add("x-wr-timezone", zone_named(head.zone).key)
    refresh = timedelta(hours=max(1, head.refresh_hours))
    # Without VALUE=DURATION some Android calendars refuse the whole file.
    calendar.add("refresh-interval", refresh, parameters={"VALUE": "DURATION"})
    calendar.add("x-published-ttl", vDuration(refresh))
    if head.color and _COLOR_NAME.fullmatch(head.color):
        calendar.add("color", head.color)
    elif head.color and _COLOR_CODE.fullmatch(head.color):
        calendar.add("x-apple-calendar-color", head.color)
    opening = bytes(calendar.to_ical()).removesuffix(TAIL)
    return opening + render_zone(head.zone)


@lru_cache(maxsize=32)
def render_zone(name: str) -> bytes:
    """The VTIMEZONE of a zone."""
    key = zone_named(name).key
    component = Timezone.from_tzid(key, first_date=_ZONE_FROM, last_date=_ZONE_UNTIL)
    component.pop("COMMENT", None)
    return bytes(component.to_ical())


def assemble(head: bytes | FeedHead, fragments: Iterable[bytes]) -> bytes:
    """A whole feed of a head and stored fragments, in the order given."""
    opening = render_head(head) if isinstance(head, FeedHead) else head
    return b"".join((opening, *fragments, TAIL))


def etag(version: int | str, options: Options = "") -> str:
    """A strong ETag, quotes included, of a feed's version and its token's options."""
    key = json.dumps([FORMAT, str(version), options], sort_keys=True, default=_plain)
    digest = hashlib.blake2b(key.encode(), digest_size=9).hexdigest()
    return f'"{digest}"'


def event_of(entry: Entry, zone: str) -> Event:
    """The entry as a component of the icalendar library."""
    changed = instant(entry.last_modified)
    event = Event()
    event.add("uid", entry.uid)
    event.add("sequence", entry.sequence)
    event.add("dtstamp", changed)
    event.add("last-modified", changed)
    event.add("created", instant(entry.created))
    event.add("dtstart", _placed(entry.starts_at, zone))
    # DTEND must be later than DTSTART; without it a date lasts a day and a time is a moment.
    if entry.ends_at > entry.starts_at:
        event.add("dtend", _placed(entry.ends_at, zone))
    event.add("summary", one_line(entry.summary))
    event.add("status", entry.status.upper())
    if description := lines(entry.description):
        event.add("description", description)
    if location := one_line(entry.location):
        event.add("location", location)
    if categories := [word for word in map(one_line, entry.categories) if word]:
        event.add("categories", categories)
    if address := web_address(entry.url):
        event.add("url", address)
    if entry.geo is not None:
        event.add("geo", entry.geo)
    # A holiday or a cancelled lesson must not make a parent look busy.
    free = entry.all_day or entry.status == "cancelled"
    event.add("transp", "TRANSPARENT" if free else "OPAQUE")
    if entry.alarm_minutes is not None and entry.status != "cancelled":
        event.add_component(_alarm(entry))
    return event


def web_address(address: str | None) -> str | None:
    """An http(s) address with everything unsafe percent-encoded; any other is left out."""
    if not address:
        return None
    safe = quote(address.strip(), safe="%/:=&?~#+!$,;'@()*[]-._", errors="replace")
    try:
        parts = urlsplit(safe)
    except ValueError:
        return None
    return safe if parts.scheme in ("http", "https") and parts.netloc else None


def _alarm(entry: Entry) -> Alarm:
    alarm = Alarm()
    alarm.add("action", "DISPLAY")
    alarm.add("trigger", -timedelta(minutes=entry.alarm_minutes or 0))
    alarm.add("description", one_line(entry.summary))
    return alarm


def _placed(moment: datetime | date, zone: str) -> datetime | date:
    if isinstance(moment, datetime):
        return instant(moment).astimezone(UTC if zone == "UTC" else zone_named(zone))
    return moment


def _plain(value: object) -> object:
    # The order of a set differs between processes, an ETag must not.
    return sorted(map(str, value)) if isinstance(value, AbstractSet) else str(value)
