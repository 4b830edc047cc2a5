"""What the clock did last: one row per tick, written by the clock, read by `/readyz` and the board.

Must not know what a tick does. Of an error only its kind is kept: its text may hold anything.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from coordination.ground.orm import Base

# the advisory lock of the clock that leads
LEADER = 74_202


class ClockTick(Base):
    """时钟心跳: the last run of a tick."""

    __tablename__ = "clock_tick"
    name: Mapped[str] = mapped_column(primary_key=True)
    # when it last began
    at: Mapped[datetime]
    every_seconds: Mapped[int | None]
    took_ms: Mapped[int | None]
    # of the last run, if that failed
    error: Mapped[str | None]
    failed_at: Mapped[datetime | None]


def ticked(
    session: Session,
    name: str,
    now: datetime,
    *,
    every_seconds: int | None = None,
    took_ms: int | None = None,
    error: str | None = None,
) -> None:
    """Note that tick `name` ran at `now`, and how; when it last failed stays known."""
    values: dict[str, object] = {
        "at": now,
        "every_seconds": every_seconds,
        "took_ms": took_ms,
        "error": error,
    }
    if error is not None:
        values["failed_at"] = now
    statement = insert(ClockTick).values(name=name, **values)
    session.execute(statement.on_conflict_do_update(index_elements=[ClockTick.name], set_=values))


def last_tick(session: Session) -> datetime | None:
    """The latest tick of all; None if the clock has never run."""
    return session.scalar(select(func.max(ClockTick.at)))


def ticks(session: Session) -> list[ClockTick]:
    """Every tick that ever ran, the most frequent first."""
    return list(
        session.scalars(select(ClockTick).order_by(ClockTick.every_seconds, ClockTick.name))
    )
