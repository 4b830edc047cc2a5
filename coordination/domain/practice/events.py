"""What happens to practice-base activities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from coordination.ground.events import Event


@dataclass(frozen=True, slots=True)
class SessionPublished(Event):
    """A session takes sign-ups."""

    session_id: int


@dataclass(frozen=True, slots=True)
class ClassEnrolled(Event):
    """A class was signed up: some children have a place, others wait."""

    session_id: int
    class_id: int
    enrolled: tuple[int, ...]
    waiting: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PlaceGiven(Event):
    """A child moved up from the waiting list."""

    session_id: int
    child_id: int


@dataclass(frozen=True, slots=True)
class ChildWithdrawn(Event):
    """A child gave its place back."""

    session_id: int
    child_id: int


@dataclass(frozen=True, slots=True)
class SessionMoved(Event):
    """Other times or another place; `material` says whether consent must be asked again."""

    session_id: int
    material: bool


@dataclass(frozen=True, slots=True)
class SessionCancelled(Event):
    """It will not take place."""

    session_id: int


@dataclass(frozen=True, slots=True)
class FamiliesNudged(Event):
    """Somebody asked the families of these children once more for their answer."""

    session_id: int
    child_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ReminderRulesChanged(Event):
    """A place (`district`, `school` or `activity`, with its id) has other rules of reminders."""

    scope: Literal["district", "school", "activity"]
    place_id: int


@dataclass(frozen=True, slots=True)
class AttendanceTaken(Event):
    """The roll was called."""

    session_id: int


@dataclass(frozen=True, slots=True)
class StageClosed(Event):
    """A class was counted at a stage of the day: these children are with it."""

    session_id: int
    class_id: int
    stage: str
    child_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ChildLeftGroup(Event):
    """A child is not with its class any more, for a reason that is known."""

    session_id: int
    child_id: int
