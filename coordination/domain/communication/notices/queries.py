"""Reads of notices: lists, progress per recipient, a guardian's inbox; constant queries."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Row,
    Select,
    Subquery,
    and_,
    case,
    cast,
    func,
    literal,
    not_,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.authz.policy import allowed
from coordination.authz.rules import Scope
from coordination.authz.visibility import visible
from coordination.domain.communication.models import Notice, NoticeRecipient, NoticeRound
from coordination.domain.people.contacts import masks_of
from coordination.domain.people.models import ClassGroup, Organisation, Person
from coordination.ground.actor import Actor, Role
from coordination.ground.errors import NotFound
from coordination.ground.text import Text
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
    silent: bool
    to_call: bool
    # told by phone, or by a letter
    reached_at: datetime | None = None
    by_letter: bool = False
    # or the child's other guardian has chosen
    by_family: bool = False


UNREACHED = frozenset({"failed", "undelivered", "suppressed", "expired", "skipped", "needs_human"})


def answer_of(notice: Notice) -> ColumnElement[datetime | None]:
    """When a recipient did what the notice asks for, or was told by phone instead."""
    own = NoticeRecipient.confirmed_at if notice.level == "confirm" else NoticeRecipient.read_at
    return func.coalesce(own, NoticeRecipient.reached_at)


def notices_of(session: Session, actor: Actor, limit: int = 50) -> list[NoticeLine]:
    """The newest notices the actor may read, sent by or to their classes."""
    notices = session.scalars(
        visible(Notice, actor, Action.NOTICE_READ)
        .where(Notice.state != "draft")
        .order_by(Notice.id.desc())
        .limit(limit)
    ).all()
    counts = {
        row[0]: row[1:]
        for row in session.execute(
            select(
                NoticeRecipient.notice_id,
                func.count().filter(NoticeRecipient.told_via_id == NoticeRecipient.guardian_id),
                func.count().filter(NoticeRecipient.nudges > 0),
                func.count(func.coalesce(NoticeRecipient.read_at, NoticeRecipient.reached_at)),
                func.count(func.coalesce(NoticeRecipient.confirmed_at, NoticeRecipient.reached_at)),
            )
            .where(NoticeRecipient.notice_id.in_([n.id for n in notices]))
            .group_by(NoticeRecipient.notice_id)
        )
    }
    standing = outbox.standing(session, "notice", [n.id for n in notices])
    lines = []
    for notice in notices:
        told, chased, read, confirmed = counts.get(notice.id, (0, 0, 0, 0))
        states = standing.get(notice.id, {})
        lines.append(
            NoticeLine(
                notice=notice,
                told=chased if notice.page_first else told,
                delivered=sum(n for s, n in states.items() if s == "delivered"),
                failed=sum(n for s, n in states.items() if s in UNREACHED),
                read=read,
                confirmed=confirmed,
            )
        )
    return lines


def unsent(session: Session, actor: Actor, since: datetime) -> list[Notice]:
    """Notices of the actor's places that the clock could not send, the newest first."""
    return list(
        session.scalars(
            visible(Notice, actor, Action.NOTICE_SEND)
            .where(Notice.unsent_reason.is_not(None), Notice.send_at > since)
            .order_by(Notice.send_at.desc())
            .limit(20)
        )
    )


def families_over(session: Session, notice: Notice) -> int | None:
    """For how many families a notice was more than they should get in a week, as it left; None where
    that was not counted."""
    return session.scalar(
        select(NoticeRound.families_over).where(
            NoticeRound.notice_id == notice.id, NoticeRound.number == 0
        )
    )


def notice_of(session: Session, actor: Actor, notice_id: int) -> Notice:
    """A notice the actor may read as staff, be it sent or not; NotFound otherwise, and for a draft."""
    found = session.scalar(
        visible(Notice, actor, Action.NOTICE_READ).where(
            Notice.id == notice_id, Notice.state != "draft"
        )
    )
    if found is None:
        raise NotFound()
    return found


@dataclass(frozen=True, slots=True)
class Funnel:
    """Counts for the head of the progress page; guardians, not texts."""

    total: int = 0
    queued: int = 0
    sent: int = 0
    delivered: int = 0
    read: int = 0
    confirmed: int = 0
    failed: int = 0
    silent: int = 0
    to_call: int = 0
    stopped: int = 0
    # texts that a provider took in the last PACE seconds
    lately: int = 0
    # of those queued, what must not leave before an hour, and until when the first of it waits
    held: int = 0
    held_until: datetime | None = None
    # of a notice that began on the platform: households that were texted after all, and the others
    chased: int = 0
    spared: int = 0

    @property
    def seconds_left(self) -> int | None:
        """How long the waiting texts will take at the present pace; None while nothing moves."""
        return self.queued * PACE // self.lately if self.lately else None


PACE = 10
# the state of who was not texted, as the notice began on the platform
ON_PAGE = "on_page"
_TAKEN = ("accepted", "sent", "delivered", "undelivered", "failed", "unknown")


def _standing(notice: Notice) -> Subquery:
    newest = outbox.newest("notice", notice.id)
    row = NoticeRecipient
    answer = answer_of(notice)
    # what was done to the phone, and what was answered, counts for all who share it
    answered = func.bool_or(answer.is_not(None)).over(partition_by=row.household_key)
    rounds = func.max(row.nudges).over(partition_by=row.household_key)
    untold = literal("cancelled" if notice.state == "cancelled" else "queued")
    state = case(
        # what cannot wait goes by mail to who has no phone
        (and_(row.skip_reason.is_not(None), newest.c.id.is_(None)), "skipped"),
        else_=func.coalesce(
            newest.c.state,
            case((rounds == 0, ON_PAGE), else_=untold) if notice.page_first else untold,
        ),
    )
    held = (
        select(
            row.id,
            row.guardian_id,
            row.child_ids,
            row.language,
            row.read_at,
            row.confirmed_at,
            row.reached_at,
            row.by_letter,
            and_(row.reached_at.is_not(None), row.reached_by_id.is_(None)).label("by_family"),
            (row.told_via_id == row.guardian_id).label("told"),
            answered.label("answered"),
            func.greatest(rounds - notice.first_text, 0).label("nudges"),
            rounds.label("rounds"),
            state.label("state"),
            case((newest.c.id.is_(None), row.skip_reason), else_=newest.c.reason_code).label(
                "reason"
            ),
            newest.c.id.label("message_id"),
            newest.c.updated_at,
            newest.c.next_at,
        )
        .outerjoin(newest, newest.c.household_key == row.household_key)
        .where(row.notice_id == notice.id)
        .subquery("held")
    )
    unreached = held.c.state.in_(UNREACHED)
    # a reminder that is still held has reminded nobody
    chased = held.c.nudges > case((held.c.state == "held", 1), else_=0)
    if notice.calls_all:
        chased = true()
    return select(
        held,
        unreached.label("unreached"),
        # silent although reminded, or never reached: somebody has to phone
        and_(not_(held.c.answered), or_(unreached, chased)).label("to_call"),
    ).subquery("standing")


def reminders_left(nudges: int, state: str) -> int:
    """How many reminders of a household have left: while its newest text is held, not the last."""
    return nudges - 1 if nudges and state == "held" else nudges


def standing_of(
    session: Session, notice_id: int, told: Collection[int]
) -> dict[str, tuple[str, str | None]]:
    """Household -> state and reason of its newest text, for those who were written to."""
    return {
        household: (state, reason)
        for household, (state, reason) in outbox.standing_of_recipients(
            session, "notice", notice_id, told
        ).items()
    }


def progress_query(notice: Notice, wanted: str = "") -> Select[Any]:
    """Every recipient with the state of their message, the silent first; for `progress_lines`.

    `wanted` is "", "silent", "failed" or "call".
    """
    found = _standing(notice)
    query = (
        select(found, Person.name)
        .join(Person, Person.id == found.c.guardian_id)
        .order_by(found.c.answered, found.c.unreached.desc(), Person.pinyin, found.c.id)
    )
    if wanted == "silent":
        return query.where(not_(found.c.answered))
    if wanted == "failed":
        return query.where(found.c.unreached)
    if wanted == "call":
        return query.where(found.c.to_call)
    return query


def progress_lines(session: Session, rows: Sequence[Row[Any]]) -> list[RecipientLine]:
    """The lines of one page of `progress_query`."""
    names = names_of(session, {c for row in rows for c in row.child_ids})
    masks = masks_of(session, [row.guardian_id for row in rows])
    return [
        RecipientLine(
            name=row.name,
            children="、".join(names.get(c, "") for c in row.child_ids),
            phone=masks.get(row.guardian_id),
            language=row.language,
            state=row.state,
            reason=row.reason,
            read_at=row.read_at,
            confirmed_at=row.confirmed_at,
            nudges=reminders_left(row.nudges, row.state),
            message_id=row.message_id,
            silent=not row.answered,
            to_call=row.to_call,
            reached_at=row.reached_at,
            by_letter=row.by_letter,
            by_family=row.by_family,
        )
        for row in rows
    ]


def funnel(session: Session, notice: Notice, now: datetime) -> Funnel:
    """Counts of a notice, by one query however many recipients."""
    found = _standing(notice)
    state = found.c.state

    def number(*conditions: ColumnElement[bool]) -> ColumnElement[int]:
        return func.count().filter(and_(*conditions))

    row = session.execute(
        select(
            func.count(),
            number(state.in_(("queued", "held", "sending"))),
            number(state.in_(("accepted", "sent"))),
            number(state == "delivered"),
            func.count(func.coalesce(found.c.read_at, found.c.reached_at)),
            func.count(func.coalesce(found.c.confirmed_at, found.c.reached_at)),
            number(found.c.unreached),
            number(found.c.told, not_(found.c.answered)),
            number(found.c.to_call),
            number(state == "cancelled"),
            number(
                found.c.told,
                state.in_(_TAKEN),
                found.c.updated_at > now - timedelta(seconds=PACE),
            ),
            number(state == "held"),
            func.min(found.c.next_at).filter(state == "held"),
            number(found.c.told, found.c.rounds > 0),
            number(found.c.told, found.c.rounds < notice.first_text),
        )
    ).one()
    return Funnel(*row)


def is_going_out(session: Session, notice: Notice) -> bool:
    """Whether texts of a notice have still to be written or sent."""
    if notice.state != "sent":
        return False
    unwritten = session.scalar(
        select(NoticeRound.id)
        .where(NoticeRound.notice_id == notice.id, NoticeRound.done_at.is_(None))
        .limit(1)
    )
    return unwritten is not None or bool(outbox.waiting_count(session, "notice", notice.id))


def stands_alone(session: Session, notice: Notice) -> bool:
    """Whether a notice has left for the platform, and no text of it was written."""
    if not notice.page_first or notice.sent_at is None:
        return False
    texted = select(NoticeRound.id).where(
        NoticeRound.notice_id == notice.id, NoticeRound.number >= notice.first_text
    )
    return not session.scalar(select(texted.exists()))


def unwritten(session: Session, notice: Notice) -> int:
    """How many households of the present round have no text in the outbox yet.

    Before the first stretch nobody is listed yet, and it is 0.
    """
    if notice.state != "sent":
        return 0
    return (
        session.scalar(
            select(func.count())
            .select_from(NoticeRecipient)
            .join(NoticeRound, NoticeRound.notice_id == NoticeRecipient.notice_id)
            .where(
                NoticeRound.notice_id == notice.id,
                NoticeRound.done_at.is_(None),
                NoticeRecipient.id > NoticeRound.upto,
                NoticeRecipient.told_via_id == NoticeRecipient.guardian_id,
                # of what begins on the platform, 0 writes nobody
                NoticeRound.number >= notice.first_text,
                or_(NoticeRound.number == 0, NoticeRecipient.nudges == NoticeRound.number),
            )
        )
        or 0
    )


def names_of(session: Session, person_ids: set[int]) -> dict[int, str]:
    """Names by id."""
    return {
        i: name
        for i, name in session.execute(
            select(Person.id, Person.name).where(Person.id.in_(person_ids))
        )
    }


def class_names(session: Session, class_ids: Sequence[int]) -> list[Text]:
    """What the classes of a notice are called."""
    rows = session.execute(
        select(ClassGroup.name_zh, ClassGroup.name_en)
        .where(ClassGroup.id.in_(class_ids))
        .order_by(ClassGroup.grade, ClassGroup.id)
    )
    return [Text(zh, en) for zh, en in rows]


def classes_to_write_to(session: Session, actor: Actor) -> list[ClassGroup]:
    """Classes the actor may send a notice to."""
    return list(
        session.scalars(
            visible(ClassGroup, actor, Action.NOTICE_SEND)
            .where(ClassGroup.active.is_(True))
            .order_by(ClassGroup.grade, ClassGroup.id)
        )
    )


def organisations_to_write_to(session: Session, actor: Actor) -> list[Organisation]:
    """Schools, and the district, to all of whose families the actor may write."""
    return [
        org
        for org in session.scalars(
            select(Organisation)
            .where(
                Organisation.id.in_(actor.orgs(Role.SCHOOL_ADMIN, Role.DISTRICT_ADMIN)),
                Organisation.kind.in_(("school", "district")),
                Organisation.active.is_(True),
            )
            .order_by(Organisation.id)
        )
        if allowed(actor, Action.NOTICE_SEND, Scope(school=org.id))
    ]


@dataclass(frozen=True, slots=True)
class InboxLine:
    """A notice as its guardian sees it in the list."""

    notice: Notice
    confirmed_at: datetime | None
    child_ids: tuple[int, ...]
    read_at: datetime | None = None
    # told instead: by phone, or by a letter
    told: Literal["", "phone", "letter", "family"] = ""

    @property
    def is_open(self) -> bool:
        """Whether its guardian has still to do what it asks for."""
        confirm = self.notice.level == "confirm"
        return not self.told and (self.confirmed_at if confirm else self.read_at) is None


def said_together(session: Session, actor: Actor, lead_id: int) -> list[InboxLine]:
    """The notices that one text told its reader of, if they stand and are open to the reader still;
    `lead_id` is the first of the messages that it says."""
    said = outbox.subjects_said_with(session, lead_id)
    rows = session.execute(
        select(Notice, NoticeRecipient)
        .join(NoticeRecipient, NoticeRecipient.notice_id == Notice.id)
        .where(
            Notice.id.in_(said),
            Notice.state == "sent",
            NoticeRecipient.guardian_id == actor.person_id,
            NoticeRecipient.child_ids.op("&&")(cast(sorted(actor.child_ids), ARRAY(BigInteger))),
        )
        .order_by(Notice.id)
    )
    return [InboxLine(n, r.confirmed_at, tuple(r.child_ids), r.read_at, r.told) for n, r in rows]


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
    return [InboxLine(n, r.confirmed_at, tuple(r.child_ids), r.read_at, r.told) for n, r in rows]
