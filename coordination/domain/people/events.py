"""What happened to persons and accounts. Carries ids, never rows and never phones."""

from __future__ import annotations

from dataclasses import dataclass, field

from coordination.ground.events import Event


@dataclass(frozen=True, slots=True)
class SignInCodeIssued(Event):
    """A one-time code is to reach its holder's phone; kept out of every repr and log."""

    person_id: int
    code_id: int
    code: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class RosterApplied(Event):
    """A roster batch was written."""

    batch_id: int


@dataclass(frozen=True, slots=True)
class RosterUndone(Event):
    """A roster batch was taken back."""

    batch_id: int


@dataclass(frozen=True, slots=True)
class SchoolYearChanged(Event):
    """The district's terms or its own days are others now."""

    org_id: int
