"""Reminder rows: one per rule and subject, rewritten when the subject moves, taken when due.

Must not know what a reminder says nor whom it reaches: that is decided when it is due. Which rules
apply to which subject is said by the caller, as a select; when each is due is worked out here, in
the one statement that writes the rows, so that a rule over thousands of subjects costs as one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import (
    ColumnElement,
    DateTime,
    Engine,
    Integer,
    Interval,
    Select,
    String,
    Time,
    and_,
    case,
    cast,
    func,
    literal,
    or_,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from notifications import clock
from notifications.models import Reminder

_SPEC = re.compile(r"\+?\d{1,3}d@([01]\d|2[0-3]):[0-5]\d|[+-]\d{1,6}m")


def refuse_unreadable(spec: str) -> None:
    """Raise ValueError unless `spec` says when to remind, relative to an anchor.

    `3d@18:00`: three days before the anchor's local day, at 18:00 local time; `+1d@09:00`: the day
    after it; `-90m` / `+30m`: minutes before or after the anchor. What begins with a plus comes
    after the anchor, everything else before it: one that would fall on the other side is no reminder.
    """
    if _SPEC.fullmatch(spec) is None:
        raise ValueError(f"not a reminder rule: {spec}")


@dataclass(frozen=True, slots=True)
class Due:
    """A reminder that has been taken; its row is done in the same transaction."""

    id: int
    rule_key: str
    subject_type: str
    subject_id: int
    anchor_at: datetime
    due_at: datetime


@dataclass(frozen=True, slots=True)
class Rewritten:
    """What a rewrite changed: rows new, revived or corrected, and rows cancelled."""

    written: int
    cancelled: int


def due_at(
    anchor: ColumnElement[datetime], spec: ColumnElement[str], zone: ZoneInfo
) -> ColumnElement[datetime]:
    """The instant at which a rule reminds of its anchor, as an expression over both columns."""
    number = cast(func.substring(spec, r"\d+"), Integer)
    after = func.starts_with(spec, "+")
    signed = case((after, number), else_=-number)
    day = func.date_trunc("day", func.timezone(zone.key, anchor, type_=DateTime()))
    clock_time = cast(func.split_part(spec, "@", 2), Time)
    local = day + func.make_interval(0, 0, 0, signed, type_=Interval()) + cast(clock_time, Interval)
    by_day = func.timezone(zone.key, local, type_=DateTime(timezone=True))
    by_minute = anchor + func.make_interval(0, 0, 0, 0, 0, signed, type_=Interval())
    return case((spec.contains("@"), by_day), else_=by_minute)


def rewrite(
    session: Session,
    wanted: Select[int, str, str, datetime, int],
    subjects: Select[int],
    *,
    subject_type: str,
    zone: ZoneInfo,
    now: datetime | None = None,
) -> Rewritten:
    """Make the pending reminders of `subjects` exactly those of `wanted` that lie ahead.

    `wanted` yields subject id, rule key, spec, anchor, and for how many hours after its time the
    reminder is still worth sending, at most until the anchor if it comes before; an anchor that is
    null asks for nothing. One row for a subject and a rule.

    Called in the transaction that moves a subject or changes a rule. Rows that are no longer wanted
    are cancelled, cancelled ones that are wanted again come back, and one that has fired stays fired
    whatever is wanted. A reminder whose time has passed is not written: nobody is reminded at once.
    """
    at = now or clock.now()
    columns = wanted.subquery("asked").c
    subject, key, spec, anchor, hours = (columns[n] for n in range(5))
    due = due_at(anchor, spec, zone)
    after = func.starts_with(spec, "+")
    stale = due + func.make_interval(0, 0, 0, 0, cast(hours, Integer), type_=Interval())
    timed = (
        select(
            key.label("rule_key"),
            spec.label("rule_spec"),
            subject.label("subject_id"),
            anchor.label("anchor_at"),
            due.label("due_at"),
            case((after, stale), else_=func.least(stale, anchor)).label("useful_until"),
        )
        .where(anchor.is_not(None), or_(and_(after, due > anchor), and_(~after, due < anchor)))
        .distinct()
        .cte("timed")
    )
    cancelled = (
        update(Reminder)
        .where(
            Reminder.subject_type == subject_type,
            Reminder.subject_id.in_(subjects),
            Reminder.state == "pending",
            tuple_(Reminder.rule_key, Reminder.subject_id, Reminder.due_at).not_in(
                select(timed.c.rule_key, timed.c.subject_id, timed.c.due_at)
            ),
        )
        .values(state="cancelled", settled_at=at)
        .returning(Reminder.id)
        .cte("cancelled")
    )
    names = ("rule_key", "rule_spec", "subject_id", "anchor_at", "due_at", "useful_until")
    fresh = insert(Reminder).from_select(
        [*names, "subject_type", "zone"],
        select(
            *(timed.c[name] for name in names),
            literal(subject_type, String),
            literal(zone.key, String),
        )
        .where(timed.c.due_at > at)
        .order_by(timed.c.subject_id, timed.c.rule_key),
    )
    new = fresh.excluded
    written = (
        # a session moved away and back finds its cancelled rows again
        fresh.on_conflict_do_update(
            index_elements=["subject_id", "subject_type", "rule_key", "due_at"],
            set_={
                "state": "pending",
                "rule_spec": new.rule_spec,
                "zone": new.zone,
                "anchor_at": new.anchor_at,
                "useful_until": new.useful_until,
                "settled_at": None,
            },
            where=or_(
                Reminder.state == "cancelled",
                and_(
                    Reminder.state == "pending",
                    tuple_(Reminder.anchor_at, Reminder.useful_until)
                    != tuple_(new.anchor_at, new.useful_until),
                ),
            ),
        )
        .returning(Reminder.id)
        .cte("written")
    )
    counted = session.execute(
        select(
            select(func.count()).select_from(written).scalar_subquery(),
            select(func.count()).select_from(cancelled).scalar_subquery(),
        )
    ).one()
    return Rewritten(*counted)


def drop(
    session: Session, subject_type: str, subject_id: int, *, now: datetime | None = None
) -> int:
    """Cancel the subject's pending reminders."""
    done = session.execute(
        update(Reminder)
        .where(
            Reminder.subject_type == subject_type,
            Reminder.subject_id == subject_id,
            Reminder.state == "pending",
        )
        .values(state="cancelled", settled_at=now or clock.now())
        .returning(Reminder.id)
    )
    return len(done.all())


# ordered, because PostgreSQL takes an unordered look for one that soon finds a row, and reads the table
_ANY_DUE = text(
    "select true from reminder where state = 'pending' and due_at <= :now order by due_at limit 1"
)


def any_due(engine: Engine, now: datetime) -> bool:
    """Whether a look is worth a transaction: one statement outside of any."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        return bool(connection.scalar(_ANY_DUE, {"now": now}))


def take_due(session: Session, now: datetime, limit: int = 100) -> list[Due]:
    """Take due reminders for handling in this same transaction; too late ones expire.

    A rollback gives them back; a commit settles them together with what the handler wrote.
    """
    rows = session.execute(
        select(Reminder.__table__)
        .where(Reminder.state == "pending", Reminder.due_at <= now)
        .order_by(Reminder.due_at, Reminder.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()
    late = [row.id for row in rows if row.useful_until <= now]
    taken = [row for row in rows if row.useful_until > now]
    _settle(session, late, "expired", now)
    _settle(session, [row.id for row in taken], "done", now)
    return [
        Due(
            id=row.id,
            rule_key=row.rule_key,
            subject_type=row.subject_type,
            subject_id=row.subject_id,
            anchor_at=row.anchor_at,
            due_at=row.due_at,
        )
        for row in taken
    ]


def _settle(session: Session, ids: Sequence[int], state: str, now: datetime) -> None:
    if ids:
        session.execute(
            update(Reminder)
            .where(Reminder.id.in_(ids))
            .values(state=state, settled_at=now)
            .execution_options(synchronize_session=False)
        )
