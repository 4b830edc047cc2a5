"""Constraint name -> the refusal a person reads.

Features register the names of their own guards; an unknown name is a bug and is raised as it came.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy.exc import IntegrityError

from coordination.ground.errors import CoordinationError

_known: dict[str, Callable[[], CoordinationError]] = {}


def explain(name: str, make: Callable[[], CoordinationError]) -> None:
    """Say what the violation of constraint `name` means to a person."""
    _known[name] = make


def translate(error: IntegrityError) -> CoordinationError | None:
    """The refusal behind a violated constraint, or None if nobody explained it."""
    diag = getattr(error.orig, "diag", None)
    name = getattr(diag, "constraint_name", None)
    make = _known.get(name) if isinstance(name, str) else None
    return make() if make else None
