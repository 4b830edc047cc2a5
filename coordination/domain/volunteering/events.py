"""What happens to volunteer shifts."""

from __future__ import annotations

from dataclasses import dataclass

from coordination.ground.events import Event


@dataclass(frozen=True, slots=True)
class ShiftTaken(Event):
    """Somebody signed up for a shift."""

    assignment_id: int


@dataclass(frozen=True, slots=True)
class ShiftLeft(Event):
    """Somebody withdrew from a shift."""

    assignment_id: int


@dataclass(frozen=True, slots=True)
class ShiftReleased(Event):
    """A session moved to a time at which its volunteer has another shift."""

    assignment_id: int


@dataclass(frozen=True, slots=True)
class ShiftTimesConfirmed(Event):
    """Somebody confirmed when the volunteers of a shift were there."""

    need_id: int


@dataclass(frozen=True, slots=True)
class ShiftTimeObjected(Event):
    """A volunteer says that the time confirmed is wrong."""

    objection_id: int


@dataclass(frozen=True, slots=True)
class ShiftObjectionAnswered(Event):
    """Whoever answers for the time has answered."""

    objection_id: int
