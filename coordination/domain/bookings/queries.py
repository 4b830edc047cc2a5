"""Reads of resources and bookings. A constant number of queries, however many rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from math import cos, radians
from zoneinfo import ZoneInfo

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Float,
    Select,
    and_,
    bindparam,
    case,
    func,
    literal,
    null,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session, aliased

from calendars.values import Span
from calendars.workdays import DayKind
from coordination.authz.actions import Action
from coordination.authz.visibility import visible, where_visible
from coordination.domain.agenda import busy
from coordination.domain.bookings import rules
from coordination.domain.bookings.models import (
    BLOCKING,
    Booking,
    BookingOccurrence,
    OpeningRule,
    Resource,
)
from coordination.domain.bookings.values import Hours, Slot, Terms
from coordination.domain.people import schooldays
from coordination.domain.people.models import ClassGroup, Organisation, Person
from coordination.ground.actor import Actor, Role
from coordination.ground.errors import NotFound

SHOWN_SLOTS = 3
SEARCH_LIMIT = 60
SEARCH_DAYS = 14
USUAL_MINUTES = 120
_EARTH_KM = 6371.0
_KM_PER_DEGREE = 111.2


@dataclass(frozen=True, slots=True)
class Found:
    """A resource in the search, with its next free slots and how far it is."""

    resource: Resource
    owner: Organisation
    km: float | None
    slots: tuple[Slot, ...]


@dataclass(frozen=True, slots=True)
class BookingLine:
    """A booking in a list; `slots` are its stretches of time, the soonest first."""

    booking: Booking
    resource: Resource
    school: Organisation
    owner: Organisation
    group: ClassGroup | None
    slots: tuple[Slot, ...]

    @property
    def starts_at(self) -> datetime:
        """When the first time begins."""
        return self.slots[0].starts_at

    @property
    def ends_at(self) -> datetime:
        """When the first time ends."""
        return self.slots[0].ends_at

    @property
    def times(self) -> int:
        """How many times it takes place."""
        return len(self.slots)


@dataclass(frozen=True, slots=True)
class Neighbour:
    """What else an owner has on the day of a request; `overlaps` if at the very time."""

    title_zh: str
    title_en: str
    slot: Slot
    status: str
    overlaps: bool


@dataclass(frozen=True, slots=True)
class Day:
    """A day of a resource: opening hours, free slots, and what blocks time."""

    day: date
    opening: tuple[tuple[time, time], ...]
    free: tuple[Slot, ...]
    taken: tuple[Slot, ...]


# -- terms, hours, exceptions ------------------------------------------------------------------


def _terms(resource: Resource, hours: Sequence[Hours]) -> Terms:
    return Terms(
        notice_hours=resource.notice_hours,
        horizon_days=resource.horizon_days,
        slot_minutes=resource.slot_minutes,
        max_minutes=resource.max_minutes,
        capacity_min=resource.capacity_min,
        capacity_max=resource.capacity_max,
        hours=tuple(hours),
        buffer_before=resource.buffer_before,
        buffer_after=resource.buffer_after,
    )


def _hours(session: Session, ids: Collection[int]) -> dict[int, list[Hours]]:
    found: dict[int, list[Hours]] = defaultdict(list)
    for rule in session.scalars(
        select(OpeningRule)
        .where(OpeningRule.resource_id.in_(ids))
        .order_by(OpeningRule.valid_from.nulls_first(), OpeningRule.weekday, OpeningRule.opens)
    ):
        found[rule.resource_id].append(
            Hours(rule.weekday, rule.opens, rule.closes, rule.valid_from, rule.valid_to)
        )
    return found


def terms_of(session: Session, resource: Resource) -> Terms:
    """The owner's terms as the rules read them."""
    return _terms(resource, hours_of(session, resource.id))


def hours_of(session: Session, resource_id: int) -> list[Hours]:
    """The opening hours, weekly ones first, then single dates."""
    return _hours(session, [resource_id])[resource_id]


def overrides_between(
    session: Session, first: Slot, last: Slot, zone: ZoneInfo
) -> dict[date, DayKind]:
    """Where the district departs from the published calendar, over the days of these slots."""
    return schooldays.overrides_between(
        session,
        first.starts_at.astimezone(zone).date(),
        last.ends_at.astimezone(zone).date(),
    )


# -- what is taken, what is free ---------------------------------------------------------------


def units_of(session: Session, resource: Resource) -> list[int]:
    """What is locked when a resource is booked: its parts, or itself if it has none."""
    parts = list(
        session.scalars(
            select(Resource.id).where(Resource.parent_id == resource.id).order_by(Resource.id)
        )
    )
    return parts or [resource.id]


def _taken(
    session: Session,
    ids: Collection[int],
    since: datetime,
    until: datetime,
    *,
    besides: int | None = None,
) -> dict[int, list[Slot]]:
    """Blocked spans, buffers included, per resource; what blocks a part blocks the whole too."""
    found: dict[int, list[Slot]] = defaultdict(list)
    occurrence, unit = BookingOccurrence, aliased(Resource)
    query = (
        select(occurrence.resource_id, unit.parent_id, occurrence.during)
        .join(unit, unit.id == occurrence.resource_id)
        .where(
            or_(occurrence.resource_id.in_(ids), unit.parent_id.in_(ids)),
            occurrence.status.in_(BLOCKING),
            occurrence.during.op("&&")(func.tstzrange(since, until)),
        )
    )
    if besides is not None:
        query = query.where(occurrence.booking_id.is_distinct_from(besides))
    for unit_id, parent_id, during in session.execute(query):
        if during.lower is None or during.upper is None:
            continue  # the table's own check forbids it
        span = Slot(during.lower, during.upper)
        found[unit_id].append(span)
        if parent_id is not None:
            found[parent_id].append(span)
    _add_outside(session, found, ids, since, until)
    return found


def _add_outside(
    session: Session,
    found: dict[int, list[Slot]],
    ids: Collection[int],
    since: datetime,
    until: datetime,
) -> None:
    """What the owners' own calendars say, of the resource itself, its whole and its parts."""
    families = _families(session, ids)
    related = set().union(*families.values()) if families else set()
    spans: dict[int, list[Slot]] = defaultdict(list)
    for resource_id, span in busy.busy_between(session, related, since, until):
        spans[resource_id].append(Slot(span.starts_at, span.ends_at))
    if spans:
        for wanted, family in families.items():
            for one in family:
                found[wanted] += spans[one]


def _families(session: Session, ids: Collection[int]) -> dict[int, set[int]]:
    """Per resource: itself, its parts and what it is a part of."""
    found = {one: {one} for one in ids}
    rows = session.execute(
        select(Resource.id, Resource.parent_id).where(
            Resource.parent_id.is_not(None),
            or_(Resource.id.in_(ids), Resource.parent_id.in_(ids)),
        )
    )
    for part, whole in rows:
        if whole is None:
            continue  # the query leaves them out
        if part in found:
            found[part].add(whole)
        if whole in found:
            found[whole].add(part)
    return found


def family_of(session: Session, resource: Resource) -> set[int]:
    """The resource, its parts and what it is a part of: whose calendars speak for it."""
    return _families(session, [resource.id])[resource.id]


def outside_clashes(session: Session, resource: Resource, slots: Sequence[Slot]) -> list[Slot]:
    """What the owner's own calendar has at these times, buffers considered."""
    wide = [s.widened(resource.buffer_before, resource.buffer_after) for s in slots]
    found = busy.busy_within(
        session, family_of(session, resource), [Span(s.starts_at, s.ends_at) for s in wide]
    )
    return [Slot(s.starts_at, s.ends_at) for s in found]


def bookings_met(
    session: Session, actor: Actor, resource: Resource, source_id: int, now: datetime
) -> list[BookingLine]:
    """Bookings to come of a resource at whose times one of its calendars is busy."""
    spans = [Slot(s.starts_at, s.ends_at) for s in busy.busy_of(session, source_id, now)]
    if not spans:
        return []
    lines = bookings_of(
        session,
        actor,
        since=now,
        resource_id=resource.id,
        states=("tentative", "confirmed"),
        limit=200,
    )
    return [
        line for line in lines if any(slot.overlaps(span) for slot in line.slots for span in spans)
    ]


def outside_clashes_of(session: Session, lines: Sequence[BookingLine]) -> dict[int, list[Slot]]:
    """Per booking, what the owner's own calendar has at its times: for the owner."""
    if not lines:
        return {}
    families = _families(session, {line.resource.id for line in lines})
    wide = {
        line.booking.id: [
            s.widened(line.resource.buffer_before, line.resource.buffer_after) for s in line.slots
        ]
        for line in lines
    }
    every = [s for slots in wide.values() for s in slots]
    spans = busy.busy_between(
        session,
        set().union(*families.values()),
        min(s.starts_at for s in every),
        max(s.ends_at for s in every),
    )
    found = {}
    for line in lines:
        family = families[line.resource.id]
        clashes = {
            Slot(span.starts_at, span.ends_at)
            for resource_id, span in spans
            if resource_id in family
        }
        met = sorted(c for c in clashes if any(c.overlaps(s) for s in wide[line.booking.id]))
        if met:
            found[line.booking.id] = met
    return found


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), tzinfo=zone)


def days_of(
    session: Session,
    resource: Resource,
    first: date,
    days: int,
    *,
    minutes: int,
    now: datetime,
    zone: ZoneInfo,
    besides: int | None = None,
) -> list[Day]:
    """The days of a resource from `first` on: opening hours, free slots, taken spans."""
    last = first + timedelta(days=days - 1)
    since, until = _midnight(first, zone), _midnight(last + timedelta(days=1), zone)
    buffers = timedelta(minutes=resource.buffer_before + resource.buffer_after)
    taken = _taken(session, [resource.id], since - buffers, until + buffers, besides=besides)
    terms, overrides = (
        terms_of(session, resource),
        schooldays.overrides_between(session, first, last),
    )
    spans = sorted(set(taken[resource.id]))
    found = []
    for day in (first + timedelta(days=n) for n in range(days)):
        whole = Slot(_midnight(day, zone), _midnight(day + timedelta(days=1), zone))
        free = rules.free_slots(
            terms, day, spans, minutes=minutes, now=now, zone=zone, overrides=overrides
        )
        found.append(
            Day(
                day,
                rules.opening_on(terms.hours, day, overrides),
                tuple(free),
                tuple(s for s in spans if s.overlaps(whole)),
            )
        )
    return found


def free_slots(
    session: Session, resource: Resource, day: date, *, minutes: int, now: datetime, zone: ZoneInfo
) -> list[Slot]:
    """What can still be booked on one day."""
    (only,) = days_of(session, resource, day, 1, minutes=minutes, now=now, zone=zone)
    return list(only.free)


def nearest_free(
    session: Session, resource: Resource, slot: Slot, *, now: datetime, zone: ZoneInfo
) -> list[Slot]:
    """The free slots of the same length that lie nearest, within a week before and after."""
    first = max(
        slot.starts_at.astimezone(zone).date() - timedelta(days=7), now.astimezone(zone).date()
    )
    minutes = int(slot.length.total_seconds() // 60)
    if minutes <= 0:
        return []
    days = days_of(session, resource, first, 15, minutes=minutes, now=now, zone=zone)
    kept: list[Slot] = []
    for one in sorted(
        (s for day in days for s in day.free), key=lambda s: abs(s.starts_at - slot.starts_at)
    ):
        if len(kept) < SHOWN_SLOTS and not any(one.overlaps(k) for k in kept):
            kept.append(one)
    return sorted(kept)


def clashes_with(
    session: Session, resource: Resource, slots: Sequence[Slot], *, besides: int | None = None
) -> list[Slot]:
    """What stands in the way of these slots, without saying whose it is; buffers not shown."""
    wide = [s.widened(resource.buffer_before, resource.buffer_after) for s in slots]
    query = select(BookingOccurrence.starts_at, BookingOccurrence.ends_at).where(
        BookingOccurrence.resource_id.in_(units_of(session, resource)),
        BookingOccurrence.status.in_(BLOCKING),
        or_(
            *(
                BookingOccurrence.during.op("&&")(func.tstzrange(s.starts_at, s.ends_at))
                for s in wide
            )
        ),
    )
    if besides is not None:
        query = query.where(BookingOccurrence.booking_id.is_distinct_from(besides))
    found = {Slot(a, b) for a, b in session.execute(query)}
    return sorted(found.union(outside_clashes(session, resource, slots)))


def similar_free(
    session: Session,
    actor: Actor,
    resource: Resource,
    slot: Slot,
    people: int,
    *,
    now: datetime,
    zone: ZoneInfo,
) -> list[Found]:
    """Other venues that take the group at that very time, nearest first."""
    day = slot.starts_at.astimezone(zone).date()
    minutes = int(slot.length.total_seconds() // 60)
    if minutes <= 0:
        return []
    found = search_resources(
        session, actor, day=day, people=people, minutes=minutes, now=now, zone=zone, every_slot=True
    )
    return [
        Found(f.resource, f.owner, f.km, (slot,))
        for f in found
        if f.resource.id != resource.id and any(s.starts_at == slot.starts_at for s in f.slots)
    ][:SHOWN_SLOTS]


# -- search ------------------------------------------------------------------------------------


def search_resources(
    session: Session,
    actor: Actor,
    *,
    day: date | None,
    people: int,
    now: datetime,
    zone: ZoneInfo,
    max_km: float | None = None,
    grade: int | None = None,
    kind: str | None = None,
    text: str = "",
    minutes: int | None = None,
    every_slot: bool = False,
) -> list[Found]:
    """Published resources that take the group, nearest to the actor's school first, each with its
    next free slots; those with nothing free stand at the end."""
    home = _home(session, actor)
    km = _distance(home)
    query = (
        select(Resource, Organisation, km.label("km"))
        .join(Organisation, Organisation.id == Resource.owner_id)
        .where(
            where_visible(Resource, actor, Action.RESOURCE_READ),
            Resource.publish_state == "published",
            Resource.capacity_max >= people,
        )
        .order_by(km.nulls_last(), Resource.id)
        .limit(SEARCH_LIMIT)
    )
    if grade is not None:
        query = query.where(
            or_(func.cardinality(Resource.grades) == 0, Resource.grades.contains([grade]))
        )
    if kind:
        query = query.where(Resource.kind == kind)
    if text:
        searched = (
            Resource.title_zh, Resource.title_en, Resource.intro_zh, Resource.intro_en,
            Organisation.name_zh, Organisation.name_en,
        )  # fmt: skip
        query = query.where(or_(*(c.icontains(text, autoescape=True) for c in searched)))
    if max_km is not None and home is not None and home.lat is not None:
        query = query.where(_box(home, max_km), km <= max_km)
    rows = session.execute(query).all()
    ids = [resource.id for resource, _, _ in rows]
    today = now.astimezone(zone).date()
    first, length = (day, 1) if day else (today, SEARCH_DAYS)
    last = first + timedelta(days=length - 1)
    hours, overrides = _hours(session, ids), schooldays.overrides_between(session, first, last)
    slack = timedelta(days=1)  # more than any buffer
    taken = _taken(
        session,
        ids,
        _midnight(first, zone) - slack,
        _midnight(last + timedelta(days=1), zone) + slack,
    )
    found = []
    for resource, owner, distance in rows:
        terms, slots = _terms(resource, hours[resource.id]), list[Slot]()
        wanted = minutes or min(USUAL_MINUTES, resource.max_minutes)
        for each in (first + timedelta(days=n) for n in range(length)):
            free = rules.free_slots(
                terms,
                each,
                taken[resource.id],
                minutes=wanted,
                now=now,
                zone=zone,
                overrides=overrides,
            )
            slots += _spread(free, wanted) if not every_slot else free
            if len(slots) >= SHOWN_SLOTS and not every_slot:
                break
        shown = slots if every_slot else slots[:SHOWN_SLOTS]
        if wanted <= terms.max_minutes:
            found.append(Found(resource, owner, distance, tuple(shown)))
    return sorted(found, key=lambda f: not f.slots)


def _spread(free: Sequence[Slot], minutes: int) -> list[Slot]:
    """Slots that do not overlap each other: 9:00, 9:30 and 10:00 are hardly a choice."""
    kept: list[Slot] = []
    for slot in free:
        if not kept or slot.starts_at >= kept[-1].starts_at + timedelta(minutes=minutes):
            kept.append(slot)
    return kept


def _home(session: Session, actor: Actor) -> Organisation | None:
    return session.scalars(
        select(Organisation)
        .where(Organisation.id.in_(actor.orgs()), Organisation.kind == "school")
        .order_by(Organisation.id)
    ).first()


def _distance(home: Organisation | None) -> ColumnElement[float | None]:
    """Great-circle distance from `home` in km, on a sphere: good enough to choose a venue."""
    if home is None or home.lat is None or home.lng is None:
        return null().cast(Float)
    lat, lng = literal(home.lat), literal(home.lng)
    half = func.pow(func.sin(func.radians(Resource.lat - lat) / 2), 2) + func.cos(
        func.radians(lat)
    ) * func.cos(func.radians(Resource.lat)) * func.pow(
        func.sin(func.radians(Resource.lng - lng) / 2), 2
    )
    # LEAST passes over NULL: what stands nowhere would be on the far side of the earth
    return case(
        (half.is_not(None), 2 * _EARTH_KM * func.asin(func.sqrt(func.least(1.0, half)))),
        else_=null(),
    )


def _box(home: Organisation, km: float) -> ColumnElement[bool]:
    """A bounding box, so that the sines are taken of few rows only."""
    lat, lng = home.lat or 0.0, home.lng or 0.0
    up = km / _KM_PER_DEGREE
    across = up / max(0.01, cos(radians(lat)))
    return and_(
        Resource.lat.between(lat - up, lat + up), Resource.lng.between(lng - across, lng + across)
    )


def resource_of(session: Session, actor: Actor, resource_id: int) -> tuple[Resource, Organisation]:
    """A resource the actor may read, with its owner; drafts are their owner's alone."""
    row = session.execute(
        select(Resource, Organisation)
        .join(Organisation, Organisation.id == Resource.owner_id)
        .where(
            where_visible(Resource, actor, Action.RESOURCE_READ),
            Resource.id == resource_id,
            or_(
                Resource.publish_state == "published",
                where_visible(Resource, actor, Action.RESOURCE_MANAGE),
            ),
        )
    ).one_or_none()
    if row is None:
        raise NotFound()
    return row[0], row[1]


# -- bookings ----------------------------------------------------------------------------------


def bookings_of(
    session: Session,
    actor: Actor,
    *,
    since: datetime | None = None,
    school_id: int | None = None,
    class_id: int | None = None,
    resource_id: int | None = None,
    states: Collection[str] = (),
    limit: int = 50,
    offset: int = 0,
) -> list[BookingLine]:
    """Bookings the actor may read: the newest request first, or with `since` what is still to come,
    the soonest first."""
    query = visible(Booking, actor, Action.BOOKING_READ)
    if since is not None:
        next_ = (
            select(func.min(BookingOccurrence.starts_at))
            .where(BookingOccurrence.booking_id == Booking.id, BookingOccurrence.ends_at > since)
            .scalar_subquery()
        )
        query = query.where(next_.is_not(None)).order_by(next_, Booking.id)
    else:
        query = query.order_by(Booking.id.desc())
    if states:
        query = query.where(Booking.state.in_(states))
    for column, value in (
        (Booking.school_id, school_id),
        (Booking.class_id, class_id),
        (Booking.resource_id, resource_id),
    ):
        if value is not None:
            query = query.where(column == value)
    return _lines(session, query.limit(limit).offset(offset))


def bookings_awaiting(session: Session, actor: Actor, limit: int = 50) -> list[BookingLine]:
    """The owner's inbox: undecided requests, oldest first."""
    query = visible(Booking, actor, Action.BOOKING_DECIDE).where(Booking.state == "tentative")
    return _lines(session, query.order_by(Booking.id).limit(limit))


def booking_of(session: Session, actor: Actor, booking_id: int) -> BookingLine:
    """One booking the actor may read."""
    query = visible(Booking, actor, Action.BOOKING_READ).where(Booking.id == booking_id)
    found = _lines(session, query)
    if not found:
        raise NotFound()
    return found[0]


_School, _Owner = aliased(Organisation), aliased(Organisation)
_slots = (
    select(
        func.array_agg(BookingOccurrence.starts_at).label("starts"),
        func.array_agg(BookingOccurrence.ends_at).label("ends"),
    )
    .where(BookingOccurrence.booking_id == Booking.id)
    .lateral()
)
# built once: making a statement this long costs as much as running it
_SHOWN = (
    select(Booking.id, Resource, _School, _Owner, ClassGroup, _slots)
    .join(Resource, Resource.id == Booking.resource_id)
    .join(_School, _School.id == Booking.school_id)
    .join(_Owner, _Owner.id == Booking.owner_id)
    .outerjoin(ClassGroup, ClassGroup.id == Booking.class_id)
    .join(_slots, _slots.c.starts.is_not(None))
    .where(Booking.id == func.any(bindparam("ids", type_=ARRAY(BigInteger))))
)


def _lines(session: Session, chosen: Select[Booking]) -> list[BookingLine]:
    """The chosen bookings with all that a line shows."""
    bookings = session.scalars(chosen).all()
    if not bookings:
        return []
    shown = {row[0]: row for row in session.execute(_SHOWN, {"ids": [b.id for b in bookings]})}
    lines = []
    for booking in bookings:
        if booking.id not in shown:
            continue
        _id, resource, school, owner, group, starts, ends = shown[booking.id]
        # of a venue in parts every time stands once for each of them
        times = sorted(set(zip(starts, ends, strict=True)))
        lines.append(
            BookingLine(
                booking=booking,
                resource=resource,
                school=school,
                owner=owner,
                group=group,
                slots=tuple(Slot(*time) for time in times),
            )
        )
    return lines


def neighbours_of(
    session: Session, actor: Actor, lines: Sequence[BookingLine], zone: ZoneInfo
) -> dict[int, list[Neighbour]]:
    """Per booking, what else its owner has on those days at any of their venues: for the owner."""
    if not lines:
        return {}
    days = {
        line.booking.id: {s.starts_at.astimezone(zone).date() for s in line.slots} for line in lines
    }
    first = _midnight(min(min(d) for d in days.values()), zone)
    last = _midnight(max(max(d) for d in days.values()) + timedelta(days=1), zone)
    rows = session.execute(
        select(BookingOccurrence, Resource)
        .join(Resource, Resource.id == BookingOccurrence.resource_id)
        .where(
            where_visible(Resource, actor, Action.RESOURCE_MANAGE),
            Resource.owner_id.in_({line.booking.owner_id for line in lines}),
            BookingOccurrence.status.in_(BLOCKING),
            BookingOccurrence.during.op("&&")(func.tstzrange(first, last)),
        )
        .order_by(BookingOccurrence.starts_at)
    ).all()
    found: dict[int, list[Neighbour]] = {}
    for line in lines:
        own = line.booking
        found[own.id] = [
            Neighbour(
                resource.title_zh,
                resource.title_en,
                slot,
                occurrence.status,
                any(slot.overlaps(s) for s in line.slots),
            )
            for occurrence, resource in rows
            if occurrence.booking_id != own.id and resource.owner_id == own.owner_id
            for slot in [Slot(occurrence.starts_at, occurrence.ends_at)]
            if slot.starts_at.astimezone(zone).date() in days[own.id]
        ]
    return found


def classes_to_book_for(session: Session, actor: Actor) -> list[ClassGroup]:
    """Classes the actor may book for."""
    return list(
        session.scalars(
            visible(ClassGroup, actor, Action.BOOKING_REQUEST)
            .where(ClassGroup.active.is_(True))
            .order_by(ClassGroup.school_id, ClassGroup.grade, ClassGroup.id)
            .limit(300)
        )
    )


def schools_to_book_for(session: Session, actor: Actor) -> list[Organisation]:
    """Schools that the actor may book for as a whole."""
    own = actor.orgs(Role.SCHOOL_ADMIN)
    return list(
        session.scalars(
            select(Organisation)
            .where(Organisation.id.in_(own), Organisation.kind == "school")
            .order_by(Organisation.id)
        )
    )


def requester_name(session: Session, booking: Booking) -> str:
    """The name of the teacher who asked: partners need a person to talk to."""
    return session.get_one(Person, booking.requested_by_id).name


# -- the owner's side --------------------------------------------------------------------------


def resources_managed_by(session: Session, actor: Actor) -> list[tuple[Resource, int]]:
    """The owner's resources, each with how many bookings wait for an answer."""
    waiting = (
        select(func.count())
        .select_from(Booking)
        .where(Booking.resource_id == Resource.id, Booking.state == "tentative")
        .scalar_subquery()
    )
    rows = session.execute(
        select(Resource, waiting)
        .where(where_visible(Resource, actor, Action.RESOURCE_MANAGE))
        .order_by(Resource.owner_id, Resource.id)
        .limit(200)
    )
    return [(resource, count) for resource, count in rows]


def resource_managed(session: Session, actor: Actor, resource_id: int) -> Resource:
    """One of the owner's resources."""
    found = session.scalar(
        visible(Resource, actor, Action.RESOURCE_MANAGE).where(Resource.id == resource_id)
    )
    if found is None:
        raise NotFound()
    return found


def blocks_of(session: Session, resource: Resource, now: datetime) -> list[tuple[Slot, str]]:
    """Times that the owner has closed, still to come."""
    rows = session.execute(
        select(BookingOccurrence.starts_at, BookingOccurrence.ends_at, BookingOccurrence.reason)
        .where(
            BookingOccurrence.resource_id.in_(units_of(session, resource)),
            BookingOccurrence.status == "blocked",
            BookingOccurrence.ends_at > now,
        )
        .distinct()
    )
    return sorted((Slot(a, b), reason or "") for a, b, reason in rows)
