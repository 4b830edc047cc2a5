"""What has to be well before this process may take visitors: asked by `/readyz`.

Answers with figures only; nothing here names a person or an address.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from coordination.ground.ticks import last_tick
from notifications import holding
from notifications.models import OutboxMessage

CLOCK_GRACE = timedelta(minutes=3)
_MIGRATIONS = Path(__file__).parents[2] / "migrations"


@dataclass(frozen=True, slots=True)
class Readiness:
    """The figures, and whether they allow visitors."""

    database: bool
    migrated: bool = False
    clock_age_seconds: int | None = None
    oldest_due_seconds: int | None = None
    # what waited in a backup that was restored waits for a decision
    held_after_restore: bool = False

    @property
    def ready(self) -> bool:
        """Database there and at the migration head; clock and queue are told, not judged.

        A web process must keep serving while the clock restarts.
        """
        return self.database and self.migrated

    @property
    def clock_late(self) -> bool:
        """Whether the clock has not ticked for longer than it should."""
        age = self.clock_age_seconds
        return age is None or age > CLOCK_GRACE.total_seconds()


@lru_cache(maxsize=1)
def _head() -> str | None:
    # alembic is loaded when somebody asks, so that the first page comes sooner
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    return ScriptDirectory.from_config(config).get_current_head()


def readiness(session: Session, now: datetime) -> Readiness:
    """Look at the database, its migration, the clock's last tick and the oldest due message."""
    from alembic.runtime.migration import MigrationContext

    try:
        current = MigrationContext.configure(session.connection()).get_current_revision()
        migrated = current is not None and current == _head()
        if not migrated:
            return Readiness(database=True)
        tick = last_tick(session)
        hold = holding.standing(session)
        due = session.scalar(
            select(func.min(OutboxMessage.next_at)).where(
                OutboxMessage.state.in_(("queued", "held")),
                OutboxMessage.next_at <= now,
                *([OutboxMessage.id > hold.upto] if hold else ()),
            )
        )
    except SQLAlchemyError:
        session.rollback()
        return Readiness(database=False)
    return Readiness(
        database=True,
        migrated=True,
        clock_age_seconds=int((now - tick).total_seconds()) if tick else None,
        oldest_due_seconds=int((now - due).total_seconds()) if due else 0,
        held_after_restore=hold is not None,
    )
