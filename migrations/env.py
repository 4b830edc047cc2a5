"""How a migration runs: one at a time, briefly locking, each revision in a transaction of its own."""

from __future__ import annotations

import os
from typing import Any

from alembic import context
from sqlalchemy import MetaData, create_engine, text

from coordination.domain.tables import metadata as district
from coordination.settings import sqlalchemy_url
from notifications.models import metadata as notifications

LOCK = 74_201
TARGETS: list[MetaData] = [district, notifications]


def include_name(name: str | None, kind: str, _parents: Any) -> bool:
    """Leave Procrastinate's own tables to Procrastinate."""
    return not (kind == "table" and name is not None and name.startswith("procrastinate_"))


def run() -> None:
    """Migrate the database of the configuration, or of DATABASE_URL."""
    given = context.config.attributes.get("connection")
    if given is not None:
        _migrate(given)
        return
    url = sqlalchemy_url(context.config.attributes.get("url") or os.environ["DATABASE_URL"])
    engine = create_engine(url)
    with engine.connect() as connection:
        # two starts at once: the second waits, then finds nothing to do
        connection.execute(text("select pg_advisory_lock(:k)"), {"k": LOCK})
        # a migration that cannot have its lock at once must not queue the whole site behind it
        connection.execute(text("set lock_timeout = '4s'"))
        connection.commit()
        _migrate(connection)
        connection.execute(text("select pg_advisory_unlock(:k)"), {"k": LOCK})
        connection.commit()
    engine.dispose()


def _migrate(connection: Any) -> None:
    context.configure(
        connection=connection,
        target_metadata=TARGETS,
        include_name=include_name,
        transaction_per_migration=True,
        compare_type=True,
        compare_server_default=False,
    )
    with context.begin_transaction():
        context.run_migrations()


run()
