"""Reads of notices: lists, progress per recipient, a guardian's inbox; constant queries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BigInteger, cast, func, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.authz.visibility import visible
from coordination.domain.communication.models import Notice, NoticeRecipient
from coordination.domain.people.contacts import masks_of
from coordination.domain.people.models import ClassGroup, Person
from coordination.ground.actor import Actor
from coordination.ground.errors import NotFound
from notifications import outbox


@dataclass(frozen=True, slots=True)
class NoticeLine:
    """A notice in a list, with its funnel."""

    notice: Notice
    told: int
    delivered: int
    failed: int
    read: int
    confirmed: int

    @property
    def done(self) -> int:
        """How many did what the notice asks for."""
        return self.confirmed if self.notice.level == "confirm" else self.read


@dataclass(frozen=True, slots=True)
class RecipientLine:
    """One guardian of a notice: where the message stands and what they did."""

    name: str
    children: str
    phone: str | None
    language: str
    state: str
    reason: str | None
    read_at: datetime | None
    confirmed_at: datetime | None
    nudges: int
    message_id: int | None
    # nobody of the household has answered
    silent: bool = False

    @property
    def to_call(self) -> bool:
        """Silent although reminded, or never reached: somebody has to phone."""
        return self.silent and (self.state in UNREACHED or self.nudges > 0)


UNREACHED = frozenset({"failed", "undelivered", "suppressed", "expired", "skipped", "needs_human"})


def notices_of(session: Session, actor: Actor, limit: int = 50) -> list[NoticeLine]:
    """The newest notices the actor may read, sent by or to their classes."""
    notices = session.scalars(
        visible(Notice, actor, Action.NOTICE_READ).order_by(Notice.id.desc()).limit(limit)
    ).all()
    counts = {
        row[0]: row[1:]
        for row in session.execute(
            select(
                NoticeRecipient.notice_id,
                func.count().filter(NoticeRecipient.told_via_id == NoticeRecipient.guardian_id),
                func.count(NoticeRecipient.read_at),
                func.count(NoticeRecipient.confirmed_at),
            )
            .where(NoticeRecipient.notice_id.in_([n.id for n in notices]))
            .group_by(NoticeRecipient.notice_id)
        )
    }
    standing = outbox.standing(session, "notice", [n.id for n in notices])
    lines = []
    for notice in notices:
        told, read, confirmed = counts.get(notice.id, (0, 0, 0))
        states = standing.get(notice.id, {})
        lines.append(
            NoticeLine(
                notice=notice,
                told=told,
                delivered=sum(n for s, n in states.items() if s == "delivered"),
                failed=sum(n for s, n in states.items() if s in UNREACHED),
                read=read,
                confirmed=confirmed,
            )
        )
    return lines


def notice_of(session: Session, actor: Actor, notice_id: int) -> Notice:
    """A notice the actor may read as staff; NotFound otherwise."""
    found = session.scalar(visible(Notice, actor, Action.NOTICE_READ).where(Notice.id == notice_id))
    if found is None:
        raise NotFound()
    return found


def progress(session: Session, notice: Notice) -> list[RecipientLine]:
    """Every recipient with the state of their message, the silent first."""
    rows = session.execute(
        select(NoticeRecipient, Person.name)
        .join(Person, Person.id == NoticeRecipient.guardian_id)
        .where(NoticeRecipient.notice_id == notice.id)
    ).all()
    newest = {
        s.household_key: s for s in outbox.statuses(session, "notice", notice.id)
    }  # in order of id: a nudge replaces the first message
    answered = {
        r.household_key
        for r, _ in rows
        if (r.confirmed_at if notice.level == "confirm" else r.read_at) is not None
    }
    # what was done to the phone counts for all who share it
    nudges: dict[str, int] = {}
    for row, _ in rows:
        nudges[row.household_key] = max(row.nudges, nudges.get(row.household_key, 0))
    names = names_of(session, {c for r, _ in rows for c in r.child_ids})
    masks = masks_of(session, [r.guardian_id for r, _ in rows])
    lines = []
    for row, name in rows:
        status = newest.get(row.household_key)
        skipped = row.skip_reason
        lines.append(
            RecipientLine(
                name=name,
                children="、".join(names.get(c, "") for c in row.child_ids),
                phone=masks.get(row.guardian_id),
                language=row.language,
                state="skipped" if skipped else status.state.value if status else "queued",
                reason=skipped or (status.reason_code if status else None),
                read_at=row.read_at,
                confirmed_at=row.confirmed_at,
                nudges=nudges[row.household_key],
                message_id=status.message_id if status else None,
                silent=row.household_key not in answered,
            )
        )
    return sorted(lines, key=lambda x: (not x.silent, x.state not in UNREACHED, x.name))


def funnel(lines: list[RecipientLine]) -> Mapping[str, int]:
    """Counts for the head of the progress page."""
    states = Counter(line.state for line in lines)
    waiting = sum(states[s] for s in ("queued", "held", "sending"))
    return {
        "queued": waiting,
        "sent": states["accepted"],
        "delivered": states["delivered"],
        "read": sum(line.read_at is not None for line in lines),
        "confirmed": sum(line.confirmed_at is not None for line in lines),
        "failed": sum(states[s] for s in UNREACHED),
    }


def names_of(session: Session, person_ids: set[int]) -> dict[int, str]:
    """Names by id."""
    return {
        i: name
        for i, name in session.execute(
            select(Person.id, Person.name).where(Person.id.in_(person_ids))
        )
    }


def classes_to_write_to(session: Session, actor: Actor) -> list[ClassGroup]:
    """Classes the actor may send a notice to."""
    return list(
        session.scalars(
            visible(ClassGroup, actor, Action.NOTICE_SEND)
            .where(ClassGroup.active.is_(True))
            .order_by(ClassGroup.grade, ClassGroup.id)
        )
    )


def last_nudge_at(session: Session, notice_id: int) -> datetime | None:
    """When somebody was last reminded of a notice."""
    times = [
        s.created_at
        for s in outbox.statuses(session, "notice", notice_id)
        if s.template_key == "notice_nudge"
    ]
    return max(times, default=None)


@dataclass(frozen=True, slots=True)
class InboxLine:
    """A notice as its guardian sees it in the list."""

    notice: Notice
    confirmed_at: datetime | None
    child_ids: tuple[int, ...]


def inbox_of(session: Session, actor: Actor, limit: int = 30) -> list[InboxLine]:
    """The newest notices of a guardian about children who are still open to them."""
    rows = session.execute(
        select(Notice, NoticeRecipient)
        .join(NoticeRecipient, NoticeRecipient.notice_id == Notice.id)
        .where(
            NoticeRecipient.guardian_id == actor.person_id,
            NoticeRecipient.child_ids.op("&&")(cast(sorted(actor.child_ids), ARRAY(BigInteger))),
        )
        .order_by(Notice.id.desc())
        .limit(limit)
    )
    return [InboxLine(n, r.confirmed_at, tuple(r.child_ids)) for n, r in rows]
