"""Use cases of bookings: request, approve, decline, withdraw, move, expire, block.

A booking is materialised as occurrence rows; the exclusion constraint on them is the only guard
against overlap, buffers included, so no check here can be raced.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.exc import IntegrityError

from coordination.authz.actions import Action
from coordination.authz.rules import Scope
from coordination.domain.agenda import busy
from coordination.domain.bookings import queries, rules
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
from coordination.domain.bookings.values import DISTRICT_ZONE, OutsideClash, Slot, SlotClash
from coordination.domain.partners.models import PartnerDocument
from coordination.domain.people.models import ClassGroup, Organisation
from coordination.ground.errors import Conflict, Forbidden, NotFound, Stale
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork

LIVE = ("tentative", "confirmed")
NO_OVERLAP = "ex_booking_occurrence_no_overlap"


def request_booking(
    uow: UnitOfWork,
    *,
    resource_id: int,
    starts_at: datetime,
    ends_at: datetime,
    class_id: int | None = None,
    school_id: int | None = None,
    children: int,
    adults: int,
    purpose: str,
    needs: str,
    request_key: str,
    weeks: int = 1,
    zone: ZoneInfo = DISTRICT_ZONE,
) -> Booking:
    """Request (or, where the owner allows, book) a resource, for one or more weeks.

    For a class, or without one for a whole school, which only its office may.

    All weeks or none: a clash in any of them refuses the whole and names every clashing date. The
    same `request_key` returns the first booking again. Raises SlotClash (a SlotTaken) or Invalid.
    """
    school_id = _school_of(uow, class_id, school_id)
    uow.authorize(Action.BOOKING_REQUEST, Scope(school=school_id, class_=class_id))
    resource = _published(uow, resource_id)
    units = _lock_units(uow, resource)
    known = uow.session.scalar(select(Booking).where(Booking.request_key == request_key))
    if known is not None:
        uow.authorize(Action.BOOKING_REQUEST, known)
        return known
    slots = rules.weekly(Slot(starts_at, ends_at), weeks, zone)
    rules.refuse_unfit_request(
        queries.terms_of(uow.session, resource),
        slots,
        children=children,
        adults=adults,
        purpose=purpose,
        needs=needs,
        now=uow.now,
        zone=zone,
        overrides=queries.overrides_between(uow.session, slots[0], slots[-1], zone),
    )
    _refuse_expired_documents(uow, resource, slots[-1], zone)
    if uow.actor.person_id is None:
        raise Forbidden()
    direct = resource.approval_mode == "direct"
    booking = Booking(
        resource_id=resource.id,
        owner_id=resource.owner_id,
        school_id=school_id,
        class_id=class_id,
        requested_by_id=uow.actor.person_id,
        purpose=purpose,
        children=children,
        adults=adults,
        needs=needs,
        state="confirmed" if direct else "tentative",
        request_key=request_key,
        hold_until=None if direct else min(uow.now + rules.HOLD, starts_at),
    )
    uow.session.add(booking)
    uow.session.flush()  # occurrences refer to it
    _refuse_outside_clashes(uow, resource, slots, zone)
    _or_name_clashes(
        uow, resource, slots, zone, lambda: _occupy(uow, booking.id, resource, units, slots)
    )
    uow.record(BookingConfirmed(booking.id) if direct else BookingRequested(booking.id))
    return booking


def _school_of(uow: UnitOfWork, class_id: int | None, school_id: int | None) -> int:
    if class_id is not None:
        group = uow.session.get(ClassGroup, class_id)
        if group is None:
            raise NotFound()
        return group.school_id
    school = uow.session.get(Organisation, school_id or 0)
    if school is None or school.kind != "school":
        raise NotFound()
    return school.id


def _published(uow: UnitOfWork, resource_id: int) -> Resource:
    resource = uow.session.get(Resource, resource_id)
    if resource is None or resource.publish_state != "published":
        raise NotFound()
    return resource


def _refuse_expired_documents(
    uow: UnitOfWork, resource: Resource, last: Slot, zone: ZoneInfo
) -> None:
    expiries = uow.session.scalars(
        select(func.max(PartnerDocument.expires_on))
        .where(PartnerDocument.org_id == resource.owner_id, PartnerDocument.expires_on.is_not(None))
        .group_by(PartnerDocument.kind)  # a renewed licence supersedes the old one
    )
    rules.refuse_expired_documents(expiries, last.ends_at.astimezone(zone).date())


def _lock_units(uow: UnitOfWork, resource: Resource) -> list[int]:
    """Queue up for the units, in one order.

    Not what forbids overlap: an exclusion constraint makes two simultaneous inserts wait for each
    other, which PostgreSQL ends as a deadlock; in a queue the second one meets a plain conflict.
    """
    # whose outside calendar may change meanwhile: units are among them
    busy.lock_venues(uow.session, queries.family_of(uow.session, resource))
    return queries.units_of(uow.session, resource)


def _refuse_outside_clashes(
    uow: UnitOfWork, resource: Resource, slots: Sequence[Slot], zone: ZoneInfo
) -> None:
    """The owner's own calendar has the time: to others that is a time taken, and no more."""
    if queries.outside_clashes(uow.session, resource, slots):
        clashes = queries.clashes_with(uow.session, resource, slots)
        free = queries.nearest_free(uow.session, resource, slots[0], now=uow.now, zone=zone)
        raise SlotClash(clashes, free, zone)


def _occupy(
    uow: UnitOfWork,
    booking_id: int | None,
    resource: Resource,
    units: Sequence[int],
    slots: Sequence[Slot],
    *,
    status: str | None = None,
    reason: str | None = None,
) -> None:
    state = status or uow.session.get_one(Booking, booking_id).state
    buffers = (0, 0) if booking_id is None else (resource.buffer_before, resource.buffer_after)
    for unit in units:
        for slot in slots:
            wide = slot.widened(*buffers)
            uow.session.add(
                BookingOccurrence(
                    booking_id=booking_id,
                    resource_id=unit,
                    starts_at=slot.starts_at,
                    ends_at=slot.ends_at,
                    during=Range(wide.starts_at, wide.ends_at, bounds="[)"),
                    status=state,
                    reason=reason,
                )
            )


def _or_name_clashes(
    uow: UnitOfWork,
    resource: Resource,
    slots: Sequence[Slot],
    zone: ZoneInfo,
    write: Callable[[], None],
    *,
    besides: int | None = None,
) -> None:
    """Write; if the database finds an overlap, say with what, and what is free instead."""
    try:
        with uow.session.begin_nested():  # so that the clashes can still be read after the refusal
            write()
            uow.session.flush()
    except IntegrityError as error:
        if getattr(getattr(error.orig, "diag", None), "constraint_name", None) != NO_OVERLAP:
            raise
        clashes = queries.clashes_with(uow.session, resource, slots, besides=besides)
        free = queries.nearest_free(uow.session, resource, slots[0], now=uow.now, zone=zone)
        raise SlotClash(clashes, free, zone) from error


def _locked(uow: UnitOfWork, booking_id: int, action: Action) -> Booking:
    booking = uow.session.get(Booking, booking_id, with_for_update=True, populate_existing=True)
    if booking is None:
        raise NotFound()
    uow.authorize(action, booking)
    return booking


def _set_state(uow: UnitOfWork, booking: Booking, state: str) -> None:
    booking.state = state
    uow.session.execute(
        update(BookingOccurrence)
        .where(BookingOccurrence.booking_id == booking.id)
        .values(status=state)
    )


def _refuse_unless(booking: Booking, *states: str) -> None:
    if booking.state not in states:
        raise Stale(
            Text(
                "这条预约的状态已变化，请刷新后再操作。",
                "This booking has changed meanwhile; reload the page.",
            )
        )


def approve(
    uow: UnitOfWork,
    *,
    booking_id: int,
    despite: Sequence[Slot] = (),
    zone: ZoneInfo = DISTRICT_ZONE,
) -> None:
    """The owner says yes.

    What the owner's own calendar has at that time refuses it (OutsideClash), unless it is among
    `despite`: what the owner has been shown and approves in spite of.
    """
    booking = _locked(uow, booking_id, Action.BOOKING_DECIDE)
    _refuse_unless(booking, "tentative")
    if booking.hold_until is not None and booking.hold_until <= uow.now:
        raise Stale(
            Text(
                "保留期已过，时段已释放。请学校重新申请。",
                "The hold has run out and the time is released. Ask the school to request again.",
            )
        )
    resource = uow.session.get_one(Resource, booking.resource_id)
    _lock_units(uow, resource)
    unseen = sorted({*_outside(uow, booking, resource)}.difference(despite))
    if unseen:
        raise OutsideClash(unseen, zone)
    _decide(uow, booking, None, None)
    _set_state(uow, booking, "confirmed")
    uow.record(BookingConfirmed(booking.id))


def _outside(uow: UnitOfWork, booking: Booking, resource: Resource) -> list[Slot]:
    times = uow.session.execute(
        select(BookingOccurrence.starts_at, BookingOccurrence.ends_at)
        .where(BookingOccurrence.booking_id == booking.id)
        .distinct()
    )
    return queries.outside_clashes(uow.session, resource, [Slot(a, b) for a, b in times])


def decline(uow: UnitOfWork, *, booking_id: int, code: str, note: str = "") -> None:
    """The owner says no, with a coded reason."""
    booking = _locked(uow, booking_id, Action.BOOKING_DECIDE)
    rules.refuse_unknown_reason(code)
    _refuse_unless(booking, "tentative")
    _decide(uow, booking, code, note)
    _set_state(uow, booking, "declined")
    uow.record(BookingDeclined(booking.id))


def cancel_by_partner(uow: UnitOfWork, *, booking_id: int, code: str, note: str = "") -> None:
    """The owner takes back a confirmed booking, with a coded reason."""
    booking = _locked(uow, booking_id, Action.BOOKING_DECIDE)
    rules.refuse_unknown_reason(code)
    _refuse_unless(booking, "confirmed")
    _decide(uow, booking, code, note)
    _set_state(uow, booking, "cancelled_by_partner")
    uow.record(BookingCancelledByPartner(booking.id))


def _decide(uow: UnitOfWork, booking: Booking, code: str | None, note: str | None) -> None:
    booking.decision_code, booking.decision_note = code, note or None
    booking.decided_by_id, booking.decided_at = uow.actor.person_id, uow.now
    booking.hold_until = None


def withdraw(uow: UnitOfWork, *, booking_id: int) -> None:
    """The school cancels."""
    booking = _locked(uow, booking_id, Action.BOOKING_WITHDRAW)
    _refuse_unless(booking, *LIVE)
    was = booking.state == "confirmed"
    booking.hold_until = None
    _set_state(uow, booking, "cancelled_by_school")
    uow.record(BookingWithdrawn(booking.id, was))


def move_booking(
    uow: UnitOfWork,
    *,
    booking_id: int,
    starts_at: datetime,
    ends_at: datetime,
    zone: ZoneInfo = DISTRICT_ZONE,
) -> None:
    """Move a booking (a series as a whole) to another time; if refused, the old time stays.

    What an owner has approved the school may not move by itself: the owner moves it, or the school
    cancels and asks anew.
    """
    booking = _locked(uow, booking_id, Action.BOOKING_MOVE)
    _refuse_unless(booking, *LIVE)
    resource = uow.session.get_one(Resource, booking.resource_id)
    _refuse_moving_what_was_approved(uow, booking, resource)
    _lock_units(uow, resource)
    rows = uow.session.scalars(
        select(BookingOccurrence)
        .where(BookingOccurrence.booking_id == booking.id)
        .order_by(BookingOccurrence.resource_id, BookingOccurrence.starts_at)
    ).all()
    old = sorted({Slot(r.starts_at, r.ends_at) for r in rows})
    slots = rules.weekly(Slot(starts_at, ends_at), len(old), zone)
    if slots == old:
        return
    rules.refuse_unfit_move(
        queries.terms_of(uow.session, resource),
        slots,
        now=uow.now,
        zone=zone,
        overrides=queries.overrides_between(uow.session, slots[0], slots[-1], zone),
    )
    _refuse_expired_documents(uow, resource, slots[-1], zone)
    _refuse_outside_clashes(uow, resource, slots, zone)
    target = dict(zip(old, slots, strict=True))
    _or_name_clashes(
        uow,
        resource,
        slots,
        zone,
        lambda: _shift(uow, booking, resource, rows, target),
        besides=booking.id,
    )
    if booking.hold_until is not None:
        booking.hold_until = min(booking.hold_until, slots[0].starts_at)
    uow.record(BookingMoved(booking.id, booking.state == "confirmed"))


def _refuse_moving_what_was_approved(uow: UnitOfWork, booking: Booking, resource: Resource) -> None:
    if booking.state != "confirmed" or resource.approval_mode == "direct":
        return
    try:
        uow.authorize(Action.BOOKING_DECIDE, booking)
    except Forbidden as error:
        raise Conflict(
            Text(
                "资源方已确认这个时间。请联系资源方改期，或取消后重新申请。",
                "The owner has confirmed this time. Ask the owner to move it, or cancel and "
                "request another.",
            ),
            code="approved",
        ) from error


def _shift(
    uow: UnitOfWork,
    booking: Booking,
    resource: Resource,
    rows: Sequence[BookingOccurrence],
    target: dict[Slot, Slot],
) -> None:
    # a series moved by a week would meet its own old rows: they step aside first
    for row in rows:
        row.status = "moving"
    uow.session.flush()
    for row in rows:
        slot = target[Slot(row.starts_at, row.ends_at)]
        wide = slot.widened(resource.buffer_before, resource.buffer_after)
        row.starts_at, row.ends_at = slot.starts_at, slot.ends_at
        row.during = Range(wide.starts_at, wide.ends_at, bounds="[)")
    uow.session.flush()  # all stand at their new times before the first one blocks again
    for row in rows:
        row.status = booking.state


def expire_holds(uow: UnitOfWork) -> int:
    """Release what nobody answered in time; how many."""
    uow.authorize(Action.SYSTEM_RUN)
    due = uow.session.scalars(
        select(Booking)
        .where(Booking.state == "tentative", Booking.hold_until <= uow.now)
        .order_by(Booking.id)
        .limit(200)
        .with_for_update(skip_locked=True)
    ).all()
    for booking in due:
        _set_state(uow, booking, "expired")
        uow.record(BookingExpired(booking.id))
    return len(due)


def block_time(
    uow: UnitOfWork,
    *,
    resource_id: int,
    starts_at: datetime,
    ends_at: datetime,
    reason: str,
    zone: ZoneInfo = DISTRICT_ZONE,
) -> None:
    """Close a resource for some time; refused while bookings stand in the way."""
    resource = uow.session.get(Resource, resource_id)
    if resource is None:
        raise NotFound()
    uow.authorize(Action.RESOURCE_MANAGE, resource)
    slot = Slot(starts_at, ends_at)
    rules.refuse_unfit_block(slot, uow.now)
    units = _lock_units(uow, resource)
    _or_name_clashes(
        uow,
        resource,
        [slot],
        zone,
        lambda: _occupy(uow, None, resource, units, [slot], status="blocked", reason=reason),
    )


def lift_block(
    uow: UnitOfWork, *, resource_id: int, starts_at: datetime, ends_at: datetime
) -> None:
    """Open a blocked time again, on all units of the resource."""
    resource = uow.session.get(Resource, resource_id)
    if resource is None:
        raise NotFound()
    uow.authorize(Action.RESOURCE_MANAGE, resource)
    uow.session.execute(
        delete(BookingOccurrence).where(
            BookingOccurrence.resource_id.in_(queries.units_of(uow.session, resource)),
            BookingOccurrence.booking_id.is_(None),
            BookingOccurrence.status == "blocked",
            BookingOccurrence.starts_at == starts_at,
            BookingOccurrence.ends_at == ends_at,
        )
    )
