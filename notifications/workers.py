"""Proof of life of a worker: a session advisory lock (4242, worker_id).

A stopped process keeps its session and so its lock; only a dead one loses it. An expired lease
alone is never a permission to send again. Must not know messages.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from contextlib import suppress
from datetime import datetime
from types import TracebackType
from typing import Self

from sqlalchemy import Connection, Engine, insert, text, update
from sqlalchemy.exc import DBAPIError

from notifications import clock
from notifications.errors import WorkerNotAlive
from notifications.models import DeliveryWorker

log = logging.getLogger(__name__)

LOCK_CLASS = 4242


class Worker:
    """A registered worker; holds its lock on a connection of its own until closed."""

    def __init__(self, engine: Engine, name: str | None = None) -> None:
        self._engine = engine
        self._name = name or f"{socket.gethostname()}:{os.getpid()}"
        self._registering = threading.Lock()
        self._id, self._held = self._register()

    @property
    def id(self) -> int:
        """The worker's id; a new one if the session that held the old one was lost.

        An id whose lock was lost counts as dead for ever, so it is never taken up again.
        """
        with self._registering:
            try:
                self._held.execute(text("select 1"))
            except DBAPIError:
                log.warning("worker %d lost its session and registers anew", self._id)
                self._held.invalidate()
                self._held.close()
                self._id, self._held = self._register()
            return self._id

    def _register(self) -> tuple[int, Connection]:
        with self._engine.begin() as connection:
            worker_id: int = connection.execute(
                insert(DeliveryWorker).values(name=self._name).returning(DeliveryWorker.id)
            ).scalar_one()
        # AUTOCOMMIT: the session must live on without an open transaction
        held = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        held.execute(text("select pg_advisory_lock(:c, :w)"), {"c": LOCK_CLASS, "w": worker_id})
        return worker_id, held

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close(clock.now())

    def close(self, now: datetime) -> None:
        """Let go of the lock and note when."""
        # a session's end lets go of the lock a moment later; who asks next must see it gone at once
        with suppress(DBAPIError):
            self._held.execute(
                text("select pg_advisory_unlock(:c, :w)"), {"c": LOCK_CLASS, "w": self._id}
            )
        # the pool must not hand this session on, whatever it still holds
        self._held.invalidate()
        self._held.close()
        with self._engine.begin() as connection:
            connection.execute(
                update(DeliveryWorker).where(DeliveryWorker.id == self._id).values(stopped_at=now)
            )


def refuse_dead_worker(connection: Connection, worker_id: int) -> None:
    """Raise unless some session holds the worker's lock."""
    held = connection.execute(
        text(
            "select true from pg_locks where locktype = 'advisory' and granted"
            " and classid = :c and objid = :w and objsubid = 2"
            " and database = (select oid from pg_database where datname = current_database())"
        ),
        {"c": LOCK_CLASS, "w": worker_id},
    ).first()
    if held is None:
        raise WorkerNotAlive(f"worker {worker_id} does not hold its lock")


def is_dead(connection: Connection, worker_id: int) -> bool:
    """Tell whether the worker's session is gone. Ids are never used again, so dead stays dead."""
    return bool(
        connection.execute(
            text("select pg_try_advisory_xact_lock(:c, :w)"),
            {"c": LOCK_CLASS, "w": worker_id},
        ).scalar_one()
    )


def living(engine: Engine) -> int:
    """How many workers hold their lock now."""
    with engine.connect() as connection:
        return int(
            connection.scalar(
                text(
                    "select count(*) from pg_locks where locktype = 'advisory' and granted"
                    " and classid = :c and objsubid = 2"
                    " and database = (select oid from pg_database where datname = current_database())"
                ),
                {"c": LOCK_CLASS},
            )
            or 0
        )
