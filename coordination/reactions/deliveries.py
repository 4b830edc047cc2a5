"""The last look before a message leaves: may this person still have it, and at which number?

The notification library asks this in its claiming transaction and keeps no address itself. What has
changed since the message was written (custody, a left child, an opt-out) is found here, so that it
takes effect at once. Writes nothing but the code of a text that says several (`together`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, any_, func, select
from sqlalchemy.orm import Session

from coordination.domain.communication.models import Notice, NoticeRecipient
from coordination.domain.communication.texts import limits
from coordination.domain.consents.models import ConsentAnswer, ConsentAsk
from coordination.domain.people import contacts
from coordination.domain.people.models import ContactPoint, Guardianship, Person
from coordination.domain.people.recipients import is_told
from coordination.domain.practice.models import Enrolment
from coordination.ground import clock, crypto
from coordination.ground.text import LANGUAGES, mask_name
from coordination.reactions import by_mail, on_consents, together
from coordination.reactions.quiet_hours import (
    AT_ONCE,
    EVENING,
    OWN_HOUR,
    QUIET,
    own_wait,
    waits_of,
    waits_until,
)
from notifications import merged, outbox
from notifications.values import ROUTINE, Address, DayLimit, Outgoing, Pending, Skip

# before it nobody wants to read what could wait
MORNING = time(7, 30)


class Resolver:
    """Answers the dispatcher: an address, or the reason why not."""

    def __init__(
        self, zone: ZoneInfo, *, together_in: Callable[[], Collection[str]] = lambda: LANGUAGES
    ) -> None:
        # several notices are said in one in these languages only: a gateway of templates may not
        # have been given that one yet
        self._zone, self._together_in = zone, together_in

    def resolve(
        self, conn: Connection, messages: Sequence[Pending]
    ) -> Mapping[int, Address | Skip]:
        """Address or Skip per message id; phones are decrypted here and nowhere kept."""
        session = Session(bind=conn, join_transaction_mode="create_savepoint")
        today = clock.today(self._zone)
        messages, arrived = by_mail.as_their_texts(session, messages)
        people = {m.recipient_id for m in messages}
        active: dict[int, time | None] = {
            person: hour
            for person, hour in session.execute(
                select(Person.id, Person.notices_from).where(
                    Person.id.in_(people), Person.status == "active"
                )
            )
        }
        addresses = {
            "sms": contacts.phones_of(session, people),
            "email": contacts.emails_of(session, people),
        }
        # who opted out still gets what was asked for, and what cannot wait
        wanted = {m.recipient_id for m in messages if m.message_class not in ROUTINE}
        in_need = contacts.phones_in_need_of(session, wanted) if wanted else {}
        suppressed: dict[int, str | None] = {
            person: reason
            for person, reason in session.execute(
                select(ContactPoint.person_id, ContactPoint.suppressed_reason)
                .where(ContactPoint.person_id.in_(people), ContactPoint.suppressed_at.is_not(None))
                .order_by(ContactPoint.id)
            )
        }
        several = _say_several(session, messages)
        cut_off = _cut_off(session, messages, today) | _cut_off_together(session, several, today)
        stopped = _stopped(session, messages)
        withdrawn = _all_stopped(session, several)
        waits = waits_of(session, clock.now(), self._zone)
        hours = {person: hour for person, hour in active.items() if hour is not None}
        wishes = own_wait(session, hours, clock.now(), self._zone) if hours else {}
        answers: dict[int, Address | Skip] = {}
        for message in messages:
            person = message.recipient_id
            kind = "email" if message.channel.endswith("email") else "sms"
            address = addresses[kind].get(person)
            if address is None and kind == "sms" and message.message_class not in ROUTINE:
                address = in_need.get(person)
            if person not in active:
                answers[message.id] = Skip("left")
            elif (
                message.subject_type == "notice" and message.subject_id in stopped
            ) or message.id in withdrawn:
                answers[message.id] = Skip("withdrawn")
            elif message.id in arrived:
                answers[message.id] = Skip("text_arrived")
            elif message.id in cut_off:
                answers[message.id] = Skip("no_longer_concerned")
            elif address is None:
                answers[message.id] = Skip(suppressed.get(person) or "no_address")
            elif (
                (wish := wishes.get(person)) is not None
                and (waits.notice is None or wish > waits.notice)
                and _is_gathered(message)
            ):
                answers[message.id] = Skip(OWN_HOUR, wish)
            elif waits.evening and _is_gathered(message):
                answers[message.id] = Skip(EVENING, waits.notice)
            elif waits.text is not None and message.message_class not in AT_ONCE:
                answers[message.id] = Skip(QUIET, waits.text)
            else:
                key = crypto.blind_index(address).hex()
                answers[message.id] = Address(kind, address, key)
        return answers

    def may_gather(self, template_key: str, message_class: str) -> bool:
        """Whether a message may be said together with others to the same family."""
        return together.may_gather(template_key, message_class)

    def gather(
        self, conn: Connection, families: Sequence[Sequence[Pending]]
    ) -> Sequence[Outgoing | None]:
        """One text for each family's several notices."""
        return together.gather(conn, families, self._together_in())

    def day_limit(self, conn: Connection, at: datetime) -> DayLimit | None:
        """The district's limit for the local day of `at`; what is beyond leaves the next morning,
        or when the quiet hours after it are over."""
        session = Session(bind=conn, join_transaction_mode="create_savepoint")
        most = limits.per_day(session)
        if not most:
            return None
        day = at.astimezone(self._zone).date()
        morning = datetime.combine(day + timedelta(days=1), MORNING, self._zone)
        return DayLimit(
            most,
            since=datetime.combine(day, time(0), self._zone),
            until=waits_until(session, morning, self._zone) or morning,
        )


def _is_gathered(message: Pending) -> bool:
    """Whether a message waits in the evening for others to the same family. One that was refused
    before will be sent for itself, so it need not."""
    return not message.tries and together.may_gather(message.template_key, message.message_class)


def _stopped(session: Session, messages: Sequence[Pending]) -> set[int]:
    """Notices that were stopped. A text that was under way then, and was refused, comes back here."""
    notices = {m.subject_id for m in messages if m.subject_type == "notice"}
    return set(
        session.scalars(
            select(Notice.id).where(Notice.id.in_(notices), Notice.state == "cancelled")
        )
    )


# what a message that says several says: (reader, notice) of each
Several = Mapping[int, Sequence[tuple[int, int]]]


def _say_several(session: Session, messages: Sequence[Pending]) -> Several:
    """The notices behind each message that says several."""
    leads = {m.subject_id: m.id for m in messages if m.subject_type == together.SUBJECT}
    found: dict[int, list[tuple[int, int]]] = defaultdict(list)
    if leads:
        for lead, reader, _, notice_id in session.execute(merged.members(leads.keys())):
            found[leads[lead]].append((reader, notice_id))
    return found


def _all_stopped(session: Session, several: Several) -> set[int]:
    """Messages all of whose notices were stopped since."""
    asked = {notice for said in several.values() for _, notice in said}
    live = (
        set(
            session.scalars(
                select(Notice.id).where(Notice.id.in_(asked), Notice.state != "cancelled")
            )
        )
        if asked
        else set()
    )
    return {i for i, said in several.items() if not any(notice in live for _, notice in said)}


def _cut_off_together(session: Session, several: Several, today: date) -> set[int]:
    """Messages whose reader may have none of the children of any of their notices now."""
    if not several:
        return set()
    pairs = {pair for said in several.values() for pair in said}
    row = NoticeRecipient
    told = select(Guardianship.id).where(
        Guardianship.guardian_id == row.guardian_id,
        Guardianship.child_id == any_(row.child_ids),
        is_told(today),
    )
    rows = session.execute(
        select(row.guardian_id, row.notice_id).where(
            row.guardian_id.in_({reader for reader, _ in pairs}),
            row.notice_id.in_({notice for _, notice in pairs}),
            told.exists(),
        )
    )
    open_to = {(reader, notice) for reader, notice in rows}
    return {i for i, said in several.items() if not any(pair in open_to for pair in said)}


def _cut_off(session: Session, messages: Sequence[Pending], today: date) -> set[int]:
    """Messages whose reader is a guardian of the children concerned, but may have none of them now."""
    by_subject: dict[tuple[str, int], list[Pending]] = defaultdict(list)
    for message in messages:
        by_subject[message.subject_type, message.subject_id].append(message)
    found: set[int] = set()
    for (kind, subject_id), group in by_subject.items():
        readers = {m.recipient_id for m in group}
        if kind == "notice":
            cut = _named_in_vain(session, subject_id, readers, today)
            found |= {m.id for m in group if m.recipient_id in cut}
            continue
        children = children_concerned(session, kind, subject_id)
        if not children:
            continue
        pairs = session.execute(
            select(Guardianship.guardian_id, Guardianship.child_id, is_told(today)).where(
                Guardianship.guardian_id.in_(readers), Guardianship.child_id.in_(children)
            )
        ).all()
        told = {g for g, _, ok in pairs if ok}
        hidden: dict[int, set[int]] = defaultdict(set)
        for guardian, child, ok in pairs:
            if not ok:
                hidden[guardian].add(child)
        found |= {m.id for m in group if m.recipient_id in hidden.keys() - told}
        found |= _named_all_the_same(
            session, {m.id: hidden[m.recipient_id] for m in group if m.recipient_id in hidden}
        )
    return found


def _named_all_the_same(session: Session, hidden: Mapping[int, Collection[int]]) -> set[int]:
    """Messages that name, masked as texts do, a child hidden from their reader since they were
    written: with a sibling's name or, two being masked alike, instead of it."""
    if not hidden:
        return set()
    masked: dict[int, str] = {
        child: mask_name(name)
        for child, name in session.execute(
            select(Person.id, Person.name).where(
                Person.id.in_({child for children in hidden.values() for child in children})
            )
        )
    }
    return {
        message_id
        for message_id, body in outbox.bodies(session, hidden.keys()).items()
        if any(masked[child] in body for child in hidden[message_id])
    }


def _named_in_vain(
    session: Session, notice_id: int, readers: Collection[int], today: date
) -> set[int]:
    """Readers to whom a notice's text names a child of whom they may not be told now. It was written
    with all their children's names, so it does not go for the others either; the school phones."""
    row = NoticeRecipient
    named = (
        select(row.guardian_id, func.unnest(row.child_ids).label("child_id"))
        .where(row.notice_id == notice_id, row.guardian_id.in_(readers))
        .subquery("named")
    )
    told = select(Guardianship.id).where(
        Guardianship.guardian_id == named.c.guardian_id,
        Guardianship.child_id == named.c.child_id,
        is_told(today),
    )
    return set(session.scalars(select(named.c.guardian_id).where(~told.exists())))


def children_concerned(session: Session, subject_type: str, subject_id: int) -> set[int]:
    """The children a message is about, for the kinds of subject that concern children."""
    if subject_type == "session":
        return set(
            session.scalars(select(Enrolment.child_id).where(Enrolment.session_id == subject_id))
        )
    if subject_type == "consent":
        return set(
            session.scalars(select(ConsentAsk.child_id).where(ConsentAsk.request_id == subject_id))
        )
    if subject_type == on_consents.SUBJECT:
        return set(
            session.scalars(select(ConsentAnswer.child_id).where(ConsentAnswer.id == subject_id))
        )
    return set()
