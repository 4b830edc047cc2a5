"""What follows from bookings: texts to both sides and entries in venue, class and family calendars.

Partners are told counts and the class's name, never children's names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select

from coordination.domain.agenda import services as agenda
from coordination.domain.bookings.events import (
    BookingCancelledByPartner,
    BookingConfirmed,
    BookingDeclined,
    BookingExpired,
    BookingMoved,
    BookingRequested,
    BookingWithdrawn,
)
from coordination.domain.bookings.models import Booking, BookingOccurrence, Resource
from coordination.domain.bookings.rules import DECLINE_REASONS
from coordination.domain.people.models import ClassGroup, Organisation
from coordination.domain.people.recipients import guardians_of_classes, partner_staff
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork
from coordination.reactions import invitations
from coordination.reactions.notices import tell
from coordination.reactions.reminders import zone
from coordination.reactions.wording import span


@dataclass(frozen=True, slots=True)
class _Story:
    booking: Booking
    resource: Resource
    school: Organisation
    group: ClassGroup | None
    times: Sequence[BookingOccurrence]
    units: Sequence[int]

    @property
    def params(self) -> Mapping[str, Text | str]:
        first = self.times[0]
        group = self.group
        return {
            "resource": Text(self.resource.title_zh, self.resource.title_en),
            "school": Text(self.school.name_zh, self.school.name_en),
            "class": Text(group.name_zh, group.name_en) if group else Text("全校", "the school"),
            "when": self._when(span(first.starts_at, first.ends_at, zone())),
            "people": str(self.booking.children + self.booking.adults),
        }

    def _when(self, first: Text) -> Text:
        times = len(self.times)
        if times == 1:
            return first
        return Text(f"{first.zh}起每周共{times}次", f"{first.en}, weekly, {times} times")


def _story(uow: UnitOfWork, booking_id: int) -> _Story:
    booking = uow.session.get_one(Booking, booking_id)
    rows = uow.session.scalars(
        select(BookingOccurrence)
        .where(BookingOccurrence.booking_id == booking_id)
        .order_by(BookingOccurrence.starts_at, BookingOccurrence.resource_id)
    ).all()
    # one entry per time, however many parts of the venue it locks
    times = list({r.starts_at: r for r in reversed(rows)}.values())[::-1]
    return _Story(
        booking,
        uow.session.get_one(Resource, booking.resource_id),
        uow.session.get_one(Organisation, booking.school_id),
        uow.session.get(ClassGroup, booking.class_id) if booking.class_id else None,
        times,
        sorted({r.resource_id for r in rows}),
    )


def _owners(uow: UnitOfWork, owner_id: int) -> list[int]:
    return partner_staff(uow.session, owner_id, uow.now.date())


def _guardians(uow: UnitOfWork, story: _Story) -> list[int]:
    if story.group is None:
        return []
    found = guardians_of_classes(uow.session, [story.group.id], uow.now.date())
    return [r.guardian_id for r in found]


def _tell(uow: UnitOfWork, key: str, people: list[int], story: _Story, version: str) -> None:
    params = dict(story.params)
    code = story.booking.decision_code
    if code is not None:
        params["reason"] = DECLINE_REASONS[code]
    tell(
        uow,
        key,
        people,
        params,
        subject=("booking", story.booking.id),
        version=version,
        valid_until=story.times[-1].ends_at,
    )


def _write_agenda(uow: UnitOfWork, story: _Story, *, tentative: bool) -> None:
    group = story.group
    name = Text(story.resource.title_zh, story.resource.title_en)
    whose = group or story.school
    who = Text(whose.name_zh, whose.name_en)
    audiences: list[agenda.Audience] = [
        ("resource", one) for one in sorted({story.resource.id, *story.units})
    ]
    if group is not None:
        audiences.append(("class_staff" if tentative else "class", group.id))
    else:  # a whole school's: whoever booked it sees it at once, its families once it is sure
        audiences.append(("person", story.booking.requested_by_id))
        if not tentative:
            audiences.append(("school", story.school.id))
    for row in story.times:
        agenda.put(
            uow,
            subject_type="booking",
            subject_id=row.id,
            category="booking",
            starts_at=row.starts_at,
            ends_at=row.ends_at,
            summary=Text(f"{who.zh} {name.zh}", f"{who.en}: {name.en}"),
            location=Text(story.resource.address_zh, story.resource.address_en),
            geo=agenda.place(story.resource.lat, story.resource.lng),
            description=Text(story.booking.purpose, story.booking.purpose),
            audiences=audiences,
            tentative=tentative,
        )


def _cancel_agenda(uow: UnitOfWork, story: _Story) -> None:
    for row in story.times:
        agenda.cancel(uow, subject_type="booking", subject_id=row.id)
        invitations.send(uow, "booking", row.id, ())


def _invite(uow: UnitOfWork, story: _Story) -> None:
    """The teacher and the owner, once it is agreed; a change goes to whoever was invited."""
    both = [story.booking.requested_by_id, *_owners(uow, story.booking.owner_id)]
    for row in story.times:
        invitations.send(uow, "booking", row.id, both)


def requested(uow: UnitOfWork, event: BookingRequested) -> None:
    """The owner is asked; the slot shows as tentative to both."""
    story = _story(uow, event.booking_id)
    _tell(uow, "booking_requested", _owners(uow, story.booking.owner_id), story, "1")
    _write_agenda(uow, story, tentative=True)


def confirmed(uow: UnitOfWork, event: BookingConfirmed) -> None:
    """The teacher is told; it stands in the venue's, the class's and the families' calendars."""
    story = _story(uow, event.booking_id)
    people = [story.booking.requested_by_id]
    if story.booking.decided_by_id is None:  # booked directly: the owner learns of it here
        people += _owners(uow, story.booking.owner_id)
    _tell(uow, "booking_confirmed", people, story, "1")
    _write_agenda(uow, story, tentative=False)
    _invite(uow, story)


def declined(uow: UnitOfWork, event: BookingDeclined) -> None:
    """The teacher is told why."""
    story = _story(uow, event.booking_id)
    _tell(uow, "booking_declined", [story.booking.requested_by_id], story, "1")
    _cancel_agenda(uow, story)


def cancelled_by_partner(uow: UnitOfWork, event: BookingCancelledByPartner) -> None:
    """The teacher is told why, and the families, who had it in their calendars."""
    story = _story(uow, event.booking_id)
    _tell(uow, "booking_cancelled", [story.booking.requested_by_id], story, "1")
    _tell(uow, "booking_cancelled_family", _guardians(uow, story), story, "1")
    _cancel_agenda(uow, story)


def withdrawn(uow: UnitOfWork, event: BookingWithdrawn) -> None:
    """The owner is told, and the families if they knew."""
    story = _story(uow, event.booking_id)
    people = _owners(uow, story.booking.owner_id)
    if story.booking.requested_by_id != uow.actor.person_id:
        people.append(story.booking.requested_by_id)
    _tell(uow, "booking_withdrawn", people, story, "1")
    if event.was_confirmed:
        _tell(uow, "booking_cancelled_family", _guardians(uow, story), story, "1")
    _cancel_agenda(uow, story)


def expired(uow: UnitOfWork, event: BookingExpired) -> None:
    """The teacher may look elsewhere."""
    story = _story(uow, event.booking_id)
    _tell(uow, "booking_expired", [story.booking.requested_by_id], story, "1")
    _cancel_agenda(uow, story)


def moved(uow: UnitOfWork, event: BookingMoved) -> None:
    """Owner and teacher are told, and the families if they knew; the calendars follow."""
    story = _story(uow, event.booking_id)
    people = [story.booking.requested_by_id, *_owners(uow, story.booking.owner_id)]
    if event.was_confirmed:
        people += _guardians(uow, story)
    # every move is news, also one back to a time that was announced before
    _tell(uow, "booking_moved", people, story, uow.now.isoformat())
    _write_agenda(uow, story, tentative=story.booking.state == "tentative")
    _invite(uow, story)
