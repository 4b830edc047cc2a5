"""What follows from notices: one text per phone, with a code that opens the notice for its reader."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import select

from coordination.domain.communication.events import NoticeStopped, NoticeStretchDue
from coordination.domain.communication.models import Notice, NoticeRecipient
from coordination.domain.people import links
from coordination.domain.people.models import ClassGroup, Organisation, Person
from coordination.ground.text import Text, mask_name
from coordination.ground.uow import UnitOfWork
from coordination.reactions.notices import tell
from notifications import outbox
from notifications.values import MessageClass

OPEN_FOR = timedelta(days=60)


def write(uow: UnitOfWork, event: NoticeStretchDue) -> None:
    """One text to each of these recipients, with a code that opens the notice for its reader."""
    notice = uow.session.get_one(Notice, event.notice_id)
    rows = uow.session.scalars(
        select(NoticeRecipient)
        .where(NoticeRecipient.id.in_(event.recipient_ids))
        .order_by(NoticeRecipient.id)
    ).all()
    names = {
        person: name
        for person, name in uow.session.execute(
            select(Person.id, Person.name).where(
                Person.id.in_({c for row in rows for c in row.child_ids})
            )
        )
    }
    readers = [row.guardian_id for row in rows]
    codes = links.issue_many(uow, readers, "notice", notice.id, expires_at=uow.now + OPEN_FOR)
    own = {
        row.guardian_id: {"children": _children([names[c] for c in row.child_ids if c in names])}
        for row in rows
    }
    message_class: MessageClass = "confirm" if notice.level == "confirm" else "info"
    if notice.urgent_reason and not event.round:
        message_class = "urgent"
    tell(
        uow,
        "notice_nudge" if event.round else "notice",
        readers,
        {"sender": sender_of(uow, notice), "title": Text(notice.title_zh, notice.title_en)},
        subject=("notice", notice.id),
        version=f"nudge-{event.round}" if event.round else "1",
        message_class=message_class,
        codes=codes,
        own_params=own,
    )


def stop(uow: UnitOfWork, event: NoticeStopped) -> None:
    """Nothing more leaves; what a provider has already is on its way."""
    outbox.cancel(uow.session, "notice", event.notice_id)


def _children(names: Sequence[str]) -> Text:
    masked = [mask_name(name) for name in names]
    return Text("、".join(masked), ", ".join(masked))


def sender_of(uow: UnitOfWork, notice: Notice) -> Text:
    """Who signs: the school, and the class if there is one."""
    school = uow.session.get_one(Organisation, notice.school_id)
    group = uow.session.get(ClassGroup, notice.class_id) if notice.class_id else None
    if group is None:
        return Text(school.name_zh, school.name_en)
    return Text(f"{school.name_zh}{group.name_zh}", f"{school.name_en}, {group.name_en}")
