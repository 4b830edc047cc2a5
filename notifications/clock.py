"""The only reader of the wall clock in this library; the application may put its own clock behind it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime


def _wall() -> datetime:
    return datetime.now(UTC)


_read: Callable[[], datetime] = _wall


def now() -> datetime:
    """The present moment, aware, in UTC."""
    return _read()


def read_from(source: Callable[[], datetime]) -> None:
    """Ask `source` for the time from now on: one clock for the whole installation."""
    global _read
    _read = source
