"""Invitations by mail and the links to subscribe."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from icalendar import Calendar

from calendars import invitation
from calendars.errors import UnfitAddress, UnfitEntry
from calendars.invitation import Party
from calendars.revision import cancel
from calendars.subscribe import subscribe_links
from tests.unit.calendars.builders import NOON, make_entry

TEACHER = Party('王"老师"\r\nX:1', "teacher@example.org")
PARENT = Party("李;家长,妈妈:", "parent@example.org")


def test_a_request_names_organizer_and_attendees() -> None:
    calendar = Calendar.from_ical(invitation.request(make_entry(), TEACHER, [PARENT, TEACHER]))
    event: Any = calendar.walk("VEVENT")[0]
    assert calendar["method"] == "REQUEST"
    assert event["organizer"] == "mailto:teacher@example.org"
    assert [str(who) for who in event["attendee"]] == [
        "mailto:parent@example.org",
        "mailto:teacher@example.org",
    ]
    assert event["attendee"][0].params["CN"] == "李;家长,妈妈:"
    assert event["organizer"].params["CN"] == "王'老师' X:1"
    assert "X" not in event
    assert len(calendar.walk("VTIMEZONE")) == 1


def test_a_cancellation_carries_the_risen_sequence() -> None:
    entry = cancel(make_entry(), NOON)
    calendar = Calendar.from_ical(invitation.cancel(entry, TEACHER, [PARENT]))
    (event,) = calendar.walk("VEVENT")
    assert (calendar["method"], event["status"], event["sequence"]) == ("CANCEL", "CANCELLED", 1)
    assert event["uid"] == entry.uid


def test_invitations_without_sense_are_refused() -> None:
    with pytest.raises(UnfitEntry):
        invitation.request(make_entry(), TEACHER, [])
    with pytest.raises(UnfitEntry):
        invitation.request(make_entry(status="cancelled"), TEACHER, [PARENT])
    for address in ("", "x", "a@b\r\nATTENDEE:c@d", "a b@c"):
        with pytest.raises(UnfitAddress):
            Party("x", address)


def test_each_client_gets_its_link() -> None:
    feed = "https://school.example.org/c/tok-EN_1.ics"
    links = subscribe_links(feed, "家庭日历")
    webcal = "webcal://school.example.org/c/tok-EN_1.ics"
    assert links.webcal == webcal
    assert parse_qs(urlsplit(links.google).query) == {"cid": [webcal]}
    assert parse_qs(urlsplit(links.outlook).query) == {"url": [feed], "name": ["家庭日历"]}
    assert links.office.startswith("https://outlook.office.com/calendar/0/addfromweb?")
    assert links.download == feed


@pytest.mark.parametrize("address", ["/c/x.ics", "ftp://x/y", "https://x/\r\ny", "https://x/a b"])
def test_only_whole_web_addresses_make_links(address: str) -> None:
    with pytest.raises(UnfitAddress):
        subscribe_links(address)
