"""Why somebody did, or did not, get a message: their messages, each one's way, and what was skipped.

Never shows what a message said: its short code would open the family's page.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.authz.policy import refuse_unless_allowed
from coordination.domain.communication.models import Notice, NoticeRecipient, NoticeRound
from coordination.domain.people.contacts import masks_of
from coordination.domain.people.models import (
    ContactPoint,
    Guardianship,
    Organisation,
    Person,
)
from coordination.domain.people.recipients import is_told
from coordination.ground.actor import Actor
from coordination.ground.errors import NotFound
from coordination.ground.text import Text, mask_name
from notifications import outbox
from notifications.models import OutboxMessage

# what a mail is about that goes because a text is not known to have arrived
MAILED = "text"
FOUND = 30
SHOWN = 100


@dataclass(frozen=True, slots=True)
class FoundPerson:
    """Somebody whose name matches."""

    id: int
    name: str
    school: Text | None
    phone: str | None
    status: str


@dataclass(frozen=True, slots=True)
class MessageLine:
    """One message of a person, without its text."""

    id: int
    template_key: str
    subject_type: str
    subject_id: int
    state: str
    reason: str | None
    address_mask: str | None
    language: str
    created_at: datetime
    next_at: datetime


@dataclass(frozen=True, slots=True)
class Unsent:
    """A notice that reached the person by another's phone, or not at all, and why."""

    notice_id: int
    title: Text
    sent_at: datetime | None
    reason: str | None
    via: str | None
    # of a notice that stands on the platform alone: when the text follows to who is silent still
    text_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Bond:
    """One guardianship and whether messages follow it today."""

    child: str
    relation: str
    told: bool
    reason: Text | None


@dataclass(frozen=True, slots=True)
class Story:
    """Everything about the messages of one person."""

    person: FoundPerson
    messages: tuple[MessageLine, ...]
    unsent: tuple[Unsent, ...]
    bonds: tuple[Bond, ...]


@dataclass(frozen=True, slots=True)
class Journey:
    """One message step by step."""

    message: MessageLine
    person: FoundPerson
    steps: tuple[outbox.TraceLine, ...]
    # the message that says this one too, and those that this one says
    into: int | None = None
    of: tuple[int, ...] = ()
    # the mail that went as well, as nobody knew that the text had arrived
    mail: MessageLine | None = None


def people_called(session: Session, actor: Actor, name: str) -> list[FoundPerson]:
    """Adults whose name (or number in the register) is the one asked for; names are shown masked."""
    refuse_unless_allowed(actor, Action.AUDIT_READ)
    wanted = name.strip()
    if not wanted:
        return []
    matches = Person.name.startswith(wanted, autoescape=True)
    if wanted.isascii() and wanted.isdigit() and len(wanted) < 18:
        matches = or_(matches, Person.id == int(wanted))
    rows = session.execute(
        select(Person, Organisation)
        .outerjoin(Organisation, Organisation.id == Person.school_id)
        .where(matches, Person.is_student.is_(False))
        .order_by(Person.name, Person.id)
        .limit(FOUND)
    ).all()
    masks = masks_of(session, [p.id for p, _ in rows])
    return [_person(p, o, masks.get(p.id)) for p, o in rows]


def story_of(session: Session, actor: Actor, person_id: int, today: date) -> Story:
    """A person's newest messages, what was not sent to them, and what follows from custody."""
    refuse_unless_allowed(actor, Action.AUDIT_READ)
    person = _one(session, person_id)
    messages = session.scalars(
        select(OutboxMessage)
        .where(OutboxMessage.recipient_id == person_id)
        .order_by(OutboxMessage.created_at.desc(), OutboxMessage.id.desc())
        .limit(SHOWN)
    ).all()
    via = select(Person.id, Person.name).subquery()
    texted = (
        select(NoticeRound.id)
        .where(NoticeRound.notice_id == Notice.id, NoticeRound.number > 0)
        .exists()
    )
    unsent = session.execute(
        select(Notice, NoticeRecipient, via.c.name, texted)
        .join(NoticeRecipient, NoticeRecipient.notice_id == Notice.id)
        .outerjoin(via, via.c.id == NoticeRecipient.told_via_id)
        .where(
            NoticeRecipient.guardian_id == person_id,
            or_(
                func.coalesce(NoticeRecipient.told_via_id, 0) != person_id,
                and_(Notice.page_first, NoticeRecipient.nudges == 0),
            ),
        )
        .order_by(Notice.id.desc())
        .limit(SHOWN)
    ).all()
    families = _families(session, [row for notice, row, _, _ in unsent if notice.page_first])
    bonds = session.execute(
        select(Guardianship, Person.name, is_told(today))
        .join(Person, Person.id == Guardianship.child_id)
        .where(Guardianship.guardian_id == person_id)
        .order_by(Guardianship.id)
    )
    return Story(
        person=person,
        messages=tuple(_line(m) for m in messages),
        unsent=tuple(
            Unsent(
                n.id,
                Text(n.title_zh, n.title_en),
                n.sent_at,
                reason := _no_text(n, r, families.get(r.id, ()), texted=done),
                mask_name(name) if name else None,
                n.ladder_at if reason in (NOT_YET, NOT_YET_CONFIRM) else None,
            )
            for n, r, name, done in unsent
        ),
        bonds=tuple(
            Bond(mask_name(name), g.relation, told, None if told else _why_not(g, today))
            for g, name, told in bonds
        ),
    )


def journey_of(session: Session, actor: Actor, message_id: int) -> Journey:
    """What happened to one message, oldest step first."""
    refuse_unless_allowed(actor, Action.AUDIT_READ)
    message = session.get(OutboxMessage, message_id)
    if message is None:
        raise NotFound()
    mail = session.scalar(
        select(OutboxMessage).where(
            OutboxMessage.subject_type == MAILED, OutboxMessage.subject_id == message_id
        )
    )
    return Journey(
        _line(message),
        _one(session, message.recipient_id),
        tuple(outbox.trace(session, message_id)),
        outbox.merged_into(session, message_id),
        tuple(outbox.merged_from(session, message_id)),
        None if mail is None else _line(mail),
    )


# why a notice that began on the platform was not texted (words: web/delivery.py)
NOT_YET, NOT_YET_CONFIRM = "text_if_unread", "text_if_unconfirmed"


def _families(
    session: Session, rows: Sequence[NoticeRecipient]
) -> dict[int, list[NoticeRecipient]]:
    """Row -> the rows of the same notice whose guardians have the same phone, itself included."""
    phones = [bytes.fromhex(r.household_key) for r in rows if r.household_key.isalnum()]
    same = select(ContactPoint.person_id).where(
        ContactPoint.kind == "phone", ContactPoint.value_index.in_(phones)
    )
    found: dict[tuple[int, str], list[NoticeRecipient]] = defaultdict(list)
    for other in session.scalars(
        select(NoticeRecipient).where(
            NoticeRecipient.notice_id.in_({r.notice_id for r in rows}),
            NoticeRecipient.guardian_id.in_(same),
        )
    ):
        found[other.notice_id, other.household_key].append(other)
    return {r.id: found[r.notice_id, r.household_key] for r in rows}


def _no_text(
    notice: Notice, row: NoticeRecipient, family: Sequence[NoticeRecipient], *, texted: bool
) -> str | None:
    """Why a recipient has no text of their own; None if another's phone got it for them. `texted`
    says that the texts of the notice are written."""
    if row.skip_reason is not None or not notice.page_first:
        return row.skip_reason
    if any(r.nudges for r in family):
        return None
    confirm = notice.level == "confirm"
    if any(r.confirmed_at if confirm else r.read_at for r in (row, *family)):
        return "confirmed_on_page" if confirm else "read_on_page"
    if any(r.reached_at for r in (row, *family)):
        return "told_otherwise"
    if notice.state == "cancelled":
        return "stopped_on_page"
    if notice.ladder_at is not None and not texted:
        return NOT_YET_CONFIRM if confirm else NOT_YET
    # somebody who had this phone then, or a call that was noted and taken back
    return "answered_before_text"


def _why_not(bond: Guardianship, today: date) -> Text:
    if bond.no_disclosure:
        return Text("标记为“不得透露”", "marked 'do not disclose'")
    if bond.ends_on is not None and bond.ends_on < today:
        return Text("监护关系已结束", "the guardianship has ended")
    if bond.starts_on > today:
        return Text("监护关系尚未开始", "the guardianship has not begun")
    return Text("登记为不接收通知", "registered as not receiving messages")


def _one(session: Session, person_id: int) -> FoundPerson:
    row = session.execute(
        select(Person, Organisation)
        .outerjoin(Organisation, Organisation.id == Person.school_id)
        .where(Person.id == person_id)
    ).one_or_none()
    if row is None:
        raise NotFound()
    return _person(row[0], row[1], masks_of(session, [person_id]).get(person_id))


def _person(person: Person, school: Organisation | None, phone: str | None) -> FoundPerson:
    return FoundPerson(
        person.id,
        mask_name(person.name),
        Text(school.name_zh, school.name_en) if school else None,
        phone,
        person.status,
    )


def _line(row: OutboxMessage) -> MessageLine:
    return MessageLine(
        id=row.id,
        template_key=row.template_key,
        subject_type=row.subject_type,
        subject_id=row.subject_id,
        state=row.state,
        reason=row.reason_code,
        address_mask=row.address_mask,
        language=row.language,
        created_at=row.created_at,
        next_at=row.next_at,
    )


@dataclass(frozen=True, slots=True)
class UrgentLine:
    """A notice that did not wait for the end of quiet hours; not what it said."""

    at: datetime
    school: Text
    sender: str
    reason: str
    over_budget: bool


def urgent_notices(session: Session, actor: Actor) -> list[UrgentLine]:
    """The newest notices that were sent as urgent, for whoever may read the audit trail."""
    refuse_unless_allowed(actor, Action.AUDIT_READ, None)
    rows = session.execute(
        select(
            Notice.sent_at,
            Organisation.name_zh,
            Organisation.name_en,
            Person.name,
            Notice.urgent_reason,
            Notice.over_budget,
        )
        .join(Organisation, Organisation.id == Notice.school_id)
        .join(Person, Person.id == Notice.sender_id)
        .where(Notice.urgent_reason.is_not(None))
        .order_by(Notice.id.desc())
        .limit(SHOWN)
    )
    return [
        UrgentLine(at, Text(zh, en), name, reason, over)
        for at, zh, en, name, reason, over in rows
        if at is not None and reason is not None
    ]
