"""A text of which nobody knows that it arrived goes by mail as well, once; never as a second text. What
cannot wait goes by both at once, and by mail alone to who has no phone.

Only rows are written here, and only for who has an e-mail address. The mail waits at its claim like
any message: who may not have the text any more gets no mail, and a receipt that came meanwhile spares
it. Must not know how texts or mails are sent.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Text as SqlText
from sqlalchemy import case, cast, func, literal, or_, select
from sqlalchemy.orm import Session, aliased

from coordination.authz.actions import Action
from coordination.domain.oversight.traces import MAILED
from coordination.domain.people.models import ContactPoint
from coordination.ground.uow import UnitOfWork
from coordination.reactions.invitations import wording
from notifications import outbox, templates
from notifications.models import DeliveryAttempt, OutboxMessage
from notifications.states import AttemptState, State
from notifications.values import MessageClass, Outgoing, Pending

# minutes from the first try on; a sign-in code is never sent by mail, it would come too late
MINUTES: Mapping[MessageClass, int] = {"urgent": 5, "confirm": 30, "sign": 30, "info": 30}
# whoever is told an address for receipts with each text; of the others nobody can say that a receipt
# is missing until they have reported on some other text of late
REPORTING = frozenset({"twilio_sms"})
# a clock that stood still makes up for so much; older texts stay what they were
LOOKED_BACK = timedelta(hours=3)
AT_ONCE = 500
ALERT = "mail_alert"
KEYS = (ALERT, "mail_no_receipt", "mail_in_doubt", "mail_not_delivered")
# how a text stands -> the wording of the mail, which is also the kept reason for it
_WHY: Mapping[State, str] = {
    State.ACCEPTED: "mail_no_receipt",
    State.UNKNOWN: "mail_in_doubt",
    State.NEEDS_HUMAN: "mail_in_doubt",
    State.UNDELIVERED: "mail_not_delivered",
    State.FAILED: "mail_not_delivered",
}

_there_is_a_server = False


def use_server(exists: bool) -> None:
    """Set once by the composition root: without a mail server nothing is written."""
    global _there_is_a_server
    _there_is_a_server = exists


def key_of(message_id: int) -> str:
    """The key under which the mail of a text stands in the outbox, once."""
    return f"mail:{message_id}"


@dataclass(frozen=True, slots=True)
class Reader:
    """Who is to have an alert by mail, and what its text says."""

    language: str
    household_key: str
    says: str


def write_at_once(uow: UnitOfWork, notice_id: int, readers: Mapping[int, Reader]) -> int:
    """Mail an alert to those of its readers who have an address; how many.

    Beside a text it is that text's one mail, so that none follows when no receipt comes; without one
    it is the message of the family itself.
    """
    if not _there_is_a_server:
        return 0
    addressed = uow.session.scalars(
        select(ContactPoint.person_id)
        .where(
            ContactPoint.person_id.in_(readers),
            ContactPoint.kind == "email",
            ContactPoint.suppressed_at.is_(None),
        )
        .distinct()
    ).all()
    texts: dict[int, int] = {
        person: number
        for person, number in uow.session.execute(
            select(OutboxMessage.recipient_id, func.min(OutboxMessage.id))
            .where(
                OutboxMessage.subject_type == "notice",
                OutboxMessage.subject_id == notice_id,
                OutboxMessage.channel == "sms",
                OutboxMessage.recipient_id.in_(addressed),
            )
            .group_by(OutboxMessage.recipient_id)
        )
    }
    return outbox.enqueue(
        uow.session,
        [
            Outgoing(
                recipient_id=person,
                household_key=None if text else readers[person].household_key,
                template_key=ALERT,
                language=readers[person].language,
                params={},
                body=_filled(ALERT, readers[person].language, readers[person].says),
                message_class="urgent",
                channel="email",
                subject_type=MAILED if text else "notice",
                subject_id=text or notice_id,
                dedupe_key=key_of(text) if text else f"mail:notice:{notice_id}:{person}",
            )
            for person in sorted(addressed)
            for text in [texts.get(person)]
        ],
    )


def write_due(uow: UnitOfWork) -> int:
    """Write the mails of texts that have waited long enough for a receipt; how many are new."""
    uow.authorize(Action.SYSTEM_RUN)
    if not _there_is_a_server:
        return 0
    return outbox.enqueue(
        uow.session,
        [
            Outgoing(
                recipient_id=text.recipient_id,
                household_key=None,
                template_key=_WHY[State(text.state)],
                language=text.language,
                params={},
                body=_body(text),
                message_class=text.message_class,  # type: ignore[arg-type]
                channel="email",
                subject_type=MAILED,
                subject_id=text.id,
                dedupe_key=key_of(text.id),
                valid_until=text.valid_until,
            )
            for text in _overdue(uow)
        ],
    )


def _overdue(uow: UnitOfWork) -> list[OutboxMessage]:
    """Found by their attempts, which stand in the order of time: texts have no index for this."""
    mail = aliased(OutboxMessage)
    patience = case(
        *(
            (OutboxMessage.message_class == name, literal(timedelta(minutes=minutes)))
            for name, minutes in MINUTES.items()
        )
    )
    lately = DeliveryAttempt.intent_at > uow.now - LOOKED_BACK
    heard_of = select(DeliveryAttempt.channel).where(
        lately, DeliveryAttempt.state.in_((AttemptState.DELIVERED, AttemptState.UNDELIVERED))
    )
    tried = (
        select(
            DeliveryAttempt.message_id,
            func.min(DeliveryAttempt.intent_at).label("first"),
            func.bool_or(
                or_(DeliveryAttempt.channel.in_(REPORTING), DeliveryAttempt.channel.in_(heard_of))
            ).label("reported"),
        )
        .where(
            lately,
            DeliveryAttempt.intent_at <= uow.now - timedelta(minutes=min(MINUTES.values())),
            DeliveryAttempt.state != AttemptState.DELIVERED,
        )
        .group_by(DeliveryAttempt.message_id)
        .subquery("tried")
    )
    return list(
        uow.session.scalars(
            select(OutboxMessage)
            .join(tried, tried.c.message_id == OutboxMessage.id)
            .where(
                OutboxMessage.channel == "sms",
                OutboxMessage.message_class.in_(MINUTES),
                OutboxMessage.state.in_(_WHY),
                or_(OutboxMessage.state != State.ACCEPTED, tried.c.reported),
                tried.c.first <= uow.now - patience,
                or_(OutboxMessage.valid_until.is_(None), OutboxMessage.valid_until > uow.now),
                OutboxMessage.body.is_not(None),
                select(ContactPoint.id)
                .where(
                    ContactPoint.person_id == OutboxMessage.recipient_id,
                    ContactPoint.kind == "email",
                    ContactPoint.suppressed_at.is_(None),
                )
                .exists(),
                ~select(mail.id)
                .where(mail.dedupe_key == func.concat("mail:", cast(OutboxMessage.id, SqlText)))
                .exists(),
            )
            .order_by(OutboxMessage.id)
            .limit(AT_ONCE)
        )
    )


def _body(text: OutboxMessage) -> str:
    return _filled(_WHY[State(text.state)], text.language, text.body or "")


def _filled(key: str, language: str, says: str) -> str:
    template = wording(key, "zh" if language == "zh" else "en")
    return templates.render(template, {"text": says}, templates.placeholders(template))


@dataclass(frozen=True, slots=True)
class _AsItsText:
    """A mail as the resolver has to judge it: by what its text is about."""

    id: int
    recipient_id: int
    household_key: str | None
    template_key: str
    language: str
    message_class: str
    channel: str
    subject_type: str
    subject_id: int
    tries: int


def as_their_texts(
    session: Session, messages: Sequence[Pending]
) -> tuple[Sequence[Pending], Collection[int]]:
    """The messages, with each such mail under its text's subject; and the mails whose text arrived."""
    wanted = {m.subject_id for m in messages if m.subject_type == MAILED}
    if not wanted:
        return messages, ()
    texts = {
        row.id: row
        for row in session.execute(
            select(
                OutboxMessage.id,
                OutboxMessage.subject_type,
                OutboxMessage.subject_id,
                OutboxMessage.state,
            ).where(OutboxMessage.id.in_(wanted))
        )
    }
    judged: list[Pending] = []
    arrived = set()
    for message in messages:
        text = texts.get(message.subject_id) if message.subject_type == MAILED else None
        if text is None:
            judged.append(message)
            continue
        judged.append(
            _AsItsText(
                id=message.id,
                recipient_id=message.recipient_id,
                household_key=message.household_key,
                template_key=message.template_key,
                language=message.language,
                message_class=message.message_class,
                channel=message.channel,
                subject_type=text.subject_type,
                subject_id=text.subject_id,
                tries=message.tries,
            )
        )
        if text.state == State.DELIVERED and message.template_key != ALERT:
            arrived.add(message.id)
    return judged, arrived
