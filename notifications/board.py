"""What whoever runs delivery has to see: workers, queues, doubt, circuits, jobs that failed.

Figures only: no recipient, no address, no text, no argument of a job. Reads the job engine's tables
by their published schema; must not know who shows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from notifications.models import DeliveryAttempt, DeliveryCircuit, OutboxMessage
from notifications.states import WAITING, AttemptState, State
from notifications.workers import LOCK_CLASS

STOPPED_SHOWN = timedelta(hours=24)
SHOWN = 50
LATELY = timedelta(hours=1)
_TAKEN = (
    AttemptState.ACCEPTED,
    AttemptState.DELIVERED,
    AttemptState.UNDELIVERED,
    AttemptState.FAILED,
)
# as in `jobs`: three missed heartbeats
STALLED_AFTER = 30.0


@dataclass(frozen=True, slots=True)
class WorkerLine:
    """A worker process: alive while its session holds its lock."""

    id: int
    name: str
    started_at: datetime
    stopped_at: datetime | None
    alive: bool
    # attempts of which it has not told the outcome
    open_attempts: int

    @property
    def died(self) -> bool:
        """It neither lives nor said that it stops."""
        return not self.alive and self.stopped_at is None


@dataclass(frozen=True, slots=True)
class QueueLine:
    """What waits on one channel."""

    channel: str
    due: int
    oldest_due: datetime | None
    later: int
    held: int
    sending: int


@dataclass(frozen=True, slots=True)
class Doubts:
    """Attempts of which nobody knows whether they were taken, and messages left to people."""

    unknown: int
    oldest: datetime | None
    needs_human: int


@dataclass(frozen=True, slots=True)
class CircuitLine:
    """A channel that is halted."""

    channel: str
    reason: str
    opened_at: datetime
    open_until: datetime


@dataclass(frozen=True, slots=True)
class CarrierLine:
    """A provider of a route: whether it is the one in use, and how its last hour went."""

    channel: str
    # 0: preferred
    place: int
    in_use: bool
    halted: CircuitLine | None
    taken: int
    # a no that was the provider's own fault: somebody else could carry it
    faults: int
    refused: int
    unknown: int


@dataclass(frozen=True, slots=True)
class JobLine:
    """A job that failed, or whose worker is gone."""

    id: int
    task: str
    attempts: int
    since: datetime | None
    stalled: bool


@dataclass(frozen=True, slots=True)
class Jobs:
    """The job engine's queue."""

    waiting: int
    running: int
    failed: int
    troubled: tuple[JobLine, ...]


_WORKERS = text(
    """
    with open as (
        select worker_id, count(*) as attempts from delivery_attempt
        where state in ('intent', 'unknown') group by worker_id
    )
    select w.id, w.name, w.started_at, w.stopped_at, l.objid is not null as alive,
        coalesce(open.attempts, 0) as open_attempts
    from delivery_worker w
    left join open on open.worker_id = w.id
    left join pg_locks l on l.locktype = 'advisory' and l.granted and l.classid = :class
        and l.objid = w.id and l.objsubid = 2
        and l.database = (select oid from pg_database where datname = current_database())
    where l.objid is not null or coalesce(w.stopped_at, w.started_at) > :since
        or open.attempts > 0
    order by l.objid is null, w.id desc
    limit :shown
    """
)


def workers(session: Session, now: datetime) -> list[WorkerLine]:
    """Living workers first, then those of the last day and those that left something open."""
    rows = session.execute(
        _WORKERS, {"class": LOCK_CLASS, "since": now - STOPPED_SHOWN, "shown": SHOWN}
    )
    return [WorkerLine(*row) for row in rows]


def queues(session: Session, now: datetime) -> list[QueueLine]:
    """What waits, by channel."""
    message, waits = OutboxMessage, OutboxMessage.state.in_(WAITING)
    due = waits & (message.next_at <= now)
    rows = session.execute(
        select(
            message.channel,
            func.count().filter(due),
            func.min(message.next_at).filter(due),
            func.count().filter(message.state == State.QUEUED, message.next_at > now),
            func.count().filter(message.state == State.HELD, message.next_at > now),
            func.count().filter(message.state == State.SENDING),
        )
        .where(message.state.in_((*WAITING, State.SENDING)))
        .group_by(message.channel)
        .order_by(message.channel)
    )
    return [QueueLine(*row) for row in rows]


def doubts(session: Session) -> Doubts:
    """How much is in doubt, and since when."""
    attempt = DeliveryAttempt
    unknown, oldest = session.execute(
        select(func.count(), func.min(attempt.intent_at)).where(
            attempt.state == AttemptState.UNKNOWN
        )
    ).one()
    people = session.scalar(
        select(func.count())
        .select_from(OutboxMessage)
        .where(OutboxMessage.state == State.NEEDS_HUMAN)
    )
    return Doubts(unknown, oldest, people or 0)


def circuits(session: Session, now: datetime) -> list[CircuitLine]:
    """The channels that are halted now."""
    circuit = DeliveryCircuit
    rows = session.execute(
        select(circuit.channel, circuit.reason, circuit.opened_at, circuit.open_until)
        .where(circuit.open_until > now)
        .order_by(circuit.channel)
    )
    return [CircuitLine(*row) for row in rows]


def carriers(session: Session, order: Sequence[str], now: datetime) -> list[CarrierLine]:
    """The providers of a route in their order; the first that is not halted is in use."""
    attempt, state = DeliveryAttempt, DeliveryAttempt.state
    refused = state == AttemptState.REFUSED
    lately = {
        row[0]: tuple(row[1:])
        for row in session.execute(
            select(
                attempt.channel,
                func.count().filter(state.in_(_TAKEN)),
                func.count().filter(refused, attempt.provider_fault),
                func.count().filter(refused, ~attempt.provider_fault),
                func.count().filter(state == AttemptState.UNKNOWN),
            )
            .where(attempt.intent_at > now - LATELY)
            .group_by(attempt.channel)
        )
    }
    halted = {line.channel: line for line in circuits(session, now)}
    using = next((name for name in order if name not in halted), None)
    return [
        CarrierLine(name, place, name == using, halted.get(name), *lately.get(name, (0, 0, 0, 0)))
        for place, name in enumerate(order)
    ]


def close_circuit(session: Session, channel: str, now: datetime) -> bool:
    """Let a channel be tried again at once; False if it is not halted."""
    done = session.execute(
        update(DeliveryCircuit)
        .where(DeliveryCircuit.channel == channel, DeliveryCircuit.open_until > now)
        .values(open_until=now)
        .returning(DeliveryCircuit.channel)
    )
    return done.first() is not None


_COUNTS = text(
    """
    select count(*) filter (where status = 'todo'), count(*) filter (where status = 'doing'),
        count(*) filter (where status = 'failed')
    from procrastinate_jobs where status in ('todo', 'doing', 'failed')
    """
)
_TROUBLED = text(
    """
    select j.id, j.task_name, j.attempts,
        (select max(e.at) from procrastinate_events e where e.job_id = j.id),
        j.status = 'doing'
    from procrastinate_jobs j where j.status = 'failed' or (
        j.status = 'doing' and (j.worker_id is null or exists (
        select from procrastinate_workers w where w.id = j.worker_id
        and w.last_heartbeat < now() - make_interval(secs => :stalled)))
    )
    order by j.id desc limit :shown
    """
)
_RETRY = text(
    """
    select procrastinate_retry_job_v2(j.id, now(), null, null, null)
    from procrastinate_jobs j where j.id = :id and (j.status = 'failed' or (
        j.status = 'doing' and (j.worker_id is null or exists (
        select from procrastinate_workers w where w.id = j.worker_id
        and w.last_heartbeat < now() - make_interval(secs => :stalled)))
    ))
    """
)


def jobs(session: Session) -> Jobs:
    """Jobs waiting, running and in trouble."""
    waiting, running, failed = session.execute(_COUNTS).one()
    rows = session.execute(_TROUBLED, {"stalled": STALLED_AFTER, "shown": SHOWN})
    return Jobs(waiting, running, failed, tuple(JobLine(*row) for row in rows))


def retry_job(session: Session, job_id: int) -> bool:
    """Put a failed or stalled job back; False if it is neither, or if one like it waits already.

    Harmless to messages: a job is only a hint to look at the outbox.
    """
    try:
        with session.begin_nested():
            done = session.execute(_RETRY, {"id": job_id, "stalled": STALLED_AFTER}).first()
    except IntegrityError:
        return False
    return done is not None
