"""The only reader of the wall clock.

Everything that asks for the time asks here, so that the tour and the tests can move it.
Must not know any feature.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

_fixed: datetime | None = None


def now() -> datetime:
    """The present moment, aware, in UTC."""
    return _fixed if _fixed is not None else datetime.now(UTC)


def today(zone: ZoneInfo) -> date:
    """The present date in the district's zone."""
    return now().astimezone(zone).date()


def travel_to(moment: datetime | None) -> None:
    """Fix the clock of this process at `moment` (aware); None gives it back. For the tour and tests."""
    global _fixed
    if moment is not None and moment.tzinfo is None:
        raise ValueError("the clock takes aware times only")
    _fixed = moment
