"""A stored entry to one reader's wishes: every other byte stays, and every reader still understands."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from icalendar import Calendar, Event

from calendars import adapt, feed
from calendars.clients import recognise
from tests.unit.calendars.builders import make_entry, unhurried

titles = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=120)


def parsed(fragment: bytes) -> Event:
    (event,) = Calendar.from_ical(
        b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\n" + fragment + b"END:VCALENDAR\r\n"
    ).walk("VEVENT")
    assert isinstance(event, Event)
    return event


def assert_well_written(fragment: bytes) -> None:
    assert fragment.endswith(b"END:VEVENT\r\n")
    for line in fragment.split(b"\r\n"):
        assert len(line) <= 75
        line.decode("utf-8")  # no character is split by a fold
    assert b"\n" not in fragment.replace(b"\r\n", b"")


@unhurried
@given(titles, st.text(min_size=1, max_size=40))
def test_a_name_stands_before_the_title_and_nothing_else_changes(title: str, name: str) -> None:
    plain = feed.render_entry(make_entry(summary=title))
    named = adapt.with_prefix(plain, name)
    assert_well_written(named)
    before, after = parsed(plain), parsed(named)
    if named == plain:
        return  # nothing of the name could be written
    assert str(after["summary"]).endswith(str(before["summary"]))
    assert len(str(after["summary"])) > len(str(before["summary"]))
    for key in before:
        if key != "SUMMARY":
            assert after[key].to_ical() == before[key].to_ical()


@unhurried
@given(titles, st.sampled_from([0, 10, 60, 1440]))
def test_an_alarm_rings_before_the_start(title: str, minutes: int) -> None:
    fragment = adapt.with_alarm(feed.render_entry(make_entry(summary=title)), minutes)
    assert_well_written(fragment)
    (alarm,) = parsed(fragment).walk("VALARM")
    assert alarm["trigger"].dt == -timedelta(minutes=minutes)
    assert alarm["action"] == "DISPLAY"


def test_a_cancelled_entry_and_a_whole_day_ring_for_nobody() -> None:
    cancelled = feed.render_entry(make_entry(status="cancelled"))
    assert adapt.with_alarm(cancelled, 10) == cancelled
    whole = feed.render_entry(
        make_entry(starts_at=date(2026, 10, 1), ends_at=date(2026, 10, 8), all_day=True)
    )
    assert adapt.with_alarm(whole, 10) == whole


@unhurried
@given(titles, titles, titles)
def test_of_an_opaque_entry_only_the_time_is_left(title: str, place: str, about: str) -> None:
    secret = "绝密"
    fragment = adapt.opaque(
        feed.render_entry(
            make_entry(
                summary=secret + title,
                location=secret + place,
                description=secret + about,
                url="https://example.cn/secret",
                geo=(22.7, 113.9),
            )
        ),
        "已占用",
    )
    assert_well_written(fragment)
    event = parsed(fragment)
    assert str(event["summary"]) == "已占用"
    assert secret not in fragment.decode() and b"example.cn" not in fragment
    assert set(event) <= {
        "UID",
        "SEQUENCE",
        "DTSTAMP",
        "LAST-MODIFIED",
        "CREATED",
        "DTSTART",
        "DTEND",
        "SUMMARY",
        "STATUS",
        "TRANSP",
    }


@unhurried
@given(st.binary(max_size=400).filter(lambda b: b"\r" not in b and b"\n" not in b))
def test_folding_keeps_every_octet(line: bytes) -> None:
    text = line.decode("utf-8", "ignore").encode()
    written = adapt.folded(text)
    assert written.replace(b"\r\n ", b"").removesuffix(b"\r\n") == text
    assert all(len(part) <= 75 for part in written.split(b"\r\n"))


@pytest.mark.parametrize(
    ("said", "key"),
    [
        ("Google-Calendar-Importer", "google"),
        ("iOS/18.1 (22B83) dataaccessd/1.0", "apple"),
        ("macOS/15.0 (24A335) CalendarAgent/985", "apple"),
        ("Microsoft.Exchange/15.20 (ExternalCalendarSync)", "outlook"),
        (
            "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Thunderbird/128.4.0",
            "thunderbird",
        ),
        ("ICSx5/2.2.1 (jb Mann)", "icsx5"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Safari/604.1", "browser"),
        ("khal/0.11", "other"),
        ("", "other"),
    ],
)
def test_programs_are_known_by_what_they_call_themselves(said: str, key: str) -> None:
    client = recognise(said)
    assert client.key == key
    assert client.name
    assert client.usual >= timedelta(hours=1)


def test_an_alarm_at_the_start_rings_then() -> None:
    now = datetime(2026, 12, 4, 11, tzinfo=UTC)
    assert b"TRIGGER:PT0S" in adapt.with_alarm(
        feed.render_entry(make_entry(starts_at=now, ends_at=now + timedelta(hours=1))), 0
    )
