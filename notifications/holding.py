"""After a backup was restored: what stood in it waits until somebody says whether it shall be sent.

Between the backup and the restore the system that was lost went on, and what waited in the backup may
have been sent by it. Nobody can tell from here, so nothing of it leaves by itself. What people do from
now on is new and leaves at once. What was being sent when the backup was made is in doubt: the provider
is asked, and what it does not know is left to people.

Must not know how a backup is made.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString

from psycopg import sql
from sqlalchemy import Connection, Engine, delete, func, select, update
from sqlalchemy.orm import Session

from notifications.models import OutboxHold, OutboxMessage, Reminder
from notifications.retry import MAX_RESENDS_AFTER_DOUBT
from notifications.states import WAITING, State

RESTORED = "restored"


@dataclass(frozen=True, slots=True)
class Hold:
    """What is held: messages up to `upto`, and whatever else was there at `since`."""

    upto: int
    taken_at: datetime
    since: datetime


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits: its time came between backup and restore, or comes only after that."""

    due: int
    later: int


def standing(connection: Connection | Session) -> Hold | None:
    """The hold, if there is one: one row of a table that is nearly always empty."""
    row = connection.execute(select(OutboxHold.upto, OutboxHold.taken_at, OutboxHold.since)).first()
    return Hold(*row) if row is not None else None


def stands(engine: Engine) -> Hold | None:
    """The same, outside of any transaction."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        return standing(connection)


def placing(upto: int, taken_at: datetime, since: datetime) -> list[str]:
    """The statements that place a hold, for the transaction that restores the tables."""
    values = {
        "upto": sql.Literal(upto),
        "taken_at": sql.Literal(taken_at),
        "at": sql.Literal(since),
        "most": sql.Literal(MAX_RESENDS_AFTER_DOUBT),
    }
    return [sql.SQL(statement).format(**values).as_string() for statement in _PLACING]


_PLACING: tuple[LiteralString, ...] = (
    "update delivery_attempt set state = 'unknown', reason = 'restored', settled_at = {at},"
    " next_check_at = {at} where state = 'intent'",
    "update outbox_message set state = 'unknown', reason_code = 'restored', updated_at = {at}"
    " where state = 'sending'",
    # the provider is asked as always, but its no sends nothing again: it may have been sent later
    "update outbox_message set doubts = {most} where state = 'unknown'",
    "insert into outbox_hold (id, upto, taken_at, since) values (1, {upto}, {taken_at}, {at})",
)


def messages(session: Session, hold: Hold) -> Waiting:
    """Messages that wait because of the hold."""
    due = OutboxMessage.next_at <= hold.since
    row = session.execute(
        select(func.count().filter(due), func.count().filter(~due)).where(
            OutboxMessage.state.in_(WAITING), OutboxMessage.id <= hold.upto
        )
    ).one()
    return Waiting(*row)


def reminders(session: Session, hold: Hold) -> Waiting:
    """Reminders that wait because of the hold."""
    due = Reminder.due_at <= hold.since
    row = session.execute(
        select(func.count().filter(due), func.count().filter(~due)).where(
            Reminder.state == "pending"
        )
    ).one()
    return Waiting(*row)


def drop_due(session: Session, hold: Hold, now: datetime) -> tuple[int, int]:
    """Cancel what may have been sent since the backup: messages, reminders; how many of each."""
    dropped = session.execute(
        update(OutboxMessage)
        .where(
            OutboxMessage.state.in_(WAITING),
            OutboxMessage.id <= hold.upto,
            OutboxMessage.next_at <= hold.since,
        )
        .values(state=State.CANCELLED, reason_code=RESTORED, updated_at=now)
        .returning(OutboxMessage.id)
        .execution_options(synchronize_session=False)
    )
    expired = session.execute(
        update(Reminder)
        .where(Reminder.state == "pending", Reminder.due_at <= hold.since)
        .values(state="expired", settled_at=now)
        .returning(Reminder.id)
        .execution_options(synchronize_session=False)
    )
    return len(dropped.all()), len(expired.all())


def lift(session: Session) -> bool:
    """Let everything go on; False if nothing was held. Whoever lifts waits for one who lifts already."""
    gone = session.execute(delete(OutboxHold).returning(OutboxHold.id))
    return gone.first() is not None
