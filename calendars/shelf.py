"""Finished feeds kept in memory by their ETag, within a budget: oldest use goes first.

A body under an ETag never changes, so nothing here is ever out of date. Must not know whose feed
it is.
"""

from __future__ import annotations

import gzip
from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock

_LEVEL = 6


@dataclass(frozen=True, slots=True)
class Body:
    """A feed as it is sent, plain and packed; packed once, not per request."""

    plain: bytes
    packed: bytes

    @property
    def size(self) -> int:
        """What it costs to keep."""
        return len(self.plain) + len(self.packed)


def body_of(plain: bytes) -> Body:
    """A body from the bytes of a feed; the same bytes give the same body."""
    return Body(plain, gzip.compress(plain, _LEVEL, mtime=0))


class Shelf:
    """Bodies by ETag, never more than `budget` bytes of them."""

    def __init__(self, budget: int) -> None:
        self._budget, self._held = budget, 0
        self._bodies: OrderedDict[str, Body] = OrderedDict()
        self._lock = Lock()

    @property
    def held(self) -> int:
        """How many bytes are kept now."""
        return self._held

    def get(self, tag: str) -> Body | None:
        """The body under `tag`, if it is still here."""
        with self._lock:
            body = self._bodies.get(tag)
            if body is not None:
                self._bodies.move_to_end(tag)
            return body

    def put(self, tag: str, body: Body) -> None:
        """Keep a body; one that is larger than a quarter of the budget is not worth it."""
        if body.size * 4 > self._budget:
            return
        with self._lock:
            old = self._bodies.pop(tag, None)
            self._held += body.size - (old.size if old else 0)
            self._bodies[tag] = body
            while self._held > self._budget:
                _, dropped = self._bodies.popitem(last=False)
                self._held -= dropped.size
