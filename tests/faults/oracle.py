"""Compares what the provider accepted with what should have been sent. Knows nothing of how."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

# a message may rest only in these; anything else is doubt, or work left undone
SETTLED = frozenset(
    {"accepted", "delivered", "undelivered", "failed", "suppressed", "expired", "cancelled"}
)
TAKEN = frozenset({"accepted", "delivered", "undelivered"})


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of the messages, by count."""

    accepted: int
    lost: int
    duplicated: int
    unknown: int
    unexpected: int
    # recorded as sent but never taken, or the other way round
    misrecorded: int

    @property
    def holds(self) -> bool:
        return not (
            self.lost or self.duplicated or self.unknown or self.unexpected or self.misrecorded
        )

    def __str__(self) -> str:
        return (
            f"accepted={self.accepted} lost={self.lost} duplicated={self.duplicated}"
            f" unknown={self.unknown} unexpected={self.unexpected}"
            f" misrecorded={self.misrecorded}"
        )


def accepted_in(journal: Path) -> list[tuple[str, str]]:
    """Number and text of everything the provider took, from its journal."""
    if not journal.exists():
        return []
    lines = journal.read_text(encoding="utf-8").splitlines()
    return [(item["to"], item["body"]) for item in map(json.loads, lines)]


def judge(
    expected: Iterable[tuple[str, str]],
    taken: Iterable[tuple[str, str]],
    recorded: Mapping[tuple[str, str], str],
) -> Verdict:
    """Compare (number, text) pairs; `recorded` says in which state each message rests."""
    wanted, got = Counter(expected), Counter(taken)
    misrecorded = sum(
        (state in TAKEN) != (pair in got) for pair, state in recorded.items() if state in SETTLED
    )
    return Verdict(
        accepted=got.total(),
        lost=(wanted - got).total(),
        duplicated=sum(max(0, n - wanted[pair]) for pair, n in got.items() if pair in wanted),
        unknown=sum(state not in SETTLED for state in recorded.values()),
        unexpected=sum(n for pair, n in got.items() if pair not in wanted),
        misrecorded=misrecorded,
    )
