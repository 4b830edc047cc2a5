"""What happens to bookings."""

from __future__ import annotations

from dataclasses import dataclass

from coordination.ground.events import Event


@dataclass(frozen=True, slots=True)
class BookingRequested(Event):
    """A school asks; the time is held until the owner answers."""

    booking_id: int


@dataclass(frozen=True, slots=True)
class BookingConfirmed(Event):
    """The owner approved, or the resource takes bookings directly."""

    booking_id: int


@dataclass(frozen=True, slots=True)
class BookingDeclined(Event):
    """The owner declined, with a coded reason."""

    booking_id: int


@dataclass(frozen=True, slots=True)
class BookingWithdrawn(Event):
    """The school cancelled; `was_confirmed` says whether families knew of it."""

    booking_id: int
    was_confirmed: bool


@dataclass(frozen=True, slots=True)
class BookingCancelledByPartner(Event):
    """The owner took back a confirmed booking, with a coded reason."""

    booking_id: int


@dataclass(frozen=True, slots=True)
class BookingExpired(Event):
    """Nobody answered in time; the slot is free again."""

    booking_id: int


@dataclass(frozen=True, slots=True)
class BookingMoved(Event):
    """Another time, same booking."""

    booking_id: int
    was_confirmed: bool
