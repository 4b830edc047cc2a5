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
class TextsStopped(Event):
    """A person asked for no more texts."""

    person_id: int


@dataclass(frozen=True, slots=True)
class TextsResumed(Event):
    """A person asked for texts again."""

    person_id: int


@dataclass(frozen=True, slots=True)
class NoticeHourChosen(Event):
    """Somebody has said anew from when on in a day they want notices that can wait."""

    person_id: int


@dataclass(frozen=True, slots=True)
class PhoneChecked(Event):
    """A school corrected a number to which no text arrived, or found it right."""

    person_id: int


@dataclass(frozen=True, slots=True)
class SchoolYearChanged(Event):
    """The district's terms or its own days are others now."""

    org_id: int


@dataclass(frozen=True, slots=True)
class YearTurned(Event):
    """A school's classes are those of the new school year."""

    turn_id: int


@dataclass(frozen=True, slots=True)
class YearTakenBack(Event):
    """A school's turn of the year was undone."""

    turn_id: int


@dataclass(frozen=True, slots=True)
class CorrectionCodeIssued(Event):
    """A code is to reach the new phone that a guardian proposes; kept out of every repr and log."""

    correction_id: int
    person_id: int
    code: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class CorrectionProposed(Event):
    """A guardian's correction waits for the school."""

    correction_id: int


@dataclass(frozen=True, slots=True)
class CorrectionWithdrawn(Event):
    """A guardian took a correction back."""

    correction_id: int


@dataclass(frozen=True, slots=True)
class CorrectionDecided(Event):
    """The school took a correction over, or declined it."""

    correction_id: int
