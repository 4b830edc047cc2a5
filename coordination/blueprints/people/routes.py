"""Gathers the pages of people: each module below adds its own to the blueprint."""

from __future__ import annotations

from coordination.blueprints.people import (
    calling,
    children,
    corrections,
    imports,
    numbers,
    requests,
    roles,
    year,
)
from coordination.blueprints.people.blueprint import bp

__all__ = [
    "bp",
    "calling",
    "children",
    "corrections",
    "imports",
    "numbers",
    "requests",
    "roles",
    "year",
]
