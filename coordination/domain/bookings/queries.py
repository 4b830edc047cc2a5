"""Reads of resources and bookings. A constant number of queries, however many rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from math import asin, cos, radians, sin, sqrt
from zoneinfo import ZoneInfo

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.authz.visibility import visible
from coordination.domain.bookings import rules
from coordination.domain.bookings.models import (
    BLOCKING,
    Booking,
    BookingOccurrence,
    OpeningRule,
    Resource,
)
from coordination.domain.bookings.services import units_of
from coordination.domain.people.models import ClassGroup, Organisation, Person
from coordination.ground.actor import Actor
from coordination.ground.errors import NotFound

SHOWN_SLOTS = 3
_EARTH_KM = 6371.0


@dataclass(frozen=True, slots=True)
class Found:
    """A resource in the search, with its next free slots and how far it is."""

    resource: Resource
    owner: Organisation
    km: float | None
    slots: tuple[tuple[datetime, datetime], ...]


@dataclass(frozen=True, slots=True)
class BookingLine:
    """A booking in a list."""

    booking: Booking
    resource: Resource
    school: Organisation
    group: ClassGroup | None
    starts_at: datetime
    ends_at: datetime
    times: int


def search(
    session: Session,
    actor: Actor,
    *,
    day: date | None,
    people: int,
    max_km: float | None,
    now: datetime,
    zone: ZoneInfo,
    text: str = "",
) -> list[Found]:
    """Published resources that take the group, nearest first, with the next free slots."""
    home = _home(session, actor)
    query = (
        visible(Resource, actor, Action.RESOURCE_READ)
        .where(Resource.publish_state == "published", Resource.capacity_max >= people)
        .order_by(Resource.id)
        .limit(100)
    )
    if text:
        like = f"%{text}%"
        query = query.where(or_(Resource.title_zh.ilike(like), Resource.title_en.ilike(like)))
    resources = session.scalars(query).all()
    owners = _by_id(session, {r.owner_id for r in resources})
    hours = _hours(session, [r.id for r in resources])
    first = day or (now.astimezone(zone).date() + timedelta(days=1))
    days = [first] if day else [first + timedelta(days=i) for i in range(14)]
    taken = _taken(session, [r.id for r in resources], days[0], days[-1], zone)
    found = []
    for resource in resources:
        km = _distance(home, resource)
        if max_km is not None and km is not None and km > max_km:
            continue
        terms = _terms(resource, hours[resource.id])
        slots: list[tuple[datetime, datetime]] = []
        for each in days:
            if len(slots) >= SHOWN_SLOTS:
                break
            day_slots = rules.free_slots(
                terms,
                each,
                taken[resource.id],
                minutes=min(120, resource.max_minutes),
                buffers=(resource.buffer_before, resource.buffer_after),
                now=now,
                zone=zone,
            )
            # one slot a day shows choice; on a chosen day all that fit
            slots += day_slots[: SHOWN_SLOTS if day else 1]
        found.append(Found(resource, owners[resource.owner_id], km, tuple(slots[:SHOWN_SLOTS])))
    return sorted(found, key=lambda f: (not f.slots, f.km is None, f.km or 0))


def _home(session: Session, actor: Actor) -> Organisation | None:
    return session.scalars(
        select(Organisation).where(Organisation.id.in_(actor.orgs()), Organisation.kind == "school")
    ).first()


def _by_id(session: Session, ids: set[int]) -> dict[int, Organisation]:
    return {o.id: o for o in session.scalars(select(Organisation).where(Organisation.id.in_(ids)))}


def _hours(session: Session, ids: Collection[int]) -> dict[int, list[rules.Hours]]:
    found: dict[int, list[rules.Hours]] = defaultdict(list)
    for rule in session.scalars(select(OpeningRule).where(OpeningRule.resource_id.in_(ids))):
        found[rule.resource_id].append(rules.Hours(rule.weekday, rule.opens, rule.closes))
    return found


def _terms(resource: Resource, hours: list[rules.Hours]) -> rules.Terms:
    return rules.Terms(
        resource.notice_hours,
        resource.horizon_days,
        resource.slot_minutes,
        resource.max_minutes,
        resource.capacity_min,
        resource.capacity_max,
        tuple(hours),
    )


def _taken(
    session: Session, ids: Collection[int], first: date, last: date, zone: ZoneInfo
) -> dict[int, list[tuple[datetime, datetime]]]:
    since = datetime.combine(first, datetime.min.time(), tzinfo=zone)
    until = datetime.combine(last + timedelta(days=1), datetime.min.time(), tzinfo=zone)
    found: dict[int, list[tuple[datetime, datetime]]] = defaultdict(list)
    rows = session.execute(
        select(BookingOccurrence.resource_id, BookingOccurrence.during, Resource.parent_id)
        .join(Resource, Resource.id == BookingOccurrence.resource_id)
        .where(
            or_(BookingOccurrence.resource_id.in_(ids), Resource.parent_id.in_(ids)),
            BookingOccurrence.status.in_(BLOCKING),
            BookingOccurrence.starts_at < until,
            BookingOccurrence.ends_at > since - timedelta(days=1),
        )
    )
    for unit, during, parent in rows:
        if during.lower is None or during.upper is None:
            continue  # the CHECK forbids it
        span = (during.lower, during.upper)
        found[unit].append(span)
        if parent is not None:
            found[parent].append(span)
    return found


def _distance(home: Organisation | None, resource: Resource) -> float | None:
    """Great-circle distance in km, WGS-84 on a sphere: good enough to choose a venue."""
    if home is None or None in (home.lat, home.lng, resource.lat, resource.lng):
        return None
    a1, b1, a2, b2 = map(
        radians, (home.lat or 0, home.lng or 0, resource.lat or 0, resource.lng or 0)
    )
    h = sin((a2 - a1) / 2) ** 2 + cos(a1) * cos(a2) * sin((b2 - b1) / 2) ** 2
    return 2 * _EARTH_KM * asin(sqrt(h))


def resource_of(session: Session, actor: Actor, resource_id: int) -> tuple[Resource, Organisation]:
    """A resource the actor may read, with its owner."""
    found = session.scalar(
        visible(Resource, actor, Action.RESOURCE_READ).where(Resource.id == resource_id)
    )
    if found is None:
        raise NotFound()
    return found, session.get_one(Organisation, found.owner_id)


def hours_of(session: Session, resource_id: int) -> list[rules.Hours]:
    """The weekly opening hours."""
    return sorted(_hours(session, [resource_id])[resource_id], key=lambda h: (h.weekday, h.opens))


def slots_by_day(
    session: Session,
    resource: Resource,
    first: date,
    days: int,
    now: datetime,
    zone: ZoneInfo,
    minutes: int,
) -> list[tuple[date, list[tuple[datetime, datetime]]]]:
    """Free slots per day of a resource."""
    taken = _taken(session, [resource.id], first, first + timedelta(days=days), zone)
    terms = _terms(resource, hours_of(session, resource.id))
    return [
        (
            day,
            rules.free_slots(
                terms,
                day,
                taken[resource.id],
                minutes=minutes,
                buffers=(resource.buffer_before, resource.buffer_after),
                now=now,
                zone=zone,
            ),
        )
        for day in (first + timedelta(days=i) for i in range(days))
    ]


def bookings_of(
    session: Session, actor: Actor, *, states: Collection[str] = (), limit: int = 50
) -> list[BookingLine]:
    """Bookings the actor may read, the soonest first; for schools their own, for owners theirs."""
    query = visible(Booking, actor, Action.BOOKING_READ).order_by(Booking.id.desc()).limit(limit)
    if states:
        query = query.where(Booking.state.in_(states))
    return _lines(session, session.scalars(query).all())


def awaiting(session: Session, actor: Actor, limit: int = 50) -> list[BookingLine]:
    """The owner's inbox: undecided requests, oldest first."""
    query = (
        visible(Booking, actor, Action.BOOKING_DECIDE)
        .where(Booking.state == "tentative")
        .order_by(Booking.id)
        .limit(limit)
    )
    return _lines(session, session.scalars(query).all())


def booking_of(session: Session, actor: Actor, booking_id: int) -> BookingLine:
    """One booking the actor may read."""
    found = session.scalar(
        visible(Booking, actor, Action.BOOKING_READ).where(Booking.id == booking_id)
    )
    if found is None:
        raise NotFound()
    return _lines(session, [found])[0]


def _lines(session: Session, bookings: Collection[Booking]) -> list[BookingLine]:
    resources = {
        r.id: r
        for r in session.scalars(
            select(Resource).where(Resource.id.in_({b.resource_id for b in bookings}))
        )
    }
    schools = _by_id(session, {b.school_id for b in bookings})
    groups = {
        g.id: g
        for g in session.scalars(
            select(ClassGroup).where(ClassGroup.id.in_({b.class_id for b in bookings}))
        )
    }
    spans: dict[int, set[tuple[datetime, datetime]]] = defaultdict(set)
    for booking_id, starts, ends in session.execute(
        select(
            BookingOccurrence.booking_id, BookingOccurrence.starts_at, BookingOccurrence.ends_at
        ).where(BookingOccurrence.booking_id.in_([b.id for b in bookings]))
    ):
        if booking_id is not None:
            spans[booking_id].add((starts, ends))
    return [
        BookingLine(
            booking=b,
            resource=resources[b.resource_id],
            school=schools[b.school_id],
            group=groups.get(b.class_id) if b.class_id else None,
            starts_at=min(spans[b.id])[0],
            ends_at=min(spans[b.id])[1],
            times=len(spans[b.id]),
        )
        for b in bookings
        if spans[b.id]
    ]


def clashing(
    session: Session, resource: Resource, starts_at: datetime, ends_at: datetime
) -> list[tuple[datetime, datetime]]:
    """What stands in the way of a slot, without saying whose it is."""
    rows = session.execute(
        select(BookingOccurrence.starts_at, BookingOccurrence.ends_at)
        .where(
            BookingOccurrence.resource_id.in_(units_of(session, resource)),
            BookingOccurrence.status.in_(BLOCKING),
            BookingOccurrence.starts_at < ends_at + timedelta(minutes=resource.buffer_after),
            BookingOccurrence.ends_at > starts_at - timedelta(minutes=resource.buffer_before),
        )
        .distinct()
    )
    return sorted((a, b) for a, b in rows)


def classes_to_book_for(session: Session, actor: Actor) -> list[ClassGroup]:
    """Classes the actor may book for."""
    return list(
        session.scalars(
            visible(ClassGroup, actor, Action.BOOKING_REQUEST)
            .where(ClassGroup.active.is_(True))
            .order_by(ClassGroup.grade, ClassGroup.id)
            .limit(200)
        )
    )


def requester_name(session: Session, booking: Booking) -> str:
    """The name of the teacher who asked: partners need a person to talk to."""
    return session.get_one(Person, booking.requested_by_id).name
