"""自动电话: an alert that nobody has confirmed is said by phone, and whatever must be confirmed to who cannot
read texts; a key that is pressed confirms it.

What families hear is decided by the reactions, and whom the phone rings by what became
of their texts; here is when that begins and ends, and what a key does.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.domain.communication.events import NoticeAcknowledged
from coordination.domain.communication.models import Notice, NoticeRecipient
from coordination.domain.people.models import Person
from coordination.domain.people.recipients import may_have
from coordination.ground.errors import Invalid
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork

# minutes that a family has for its text; who gets none is phoned at once
CHOICES = (5, 10, 20, 30)
PROPOSED = 10
# nobody is phoned about an alert that is older: it has been told otherwise, or is over
LASTS = timedelta(hours=3)
# a phone that is busy, or that nobody answers, rings again so often, with so long between
MOST_CALLS = 3
AGAIN_AFTER = timedelta(minutes=5)
# how long who cannot read texts is called about a notice that may wait until morning
LASTS_READ_OUT = timedelta(days=1)


def refuse_odd_wait(call_after: int | None, alert: str | None) -> None:
    """Refuse calls about what is no alert, and after a time that is not offered."""
    if call_after is None or (alert is not None and call_after in CHOICES):
        return
    raise Invalid(
        fields={
            "call_after": Text(
                "自动电话只用于紧急通知，请选择列出的时间。",
                "Automatic calls are for alerts only; choose one of the times listed.",
            )
        }
    )


def begin(uow: UnitOfWork, notice: Notice) -> None:
    """Let the phone ring about a notice that is texted now, if it is to: for how long, says the notice."""
    if notice.call_after is not None:
        notice.ringing_until = uow.now + LASTS
        return
    if notice.level != "confirm" and not notice.urgent_reason:
        return
    called = select(NoticeRecipient.id).where(
        NoticeRecipient.notice_id == notice.id, NoticeRecipient.guardian_id.in_(WHO_IS_CALLED)
    )
    if uow.session.scalar(select(called.exists())):
        lasts = uow.now + (LASTS if notice.alert else LASTS_READ_OUT)
        notice.ringing_until = min(lasts, notice.due_at or lasts)


# who cannot read texts
WHO_IS_CALLED = select(Person.id).where(Person.call_since.is_not(None))


def ringing_notices(session: Session, now: datetime) -> list[int]:
    """Notices about which the phone rings, the oldest first."""
    return list(
        session.scalars(
            select(Notice.id)
            .where(Notice.ringing_until > now, Notice.state == "sent")
            .order_by(Notice.sent_at)
        )
    )


def confirm_by_key(uow: UnitOfWork, *, notice_id: int, guardian_id: int, today: date) -> bool:
    """Somebody pressed 1: it counts as the guardian's own confirmation, the first time; whether it is
    theirs to confirm."""
    uow.authorize(Action.SYSTEM_RUN)
    # a second press, and a confirmation by the code meanwhile, wait here and change nothing
    row = uow.session.scalar(
        select(NoticeRecipient)
        .where(NoticeRecipient.notice_id == notice_id, NoticeRecipient.guardian_id == guardian_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    # custody may have changed while the phone rang
    if row is None or not may_have(uow.session, guardian_id, row.child_ids, today):
        return False
    # what a family chooses has no key: they know of it now, and the class teacher asks them
    asks = uow.session.get_one(Notice, notice_id).options_zh
    row.read_at = row.read_at or uow.now
    if row.confirmed_at is None and not asks:
        row.confirmed_at, row.by_call = uow.now, True
        uow.record(NoticeAcknowledged(notice_id, guardian_id))
    return True
