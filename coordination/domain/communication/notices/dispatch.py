"""Letting a written notice leave: at once or at its time, within the budget of its month."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.domain.communication.models import Notice
from coordination.domain.communication.notices import reach
from coordination.domain.communication.notices.audience import texts_by_language
from coordination.domain.communication.notices.reach import children_of, may_nudge
from coordination.domain.communication.notices.rounds import begin_round
from coordination.domain.communication.texts import budgets
from coordination.domain.people.actors import actor_of
from coordination.ground.errors import Conflict
from coordination.ground.uow import UnitOfWork

# why a notice whose time had come was not sent
SENDER_LEFT, TOO_LATE, NO_BUDGET = "sender_left", "too_late", "budget_used_up"
UNSENT = (SENDER_LEFT, TOO_LATE, NO_BUDGET)


def let_go(uow: UnitOfWork, notice: Notice) -> None:
    """Send a written notice, or leave it to the clock if its time is to come.

    It is held to the budget of its month now, and again when the clock sends it.
    """
    at_once = notice.send_at is None or notice.send_at <= uow.now
    if at_once:
        _leave(uow, notice)
    else:
        notice.state = "scheduled"
    uow.session.add(notice)
    uow.session.flush()  # rounds and recipients refer to it
    segments = within_budget(uow, notice, uow.now.date())
    if at_once:
        begin_round(uow, notice, 0, segments)


def due_notices(session: Session, now: datetime) -> list[int]:
    """Notices whose time has come, the earliest first."""
    return list(
        session.scalars(
            select(Notice.id)
            .where(Notice.state == "scheduled", Notice.send_at <= now)
            .order_by(Notice.send_at, Notice.id)
        )
    )


def send_scheduled(uow: UnitOfWork, *, notice_id: int, today: date) -> bool:
    """Send a notice whose time has come, to whom it concerns now; whether it was sent.

    The state changes in the transaction that writes the round, so however many clocks come, and
    however their time jumps, it leaves once.
    """
    uow.authorize(Action.SYSTEM_RUN)
    notice = reach.locked(uow, notice_id)
    if notice is None or notice.state != "scheduled":
        return False
    if notice.send_at is None or notice.send_at > uow.now:
        return False  # put off meanwhile
    segments = (0, 0)
    notice.unsent_reason = _why_not(uow, notice, today)
    if not notice.unsent_reason:
        try:
            segments = within_budget(uow, notice, today)
        except Conflict:
            notice.unsent_reason = NO_BUDGET
    if notice.unsent_reason:
        notice.state = "cancelled"
        return False
    _leave(uow, notice)
    begin_round(uow, notice, 0, segments, today)
    return True


def _leave(uow: UnitOfWork, notice: Notice) -> None:
    notice.state, notice.sent_at = "sent", uow.now
    if notice.alert:
        notice.calls_since = uow.now  # nobody waits for an answer to what cannot wait
    if notice.ladder_hours:
        notice.ladder_at = uow.now + timedelta(hours=notice.ladder_hours)


def _why_not(uow: UnitOfWork, notice: Notice, today: date) -> str | None:
    """Why a notice must not leave although its time has come."""
    if notice.due_at is not None and notice.due_at <= uow.now:
        return TOO_LATE  # the clock stood still, and nobody could answer in time
    try:
        sender = actor_of(uow.session, notice.sender_id, today)
    except LookupError:
        return SENDER_LEFT
    return None if may_nudge(sender, notice) else SENDER_LEFT


def within_budget(uow: UnitOfWork, notice: Notice, today: date) -> tuple[int, int]:
    """Segments of a notice to all and of one of its texts; refuses a routine one that the budget
    cannot bear.

    The lock is held until what is sent stands in the outbox (or as reserved), so that of two who
    send at once the second sees what the first has spent. Without a budget nothing is estimated.
    What begins on the platform must fit as if nobody looked there, in the month of its texts, and
    has nothing reserved: most of it is never written.
    """
    if not budgets.lock(uow, notice.school_id):
        return 0, 0
    texts = texts_by_language(
        uow.session, children_of(notice, today), today, urgent=bool(notice.urgent_reason)
    )
    total, each = budgets.estimate(uow.session, notice, "notice", texts)
    leaves = notice.send_at if notice.state == "scheduled" else None
    account = budgets.account(uow.session, notice.school_id, texts_at(notice, leaves or uow.now))
    needed = budgets.cost(total)
    if notice.urgent_reason:
        notice.over_budget = account.has_no_room(needed)
    else:
        budgets.refuse_beyond(account, needed)
    return (0, 0) if notice.page_first else (total, each)


def texts_at(notice: Notice, leaves: datetime) -> datetime:
    """When the first texts of a notice are due that leaves at `leaves`."""
    return leaves + timedelta(hours=notice.ladder_hours or 0) if notice.page_first else leaves
