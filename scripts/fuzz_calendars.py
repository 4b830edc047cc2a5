"""Mutate partners' calendar files and let the importer read them: no crash, no hang, no flood.

Each case is read by the very process the product starts (`calendars/busy_child.py`), forked from a
warm copy so that thousands fit into a minute; every 200th goes the whole way through `busy_times`.
A finding is an end that the product does not foresee: a traceback other than one of memory, a signal
other than those of the limits, more than 2 s of CPU or more than 300 MB. Findings are kept as files.

`make fuzz MINUTES=60 SEED=1`, or a number of cases with `--cases`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import selectors
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from calendars import busy, busy_child
from calendars.errors import RefusedCalendar

HERE = Path(__file__).resolve().parent.parent
CORPUS = HERE / "tests/data/calendars"
# the older files lie in the past; a year and a month is what the product asks for
WINDOWS = (
    (datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 2, 5, tzinfo=UTC)),
    (datetime(1990, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC)),
)
CPU_SECONDS, MEMORY = 2.2, 300_000_000  # the clock of the limit ticks in tenths
WHOLE_WAY = 200
LONGEST = 200_000  # of a line that was made longer; the limit of the reader is a third of it

LINES = (
    b"RRULE:FREQ=SECONDLY",
    b"RRULE:FREQ=MINUTELY;INTERVAL=7",
    b"RRULE:FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30",
    b"RRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO;BYSETPOS=-1",
    b"RRULE:FREQ=WEEKLY;INTERVAL=0",
    b"RRULE:FREQ=MONTHLY;BYDAY=5FR,-1MO;COUNT=1000000",
    b"RRULE:FREQ=DAILY;UNTIL=99991231T235959Z",
    b"RRULE:FREQ=YEARLY;BYYEARDAY=366;BYWEEKNO=53",
    b"RRULE:FREQ=HOURLY;BYHOUR=1,2,3;BYMINUTE=0,30;BYSECOND=60",
    b"EXRULE:FREQ=DAILY",
    b"RDATE;VALUE=PERIOD:20260101T000000Z/PT1H,20260102T000000Z/P9999D",
    b"RDATE:00010101T000000",
    b"EXDATE;TZID=China Standard Time:20260105T090000",
    b"RECURRENCE-ID;RANGE=THISANDFUTURE:20260105T090000Z",
    b"DURATION:P99999999D",
    b"DURATION:-PT1H",
    b"DTSTART:00010101T000000Z",
    b"DTSTART:99991231T235959Z",
    b"DTSTART;TZID=W. Europe Standard Time:20260301T020000",
    b"DTSTART;TZID=\xe5\x8c\x97\xe4\xba\xac:20260301T020000",
    b"DTSTART;VALUE=DATE:20260229",
    b"DTEND;VALUE=DATE:20260101",
    b"DTEND:20260101T250000Z",
    b"FREEBUSY;FBTYPE=BUSY:20260101T000000Z/20260101T010000Z,x/y",
    b"SUMMARY:\xbf\xce\xb3\xcc\x00\xff",
    b"X-WR-TIMEZONE:Mars/Olympus",
    b"CALSCALE:CHINESE",
    b"STATUS:CANCELLED",
    b"TRANSP:TRANSPARENT",
    b"BEGIN:VEVENT",
    b"END:VEVENT",
    b"BEGIN:VTIMEZONE\r\nTZID:x\r\nBEGIN:STANDARD\r\nDTSTART:16010101T000000\r\n"
    b"RRULE:FREQ=YEARLY\r\nTZOFFSETFROM:+9999\r\nTZOFFSETTO:-9999\r\nEND:STANDARD\r\nEND:VTIMEZONE",
)
NUMBERS = (b"0", b"-1", b"1", b"29", b"366", b"9999", b"2147483648", b"99999999999999999999")


@dataclass(frozen=True, slots=True)
class Ending:
    """How reading one file ended: what kind of end, the trace if any, and the cost."""

    kind: str
    trace: str
    cpu: float
    memory: int


def corpus() -> list[bytes]:
    """Real files, and one file per known recurrence rule."""
    found = [path.read_bytes() for path in sorted((CORPUS / "import").glob("*.ics"))]
    rules = json.loads((CORPUS / "recur/libical_recur_shared.json").read_text())["cases"]
    for case in rules:
        lines = (
            *("BEGIN:VCALENDAR", "VERSION:2.0", "BEGIN:VEVENT", "UID:r", "SUMMARY:r"),
            f"DTSTART:{case['DTSTART']}",
            f"RRULE:{case['RRULE']}",
            *("END:VEVENT", "END:VCALENDAR", ""),
        )
        found.append("\r\n".join(lines).encode())
    return found


def mutated(chance: random.Random, files: list[bytes]) -> bytes:
    """A file with a few changes: of lines, of numbers, of octets, of another file's parts."""
    lines = chance.choice(files).replace(b"\r\n", b"\n").split(b"\n")
    for _ in range(chance.choice((1, 1, 1, 2, 2, 3, 5, 8))):
        here = chance.randrange(len(lines))
        kind = chance.randrange(10)
        if kind == 0:
            lines.insert(here, chance.choice(LINES))
        elif kind == 1:
            lines[here] = chance.choice(LINES)
        elif kind == 2 and len(lines) > 1:
            del lines[here]
        elif kind == 3:
            lines[here:here] = lines[here : here + chance.randint(1, 6)] * chance.choice((1, 3, 40))
        elif kind == 4:
            other = chance.choice(files).replace(b"\r\n", b"\n").split(b"\n")
            start = chance.randrange(len(other))
            lines[here:here] = other[start : start + chance.randint(1, 12)]
        elif kind == 5:
            lines[here] = _other_number(chance, lines[here])
        elif kind == 6:
            lines[here] = _other_octets(chance, lines[here])
        elif kind == 7:
            lines[here] = (lines[here] * chance.choice((2, 50, 2000)))[:LONGEST]
        elif kind == 8:
            name, colon, value = lines[here].partition(b":")
            words = value.split(b";" if b";" in value else b",")
            chance.shuffle(words)
            lines[here] = name + colon + chance.choice((b";", b",")).join(words + words[:1])
        else:
            lines[here] = lines[here][: chance.randint(0, 30)] + b"\n " + lines[here][30:]
    return chance.choice((b"\r\n", b"\r\n", b"\n", b"\r")).join(lines)


def _other_number(chance: random.Random, line: bytes) -> bytes:
    digits = [n for n, octet in enumerate(line) if 48 <= octet <= 57]
    if not digits:
        return line
    start = chance.choice(digits)
    return line[:start] + chance.choice(NUMBERS) + line[start + chance.randint(1, 4) :]


def _other_octets(chance: random.Random, line: bytes) -> bytes:
    octets = bytearray(line or b"x")
    for _ in range(chance.randint(1, 4)):
        octets[chance.randrange(len(octets))] = chance.choice((0, 9, 10, 13, 34, 58, 59, 255, 127))
    return bytes(octets)


def read_apart(content: bytes, window: tuple[datetime, datetime] = WINDOWS[0]) -> Ending:
    """Read a file as the product does, in a forked process under the product's own limits."""
    limits = busy.LIMITS
    try:
        unfolded = busy.unfold(content, limits)
    except RefusedCalendar:
        return Ending("refused", "", 0.0, 0)
    question = {
        "starts_at": window[0].timestamp(),
        "ends_at": window[1].timestamp(),
        "zone": "Asia/Shanghai",
        "limits": asdict(limits),
        "ours": "",
    }
    with tempfile.TemporaryFile() as asked:
        asked.write(json.dumps(question).encode() + b"\n" + unfolded)
        asked.seek(0)
        answers, answering = os.pipe()
        notes, noting = os.pipe()
        child = os.fork()
        if child == 0:
            _be_the_child(asked.fileno(), answering, noting)
        os.close(answering)
        os.close(noting)
        output, said = _drained(answers, notes)
    _, status, used = os.wait4(child, 0)
    cost = used.ru_utime + used.ru_stime
    code = os.waitstatus_to_exitcode(status)
    trace = said.decode("utf-8", "replace")
    if code == 0:
        kind = "refused" if b'"reason"' in output else "understood"
    elif code in (-signal.SIGXCPU, -signal.SIGKILL):
        kind = "out of time"
    elif b"MemoryError" in said:
        kind = "out of memory"
    else:
        kind = f"ended with {code}"
    return Ending(kind, trace[-4000:], cost, used.ru_maxrss * 1024)


def _be_the_child(asked: int, answering: int, noting: int) -> None:
    code = 1
    try:
        for one, other in ((asked, 0), (answering, 1), (noting, 2)):
            os.dup2(one, other)
        sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False)
        code = busy_child.main()
        sys.stdout.flush()
    except BaseException:  # noqa: BLE001 - whatever it is, it is what is looked for
        import traceback

        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _drained(*pipes: int) -> list[bytes]:
    found = {pipe: bytearray() for pipe in pipes}
    with selectors.DefaultSelector() as waiting:
        for pipe in pipes:
            waiting.register(pipe, selectors.EVENT_READ)
        while waiting.get_map():
            for key, _ in waiting.select():
                if chunk := os.read(key.fd, 65_536):
                    found[key.fd] += chunk
                else:
                    waiting.unregister(key.fd)
                    os.close(key.fd)
    return [bytes(found[pipe]) for pipe in pipes]


def what_is_wrong(ending: Ending) -> str:
    """Why an ending is a finding; empty if it is none."""
    if ending.kind.startswith("ended with"):
        return ending.kind
    if ending.cpu > CPU_SECONDS:
        return f"{ending.cpu:.1f} s of CPU"
    if ending.memory > MEMORY:
        return f"{ending.memory // 1_000_000} MB"
    return ""


def whole_way(content: bytes) -> str:
    """The same through the product's own door; what is wrong, if anything."""
    try:
        busy.busy_times(content, starts_at=WINDOWS[0][0], ends_at=WINDOWS[0][1])
    except RefusedCalendar as refusal:
        return "" if refusal.component and refusal.reason else "a refusal without a reason"
    return ""


def cases(seed: int) -> Iterator[tuple[int, bytes]]:
    """Numbered files; the number and the seed alone make the file."""
    files = corpus()
    number = 0
    while True:
        yield number, mutated(random.Random(f"{seed}:{number}"), files)
        number += 1


def used_so_far() -> float:
    """CPU seconds of this process and of all it has started."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def run(seed: int, minutes: float, most: int | None, keep: Path) -> int:
    """Until the CPU minutes are used up or the cases are through; how many findings."""
    ends: Counter[str] = Counter()
    findings, slowest, biggest, count = 0, 0.0, 0, 0
    spent_before, said_at = used_so_far(), time.monotonic()
    for number, content in cases(seed):
        if used_so_far() - spent_before >= minutes * 60 or (most is not None and number >= most):
            break
        count += 1
        ending = read_apart(content, WINDOWS[number % 2])
        ends[ending.kind] += 1
        slowest, biggest = max(slowest, ending.cpu), max(biggest, ending.memory)
        wrong = what_is_wrong(ending)
        if not wrong and number % WHOLE_WAY == 0:
            wrong = whole_way(content)
        if wrong:
            findings += 1
            keep.mkdir(parents=True, exist_ok=True)
            (keep / f"{seed}-{number}.ics").write_bytes(content)
            (keep / f"{seed}-{number}.txt").write_text(f"{wrong}\n{ending.trace}", encoding="utf-8")
        if time.monotonic() - said_at > 60:
            said_at = time.monotonic()
            _say(seed, count, findings, ends, slowest, biggest)
    _say(seed, count, findings, ends, slowest, biggest)
    return findings


def _say(
    seed: int, count: int, findings: int, ends: Counter[str], slowest: float, biggest: int
) -> None:
    print(
        f"seed {seed}: {count} cases, {used_so_far() / 60:.1f} CPU minutes, {findings} findings; "
        f"{dict(ends)}; slowest {slowest:.2f} s, largest {biggest // 1_000_000} MB",
        flush=True,
    )


def main() -> int:
    """Fuzz; 1 if anything was found."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--minutes", type=float, default=1.0)
    asked.add_argument("--cases", type=int)
    asked.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    asked.add_argument("--keep", type=Path, default=HERE / "instance/fuzz")
    given = asked.parse_args()
    return 1 if run(given.seed, given.minutes, given.cases, given.keep) else 0


if __name__ == "__main__":
    sys.exit(main())
