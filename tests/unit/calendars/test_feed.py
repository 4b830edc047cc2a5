"""What a feed says, byte for byte where it matters."""

from __future__ import annotations

import subprocess
import sys
import unicodedata
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from icalendar import Calendar

from calendars.errors import UnfitEntry, UnknownZone
from calendars.feed import TAIL, assemble, etag, render_entry, render_head, web_address
from calendars.text import one_line
from tests.unit.calendars.builders import HEAD, NOON, make_entry, unhurried


def read_back(content: bytes) -> Any:
    calendar = Calendar.from_ical(assemble(HEAD, [content]))
    (event,) = calendar.walk("VEVENT")
    assert not event.errors
    return event


def test_a_feed_has_names_zone_refresh_and_no_method() -> None:
    text = render_head(HEAD).decode()
    assert "\r\nNAME:王小雨的日历\r\n" in text
    assert "\r\nX-WR-CALNAME:王小雨的日历\r\n" in text
    assert "\r\nX-WR-TIMEZONE:Asia/Shanghai\r\n" in text
    assert "\r\nREFRESH-INTERVAL;VALUE=DURATION:PT6H\r\n" in text
    assert "\r\nX-PUBLISHED-TTL:PT6H\r\n" in text
    assert "\r\nCOLOR:teal\r\n" in text
    assert "BEGIN:VTIMEZONE\r\nTZID:Asia/Shanghai\r\n" in text
    assert "METHOD" not in text


def test_a_feed_is_head_fragments_and_tail() -> None:
    first, second = render_entry(make_entry()), render_entry(make_entry(uid="session-2@x"))
    whole = assemble(HEAD, [first, second])
    assert whole == render_head(HEAD) + first + second + TAIL
    assert whole == assemble(render_head(HEAD), iter([first, second]))
    assert len(Calendar.from_ical(whole).walk("VEVENT")) == 2


def test_an_empty_feed_is_still_a_calendar() -> None:
    assert Calendar.from_ical(assemble(HEAD, [])).walk("VEVENT") == []


def test_an_entry_stands_on_the_district_wall_clock() -> None:
    text = render_entry(make_entry()).decode()
    assert "\r\nDTSTART;TZID=Asia/Shanghai:20261202T140000\r\n" in text
    assert "\r\nDTEND;TZID=Asia/Shanghai:20261202T153000\r\n" in text
    event = read_back(text.encode())
    assert event["dtstart"].dt == datetime(2026, 12, 2, 14, tzinfo=ZoneInfo("Asia/Shanghai"))


def test_dtstamp_is_the_last_change() -> None:
    text = render_entry(make_entry(last_modified=NOON.replace(microsecond=7))).decode()
    assert "\r\nDTSTAMP:20261124T040000Z\r\n" in text
    assert "\r\nLAST-MODIFIED:20261124T040000Z\r\n" in text


def test_a_whole_day_is_a_date_and_leaves_parents_free() -> None:
    day = make_entry(starts_at=date(2027, 1, 1), ends_at=date(2027, 1, 2), all_day=True)
    text = render_entry(day).decode()
    assert "\r\nDTSTART;VALUE=DATE:20270101\r\n" in text
    assert "\r\nDTEND;VALUE=DATE:20270102\r\n" in text
    assert "\r\nTRANSP:TRANSPARENT\r\n" in text


def test_an_entry_without_length_has_no_end() -> None:
    moment = make_entry().starts_at
    assert "dtend" not in read_back(render_entry(make_entry(ends_at=moment)))


def test_a_cancelled_entry_stays_as_a_tombstone_without_alarm() -> None:
    text = render_entry(make_entry(status="cancelled", sequence=4, alarm_minutes=30)).decode()
    assert "\r\nSTATUS:CANCELLED\r\n" in text
    assert "\r\nSEQUENCE:4\r\n" in text
    assert "VALARM" not in text


def test_an_alarm_rings_before_the_start() -> None:
    assert b"\r\nTRIGGER:-PT30M\r\n" in render_entry(make_entry(alarm_minutes=30))
    assert b"VALARM" not in render_entry(make_entry())


def test_two_renders_are_byte_identical_in_other_processes_too() -> None:
    code = (
        "import sys; from tests.unit.calendars.builders import *; from calendars.feed import *;"
        "sys.stdout.buffer.write(assemble(HEAD, [render_entry(make_entry())])"
        " + etag(7, {'kinds': {'a', 'b', 'c'}}).encode())"
    )
    here = (
        assemble(HEAD, [render_entry(make_entry())]) + etag(7, {"kinds": {"c", "b", "a"}}).encode()
    )
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    assert here == there


def test_an_etag_follows_version_and_options_only() -> None:
    assert etag(3, {"names": True, "kind": "a"}) == etag(3, {"kind": "a", "names": True})
    assert etag(3) != etag(4)
    assert etag(3, {"names": True}) != etag(3, {"names": False})
    assert etag(3).startswith('"') and etag(3).endswith('"')


@pytest.mark.parametrize("address", ["javascript:alert(1)", "file:///etc/passwd", "", "//x"])
def test_only_web_addresses_are_written(address: str) -> None:
    assert web_address(address) is None
    assert "url" not in read_back(render_entry(make_entry(url=address)))


def test_an_address_cannot_add_a_line() -> None:
    content = render_entry(make_entry(url="https://example.org/会\r\nATTACH:x"))
    assert "ATTACH" not in read_back(content)


def test_unknown_zones_are_refused() -> None:
    with pytest.raises(UnknownZone):
        render_head(replace(HEAD, zone="Asia/Nowhere"))


def test_unfit_entries_are_refused() -> None:
    with pytest.raises(UnfitEntry):
        make_entry(starts_at=datetime(2026, 12, 2, 6, 0))
    with pytest.raises(UnfitEntry):
        make_entry(ends_at=NOON - timedelta(days=1), starts_at=NOON)
    with pytest.raises(UnfitEntry):
        make_entry(starts_at=date(2026, 12, 2), ends_at=date(2026, 12, 3), all_day=False)
    with pytest.raises(UnfitEntry):
        make_entry(uid="a\r\nb")
    with pytest.raises(UnfitEntry):
        make_entry(geo=(float("nan"), 0.0))


ODD = st.text(
    st.one_of(
        st.characters(),
        st.sampled_from("\r\n\x00\u2028\u2029\x85\x0b\x0c\x1b\t\\;,:\"'Nn😀👨‍👩‍👧陶"),
    ),
    max_size=200,
)


@unhurried
@given(title=ODD, description=ODD, place=ODD, word=ODD)
@example(title="\r\n\x00\u2028BEGIN:VEVENT", description="a\r\nEND:VEVENT", place="\\N", word=",;")
@example(title="👨‍👩‍👧" * 600, description="陶" * 3400, place="x" * 10_000, word="😀" * 40)
@example(title="C:\\New\\nap", description="\\", place="\\\\N", word="\\,")
def test_odd_text_parses_and_holds_no_control_character(
    title: str, description: str, place: str, word: str
) -> None:
    content = render_entry(
        make_entry(summary=title, description=description, location=place, categories=(word,))
    )
    text = content.decode()
    assert all(
        unicodedata.category(letter) not in ("Cc", "Zl", "Zp", "Cs")
        for letter in text.replace("\r\n", "")
    )
    for line in content.split(b"\r\n"):
        assert len(line) <= 75
        line.decode()
    event = read_back(content)
    assert str(event["summary"]) == one_line(title)
    assert len(event.property_items()) == len(
        read_back(render_entry(make_entry(description=description))).property_items()
    ) - (not one_line(place)) - (not one_line(word))


@unhurried
@given(width=st.integers(0, 80))
def test_folds_never_cut_a_character(width: int) -> None:
    content = render_entry(make_entry(summary="x" * width + "😀陶" * 30))
    for line in content.split(b"\r\n"):
        assert len(line) <= 75
        line.decode()
    assert str(read_back(content)["summary"]) == "x" * width + "😀陶" * 30


def test_utc_is_a_zone_too() -> None:
    moment = make_entry(starts_at=NOON, ends_at=NOON + timedelta(hours=1))
    assert b"\r\nDTSTART:20261124T040000Z\r\n" in render_entry(moment, "UTC")
    assert moment.starts_at.tzinfo is UTC  # type: ignore[union-attr]
