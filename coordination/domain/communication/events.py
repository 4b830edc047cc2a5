"""What happens to notices."""

from __future__ import annotations

from dataclasses import dataclass

from coordination.ground.events import Event
from coordination.ground.text import Text


@dataclass(frozen=True, slots=True)
class NoticeStretchDue(Event):
    """A stretch of a notice's recipients is to be written to: first (round 0) or reminded."""

    notice_id: int
    round: int
    recipient_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class NoticeTested(Event):
    """A draft is to be shown on its writer's own phone; there is no notice yet. One text per key."""

    person_id: int
    school_id: int
    class_id: int | None
    title: Text
    test_key: str


@dataclass(frozen=True, slots=True)
class NoticeToLookAt(Event):
    """A notice waits for a second person; `seal` names what it says."""

    notice_id: int
    seal: str


@dataclass(frozen=True, slots=True)
class NoticeReturned(Event):
    """A second person gave a notice back to its writer."""

    notice_id: int


@dataclass(frozen=True, slots=True)
class NoticeStopped(Event):
    """A notice must not reach anybody else."""

    notice_id: int


@dataclass(frozen=True, slots=True)
class QuietPolicySet(Event):
    """The district has said anew when its texts wait."""

    org_id: int


@dataclass(frozen=True, slots=True)
class FamilyCalled(Event):
    """Staff told a guardian of a notice by phone, or got the slip of a letter back; or took that back."""

    notice_id: int
    guardian_id: int


@dataclass(frozen=True, slots=True)
class FamilyFollowedUp(Event):
    """Staff said what was done about a family that is not reached."""

    child_id: int


@dataclass(frozen=True, slots=True)
class NoticeAcknowledged(Event):
    """A guardian read or confirmed a notice."""

    notice_id: int
    guardian_id: int
