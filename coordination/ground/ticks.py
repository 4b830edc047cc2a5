"""When the clock last ticked: one row per tick, written by the clock, read by `/readyz`.

Must not know what a tick does.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from coordination.ground.orm import Base


class ClockTick(Base):
    """时钟心跳: the last time a tick ran."""

    __tablename__ = "clock_tick"
    name: Mapped[str] = mapped_column(primary_key=True)
    at: Mapped[datetime]


def ticked(session: Session, name: str, now: datetime) -> None:
    """Note that tick `name` ran at `now`."""
    statement = insert(ClockTick).values(name=name, at=now)
    session.execute(
        statement.on_conflict_do_update(index_elements=[ClockTick.name], set_={"at": now})
    )


def last_tick(session: Session) -> datetime | None:
    """The latest tick of all; None if the clock has never run."""
    return session.scalar(select(func.max(ClockTick.at)))
