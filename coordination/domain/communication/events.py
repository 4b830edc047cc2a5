"""What happens to notices."""

from __future__ import annotations

from dataclasses import dataclass

from coordination.ground.events import Event


@dataclass(frozen=True, slots=True)
class NoticeSent(Event):
    """A notice goes out to its recipients."""

    notice_id: int


@dataclass(frozen=True, slots=True)
class SilentNudged(Event):
    """Those who have not answered are asked once more."""

    notice_id: int
    guardian_ids: tuple[int, ...]
    round: int


@dataclass(frozen=True, slots=True)
class NoticeAcknowledged(Event):
    """A guardian read or confirmed a notice."""

    notice_id: int
    guardian_id: int
