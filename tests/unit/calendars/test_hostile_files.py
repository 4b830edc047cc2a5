"""Files made to hurt: read or refused with a reason, within 2 s of CPU and 300 MB, every one."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from calendars import busy
from calendars.busy import busy_times
from calendars.errors import RefusedCalendar
from calendars.values import Span

START, HOUR = "DTSTART:20260105T010000Z", "DURATION:PT1H"
FIRST = datetime(2026, 1, 5, 1, tzinfo=UTC)
YEAR = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
CPU_SECONDS, MEMORY = 2.0, 300_000_000
TICK = 0.1  # the kernel counts a limit of CPU in ticks, and dying takes a moment


def an_event(*lines: str) -> bytes:
    body = ("BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:x", "BEGIN:VEVENT", "UID:a", "SUMMARY:课")
    return "\r\n".join((*body, *lines, "END:VEVENT", "END:VCALENDAR", "")).encode()


def nested(depth: int) -> bytes:
    return b"BEGIN:VCALENDAR\r\n" + b"BEGIN:VEVENT\r\n" * depth + b"END:VEVENT\r\n" * depth


def many_dates(count: int) -> bytes:
    hours = [FIRST + timedelta(hours=n) for n in range(count)]
    rows = [
        "RDATE:" + ",".join(f"{hour:%Y%m%dT%H%M%SZ}" for hour in hours[n : n + 100])
        for n in range(0, count, 100)
    ]
    return an_event(START, "DURATION:PT30M", *rows)


def folded_inside_a_character(content: bytes) -> bytes:
    """A fold after each octet of the title, so that every character of it is torn."""
    title = "陶艺课".encode()
    torn = b"\r\n ".join(title[n : n + 1] for n in range(len(title)))
    return content.replace("课".encode(), torn)


READ = {
    "a zone of the calendar like a path": an_event(START, HOUR).replace(
        b"PRODID:x", b"X-WR-TIMEZONE:" + b"a/" * 2000
    ),
    "a NUL in the title": an_event(START, HOUR).replace("课".encode(), b"a\x00b\x07"),
    "GBK": an_event(START, HOUR).decode().encode("gbk"),
    "UTF-8 torn by folds": folded_inside_a_character(an_event(START, HOUR)),
    "a Windows zone": an_event("DTSTART;TZID=China Standard Time:20260105T090000", HOUR),
    "a start in the year 1": an_event(
        "DTSTART:00010101T000000Z", HOUR, "END:VEVENT", "BEGIN:VEVENT", "UID:b", START, HOUR
    ),
}
REFUSED = {
    "a rule whose parts exclude each other": (
        an_event(START, HOUR, "RRULE:FREQ=HOURLY;COUNT=5;INTERVAL=2;BYHOUR=2,4"),
        "RRULE: ",
    ),
    "a minute that is none": (
        an_event(START, HOUR, "RRULE:FREQ=DAILY;COUNT=5;BYMINUTE=0,2940"),
        "RRULE: ",
    ),
    "a zone like a path": (an_event(f"DTSTART;TZID={'a/' * 2000}:20260105T090000", HOUR), ""),
    "every second": (an_event(START, HOUR, "RRULE:FREQ=SECONDLY"), "SECONDLY"),
    "a rule from the year 1": (
        an_event("DTSTART:00010101T000000Z", HOUR, "RRULE:FREQ=HOURLY"),
        "",
    ),
    "3,000 nested components": (nested(3000), "nested deeper"),
    "a line of 20 MB": (an_event(START, HOUR, "X-A:" + "x" * 20_000_000), "larger than"),
    "a line of 1 MB": (an_event(START, HOUR, "X-A:" + "x" * 1_000_000), "longer than"),
    "a duration of 99,999,999 days": (an_event(START, "DURATION:P99999999D"), ""),
    "more components than anybody has": (b"BEGIN:VEVENT\r\nEND:VEVENT\r\n" * 6000, "components"),
}


@pytest.fixture
def measured() -> object:
    """What all children together used, at most; checked after the test."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun = before.ru_utime + before.ru_stime
    yield
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - begun <= CPU_SECONDS + TICK


def spans(content: bytes) -> list[Span]:
    return list(busy_times(content, starts_at=YEAR[0], ends_at=YEAR[1]))


@pytest.mark.usefixtures("measured")
@pytest.mark.parametrize("name", READ)
def test_an_odd_but_clear_file_is_read(name: str) -> None:
    assert spans(READ[name]) == [Span(FIRST, FIRST + timedelta(hours=1))]


@pytest.mark.usefixtures("measured")
@pytest.mark.parametrize("name", REFUSED)
def test_a_hostile_file_is_refused_with_its_reason(name: str) -> None:
    content, reason = REFUSED[name]
    with pytest.raises(RefusedCalendar) as refusal:
        spans(content)
    assert reason in refusal.value.reason
    assert refusal.value.component


@pytest.mark.usefixtures("measured")
def test_a_rule_that_never_comes_true_is_refused_or_empty() -> None:
    content = an_event(START, HOUR, "RRULE:FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30")
    try:
        assert spans(content) in ([], [Span(FIRST, FIRST + timedelta(hours=1))])
    except RefusedCalendar as refusal:
        assert refusal.reason


@pytest.mark.usefixtures("measured")
def test_fifty_thousand_dates_are_read_whole_or_refused_whole() -> None:
    try:
        assert (
            len(spans(many_dates(50_000))) == 8663
        )  # every hour from the first one to the year's end
    except RefusedCalendar as refusal:
        assert "VEVENT" in refusal.component
        assert "long" in refusal.reason or "memory" in refusal.reason


def test_a_title_torn_by_folds_is_restored() -> None:
    torn = folded_inside_a_character(an_event("DTSTART:x"))
    with pytest.raises(RefusedCalendar, match="陶艺课"):
        spans(torn)


def test_a_title_in_gbk_is_restored() -> None:
    with pytest.raises(RefusedCalendar, match="课"):
        spans(an_event("DTSTART:x").decode().encode("gbk"))


def test_no_reader_is_larger_than_its_limit() -> None:
    # asked by a process of its own: the tests have had other children, larger ones
    asking = (
        "import resource, sys; from datetime import UTC, datetime;"
        "from calendars.busy import busy_times;"
        "found = busy_times(sys.stdin.buffer.read(), starts_at=datetime(2026, 1, 1, tzinfo=UTC),"
        " ends_at=datetime(2027, 1, 1, tzinfo=UTC));"
        "print(len(found), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    done = subprocess.run(
        [sys.executable, "-c", asking],
        input=many_dates(1_000),
        cwd=Path(busy.__file__).parents[1],
        capture_output=True,
        check=True,
    )
    count, kilobytes = map(int, done.stdout.split())
    assert count == 1_000
    assert kilobytes * 1024 <= MEMORY


def test_a_reader_that_never_ends_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    # a reader with a fault of its own, under the same limits: what bounds the cost is not the reader
    loop = "import sys; sys.path.insert(0, '.'); from calendars import busy_child; import json;"
    loop += "asked = json.loads(sys.stdin.buffer.readline());"
    loop += "busy_child._limit(asked['limits']['cpu_seconds'], asked['limits']['memory_octets']);"
    loop += "exec('while True: pass')"
    popen = busy.subprocess.Popen

    def start(_command: list[str], **options: object) -> object:
        return popen([sys.executable, "-c", loop], **options)

    monkeypatch.setattr(busy.subprocess, "Popen", start)
    begun = time.monotonic()
    with pytest.raises(RefusedCalendar, match="takes too long"):
        spans(an_event(START, HOUR))
    assert time.monotonic() - begun < busy.LIMITS.wall_seconds - 1
