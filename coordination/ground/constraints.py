"""Constraint name -> the refusal a person reads.

Features register the names of their own guards; an unknown name is a bug and is raised as it came.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy.exc import DBAPIError

from coordination.ground.errors import CoordinationError, Stale
from coordination.ground.text import Text

_DEADLOCK = "40P01"
_known: dict[str, Callable[[], CoordinationError]] = {}


def explain(name: str, make: Callable[[], CoordinationError]) -> None:
    """Say what the violation of constraint `name` means to a person."""
    _known[name] = make


def translate(error: DBAPIError) -> CoordinationError | None:
    """The refusal behind a violated constraint or a deadlock, or None if nobody explained it."""
    if getattr(error.orig, "sqlstate", None) == _DEADLOCK:
        return Stale(
            Text(
                "刚刚有人同时提交了相关内容，请再试一次。",
                "Somebody else saved something related at the same moment; please try again.",
            )
        )
    diag = getattr(error.orig, "diag", None)
    name = getattr(diag, "constraint_name", None)
    make = _known.get(name) if isinstance(name, str) else None
    return make() if make else None
