"""How often something may be tried: counters in PostgreSQL, so that every process counts together.

A key is kept as a keyed hash only: the table names no login, number or address. Must not know what
is being limited.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import LargeBinary, case, delete
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from coordination.ground import crypto
from coordination.ground.orm import Base


class Throttle(Base):
    """限频: how many tries a key has had in its present window."""

    __tablename__ = "throttle"
    key_hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    window_starts_at: Mapped[datetime]
    tries: Mapped[int]


def _key(purpose: str, value: str) -> bytes:
    return crypto.blind_index(f"throttle\x00{purpose}\x00{value}")


def admit(
    session: Session,
    purpose: str,
    value: str,
    *,
    limit: int,
    window: timedelta,
    now: datetime,
) -> bool:
    """Count one try and say whether it is within `limit` per `window`.

    A refused try is not counted: who waits out the window is let in again. The row stays locked
    until the transaction ends, so that tries on one key go one after the other.
    """
    fresh = Throttle.window_starts_at <= now - window
    statement = (
        insert(Throttle)
        .values(key_hash=_key(purpose, value), window_starts_at=now, tries=1)
        .on_conflict_do_update(
            index_elements=[Throttle.key_hash],
            set_={
                "tries": case((fresh, 1), else_=Throttle.tries + 1),
                "window_starts_at": case((fresh, now), else_=Throttle.window_starts_at),
            },
            where=fresh | (Throttle.tries < limit),
        )
        .returning(Throttle.tries)
    )
    return session.scalar(statement) is not None


def forgive(session: Session, purpose: str, value: str) -> None:
    """Forget the tries of a key, after it has proved itself."""
    session.execute(delete(Throttle).where(Throttle.key_hash == _key(purpose, value)))


def sweep(session: Session, *, older_than: datetime) -> int:
    """Remove counters whose window began before `older_than`; how many."""
    old = delete(Throttle).where(Throttle.window_starts_at < older_than)
    return len(session.execute(old.returning(Throttle.tries)).all())
