"""Human text made safe for calendar files and mail headers.

Must not know what the text is about, and never shortens it.
"""

from __future__ import annotations

import re
import unicodedata

# NEL, VT, FF, U+2028 and U+2029 split lines in some readers, so they are line breaks here too.
_BREAKS = re.compile("\r\n|[\r\n\v\f\x85\u2028\u2029]")
# Embedding and override marks can make a title read as another one; ZWJ stays, emoji need it.
_MARKS = re.compile("[\u202a-\u202e\u2066-\u2069\ufeff\ufffe\uffff]")


def lines(value: str) -> str:
    """Text of several lines: breaks are LF, no other control character is left."""
    unified = _MARKS.sub("", _BREAKS.sub("\n", value))
    kept = "".join(
        " " if letter == "\t" else letter
        for letter in unified
        if letter in "\n\t" or unicodedata.category(letter) not in ("Cc", "Cs")
    )
    # The icalendar library writes a typed backslash-N as a line break.
    return kept.replace("\\N", "\\n").strip()


def one_line(value: str) -> str:
    """Text of one line: every run of white space and breaks is a single space."""
    return " ".join(lines(value).split())
