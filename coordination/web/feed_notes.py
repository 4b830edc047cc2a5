"""Who fetched which feed, gathered for a second and written by one statement.

At the full hour hundreds of clients come in a second, and a commit for each would cost more than the
poll. What a process that is killed has gathered is lost: a note is worth no more than that.
"""

from __future__ import annotations

import logging
from datetime import datetime
from threading import Lock, Timer

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from coordination.domain.agenda import polling
from coordination.domain.agenda.polling import Feed, Fetch

log = logging.getLogger(__name__)

GATHER_SECONDS = 1.0


class FetchNotes:
    """Notes of one process; a timer writes them, `write` does it now."""

    def __init__(self, engine: Engine, seconds: float = GATHER_SECONDS) -> None:
        self._engine, self._seconds = engine, seconds
        self._kept: dict[int, Fetch] = {}
        self._lock = Lock()

    def add(self, feed: Feed, client: str, now: datetime) -> None:
        """Remember one fetch; at most one an hour of a feed is kept."""
        if feed.last_fetched_at is not None and feed.last_fetched_at > now - polling.NOTED_EVERY:
            return
        with self._lock:
            first = not self._kept
            self._kept[feed.token_id] = Fetch(now, client)
        if first:
            timer = Timer(self._seconds, self.write)
            timer.daemon = True
            timer.start()

    def write(self) -> None:
        """Write what was gathered."""
        with self._lock:
            kept, self._kept = self._kept, {}
        if not kept:
            return
        try:
            with self._engine.connect() as held:
                polling.note_fetches(held, kept)
        except SQLAlchemyError as error:
            # a read-only stand-by still serves feeds
            log.warning("%d fetches not noted: %s", len(kept), type(error).__name__)
