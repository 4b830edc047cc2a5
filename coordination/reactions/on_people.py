"""What follows from a change of people and numbers: a corrected number is written to again.

What providers found out about numbers is carried over to the roster, so that pages and counts know it.
"""

from __future__ import annotations

from sqlalchemy import select

from coordination.authz.actions import Action
from coordination.domain.oversight.events import ChildErased
from coordination.domain.people import contacts
from coordination.domain.people.events import (
    NoticeHourChosen,
    PhoneChecked,
    RosterApplied,
    TextsResumed,
    TextsStopped,
)
from coordination.domain.people.models import ContactPoint
from coordination.ground.uow import UnitOfWork
from coordination.reactions.quiet_hours import OWN_HOUR
from notifications import outbox, suppressions
from notifications.erasure import erase_bodies_of

_CHANNELS = (("phone", "sms"), ("phone", "voice"), ("email", "email"))
AT_ONCE = 500


def roster_applied(uow: UnitOfWork, event: RosterApplied) -> None:
    """Numbers that failed for good are stopped; who has a new one starts afresh."""
    for kind, channel in _CHANNELS:
        changed = select(ContactPoint.person_id).where(
            ContactPoint.batch_id == event.batch_id, ContactPoint.kind == kind
        )
        suppressions.forgive_new_addresses(uow.session, changed, channel)


def phone_checked(uow: UnitOfWork, event: PhoneChecked) -> None:
    """A number that the school has looked at starts afresh; an opt-out stays."""
    for channel in ("sms", "voice"):
        suppressions.forgive_new_addresses(uow.session, [event.person_id], channel)


def notice_hour_chosen(uow: UnitOfWork, event: NoticeHourChosen) -> None:
    """What waits by the old wish comes to a claim, which leaves it waiting or not by the new one."""
    outbox.look_again(uow.session, {OWN_HOUR}, event.person_id)


def texts_stopped(uow: UnitOfWork, event: TextsStopped) -> None:
    """What is queued already is stopped too, at its claim."""
    suppressions.suppress(uow.session, event.person_id, "sms", suppressions.OPTED_OUT, uow.now)


def texts_resumed(uow: UnitOfWork, event: TextsResumed) -> None:
    """The opt-out is forgotten; what failed three times stays stopped."""
    suppressions.opt_in(uow.session, event.person_id, "sms", uow.now)


def child_erased(uow: UnitOfWork, event: ChildErased) -> None:
    """What was written to guardians who are nobody any more is erased, whatever its age; nothing leaves."""
    if event.guardian_ids:
        erase_bodies_of(uow.session, event.guardian_ids, uow.now)


def carry_over(uow: UnitOfWork) -> int:
    """Mark the phones of whom providers found unreachable or opted out; returns how many people."""
    uow.authorize(Action.SYSTEM_RUN)
    unmarked = select(ContactPoint.person_id).where(
        ContactPoint.kind == "phone", ContactPoint.suppressed_at.is_(None)
    )
    found = suppressions.stopped(uow.session, "sms", unmarked, AT_ONCE)
    for person, reason in found:
        asked = reason in suppressions.OPT_OUTS
        contacts.suppress(
            uow.session, person, contacts.OPTED_OUT if asked else contacts.BAD_NUMBER, uow.now
        )
    return len(found)
