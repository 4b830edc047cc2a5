"""A partner's file is read right, or refused with its component and reason."""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calendars.busy import LIMITS, busy_times, merged, unfold
from calendars.errors import RefusedCalendar
from calendars.values import Span
from tests.unit.calendars.builders import unhurried

DATA = Path(__file__).parents[2] / "data/calendars"
SHANGHAI = ZoneInfo("Asia/Shanghai")
START = "DTSTART:20260101T090000Z"
HOUR = "DURATION:PT1H"


def make_file(*lines: str) -> bytes:
    body = ("BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:x", "BEGIN:VEVENT", "UID:a", "SUMMARY:课")
    return "\r\n".join((*body, *lines, "END:VEVENT", "END:VCALENDAR", "")).encode()


def starts(content: bytes, first: int = 2025, last: int = 2027) -> list[datetime]:
    spans = busy_times(
        content,
        starts_at=datetime(first, 1, 1, tzinfo=UTC),
        ends_at=datetime(last, 1, 1, tzinfo=UTC),
    )
    return [span.starts_at for span in spans]


def test_every_real_file_is_accepted() -> None:
    files = sorted((DATA / "import").glob("*.ics"))
    assert len(files) == 71
    counts = {path.name: len(starts(path.read_bytes(), 1990, 2030)) for path in files}
    assert counts["event_with_recurrence.ics"] == 97
    assert counts["issue_1081_freebusy_comma_separated.ics"] == 2


def moment(text: str) -> datetime:
    if len(text) == 8:
        return datetime.strptime(text, "%Y%m%d").replace(tzinfo=SHANGHAI)
    naive = datetime.strptime(text.rstrip("Z"), "%Y%m%dT%H%M%S")
    return naive.replace(tzinfo=UTC if text.endswith("Z") else SHANGHAI)


def test_every_known_rule_expands_exactly_in_a_file() -> None:
    text = (DATA / "recur/libical_recur_shared.json").read_text()
    for case in json.loads(text)["cases"]:
        whole = len(case["DTSTART"]) == 8
        content = make_file(
            f"DTSTART{';VALUE=DATE' if whole else ''}:{case['DTSTART']}",
            "DURATION:P1D" if whole else "DURATION:PT1S",
            f"RRULE:{case['RRULE']}",
        )
        wanted = [moment(instance).astimezone(UTC) for instance in case["INSTANCES"].split(",")]
        assert starts(content, 1990, 2080) == wanted, case["RRULE"]


def test_a_moved_and_a_dropped_lesson_leave_no_phantom() -> None:
    zone = ";TZID=Asia/Shanghai"
    content = make_file(
        f"DTSTART{zone}:20260105T090000",
        f"DTEND{zone}:20260105T100000",
        "RRULE:FREQ=WEEKLY;COUNT=4",
        f"EXDATE{zone}:20260112T090000",
        "END:VEVENT",
        "BEGIN:VEVENT",
        "UID:a",
        f"RECURRENCE-ID{zone}:20260119T090000",
        f"DTSTART{zone}:20260120T090000",
        f"DTEND{zone}:20260120T100000",
    )
    assert [start.day for start in starts(content)] == [5, 20, 26]


def test_a_whole_day_and_a_floating_time_stand_on_the_given_wall_clock() -> None:
    assert starts(make_file("DTSTART;VALUE=DATE:20260105")) == [
        datetime(2026, 1, 5, tzinfo=SHANGHAI)
    ]
    assert starts(make_file("DTSTART:20260105T090000", HOUR)) == [
        datetime(2026, 1, 5, 9, tzinfo=SHANGHAI)
    ]


def test_cancelled_and_transparent_entries_are_not_busy() -> None:
    assert starts(make_file(START, HOUR, "STATUS:CANCELLED")) == []
    assert starts(make_file(START, HOUR, "TRANSP:TRANSPARENT")) == []


@pytest.mark.parametrize(
    "content",
    [
        make_file("DTSTART;TZID=China Standard Time:20260101T170000", HOUR),
        make_file(START, HOUR, "DESCRIPTION:a\0b"),
        make_file(START, HOUR, "LOCATION:光明区").decode().encode("gbk"),
        make_file(START, HOUR).replace("课".encode(), b"\xe8\xaf\r\n \xbe"),
        b"\xef\xbb\xbf" + make_file(START, HOUR),
        make_file(START, HOUR).replace(b"\r\n", b"\n"),
    ],
    ids=["windows zone", "NUL", "GBK", "split character", "byte order mark", "LF only"],
)
def test_odd_but_clear_files_are_read(content: bytes) -> None:
    assert starts(content) == [datetime(2026, 1, 1, 9, tzinfo=UTC)]


@pytest.mark.parametrize(
    ("content", "component", "reason"),
    [
        (make_file(START, "RRULE:FREQ=SECONDLY"), "VEVENT 课", "without a near end"),
        (make_file(START, HOUR, "RRULE:FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30"), "VEVENT 课", "long"),
        (make_file(START, "DURATION:P99999999D"), "VEVENT 课", "understood"),
        (make_file("DTSTART;TZID=Mars/Base:20260101T090000"), "VEVENT 课", "zone Mars/Base"),
        (make_file("DTSTART:20260102T000000Z", "DTEND:20260101T000000Z"), "VEVENT 课", "before"),
        (make_file("DTSTART:2026-01-01"), "VEVENT 课", "DTSTART"),
        (make_file(START, "RRULE:FREQ=WEEKLY;BYDAY=XX"), "VEVENT 课", "RRULE"),
        (make_file(START, "EXRULE:FREQ=DAILY"), "VEVENT 课", "EXRULE"),
        (make_file(HOUR), "VEVENT 课", "no DTSTART"),
        (make_file(START).replace(b"VERSION", b"CALSCALE:HIJRI\r\nVERSION"), "VCALENDAR", "HIJRI"),
        (make_file(START)[:-30], "VEVENT", "stops"),
        (b"BEGIN:VEVENT\r\n" * 3000 + b"END:VEVENT\r\n" * 3000, "VEVENT", "deeper"),
        (b"BEGIN:VEVENT\r\nEND:VEVENT\r\n" * 5001, "VEVENT", "5000 components"),
        (make_file(START, "X-A:" + "a" * 20_000_000), "file", "larger"),
        (make_file(START, "X-A:" + "a" * 100_000), "VEVENT", "longer"),
        (make_file(START, "X-A:b", *[" " + "a" * 70] * 1000), "VEVENT", "longer"),
        (b"<html></html>", "file", "not a calendar"),
        (b"", "file", "not a calendar"),
    ],
    ids=lambda value: value if isinstance(value, str) else "file",
)
def test_a_file_that_is_not_understood_is_refused_with_its_reason(
    content: bytes, component: str, reason: str
) -> None:
    began = time.monotonic()
    with pytest.raises(RefusedCalendar) as refused:
        starts(content)
    assert refused.value.component == component
    assert reason in refused.value.reason
    assert time.monotonic() - began < LIMITS.wall_seconds


def test_one_bad_component_refuses_the_whole_file() -> None:
    bad = make_file(START, HOUR, "END:VEVENT", "BEGIN:VEVENT", "SUMMARY:坏", "DTSTART:x")
    with pytest.raises(RefusedCalendar, match="坏"):
        starts(bad)


def test_fifty_thousand_extra_dates_are_survived() -> None:
    hours = [datetime(2026, 1, 1) + timedelta(hours=n) for n in range(50_000)]
    rows = [
        "RDATE:" + ",".join(f"{hour:%Y%m%dT%H%M%SZ}" for hour in hours[n : n + 100])
        for n in range(0, 50_000, 100)
    ]
    try:
        assert len(starts(make_file(START, "DURATION:PT30M", *rows))) == 8760
    except RefusedCalendar as refusal:
        assert "long" in refusal.reason or "memory" in refusal.reason


def test_the_reader_sees_nothing_of_our_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "PYTHONSTARTUP", "/nonexistent")
    monkeypatch.setitem(os.environ, "PYTHONPATH", "/nonexistent")
    assert len(starts(make_file(START, HOUR))) == 1


@unhurried
@given(st.binary(max_size=400))
def test_no_octets_break_the_measuring(content: bytes) -> None:
    try:
        unfold(content)
    except RefusedCalendar as refusal:
        assert refusal.reason


@settings(deadline=None, max_examples=15)
@given(st.lists(st.text(max_size=60), max_size=6))
def test_random_lines_are_read_or_refused(lines: list[str]) -> None:
    content = "\r\n".join(("BEGIN:VEVENT", START, *lines, "END:VEVENT", "")).encode(
        "utf-8", "surrogatepass"
    )
    try:
        starts(content)
    except RefusedCalendar as refusal:
        assert refusal.component and refusal.reason


def test_merged_spans_cover_the_same_time_in_fewer_pieces() -> None:
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    hour = timedelta(hours=1)
    spans = [
        Span(noon + hour, noon + 2 * hour),
        Span(noon, noon + hour),
        Span(noon, noon + hour / 2),
        Span(noon + 3 * hour, noon + 4 * hour),
    ]
    assert merged(spans) == (
        Span(noon, noon + 2 * hour),
        Span(noon + 3 * hour, noon + 4 * hour),
    )
