"""Reminder rows: one per rule and subject, rewritten when the subject moves, taken when due.

Must not know what a reminder says nor whom it reaches: that is decided when it is due.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Engine, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from notifications import clock
from notifications.models import Reminder

_SPEC = re.compile(
    r"(?P<days>\d+)d@(?P<hour>[01]\d|2[0-3]):(?P<minute>[0-5]\d)|(?P<minutes>[+-]\d+)m"
)


@dataclass(frozen=True, slots=True)
class Rule:
    """When to remind, relative to an anchor.

    `spec` is `3d@18:00` (three days before the anchor's local day, at 18:00 local time) or
    `-90m` / `+30m` (minutes before or after the anchor). A reminder older than `useful_for`
    past its due time, or (if before the anchor) past the anchor, is too late to be of use.
    """

    key: str
    spec: str
    useful_for: timedelta = timedelta(hours=12)

    def __post_init__(self) -> None:
        if _SPEC.fullmatch(self.spec) is None:
            raise ValueError(f"not a reminder rule: {self.spec}")


@dataclass(frozen=True, slots=True)
class Due:
    """A reminder that has been taken; its row is done in the same transaction."""

    id: int
    rule_key: str
    subject_type: str
    subject_id: int
    anchor_at: datetime
    due_at: datetime


def due_at(anchor: datetime, rule: Rule, zone: ZoneInfo) -> datetime:
    """Return the instant at which the rule reminds of the anchor."""
    match = _SPEC.fullmatch(rule.spec)
    if match is None:
        raise ValueError(f"not a reminder rule: {rule.spec}")
    if match["minutes"] is not None:
        return anchor + timedelta(minutes=int(match["minutes"]))
    day = anchor.astimezone(zone).date() - timedelta(days=int(match["days"]))
    return datetime.combine(day, time(int(match["hour"]), int(match["minute"])), tzinfo=zone)


def useful_until(anchor: datetime, rule: Rule, zone: ZoneInfo) -> datetime:
    """Return the instant from which the reminder is too late to be of use."""
    due = due_at(anchor, rule, zone)
    latest = due + rule.useful_for
    return min(latest, anchor) if due < anchor else latest


def plan(
    session: Session,
    rules: Sequence[Rule],
    *,
    subject_type: str,
    subject_id: int,
    anchor_at: datetime,
    zone: ZoneInfo,
    now: datetime | None = None,
) -> int:
    """Write the subject's reminders that still lie ahead; one already written stays as it is."""
    at = now or clock.now()
    rows = [
        {
            "rule_key": rule.key,
            "rule_spec": rule.spec,
            "zone": zone.key,
            "subject_type": subject_type,
            "subject_id": subject_id,
            "anchor_at": anchor_at,
            "due_at": due_at(anchor_at, rule, zone),
            "useful_until": useful_until(anchor_at, rule, zone),
        }
        for rule in rules
        if due_at(anchor_at, rule, zone) > at
    ]
    if not rows:
        return 0
    statement = insert(Reminder).values(rows)
    # a session moved away and back finds its cancelled rows again
    revived = statement.on_conflict_do_update(
        index_elements=["rule_key", "subject_type", "subject_id", "due_at"],
        set_={
            "state": "pending",
            "anchor_at": statement.excluded.anchor_at,
            "useful_until": statement.excluded.useful_until,
            "settled_at": None,
        },
        where=Reminder.state == "cancelled",
    )
    return len(session.execute(revived.returning(Reminder.id)).all())


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


def rewrite(
    session: Session,
    rules: Sequence[Rule],
    *,
    subject_type: str,
    subject_id: int,
    anchor_at: datetime,
    zone: ZoneInfo,
    now: datetime | None = None,
) -> int:
    """Move the subject's reminders to a new anchor, in the transaction that moves the subject."""
    at = now or clock.now()
    drop(session, subject_type, subject_id, now=at)
    return plan(
        session,
        rules,
        subject_type=subject_type,
        subject_id=subject_id,
        anchor_at=anchor_at,
        zone=zone,
        now=at,
    )


_ANY_DUE = text("select exists (select from reminder where state = 'pending' and due_at <= :now)")


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
