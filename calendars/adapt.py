"""A stored entry to one reader's wishes, by its bytes: a name before the title, an alarm, or only
that the time is taken.

Works on what `feed.render_entry` wrote and leaves every other byte as it is. Must not know who
the reader is.
"""

from __future__ import annotations

import re

from calendars.text import one_line

_SUMMARY = re.compile(rb"(?<=\r\n)SUMMARY:((?:[^\r]|\r\n[ \t])*)\r\n")
_LINE = re.compile(rb"((?:[^\r]|\r\n[ \t])*)\r\n")
_FOLD = re.compile(rb"\r\n[ \t]")
# what a stranger may know of a venue: when it is taken, and that this changed
_OPAQUE = (
    b"BEGIN:",
    b"END:",
    b"UID:",
    b"SEQUENCE:",
    b"DTSTAMP:",
    b"LAST-MODIFIED:",
    b"CREATED:",
    b"DTSTART",
    b"DTEND",
    b"STATUS:",
    b"TRANSP:",
)
_END = b"END:VEVENT\r\n"
_FOLD_AT = 75


def with_prefix(fragment: bytes, prefix: str) -> bytes:
    """The entry with `prefix` before its title: whose it is, in a calendar of several children."""
    before = escaped(one_line(prefix))
    if not before:
        return fragment
    found = _SUMMARY.search(fragment)
    if found is None:
        return fragment
    gap = b" " if prefix.endswith(" ") else b""
    line = folded(b"SUMMARY:" + before + gap + _FOLD.sub(b"", found[1]))
    return fragment[: found.start()] + line + fragment[found.end() :]


def with_alarm(fragment: bytes, minutes: int) -> bytes:
    """The entry with an alarm; whole days and cancelled entries ring for nobody."""
    if b"\r\nSTATUS:CANCELLED\r\n" in fragment or b"\r\nDTSTART;VALUE=DATE:" in fragment:
        return fragment
    found = _SUMMARY.search(fragment)
    title = _FOLD.sub(b"", found[1]) if found else b""
    alarm = b"".join(
        (
            b"BEGIN:VALARM\r\nACTION:DISPLAY\r\n",
            folded(b"DESCRIPTION:" + title),
            b"TRIGGER:-PT%dM\r\n" % minutes if minutes else b"TRIGGER:PT0S\r\n",
            b"END:VALARM\r\n",
        )
    )
    return fragment.removesuffix(_END) + alarm + _END


def opaque(fragment: bytes, label: str) -> bytes:
    """Only when it is taken: no title, place, description, kind or address."""
    kept = []
    for line in _LINE.finditer(fragment):
        if line[0].startswith(_OPAQUE):
            kept.append(line[0])
        elif line[0].startswith(b"SUMMARY:"):
            kept.append(folded(b"SUMMARY:" + escaped(one_line(label))))
    return b"".join(kept)


def escaped(text: str) -> bytes:
    """TEXT as RFC 5545 writes it."""
    plain = text.replace("\\", "\\\\").replace(";", "\\;").replace(",", "\\,")
    return plain.replace("\n", "\\n").encode()


def folded(line: bytes) -> bytes:
    """A content line with its end, folded at 75 octets and never inside a character."""
    if len(line) <= _FOLD_AT:
        return line + b"\r\n"
    parts = []
    start, room = 0, _FOLD_AT
    while len(line) - start > room:
        end = start + room
        # 10xxxxxx goes on with a character that began before it
        while line[end] & 0xC0 == 0x80:
            end -= 1
        parts.append(line[start:end])
        start, room = end, _FOLD_AT - 1
    parts.append(line[start:])
    return b"\r\n ".join(parts) + b"\r\n"
