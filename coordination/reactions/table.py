"""Event -> handlers. Open this to learn what follows from what.

Handlers run in the transaction of the event and only write rows. SILENT events cause nothing, with
the reason why.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from coordination.domain.agenda.events import FeedOpened, FeedRevoked
from coordination.domain.bookings.events import (
    BookingConfirmed,
    BookingDeclined,
    BookingExpired,
    BookingMoved,
    BookingRequested,
    BookingWithdrawn,
)
from coordination.domain.communication.events import (
    NoticeAcknowledged,
    NoticeSent,
    SilentNudged,
)
from coordination.domain.people.events import SignInCodeIssued
from coordination.ground.events import Event
from coordination.ground.uow import UnitOfWork
from coordination.reactions import on_accounts, on_bookings, on_communication

Handler = Callable[[UnitOfWork, Any], None]

HANDLERS: dict[type[Event], Sequence[Handler]] = {
    BookingConfirmed: (on_bookings.confirmed,),
    BookingDeclined: (on_bookings.declined,),
    BookingExpired: (on_bookings.expired,),
    BookingMoved: (on_bookings.moved,),
    BookingRequested: (on_bookings.requested,),
    BookingWithdrawn: (on_bookings.withdrawn,),
    NoticeSent: (on_communication.send,),
    SignInCodeIssued: (on_accounts.send_code,),
    SilentNudged: (on_communication.nudge,),
}

SILENT: dict[type[Event], str] = {
    FeedOpened: "the owner sees the address on the same page; the audit line is enough",
    FeedRevoked: "the owner did it; the audit line is enough",
    NoticeAcknowledged: "the sender sees it on the notice's page; a text per answer would be noise",
}


def react(uow: UnitOfWork, event: Event) -> None:
    """Run every handler of `event`, in order; an event in neither table is a bug (KeyError)."""
    if type(event) in SILENT:
        return
    for handler in HANDLERS[type(event)]:
        handler(uow, event)
