"""Gathers the pages of people: each module below adds its own to the blueprint."""

from __future__ import annotations

from coordination.blueprints.people import calling, children, imports, numbers, roles
from coordination.blueprints.people.blueprint import bp

__all__ = ["bp", "calling", "children", "imports", "numbers", "roles"]
