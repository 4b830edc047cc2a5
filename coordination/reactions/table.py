"""Event -> handlers. Open this to learn what follows from what.

Handlers run in the transaction of the event and only write rows. SILENT events cause nothing, with
the reason why.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from coordination.domain.agenda.events import FeedOpened, FeedRevoked
from coordination.domain.people.events import SignInCodeIssued
from coordination.ground.events import Event
from coordination.ground.uow import UnitOfWork
from coordination.reactions import on_accounts

Handler = Callable[[UnitOfWork, Any], None]

HANDLERS: dict[type[Event], Sequence[Handler]] = {
    SignInCodeIssued: (on_accounts.send_code,),
}

SILENT: dict[type[Event], str] = {
    FeedOpened: "the owner sees the address on the same page; the audit line is enough",
    FeedRevoked: "the owner did it; the audit line is enough",
}


def react(uow: UnitOfWork, event: Event) -> None:
    """Run every handler of `event`, in order; an event in neither table is a bug (KeyError)."""
    if type(event) in SILENT:
        return
    for handler in HANDLERS[type(event)]:
        handler(uow, event)
