"""The seam to the application: who may be written to now, and where.

Must not know addresses beyond the moment between claim and call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol, cast

from sqlalchemy import Connection, Row

from notifications.values import (
    Address,
    DayLimit,
    Pending,
    Skip,
)


class Resolver(Protocol):
    """The application's last word, asked in the claiming transaction: where to, or why not."""

    def resolve(
        self, conn: Connection, messages: Sequence[Pending]
    ) -> Mapping[int, Address | Skip]:
        """Answer for each message id; one left out is skipped as `no_address`."""
        ...

    def day_limit(self, conn: Connection, at: datetime) -> DayLimit | None:
        """How many routine messages one address may get on the day of `at`; None is any number."""
        ...


def as_pending(rows: Sequence[Row[tuple[object, ...]]]) -> Sequence[Pending]:
    """Rows of the outbox as the resolver sees them: nothing is copied, the names are the same."""
    return cast("Sequence[Pending]", rows)
