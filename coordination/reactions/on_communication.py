"""What follows from notices: one text per phone, with a code that opens the notice for its reader."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import select

from coordination.domain.communication.events import NoticeSent, SilentNudged
from coordination.domain.communication.models import Notice, NoticeRecipient
from coordination.domain.people import links
from coordination.domain.people.models import ClassGroup, Organisation, Person
from coordination.ground.text import Text, mask_name
from coordination.ground.uow import UnitOfWork
from coordination.reactions.notices import tell
from notifications.values import MessageClass

OPEN_FOR = timedelta(days=60)


def send(uow: UnitOfWork, event: NoticeSent) -> None:
    """The first text to everybody who can be reached."""
    notice = uow.session.get_one(Notice, event.notice_id)
    rows = uow.session.scalars(
        select(NoticeRecipient)
        .where(
            NoticeRecipient.notice_id == notice.id,
            NoticeRecipient.told_via_id == NoticeRecipient.guardian_id,
        )
        .order_by(NoticeRecipient.id)
    ).all()
    _write(uow, notice, rows, "notice", "1")


def nudge(uow: UnitOfWork, event: SilentNudged) -> None:
    """The reminder to the silent; each round is a version of its own."""
    notice = uow.session.get_one(Notice, event.notice_id)
    rows = uow.session.scalars(
        select(NoticeRecipient)
        .where(
            NoticeRecipient.notice_id == notice.id,
            NoticeRecipient.guardian_id.in_(event.guardian_ids),
        )
        .order_by(NoticeRecipient.id)
    ).all()
    _write(uow, notice, rows, "notice_nudge", f"nudge-{event.round}")


def _write(
    uow: UnitOfWork, notice: Notice, rows: Sequence[NoticeRecipient], key: str, version: str
) -> None:
    names = {
        person: name
        for person, name in uow.session.execute(
            select(Person.id, Person.name).where(
                Person.id.in_({c for row in rows for c in row.child_ids})
            )
        )
    }
    codes = {
        row.guardian_id: links.issue(
            uow, row.guardian_id, "notice", notice.id, expires_at=uow.now + OPEN_FOR
        )
        for row in rows
    }
    own = {
        row.guardian_id: {"children": _children([names[c] for c in row.child_ids if c in names])}
        for row in rows
    }
    message_class: MessageClass = "confirm" if notice.level == "confirm" else "info"
    tell(
        uow,
        key,
        [row.guardian_id for row in rows],
        {"sender": sender_of(uow, notice), "title": Text(notice.title_zh, notice.title_en)},
        subject=("notice", notice.id),
        version=version,
        message_class=message_class,
        codes=codes,
        own_params=own,
    )


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
