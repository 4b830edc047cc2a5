"""A partner's calendar file to the times it says are busy (忙碌时段).

The file is untrusted: it is measured here, then read and expanded in a process of its own that
is killed when it takes too long. A file that is not understood as a whole is refused with the
component and the reason, never half imported. Must not know where the file came from.
"""

from __future__ import annotations

import codecs
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from calendars.errors import RefusedCalendar
from calendars.values import Span
from calendars.zones import DISTRICT, instant, zone_named

_HOME = Path(__file__).resolve().parent.parent
_FOLD = re.compile(rb"\r?\n[ \t]")
_BREAK = re.compile(rb"\r?\n|\r")
_EDGE = re.compile(rb"\s*(BEGIN|END)\s*:\s*([A-Za-z0-9-]{1,60})\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of a file is read, and at what cost."""

    octets: int = 2_000_000
    line_octets: int = 65_536
    components: int = 5_000
    depth: int = 5
    spans: int = 20_000
    cpu_seconds: int = 1
    wall_seconds: int = 15
    memory_octets: int = 300_000_000


LIMITS = Limits()


def busy_times(
    content: bytes,
    *,
    starts_at: datetime,
    ends_at: datetime,
    zone: str = DISTRICT,
    limits: Limits = LIMITS,
    ours: str = "",
) -> tuple[Span, ...]:
    """The busy spans that touch [starts_at, ends_at), in UTC, sorted, each once.

    Whole days and floating times stand on the wall clock of `zone`. Cancelled and transparent
    entries are not busy, nor are those whose UID ends in `ours`: they came from here.
    """
    unfolded = unfold(content, limits)
    question = {
        "starts_at": instant(starts_at).timestamp(),
        "ends_at": instant(ends_at).timestamp(),
        "zone": zone_named(zone).key,
        "limits": asdict(limits),
        "ours": ours,
    }
    answer = _ask_child(json.dumps(question).encode() + b"\n" + unfolded, limits)
    return tuple(
        Span(datetime.fromtimestamp(start, UTC), datetime.fromtimestamp(end, UTC))
        for start, end in answer
    )


def merged(spans: Iterable[Span]) -> tuple[Span, ...]:
    """The same busy time in as few spans as possible: no overlaps, no touching ends."""
    result: list[Span] = []
    for span in sorted(spans):
        if result and span.starts_at <= result[-1].ends_at:
            last = result.pop()
            span = Span(last.starts_at, max(last.ends_at, span.ends_at))
        result.append(span)
    return tuple(result)


def unfold(content: bytes, limits: Limits = LIMITS) -> bytes:
    """The file with its folds undone, or a refusal of its size, nesting or truncation.

    Done on octets: some programs fold inside a UTF-8 character.
    """
    if len(content) > limits.octets:
        raise RefusedCalendar("file", f"larger than {limits.octets} bytes")
    unfolded = _FOLD.sub(b"", content.removeprefix(codecs.BOM_UTF8))
    stack: list[str] = []
    count = 0
    for number, line in enumerate(_BREAK.split(unfolded), start=1):
        if len(line) > limits.line_octets:
            where = stack[-1] if stack else "file"
            raise RefusedCalendar(where, f"line {number} is longer than {limits.line_octets} bytes")
        edge = _EDGE.fullmatch(line)
        if edge is None:
            continue
        name = edge[2].decode("ascii").upper()
        if edge[1].upper() == b"BEGIN":
            count += 1
            stack.append(name)
            if count > limits.components:
                raise RefusedCalendar(name, f"more than {limits.components} components")
            if len(stack) > limits.depth:
                raise RefusedCalendar(name, f"components nested deeper than {limits.depth}")
        elif not stack or stack.pop() != name:
            raise RefusedCalendar(name, f"line {number} ends what was not begun")
    if stack:
        raise RefusedCalendar(stack[-1], "the file stops before the component ends")
    if count == 0:
        raise RefusedCalendar("file", "not a calendar")
    return unfolded


def _ask_child(question: bytes, limits: Limits) -> list[tuple[float, float]]:
    with subprocess.Popen(
        [sys.executable, "-m", "calendars.busy_child"],
        cwd=_HOME,
        # Nothing of our environment: it may hold passwords, and the child needs none of it.
        env={"PATH": os.defpath, "PYTHONUTF8": "1", "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as child:
        try:
            output, notes = child.communicate(question, timeout=limits.wall_seconds)
        except subprocess.TimeoutExpired as error:
            child.kill()
            _, notes = child.communicate()
            raise RefusedCalendar(_last_component(notes), "takes too long to read") from error
    if child.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        raise RefusedCalendar(_last_component(notes), "takes too long to read")
    if child.returncode != 0:
        reason = (
            "takes too much memory to read" if b"MemoryError" in notes else "cannot be understood"
        )
        raise RefusedCalendar(_last_component(notes), reason)
    answer = json.loads(output)
    if "reason" in answer:
        raise RefusedCalendar(str(answer["component"]), str(answer["reason"]))
    return [(float(start), float(end)) for start, end in answer["spans"]]


def _last_component(notes: bytes) -> str:
    reached = [line for line in notes.decode("utf-8", "replace").split("\n") if line[:2] == "@ "]
    return reached[-1][2:] if reached else "file"
