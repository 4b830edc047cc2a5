"""Use cases of notices: send, read, confirm, nudge.

Who receives is decided by `people.recipients` alone; what the text message says and when it leaves
is decided by the reactions.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.authz.policy import allowed
from coordination.authz.rules import Scope
from coordination.domain.communication import rules
from coordination.domain.communication.audience import audience_of
from coordination.domain.communication.events import (
    NoticeAcknowledged,
    NoticeSent,
    SilentNudged,
)
from coordination.domain.communication.models import Notice, NoticeRecipient
from coordination.domain.communication.queries import last_nudge_at
from coordination.domain.people.models import ClassGroup
from coordination.ground.actor import Actor
from coordination.ground.errors import Conflict, Invalid, NotFound
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork


def send_notice(
    uow: UnitOfWork,
    *,
    draft_key: str,
    class_ids: Collection[int],
    title: Text,
    body: Text,
    level: str,
    due_at: datetime | None = None,
    links_allowed: bool = False,
) -> Notice:
    """Send a notice to the guardians of some classes of one school; a second call with the same
    `draft_key` (a double click, a retried post) returns the first notice and sends nothing."""
    # two presses that arrive together: the second waits here and then finds the first's notice
    uow.session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(draft_key, 0))))
    known = uow.session.scalar(select(Notice).where(Notice.draft_key == draft_key))
    if known is not None:
        for place in places_of(known):
            uow.authorize(Action.NOTICE_SEND, place)
        return known
    groups = _classes(uow, class_ids)
    for group in groups:
        uow.authorize(Action.NOTICE_SEND, Scope(school=group.school_id, class_=group.id))
    rules.refuse_poor_text(
        title_zh=title.zh,
        title_en=title.en,
        body_zh=body.zh,
        body_en=body.en,
        links_allowed=links_allowed,
    )
    if due_at is not None and due_at <= uow.now:
        raise Invalid(
            fields={
                "due_on": Text(
                    "截止时间已过，请选以后的时间。", "This is in the past; choose a later time."
                )
            }
        )
    audience = audience_of(uow.session, [g.id for g in groups], uow.now.date())
    if not audience.recipients:
        raise Conflict(
            Text(
                "所选班级还没有登记家长，无法发送。请先导入名册。",
                "No guardian is known for these classes yet; import the roster first.",
            ),
            code="no_audience",
        )
    notice = Notice(
        school_id=groups[0].school_id,
        class_ids=sorted(g.id for g in groups),
        class_id=groups[0].id if len(groups) == 1 else None,
        sender_id=_sender(uow),
        draft_key=draft_key,
        title_zh=title.zh,
        title_en=title.en,
        body_zh=body.zh,
        body_en=body.en,
        level=level,
        state="sent",
        due_at=due_at,
        sent_at=uow.now,
    )
    uow.session.add(notice)
    uow.session.flush()  # recipients refer to it
    told = {r.household_key: r.guardian_id for r in audience.told}
    for recipient in audience.recipients:
        via = told.get(recipient.household_key)
        uow.session.add(
            NoticeRecipient(
                notice_id=notice.id,
                guardian_id=recipient.guardian_id,
                child_ids=list(recipient.child_ids),
                household_key=recipient.household_key,
                language=recipient.language,
                told_via_id=via,
                skip_reason=None
                if via is not None
                else "no_phone"
                if recipient.phone_mask is None
                else "opted_out",
                nudges=0,
            )
        )
    uow.record(NoticeSent(notice.id))
    return notice


def places_of(notice: Notice) -> list[Scope]:
    """The classes of a notice as the policy sees them: who may write to all may send or nudge."""
    return [Scope(school=notice.school_id, class_=c) for c in notice.class_ids]


def _sender(uow: UnitOfWork) -> int:
    if uow.actor.person_id is None:
        raise NotFound()
    return uow.actor.person_id


def _classes(uow: UnitOfWork, class_ids: Collection[int]) -> list[ClassGroup]:
    groups = list(
        uow.session.scalars(
            select(ClassGroup).where(ClassGroup.id.in_(class_ids)).order_by(ClassGroup.id)
        )
    )
    if not groups or len(groups) != len(set(class_ids)):
        raise Invalid(
            fields={"class_ids": Text("请选择要通知的班级。", "Choose the classes to write to.")}
        )
    if len({g.school_id for g in groups}) > 1:
        raise Invalid(
            fields={
                "class_ids": Text(
                    "一次只能通知一所学校的班级，请分开发送。",
                    "One notice goes to one school; send them separately.",
                )
            }
        )
    return groups


def recipient_of(session: Session, notice_id: int, guardian_id: int) -> NoticeRecipient:
    """The row of one guardian; NotFound if the notice is not theirs."""
    row = session.scalar(
        select(NoticeRecipient).where(
            NoticeRecipient.notice_id == notice_id, NoticeRecipient.guardian_id == guardian_id
        )
    )
    if row is None:
        raise NotFound()
    return row


def acknowledge(uow: UnitOfWork, *, notice_id: int, confirm: bool) -> None:
    """Mark the actor's copy as read, and as confirmed if asked; the first time counts."""
    row = recipient_of(uow.session, notice_id, uow.actor.person_id or 0)
    if not uow.actor.child_ids.intersection(row.child_ids):
        raise NotFound()  # custody has changed since the text was sent
    uow.authorize(Action.NOTICE_ACKNOWLEDGE, row)
    if row.read_at is None:
        row.read_at = uow.now
    if confirm and row.confirmed_at is None:
        row.confirmed_at = uow.now
    uow.record(NoticeAcknowledged(notice_id, row.guardian_id))


def silent(session: Session, notice: Notice) -> list[NoticeRecipient]:
    """Recipients who were told and whose household has not answered."""
    answered = (
        NoticeRecipient.confirmed_at if notice.level == "confirm" else NoticeRecipient.read_at
    )
    quiet = (
        select(NoticeRecipient.household_key)
        .where(NoticeRecipient.notice_id == notice.id)
        .group_by(NoticeRecipient.household_key)
        .having(func.count(answered) == 0)
    )
    return list(
        session.scalars(
            select(NoticeRecipient)
            .where(
                NoticeRecipient.notice_id == notice.id,
                NoticeRecipient.told_via_id == NoticeRecipient.guardian_id,
                NoticeRecipient.household_key.in_(quiet),
            )
            .order_by(NoticeRecipient.id)
        )
    )


def may_nudge(actor: Actor, notice: Notice) -> bool:
    """Whether the actor may write to every class of the notice."""
    return all(allowed(actor, Action.NOTICE_SEND, place) for place in places_of(notice))


def nudge_silent(uow: UnitOfWork, *, notice_id: int) -> int:
    """Remind only those who have not answered; how many."""
    # the lock comes before the look at the last reminder: two presses are one reminder
    notice = uow.session.get(Notice, notice_id, with_for_update=True)
    if notice is None:
        raise NotFound()
    for place in places_of(notice):
        uow.authorize(Action.NOTICE_SEND, place)
    rules.refuse_impatience(last_nudge_at(uow.session, notice_id), uow.now)
    rows = silent(uow.session, notice)
    if not rows:
        raise Conflict(
            Text("所有家庭都已回复，无需提醒。", "Every family has answered; nobody to remind."),
            code="nobody_silent",
        )
    for row in rows:
        row.nudges += 1
    uow.record(
        SilentNudged(notice.id, tuple(r.guardian_id for r in rows), max(r.nudges for r in rows))
    )
    return len(rows)
