"""The calendar projection: what stands in whose calendar.

Kept by reactions only. A feed reads these tables and no others.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Index,
    LargeBinary,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from coordination.ground.orm import Base, Row

# No entry is longer: a page need not look further back than this for what still goes on.
LONGEST = timedelta(days=100)


class CalendarEntry(Row, Base):
    """日历条目: one thing in time, with its UID and SEQUENCE for ever."""

    __tablename__ = "calendar_entry"
    uid: Mapped[str] = mapped_column(unique=True)
    subject_type: Mapped[str]
    subject_id: Mapped[int]
    category: Mapped[str]
    sequence: Mapped[int] = mapped_column(server_default="0")
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    all_day: Mapped[bool] = mapped_column(server_default=text("false"))
    status: Mapped[str] = mapped_column(server_default="confirmed")
    summary_zh: Mapped[str]
    summary_en: Mapped[str]
    location_zh: Mapped[str] = mapped_column(server_default="")
    location_en: Mapped[str] = mapped_column(server_default="")
    # where that is, in degrees (WGS 84); unknown is null
    lat: Mapped[float | None]
    lng: Mapped[float | None]
    description_zh: Mapped[str] = mapped_column(server_default="")
    description_en: Mapped[str] = mapped_column(server_default="")
    last_modified: Mapped[datetime]
    cancelled_at: Mapped[datetime | None]
    # the VEVENT as bytes, rendered once in the transaction that changed it
    fragment_zh: Mapped[bytes] = mapped_column(LargeBinary)
    fragment_en: Mapped[bytes] = mapped_column(LargeBinary)

    __table_args__ = (
        UniqueConstraint("subject_type", "subject_id"),
        Index("ix_calendar_entry_starts_at", "starts_at"),
        CheckConstraint("status in ('confirmed','tentative','cancelled')", name="status"),
        CheckConstraint("ends_at > starts_at", name="span"),
        CheckConstraint("(lat is null) = (lng is null)", name="both_coordinates"),
    )


class EntryAudience(Row, Base):
    """受众: whom an entry concerns: a child, class, person, school, resource or the district.

    ``class`` stands in the families' calendars too; ``class_staff`` in the class's and its
    teacher's only (a session that some children of the class do not join).
    """

    __tablename__ = "entry_audience"
    entry_id: Mapped[int] = mapped_column(ForeignKey("calendar_entry.id", ondelete="CASCADE"))
    kind: Mapped[str]
    audience_id: Mapped[int]
    # the entry's span again: a week of somebody is one range of one index
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]

    __table_args__ = (
        UniqueConstraint("kind", "audience_id", "entry_id"),
        Index("ix_entry_audience_span", "kind", "audience_id", "starts_at"),
        Index("ix_entry_audience_entry", "entry_id"),
        CheckConstraint(
            "kind in ('child','class','class_staff','person','school','resource','district')",
            name="kind",
        ),
        CheckConstraint("ends_at <= starts_at + interval '2400 hours'", name="length"),
    )


class FeedVersion(Base):
    """受众版本: rises with every change that concerns the audience; feeds' ETags come from it."""

    __tablename__ = "feed_version"
    kind: Mapped[str] = mapped_column(primary_key=True)
    audience_id: Mapped[int] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(server_default="1")
    changed_at: Mapped[datetime]


class BusySource(Row, Base):
    """外部日历: a partner's own calendar of a resource, uploaded once or read by its address."""

    __tablename__ = "busy_source"
    resource_id: Mapped[int] = mapped_column(
        ForeignKey("resource.id", ondelete="CASCADE"), index=True
    )
    owner_id: Mapped[int] = mapped_column(ForeignKey("organisation.id"))
    name: Mapped[str]
    # null for a file that was uploaded; an address may hold a secret of the partner's
    address_enc: Mapped[bytes | None] = mapped_column(LargeBinary)
    etag: Mapped[str] = mapped_column(server_default="")
    modified: Mapped[str] = mapped_column(server_default="")
    # a proposal until its owner has looked at what was understood; only then it takes time away
    in_use: Mapped[bool] = mapped_column(server_default=text("false"))
    next_at: Mapped[datetime | None]
    tried_at: Mapped[datetime | None]
    # when its busy times were last replaced, and when they were last known to be right
    read_at: Mapped[datetime | None]
    checked_at: Mapped[datetime | None]
    failures: Mapped[int] = mapped_column(server_default="0")
    failing_since: Mapped[datetime | None]
    told_at: Mapped[datetime | None]
    # why it could not be read: the part of the file, if it was the file, and the reason
    failed_part: Mapped[str | None]
    failed_reason: Mapped[str | None]

    __scope__ = {"owner": "owner_id"}
    __table_args__ = (
        Index(
            "ix_busy_source_next_at",
            "next_at",
            postgresql_where=text("address_enc is not null"),
        ),
    )


class BusySpan(Base):
    """忙碌时段: when a partner's own calendar says that a resource is taken."""

    __tablename__ = "busy_span"
    source_id: Mapped[int] = mapped_column(
        ForeignKey("busy_source.id", ondelete="CASCADE"), primary_key=True
    )
    starts_at: Mapped[datetime] = mapped_column(primary_key=True)
    ends_at: Mapped[datetime]
    resource_id: Mapped[int]

    __table_args__ = (
        Index("ix_busy_span_resource", "resource_id", "starts_at"),
        CheckConstraint("ends_at > starts_at", name="span"),
    )


class FeedToken(Row, Base):
    """日历订阅: a secret address of one feed; only its hash is kept."""

    __tablename__ = "feed_token"
    owner_id: Mapped[int] = mapped_column(ForeignKey("person.id"), index=True)
    scope: Mapped[str]
    # the class, school or resource; null for the owner's own family, teacher or volunteer feed
    scope_id: Mapped[int | None]
    name: Mapped[str]
    token_hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    language: Mapped[str] = mapped_column(server_default="zh")
    options: Mapped[dict[str, str]] = mapped_column(JSONB, server_default=text("'{}'"))
    # when its name, language or options last changed
    changed_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    closed_for: Mapped[str | None]
    revoked_at: Mapped[datetime | None]
    last_fetched_at: Mapped[datetime | None]
    last_client: Mapped[str | None]

    __scope__ = {"person": "owner_id"}
    __table_args__ = (
        CheckConstraint(
            "scope in ('family','child','teacher','class','volunteer','resource','school',"
            "'district')",
            name="scope",
        ),
        CheckConstraint("closed_for in ('owner','idle')", name="closed_for"),
    )
