"""Tables of resources and bookings.

Overlap is forbidden by the database: each booking is materialised as occurrence rows under an
exclusion constraint, buffers included.
"""

from __future__ import annotations

from datetime import date, datetime, time

from sqlalchemy import CheckConstraint, ForeignKey, SmallInteger, func, text
from sqlalchemy.dialects.postgresql import ARRAY, ExcludeConstraint, Range
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import Text as SqlText

from coordination.ground.constraints import explain
from coordination.ground.errors import SlotTaken
from coordination.ground.orm import Base, Row

BLOCKING = ("tentative", "confirmed", "checked_in", "blocked")


class Resource(Row, Base):
    """资源: a space, programme, expert, kit or vehicle that can be booked."""

    __tablename__ = "resource"
    owner_id: Mapped[int] = mapped_column(ForeignKey("organisation.id"), index=True)
    kind: Mapped[str]
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("resource.id"))
    title_zh: Mapped[str]
    title_en: Mapped[str]
    intro_zh: Mapped[str] = mapped_column(server_default="")
    intro_en: Mapped[str] = mapped_column(server_default="")
    address_zh: Mapped[str] = mapped_column(server_default="")
    address_en: Mapped[str] = mapped_column(server_default="")
    lat: Mapped[float | None]
    lng: Mapped[float | None]
    capacity_min: Mapped[int] = mapped_column(SmallInteger, server_default="1")
    capacity_max: Mapped[int] = mapped_column(SmallInteger)
    grades: Mapped[list[int]] = mapped_column(ARRAY(SmallInteger), server_default=text("'{}'"))
    # toilets, snack, coats, indoor, outdoor, first_aid, step_free
    facts: Mapped[list[str]] = mapped_column(ARRAY(SqlText), server_default=text("'{}'"))
    notice_hours: Mapped[int] = mapped_column(server_default="24")
    horizon_days: Mapped[int] = mapped_column(server_default="120")
    slot_minutes: Mapped[int] = mapped_column(server_default="60")
    max_minutes: Mapped[int] = mapped_column(server_default="240")
    buffer_before: Mapped[int] = mapped_column(server_default="0")
    buffer_after: Mapped[int] = mapped_column(server_default="0")
    approval_mode: Mapped[str] = mapped_column(server_default="request")
    fee_mode: Mapped[str] = mapped_column(server_default="free")
    publish_state: Mapped[str] = mapped_column(server_default="published")

    __scope__ = {"owner": "owner_id"}
    __table_args__ = (
        CheckConstraint("kind in ('space','programme','expert','kit','vehicle')", name="kind"),
        CheckConstraint("approval_mode in ('direct','request')", name="approval_mode"),
        CheckConstraint("fee_mode in ('free','reduced','paid')", name="fee_mode"),
        CheckConstraint("publish_state in ('draft','published','archived')", name="publish_state"),
        CheckConstraint("capacity_max >= capacity_min and capacity_min >= 1", name="capacity"),
    )


class OpeningRule(Row, Base):
    """开放规则: weekly opening hours; weekday 0 is Monday, times are local."""

    __tablename__ = "opening_rule"
    resource_id: Mapped[int] = mapped_column(ForeignKey("resource.id"), index=True)
    weekday: Mapped[int] = mapped_column(SmallInteger)
    opens: Mapped[time]
    closes: Mapped[time]
    valid_from: Mapped[date | None]
    valid_to: Mapped[date | None]

    __table_args__ = (CheckConstraint("closes > opens", name="hours"),)


class Booking(Row, Base):
    """预约: a request of a school for a resource, with its state."""

    __tablename__ = "booking"
    resource_id: Mapped[int] = mapped_column(ForeignKey("resource.id"), index=True)
    owner_id: Mapped[int] = mapped_column(ForeignKey("organisation.id"), index=True)
    school_id: Mapped[int] = mapped_column(ForeignKey("organisation.id"), index=True)
    class_id: Mapped[int | None] = mapped_column(ForeignKey("class_group.id"), index=True)
    requested_by_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    purpose: Mapped[str]
    children: Mapped[int] = mapped_column(SmallInteger)
    adults: Mapped[int] = mapped_column(SmallInteger)
    needs: Mapped[str] = mapped_column(server_default="")
    state: Mapped[str]
    request_key: Mapped[str | None] = mapped_column(unique=True)
    decision_code: Mapped[str | None]
    decision_note: Mapped[str | None]
    decided_by_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    decided_at: Mapped[datetime | None]
    hold_until: Mapped[datetime | None]

    __scope__ = {"owner": "owner_id", "school": "school_id", "class": "class_id"}
    __table_args__ = (
        CheckConstraint(
            "state in ('requested','tentative','confirmed','checked_in','completed','declined',"
            "'expired','cancelled_by_school','cancelled_by_partner','no_show')",
            name="state",
        ),
        CheckConstraint("children >= 0 and adults >= 0", name="people"),
    )


class BookingOccurrence(Row, Base):
    """预约时段: one stretch of time of a booking on one resource (or a block without booking).

    `during` includes the buffers and carries the exclusion constraint.
    """

    __tablename__ = "booking_occurrence"
    booking_id: Mapped[int | None] = mapped_column(
        ForeignKey("booking.id", ondelete="CASCADE"), index=True
    )
    # the bookable unit that is locked: the resource itself, or one of its parts
    resource_id: Mapped[int] = mapped_column(ForeignKey("resource.id"))
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    during: Mapped[Range[datetime]]
    status: Mapped[str]
    reason: Mapped[str | None]

    __table_args__ = (
        CheckConstraint("ends_at > starts_at", name="span"),
        CheckConstraint(
            "not isempty(during) and not lower_inf(during) and not upper_inf(during)",
            name="during",
        ),
        # int8range instead of `=`: needs no btree_gist, so the embedded server carries it too
        ExcludeConstraint(
            (
                func.int8range(text("resource_id"), text("resource_id"), text("'[]'")),
                "&&",
            ),
            ("during", "&&"),
            where=text("status in ('tentative','confirmed','checked_in','blocked')"),
            using="gist",
            name="ex_booking_occurrence_no_overlap",
        ),
    )


explain("ex_booking_occurrence_no_overlap", SlotTaken)
