"""Expand one notice to many with one statement, household-merged. Must not know who they are.

Runs in the caller's transaction and moves no row through the client.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    DateTime,
    Select,
    SmallInteger,
    String,
    Text,
    cast,
    func,
    literal,
    literal_column,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlalchemy.orm import Session

from notifications import clock
from notifications.models import BroadcastRow, OutboxMessage
from notifications.values import PRIORITY, Broadcast


def expand(session: Session, broadcast: Broadcast, recipients: Select[Any]) -> int:
    """Write one message per household of `recipients`, or per recipient without one.

    `recipients` yields recipient_id, household_key, language, params (jsonb), body. Of several
    recipients in one household the smallest id is written to. Expanding twice writes once.
    """
    now = clock.now()
    broadcast_id, new = _row_of(session, broadcast)
    wanted = recipients.subquery("wanted")
    household = func.coalesce(
        func.nullif(wanted.c.household_key, ""),
        func.concat("recipient:", cast(wanted.c.recipient_id, String)),
    )
    starts = max(broadcast.not_before or now, now)
    source = (
        select(
            literal(broadcast_id, BigInteger),
            func.concat(literal(f"broadcast:{broadcast.key}:", Text), household),
            wanted.c.recipient_id,
            wanted.c.household_key,
            literal(broadcast.template_key, Text),
            wanted.c.language,
            wanted.c.params,
            wanted.c.body,
            func.encode(func.sha256(func.convert_to(wanted.c.body, "UTF8")), "hex"),
            literal(broadcast.link, Text),
            literal(broadcast.message_class, Text),
            literal(PRIORITY[broadcast.message_class], SmallInteger),
            literal(broadcast.channel, Text),
            literal(broadcast.subject_type, Text),
            literal(broadcast.subject_id, BigInteger),
            literal(starts, DateTime(timezone=True)),
            literal(broadcast.valid_until, DateTime(timezone=True)),
        )
        .ext(distinct_on(household))
        .order_by(household, wanted.c.recipient_id)
    )
    columns = [
        "broadcast_id",
        "dedupe_key",
        "recipient_id",
        "household_key",
        "template_key",
        "language",
        "params",
        "body",
        "body_hash",
        "link",
        "message_class",
        "priority",
        "channel",
        "subject_type",
        "subject_id",
        "next_at",
        "valid_until",
    ]
    statement = insert(OutboxMessage).from_select(columns, source, include_defaults=False)
    if not new:
        # only an earlier expansion can have written these keys; a new one need not look for them
        statement = statement.on_conflict_do_nothing(index_elements=["dedupe_key"])
    done = session.connection().execute(statement, execution_options={"preserve_rowcount": True})
    session.execute(
        update(BroadcastRow)
        .where(BroadcastRow.id == broadcast_id)
        .values(messages=BroadcastRow.messages + done.rowcount)
    )
    return done.rowcount


def _row_of(session: Session, broadcast: Broadcast) -> tuple[int, bool]:
    """The broadcast's row, locked until the transaction ends, and whether it is new."""
    statement = insert(BroadcastRow).values(
        key=broadcast.key,
        template_key=broadcast.template_key,
        message_class=broadcast.message_class,
        channel=broadcast.channel,
        subject_type=broadcast.subject_type,
        subject_id=broadcast.subject_id,
        not_before=broadcast.not_before,
        valid_until=broadcast.valid_until,
        link=broadcast.link,
    )
    number, new = session.execute(
        # the no-op update makes the known row come back, and locks it; a new row has no xmax
        statement.on_conflict_do_update(
            index_elements=["key"], set_={"key": statement.excluded.key}
        ).returning(BroadcastRow.id, literal_column("xmax = 0", Boolean))
    ).one()
    return number, new
