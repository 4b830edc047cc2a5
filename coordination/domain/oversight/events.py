"""What happened to requests about personal data. Carries ids only."""

from __future__ import annotations

from dataclasses import dataclass

from coordination.ground.events import Event


@dataclass(frozen=True, slots=True)
class DataAsked(Event):
    """A guardian asked for a correction or an erasure."""

    request_id: int


@dataclass(frozen=True, slots=True)
class DataAnswered(Event):
    """The school answered."""

    request_id: int


@dataclass(frozen=True, slots=True)
class ChildErased(Event):
    """Who a child was who has left is erased, and who those guardians were who had nobody else."""

    child_id: int
    guardian_ids: tuple[int, ...]
