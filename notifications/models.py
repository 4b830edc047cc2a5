"""Tables of the library, under its own metadata.

Must not know the application's tables: a person is a plain `recipient_id`, and no address is
ever stored, only a mask.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    MetaData,
    SmallInteger,
    Text,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from notifications.states import AttemptState, State


def _one_of(column: str, values: type[State | AttemptState]) -> str:
    return f"{column} in ({', '.join(repr(value.value) for value in values)})"


class NotificationsBase(DeclarativeBase):
    """Declarative base of this library only."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        int: BigInteger,
        str: Text,
        datetime: DateTime(timezone=True),
        dict[str, str]: JSONB,
        UUID: Uuid,
    }


metadata = NotificationsBase.metadata


class BroadcastRow(NotificationsBase):
    """群发: one notice to many, expanded into outbox messages by one statement."""

    __tablename__ = "broadcast"
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    key: Mapped[str] = mapped_column(unique=True)
    template_key: Mapped[str]
    message_class: Mapped[str]
    channel: Mapped[str]
    subject_type: Mapped[str]
    subject_id: Mapped[int]
    not_before: Mapped[datetime | None]
    valid_until: Mapped[datetime | None]
    link: Mapped[str | None]
    messages: Mapped[int] = mapped_column(server_default="0")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    __table_args__ = (Index("ix_broadcast_subject", "subject_type", "subject_id"),)


class OutboxMessage(NotificationsBase):
    """待发消息: one message to one recipient by one channel; the only truth about its delivery."""

    __tablename__ = "outbox_message"
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    # without key and index: they cost a wide notice a third of its time, and nothing looks it up
    broadcast_id: Mapped[int | None]
    dedupe_key: Mapped[str]
    recipient_id: Mapped[int]
    household_key: Mapped[str | None]
    template_key: Mapped[str]
    language: Mapped[str]
    params: Mapped[dict[str, str]] = mapped_column(server_default=text("'{}'::jsonb"))
    body: Mapped[str | None]
    body_hash: Mapped[str]
    link: Mapped[str | None]
    message_class: Mapped[str]
    priority: Mapped[int] = mapped_column(SmallInteger)
    channel: Mapped[str]
    subject_type: Mapped[str]
    subject_id: Mapped[int]
    valid_until: Mapped[datetime | None]
    state: Mapped[str] = mapped_column(server_default="queued")
    reason_code: Mapped[str | None]
    next_at: Mapped[datetime]
    tries: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    doubts: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    address_mask: Mapped[str | None]
    provider_id: Mapped[str | None]
    segments: Mapped[int | None] = mapped_column(SmallInteger)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
    erased_at: Mapped[datetime | None]
    __table_args__ = (
        # a handler that runs twice writes once
        Index("uq_outbox_message_dedupe_key", "dedupe_key", unique=True),
        Index(
            "ix_outbox_message_due",
            "priority",
            "next_at",
            "id",
            postgresql_where=text("state in ('queued', 'held')"),
        ),
        Index("ix_outbox_message_subject", "subject_type", "subject_id"),
        Index("ix_outbox_message_recipient", "recipient_id", "created_at"),
        # a handful of all: what ended without a provider, or was refused by one
        Index(
            "ix_outbox_message_unsent",
            "created_at",
            postgresql_where=text("state in ('failed', 'suppressed', 'expired')"),
        ),
        CheckConstraint(_one_of("state", State), name="state"),
        CheckConstraint(
            "message_class in ('info', 'confirm', 'sign', 'urgent', 'otp', 'proof')",
            name="message_class",
        ),
    )


class ErasureMark(NotificationsBase):
    """Up to which message all that is old has been erased, but for those that may still be sent."""

    __tablename__ = "erasure_mark"
    id: Mapped[int] = mapped_column(server_default="1", primary_key=True, autoincrement=False)
    upto: Mapped[int]
    passed: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    __table_args__ = (CheckConstraint("id = 1", name="one"),)


class MergedMessage(NotificationsBase):
    """合并: a message that another one says too. A table of its own: the outbox bears no column more.

    That a message goes into one other only is the key.
    """

    __tablename__ = "merged_message"
    message_id: Mapped[int] = mapped_column(ForeignKey("outbox_message.id"), primary_key=True)
    into_id: Mapped[int] = mapped_column(ForeignKey("outbox_message.id"), index=True)
    at: Mapped[datetime]


class HeldMessage(NotificationsBase):
    """押后: that a message had to wait from `at` until `until`, and why; kept when it has left."""

    __tablename__ = "held_message"
    message_id: Mapped[int] = mapped_column(ForeignKey("outbox_message.id"), primary_key=True)
    at: Mapped[datetime] = mapped_column(primary_key=True)
    until: Mapped[datetime]
    reason_code: Mapped[str]


class DeliveryAttempt(NotificationsBase):
    """投递尝试: the intent to call a provider once, written before the call.

    `channel` is the provider's own name, so that doubt is settled by the one that was called, however
    the settings have changed since; attempts of earlier versions have the route's name there.
    """

    __tablename__ = "delivery_attempt"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    message_id: Mapped[int] = mapped_column(ForeignKey("outbox_message.id"), index=True)
    worker_id: Mapped[int]
    channel: Mapped[str]
    state: Mapped[str] = mapped_column(server_default="intent")
    address_mask: Mapped[str | None]
    # the application's key of the address; set for what a daily limit counts, and only then
    address_key: Mapped[str | None]
    provider_id: Mapped[str | None]
    segments: Mapped[int | None] = mapped_column(SmallInteger)
    code: Mapped[str | None]
    reason: Mapped[str | None]
    # refused for a reason that lies with the provider, so that another may be asked
    provider_fault: Mapped[bool] = mapped_column(server_default=text("false"))
    intent_at: Mapped[datetime]
    settled_at: Mapped[datetime | None]
    checks: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    next_check_at: Mapped[datetime]
    # the first question in a row that the provider did not answer
    silent_since: Mapped[datetime | None]
    __table_args__ = (
        # two open attempts of one message would be two texts
        Index(
            "uq_delivery_attempt_open",
            "message_id",
            unique=True,
            postgresql_where=text("state in ('intent', 'unknown')"),
        ),
        Index(
            "ix_delivery_attempt_check",
            "next_check_at",
            postgresql_where=text("state in ('intent', 'unknown')"),
        ),
        # what went by whom lately: rows stand in the order of time, so a coarse index is enough
        Index("ix_delivery_attempt_intent_at", "intent_at", postgresql_using="brin"),
        Index(
            "uq_delivery_attempt_provider_id",
            "channel",
            "provider_id",
            unique=True,
            postgresql_where=text("provider_id is not null"),
        ),
        Index(
            "ix_delivery_attempt_address",
            "address_key",
            "intent_at",
            postgresql_where=text("address_key is not null"),
        ),
        CheckConstraint(_one_of("state", AttemptState), name="state"),
    )


class DeliveryWorker(NotificationsBase):
    """A worker process; alive as long as its session holds the advisory lock (4242, id)."""

    __tablename__ = "delivery_worker"
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    name: Mapped[str]
    started_at: Mapped[datetime] = mapped_column(server_default=func.now())
    stopped_at: Mapped[datetime | None]


class DeliveryCircuit(NotificationsBase):
    """A channel that is stopped until `open_until`, and why."""

    __tablename__ = "delivery_circuit"
    channel: Mapped[str] = mapped_column(primary_key=True)
    reason: Mapped[str]
    opened_at: Mapped[datetime]
    open_until: Mapped[datetime]


class OutboxHold(NotificationsBase):
    """恢复后暂停: a backup was restored, and what waited in it may have been sent since (`holding`).

    There is a row until somebody has decided.
    """

    __tablename__ = "outbox_hold"
    id: Mapped[int] = mapped_column(server_default="1", primary_key=True, autoincrement=False)
    # the last message that was in the backup
    upto: Mapped[int]
    # when the backup was made, and when it was restored
    taken_at: Mapped[datetime]
    since: Mapped[datetime]
    __table_args__ = (CheckConstraint("id = 1", name="one"),)


class Suppression(NotificationsBase):
    """停发: a recipient who must not be written to on a channel, and the strikes that led to it."""

    __tablename__ = "suppression"
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    recipient_id: Mapped[int]
    channel: Mapped[str]
    strikes: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    active: Mapped[bool] = mapped_column(server_default=text("false"))
    reason_code: Mapped[str | None]
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
    __table_args__ = (Index("uq_suppression_recipient", "recipient_id", "channel", unique=True),)


class InboundText(NotificationsBase):
    """来信: that a text came in, so that a report of it that is repeated does nothing.

    Neither its text nor its sender is kept.
    """

    __tablename__ = "inbound_text"
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    channel: Mapped[str]
    provider_id: Mapped[str]
    kind: Mapped[str]
    at: Mapped[datetime]
    __table_args__ = (
        Index("uq_inbound_text_provider_id", "channel", "provider_id", unique=True),
        Index("ix_inbound_text_at", "at"),
        CheckConstraint("kind in ('stop', 'start', 'other')", name="kind"),
    )


class Reminder(NotificationsBase):
    """提醒: one rule applied to one subject, due at one instant."""

    __tablename__ = "reminder"
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    rule_key: Mapped[str]
    rule_spec: Mapped[str]
    zone: Mapped[str]
    subject_type: Mapped[str]
    subject_id: Mapped[int]
    anchor_at: Mapped[datetime]
    due_at: Mapped[datetime]
    useful_until: Mapped[datetime]
    state: Mapped[str] = mapped_column(server_default="pending")
    settled_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    __table_args__ = (
        Index(
            "uq_reminder_subject_rule_due",
            "subject_id",
            "subject_type",
            "rule_key",
            "due_at",
            unique=True,
        ),
        Index(
            "ix_reminder_due",
            "due_at",
            "id",
            postgresql_where=text("state = 'pending'"),
        ),
        CheckConstraint("state in ('pending', 'done', 'cancelled', 'expired')", name="state"),
    )


class SimulatedMessage(NotificationsBase):
    """A message that the console channel delivered: what the phone simulator shows."""

    __tablename__ = "simulated_message"
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    attempt_id: Mapped[UUID] = mapped_column(unique=True)
    recipient_id: Mapped[int]
    address_mask: Mapped[str]
    body: Mapped[str]
    language: Mapped[str]
    at: Mapped[datetime]
    __table_args__ = (Index("ix_simulated_message_recipient", "recipient_id", "at"),)
