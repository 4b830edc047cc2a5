"""iTIP messages for mail: an invitation to a meeting and its cancellation.

Unlike a feed these carry METHOD, ORGANIZER and ATTENDEE. Must not know how mail is sent:
the part's type is `text/calendar; charset=utf-8; method=REQUEST` (or CANCEL).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from icalendar import Calendar, vCalAddress, vText

from calendars.errors import UnfitAddress, UnfitEntry
from calendars.feed import PRODUCT, TAIL, event_of, render_zone
from calendars.text import one_line
from calendars.values import Entry
from calendars.zones import DISTRICT

Method = Literal["REQUEST", "CANCEL"]

_ADDRESS = re.compile(r"[^\s@<>\"',;:\\\x00-\x20\x7f]+@[^\s@<>\"',;:\\\x00-\x20\x7f]+")


@dataclass(frozen=True, slots=True)
class Party:
    """A person an invitation comes from or goes to."""

    name: str
    email: str

    def __post_init__(self) -> None:
        if not _ADDRESS.fullmatch(self.email):
            raise UnfitAddress("not a mail address")


def request(
    entry: Entry,
    organizer: Party,
    attendees: Sequence[Party],
    zone: str = DISTRICT,
    *,
    rsvp: bool = True,
) -> bytes:
    """METHOD:REQUEST: invite, or move what was invited (the same UID, a higher SEQUENCE).

    Without `rsvp` no answer is asked for: nobody reads the organizer's mailbox.
    """
    if entry.status == "cancelled":
        raise UnfitEntry("a cancelled entry invites nobody")
    return _message("REQUEST", entry, organizer, attendees, zone, rsvp=rsvp)


def cancel(
    entry: Entry, organizer: Party, attendees: Sequence[Party], zone: str = DISTRICT
) -> bytes:
    """METHOD:CANCEL: take the entry out of the attendees' calendars.

    Cancel the entry with `revision.cancel` first: its SEQUENCE must be the risen one.
    """
    return _message("CANCEL", replace(entry, status="cancelled"), organizer, attendees, zone)


def _message(
    method: Method,
    entry: Entry,
    organizer: Party,
    attendees: Sequence[Party],
    zone: str,
    *,
    rsvp: bool = False,
) -> bytes:
    if not attendees:
        raise UnfitEntry("an invitation has someone to go to")
    calendar = Calendar()
    calendar.add("version", "2.0")
    calendar.add("prodid", PRODUCT)
    calendar.add("calscale", "GREGORIAN")
    calendar.add("method", method)
    event = event_of(entry, zone)
    event["organizer"] = _address(organizer)
    for attendee in attendees:
        address = _address(attendee)
        address.params["ROLE"] = vText("REQ-PARTICIPANT")
        if method == "REQUEST":
            address.params["PARTSTAT"] = vText("NEEDS-ACTION")
            address.params["RSVP"] = vText("TRUE" if rsvp else "FALSE")
        event.add("attendee", address, encode=False)
    head = calendar.to_ical().removesuffix(TAIL)
    return b"".join((head, render_zone(zone), event.to_ical(), TAIL))


def _address(party: Party) -> vCalAddress:
    address = vCalAddress(f"mailto:{party.email}")
    # A parameter cannot hold a double quote.
    if name := one_line(party.name).replace('"', "'"):
        address.params["CN"] = vText(name)
    return address
