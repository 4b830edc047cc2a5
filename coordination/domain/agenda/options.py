"""What the owner of a feed has chosen for it; kept as words with the token.

Must not know how a feed is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from coordination.ground.text import clean

ALARMS = (0, 10, 30, 60, 120, 1440)
KINDS = ("practice", "booking", "volunteering", "meeting", "school_day")
LONGEST_NAME = 12


@dataclass(frozen=True, slots=True)
class Options:
    """选项: alarm, cancelled entries, kinds, one child only, and what each child is called."""

    alarm_minutes: int | None = None
    cancelled: bool = True
    kinds: tuple[str, ...] = ()
    child: int | None = None
    names: tuple[tuple[int, str], ...] = ()

    def as_words(self) -> dict[str, str]:
        """As they are kept; what was left as it comes is not written."""
        words = {f"name:{child}": name for child, name in self.names}
        if self.alarm_minutes is not None:
            words["alarm"] = str(self.alarm_minutes)
        if not self.cancelled:
            words["cancelled"] = "hide"
        if self.kinds:
            words["kinds"] = ",".join(self.kinds)
        if self.child is not None:
            words["child"] = str(self.child)
        return words


def of_words(words: Mapping[str, str]) -> Options:
    """The options that were kept; a word that is not understood counts as not chosen."""
    alarm = words.get("alarm", "")
    child = words.get("child", "")
    return Options(
        alarm_minutes=int(alarm) if alarm.isdecimal() and int(alarm) in ALARMS else None,
        cancelled=words.get("cancelled") != "hide",
        kinds=tuple(k for k in words.get("kinds", "").split(",") if k in KINDS),
        child=int(child) if child.isdecimal() else None,
        names=tuple(
            sorted(
                (int(key[5:]), name)
                for key, name in words.items()
                if key.startswith("name:") and key[5:].isdecimal() and name
            )
        ),
    )


def short_name(typed: str) -> str:
    """What a child is called in a calendar: one short line."""
    return " ".join(clean(typed).split())[:LONGEST_NAME]
