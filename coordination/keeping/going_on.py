"""After a restore somebody decides about what waited in the backup: the numbers, and the decision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.domain.communication.notices import after_restore
from coordination.domain.communication.notices.after_restore import Stood
from coordination.ground.uow import UnitOfWork
from coordination.keeping.errors import BackupError
from notifications import holding
from notifications.holding import Hold, Waiting

Due = Literal["send", "drop"]


@dataclass(frozen=True, slots=True)
class Decision:
    """What there is to decide about."""

    hold: Hold
    messages: Waiting
    reminders: Waiting
    notices: Stood


def to_decide(session: Session) -> Decision | None:
    """What a restore has left to be decided; None if nothing is held."""
    hold = holding.standing(session)
    if hold is None:
        return None
    return Decision(
        hold,
        holding.messages(session, hold),
        holding.reminders(session, hold),
        after_restore.stood(session, hold.since),
    )


def go_on(uow: UnitOfWork, *, due: Due) -> Decision:
    """Let delivery go on. What came due between the backup and the restore is sent now, or dropped
    because it may have been sent; what comes due later leaves at its time in either case."""
    uow.authorize(Action.SYSTEM_RUN)
    found = to_decide(uow.session)
    if found is None or not holding.lift(uow.session):
        raise BackupError("Nothing is held: there was no restore, or somebody has decided already.")
    if due == "drop":
        holding.drop_due(uow.session, found.hold, uow.now)
        after_restore.leave_unsent(uow.session, found.hold.since, uow.now)
    uow.trail.line(
        "remove",
        "outbox_hold",
        1,
        {"since": found.hold.since.isoformat(), "due": due, "messages": found.messages.due},
        None,
    )
    return found
