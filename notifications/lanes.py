"""How fast one channel may be asked: how many calls at once, how many a second, when not at all.

Begins carefully, widens with every good answer, halves when the provider says "too many", stops when
it fails again and again. Plain arithmetic: must not know the clock, the event loop's inside, or SQL.
"""

from __future__ import annotations

import asyncio
from collections import deque

from notifications.values import Answer, Claimed, Refused, Sent

# wrong credentials cost no more calls than this
FIRST_CALLS = 8.0
# so many in a row without one good answer: the provider is failing
FAILURES_TO_HALT = 20
# one burst of "too many" is one piece of news
SHRINK_SECONDS = 1.0


class Lane:
    """The way to one channel. Times are seconds of the event loop's clock."""

    def __init__(self, name: str, most: int, rate: float | None = None) -> None:
        self.name = name
        self.waiting: deque[tuple[Claimed, float]] = deque()
        self.alarm: asyncio.TimerHandle | None = None
        self.halted = False
        self.width = min(FIRST_CALLS, float(most))
        self._most, self._running = float(most), 0
        self._gap, self._next_at, self._shrunk_at = 0.0, 0.0, float("-inf")
        self._failures = 0
        if rate:
            self.pace(rate)

    @property
    def per_second(self) -> float:
        """How many calls a second the rate allows."""
        return 1 / self._gap if self._gap else float("inf")

    def pace(self, rate: float) -> None:
        """Allow so many calls a second from here."""
        self._gap = 1 / rate

    def wait(self, at: float) -> float | None:
        """Seconds until the next call may start, 0 if now; None: not before one has ended."""
        if self._running >= int(self.width):
            return None
        return max(0.0, self._next_at - at)

    def start(self, at: float) -> None:
        """A call begins."""
        self._running += 1
        self._next_at = max(self._next_at, at) + self._gap if self._gap else self._next_at

    def end(self) -> None:
        """A call is over, however it went."""
        self._running -= 1

    def heard(self, answer: Answer, at: float) -> bool:
        """Learn from an answer; True if the channel must be halted now because it keeps failing."""
        if isinstance(answer, Sent):
            self._failures = 0
            self.width = min(self._most, self.width + 1)
            return False
        if isinstance(answer, Refused) and (answer.permanent or answer.code == "too_late"):
            # about the recipient; the provider is well
            self._failures = 0
            return False
        if isinstance(answer, Refused) and answer.halt:
            self._stop()
            return False
        if isinstance(answer, Refused) and answer.slower:
            self._shrink(at)
            self._next_at = max(self._next_at, at + (answer.retry_after or 0.0))
            return False
        self._failures += 1
        if self._failures < FAILURES_TO_HALT or self.halted:
            return False
        self._stop()
        return True

    def _shrink(self, at: float) -> None:
        if at - self._shrunk_at >= SHRINK_SECONDS:
            self.width = max(1.0, self.width / 2)
            self._shrunk_at = at

    def _stop(self) -> None:
        self.halted = True
        # after the halt one call tries first
        self.width, self._failures = 1.0, 0
