"""What a domain event is. Features declare theirs in their own `events.py`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, in the past tense. Carries ids, never rows and never phones."""
