"""A meeting by mail: staff who have an e-mail address get the calendar entry itself, and its changes.

Only rows are written here; the invitation (iTIP, RFC 5546) is made when the mail leaves, from the
entry as it then is, so that a mail that waited cannot take a calendar back. Families are told by
text and subscribe; no child is named in an entry, so none is in a mail.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from calendars import invitation
from calendars.errors import UnfitAddress
from calendars.invitation import Party
from coordination.domain.agenda.models import CalendarEntry
from coordination.domain.agenda.services import as_entry
from coordination.domain.people.models import ContactPoint, Person
from coordination.ground import portal
from coordination.ground.text import LANGUAGES, Language, Text
from coordination.ground.uow import UnitOfWork
from coordination.reactions import reminders
from coordination.reactions.wording import span
from notifications import outbox, templates
from notifications.channels.smtp_email import Itip
from notifications.models import OutboxMessage
from notifications.values import Attempt, Outgoing

_MAILS = Path(__file__).parent / "mails"
SUBJECT = "entry"
KEYS = ("invitation", "invitation_off")


def send(uow: UnitOfWork, subject_type: str, subject_id: int, person_ids: Iterable[int]) -> None:
    """Invite these people to the entry of a subject, and tell those invited before of its change.

    Written once per person and SEQUENCE, however often a handler runs. What is only asked for is no
    meeting yet, and invites nobody who was not invited before.
    """
    uow.session.flush()
    entry = uow.session.scalar(
        select(CalendarEntry).where(
            CalendarEntry.subject_type == subject_type, CalendarEntry.subject_id == subject_id
        )
    )
    if entry is None:
        return
    wanted = set(person_ids) if entry.status == "confirmed" else set()
    wanted |= _invited(uow, entry.id)
    readers = uow.session.execute(
        select(Person.id, Person.language)
        .join(ContactPoint, ContactPoint.person_id == Person.id)
        .where(
            Person.id.in_(wanted),
            ContactPoint.kind == "email",
            ContactPoint.suppressed_at.is_(None),
        )
        .order_by(Person.id)
    )
    off = entry.status == "cancelled"
    outbox.enqueue(
        uow.session,
        [
            Outgoing(
                recipient_id=person,
                household_key=None,
                template_key=KEYS[off],
                language=language,
                params={},
                body=_render(KEYS[off], entry, "zh" if language == "zh" else "en"),
                message_class="info",
                channel="email",
                subject_type=SUBJECT,
                subject_id=entry.id,
                dedupe_key=f"{KEYS[off]}:{entry.id}:{entry.sequence}:{person}",
                valid_until=entry.ends_at,
                link=portal.address(portal.entry_path(entry.id)),
            )
            for person, language in {row.id: row.language for row in readers}.items()
        ],
    )


def _invited(uow: UnitOfWork, entry_id: int) -> set[int]:
    return set(
        uow.session.scalars(
            select(OutboxMessage.recipient_id).where(
                OutboxMessage.subject_type == SUBJECT,
                OutboxMessage.subject_id == entry_id,
                OutboxMessage.template_key == KEYS[0],
            )
        )
    )


@cache
def wording(key: str, language: Language) -> str:
    """The mail of a key in a language; its first line is the subject."""
    return (_MAILS / key / f"{language}.txt").read_text(encoding="utf-8").strip()


def _render(key: str, entry: CalendarEntry, language: Language) -> str:
    template = wording(key, language)
    at = span(entry.starts_at, entry.ends_at, reminders.zone())
    values = {
        "title": Text(entry.summary_zh, entry.summary_en),
        "when": at,
        "place": Text(entry.location_zh or "见日历", entry.location_en or "see the calendar"),
    }
    named = templates.placeholders(template)
    return templates.render(template, {n: values[n].in_(language) for n in named}, named)


class Invitations:
    """What goes with a mail about an entry: a REQUEST, or a CANCEL once it is cancelled."""

    def __init__(self, engine: Engine, sender: str) -> None:
        self._engine, self._sender = engine, sender

    def __call__(self, attempt: Attempt) -> Itip | None:
        """The iTIP part of an attempt; None if it is about no entry, or the entry is gone."""
        if attempt.subject_type != SUBJECT:
            return None
        language: Language = "zh" if attempt.language == LANGUAGES[0] else "en"
        with Session(self._engine) as session:
            row = session.get(CalendarEntry, attempt.subject_id)
            name = session.scalar(select(Person.name).where(Person.id == attempt.recipient_id))
            if row is None:
                return None
            entry = as_entry(row, language)
        try:
            attendee = Party(name or "", attempt.address.value)
        except UnfitAddress:  # the relay will say so
            return None
        organizer = Party(portal.NAME.in_(language), self._sender)
        if entry.status == "cancelled":
            return Itip("CANCEL", invitation.cancel(entry, organizer, [attendee]))
        return Itip("REQUEST", invitation.request(entry, organizer, [attendee], rsvp=False))
