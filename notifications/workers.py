"""Proof of life of a worker: a session advisory lock (4242, worker_id).

A stopped process keeps its session and so its lock; only a dead one loses it. An expired lease
alone is never a permission to send again. Must not know messages.
"""

from __future__ import annotations

import os
import socket
from datetime import datetime
from types import TracebackType
from typing import Self

from sqlalchemy import Connection, Engine, insert, text, update

from notifications import clock
from notifications.errors import WorkerNotAlive
from notifications.models import DeliveryWorker

LOCK_CLASS = 4242


class Worker:
    """A registered worker; holds its lock on a connection of its own until closed."""

    def __init__(self, engine: Engine, name: str | None = None) -> None:
        self._engine = engine
        with engine.begin() as connection:
            self.id: int = connection.execute(
                insert(DeliveryWorker)
                .values(name=name or f"{socket.gethostname()}:{os.getpid()}")
                .returning(DeliveryWorker.id)
            ).scalar_one()
        # AUTOCOMMIT: the session must live on without an open transaction
        self._held = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        self._held.execute(text("select pg_advisory_lock(:c, :w)"), {"c": LOCK_CLASS, "w": self.id})

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
        # the pool must not hand this session on with the lock still held
        self._held.invalidate()
        self._held.close()
        with self._engine.begin() as connection:
            connection.execute(
                update(DeliveryWorker).where(DeliveryWorker.id == self.id).values(stopped_at=now)
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
