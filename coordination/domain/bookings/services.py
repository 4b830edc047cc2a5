"""Use cases of bookings: request, approve, decline, withdraw, move, expire, block.

A booking is materialised as occurrence rows; the exclusion constraint on them is the only guard
against overlap, buffers included, so no check here can be raced.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.authz.rules import Scope
from coordination.domain.bookings import rules
from coordination.domain.bookings.events import (
    BookingConfirmed,
    BookingDeclined,
    BookingExpired,
    BookingMoved,
    BookingRequested,
    BookingWithdrawn,
)
from coordination.domain.bookings.models import (
    Booking,
    BookingOccurrence,
    OpeningRule,
    Resource,
)
from coordination.domain.partners.models import PartnerDocument
from coordination.domain.people.models import ClassGroup
from coordination.ground.errors import Conflict, Invalid, NotFound
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork

LIVE = ("tentative", "confirmed")


def terms_of(session: Session, resource: Resource) -> rules.Terms:
    """The owner's terms as the rules read them."""
    hours = session.scalars(select(OpeningRule).where(OpeningRule.resource_id == resource.id))
    return rules.Terms(
        notice_hours=resource.notice_hours,
        horizon_days=resource.horizon_days,
        slot_minutes=resource.slot_minutes,
        max_minutes=resource.max_minutes,
        capacity_min=resource.capacity_min,
        capacity_max=resource.capacity_max,
        hours=tuple(rules.Hours(h.weekday, h.opens, h.closes) for h in hours),
    )


def request_booking(
    uow: UnitOfWork,
    *,
    resource_id: int,
    starts_at: datetime,
    ends_at: datetime,
    class_id: int,
    children: int,
    adults: int,
    purpose: str,
    needs: str,
    request_key: str,
    zone: ZoneInfo,
    weeks: int = 1,
) -> Booking:
    """Request (or, where the owner allows, book) a resource for a class, for one or more weeks.

    All weeks or none: a clash in one of them refuses the whole. The same `request_key` returns the
    first booking again. Raises SlotTaken if the time is gone, Invalid with the fields otherwise.
    """
    known = uow.session.scalar(select(Booking).where(Booking.request_key == request_key))
    if known is not None:
        uow.authorize(Action.BOOKING_REQUEST, known)
        return known
    group = uow.session.get(ClassGroup, class_id)
    if group is None:
        raise NotFound()
    uow.authorize(Action.BOOKING_REQUEST, Scope(school=group.school_id, class_=group.id))
    resource = _published(uow, resource_id)
    _refuse_expired_documents(uow, resource, ends_at)
    terms = terms_of(uow.session, resource)
    if children < 1:
        raise Invalid(fields={"children": Text("请填写学生人数。", "Enter how many children.")})
    if not purpose.strip():
        raise Invalid(
            fields={
                "purpose": Text(
                    "请写明用途，资源方据此安排。", "Say what for; the owner plans by it."
                )
            }
        )
    length = ends_at - starts_at
    starts = rules.weekly(starts_at, weeks, zone)
    for start in starts:
        rules.refuse_unfit_slot(terms, start, start + length, children + adults, uow.now, zone)
    direct = resource.approval_mode == "direct"
    booking = Booking(
        resource_id=resource.id,
        owner_id=resource.owner_id,
        school_id=group.school_id,
        class_id=group.id,
        requested_by_id=uow.actor.person_id or 0,
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
    _occupy(uow, booking, resource, starts, length)
    uow.record(BookingConfirmed(booking.id) if direct else BookingRequested(booking.id))
    return booking


def _published(uow: UnitOfWork, resource_id: int) -> Resource:
    resource = uow.session.get(Resource, resource_id)
    if resource is None or resource.publish_state != "published":
        raise NotFound()
    return resource


def _refuse_expired_documents(uow: UnitOfWork, resource: Resource, until: datetime) -> None:
    expired = uow.session.scalar(
        select(PartnerDocument.id).where(
            PartnerDocument.org_id == resource.owner_id,
            PartnerDocument.expires_on < until.date(),
        )
    )
    if expired is not None:
        raise Conflict(
            Text(
                "该单位的资质到活动当天已过期，暂不能预约。请联系区教育局。",
                "A licence of this owner will have expired by then, so it cannot be booked. "
                "Ask the district bureau.",
            ),
            code="documents_expired",
        )


def units_of(session: Session, resource: Resource) -> list[int]:
    """What is locked when a resource is booked: its parts, or itself if it has none."""
    parts = list(
        session.scalars(
            select(Resource.id).where(Resource.parent_id == resource.id).order_by(Resource.id)
        )
    )
    return parts or [resource.id]


def _occupy(
    uow: UnitOfWork,
    booking: Booking,
    resource: Resource,
    starts: Sequence[datetime],
    length: timedelta,
) -> None:
    before, after = (
        timedelta(minutes=resource.buffer_before),
        timedelta(minutes=resource.buffer_after),
    )
    for unit in units_of(uow.session, resource):  # in one order, so that two bookings cannot cross
        for start in starts:
            uow.session.add(
                BookingOccurrence(
                    booking_id=booking.id,
                    resource_id=unit,
                    starts_at=start,
                    ends_at=start + length,
                    during=Range(start - before, start + length + after, bounds="[)"),
                    status=booking.state,
                )
            )
    uow.session.flush()  # an overlap must be refused here, before anything else is written


def _locked(uow: UnitOfWork, booking_id: int, action: Action) -> Booking:
    booking = uow.session.get(Booking, booking_id, with_for_update=True)
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
        raise Conflict(
            Text(
                "这条预约的状态已变化，请刷新后再操作。",
                "This booking has changed meanwhile; reload the page.",
            ),
            code="stale",
        )


def approve(uow: UnitOfWork, *, booking_id: int) -> None:
    """The owner says yes."""
    booking = _locked(uow, booking_id, Action.BOOKING_DECIDE)
    _refuse_unless(booking, "tentative")
    _decide(uow, booking, None, None)
    _set_state(uow, booking, "confirmed")
    uow.record(BookingConfirmed(booking.id))


def decline(uow: UnitOfWork, *, booking_id: int, code: str, note: str) -> None:
    """The owner says no, with a coded reason."""
    booking = _locked(uow, booking_id, Action.BOOKING_DECIDE)
    if code not in rules.DECLINE_REASONS:
        raise Invalid(fields={"code": Text("请选择原因。", "Choose a reason.")})
    _refuse_unless(booking, "tentative")
    _decide(uow, booking, code, note)
    _set_state(uow, booking, "declined")
    uow.record(BookingDeclined(booking.id))


def cancel_by_partner(uow: UnitOfWork, *, booking_id: int, code: str, note: str) -> None:
    """The owner takes back a confirmed booking, with a coded reason."""
    booking = _locked(uow, booking_id, Action.BOOKING_DECIDE)
    if code not in rules.DECLINE_REASONS:
        raise Invalid(fields={"code": Text("请选择原因。", "Choose a reason.")})
    _refuse_unless(booking, "confirmed")
    _decide(uow, booking, code, note)
    _set_state(uow, booking, "cancelled_by_partner")
    uow.record(BookingDeclined(booking.id))


def _decide(uow: UnitOfWork, booking: Booking, code: str | None, note: str | None) -> None:
    booking.decision_code, booking.decision_note = code, note
    booking.decided_by_id, booking.decided_at = uow.actor.person_id, uow.now
    booking.hold_until = None


def withdraw(uow: UnitOfWork, *, booking_id: int) -> None:
    """The school cancels."""
    booking = _locked(uow, booking_id, Action.BOOKING_WITHDRAW)
    _refuse_unless(booking, *LIVE)
    was = booking.state == "confirmed"
    _set_state(uow, booking, "cancelled_by_school")
    uow.record(BookingWithdrawn(booking.id, was))


def move_booking(
    uow: UnitOfWork, *, booking_id: int, starts_at: datetime, ends_at: datetime, zone: ZoneInfo
) -> None:
    """Move a single booking to another time; refused as a whole, the old slot stays."""
    booking = _locked(uow, booking_id, Action.BOOKING_WITHDRAW)
    _refuse_unless(booking, *LIVE)
    resource = uow.session.get_one(Resource, booking.resource_id)
    terms = terms_of(uow.session, resource)
    rules.refuse_unfit_slot(
        terms, starts_at, ends_at, booking.children + booking.adults, uow.now, zone
    )
    rows = uow.session.scalars(
        select(BookingOccurrence)
        .where(BookingOccurrence.booking_id == booking.id)
        .order_by(BookingOccurrence.resource_id, BookingOccurrence.starts_at)
    ).all()
    if len({r.starts_at for r in rows}) > 1:
        raise Conflict(
            Text(
                "系列预约请逐次取消后重新预约。",
                "A series is changed by cancelling and booking anew.",
            ),
            code="series",
        )
    before, after = (
        timedelta(minutes=resource.buffer_before),
        timedelta(minutes=resource.buffer_after),
    )
    for row in rows:
        row.starts_at, row.ends_at = starts_at, ends_at
        row.during = Range(starts_at - before, ends_at + after, bounds="[)")
    uow.session.flush()  # the overlap guard speaks here
    uow.record(BookingMoved(booking.id, booking.state == "confirmed"))


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
    uow: UnitOfWork, *, resource_id: int, starts_at: datetime, ends_at: datetime, reason: str
) -> None:
    """Close a resource for some time; refused while bookings stand in the way."""
    resource = uow.session.get(Resource, resource_id)
    if resource is None:
        raise NotFound()
    uow.authorize(Action.RESOURCE_MANAGE, resource)
    if ends_at <= starts_at:
        raise Invalid(
            fields={"ends": Text("结束时间要晚于开始时间。", "The end must be after the start.")}
        )
    for unit in units_of(uow.session, resource):
        uow.session.add(
            BookingOccurrence(
                booking_id=None,
                resource_id=unit,
                starts_at=starts_at,
                ends_at=ends_at,
                during=Range(starts_at, ends_at, bounds="[)"),
                status="blocked",
                reason=reason,
            )
        )
    uow.session.flush()  # a booking in the way is named at once
