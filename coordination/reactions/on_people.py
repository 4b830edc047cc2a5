"""What follows from a change of the roster: a corrected number is written to again."""

from __future__ import annotations

from sqlalchemy import select

from coordination.domain.people.events import RosterApplied
from coordination.domain.people.models import ContactPoint
from coordination.ground.uow import UnitOfWork
from notifications import suppressions

_CHANNELS = (("phone", "sms"), ("email", "email"))


def roster_applied(uow: UnitOfWork, event: RosterApplied) -> None:
    """Numbers that failed for good are stopped; who has a new one starts afresh."""
    for kind, channel in _CHANNELS:
        changed = select(ContactPoint.person_id).where(
            ContactPoint.batch_id == event.batch_id, ContactPoint.kind == kind
        )
        suppressions.forgive_new_addresses(uow.session, changed, channel)
