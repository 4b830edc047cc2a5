"""What runs by itself, as the administration sees it, and the two things it may put right by hand.

Figures only; nobody's name, number or text. Must not know what a tick or a job does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.authz.policy import refuse_unless_allowed
from coordination.ground import ticks
from coordination.ground.actor import Actor
from coordination.ground.errors import Conflict
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork
from notifications import board, holding

# a tick that is this much later than its turn: the clock is stopped, or the tick before is long
GRACE = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class TickLine:
    """One thing that the clock does, and how its last run went."""

    name: str
    every_seconds: int
    at: datetime
    took_ms: int
    error: str | None
    failed_at: datetime | None
    late: bool


@dataclass(frozen=True, slots=True)
class Leader:
    """The clock that leads; the others wait."""

    since: datetime | None
    host: str | None


@dataclass(frozen=True, slots=True)
class Board:
    """All of it at one moment."""

    at: datetime
    leader: Leader | None
    ticks: tuple[TickLine, ...]
    workers: tuple[board.WorkerLine, ...]
    queues: tuple[board.QueueLine, ...]
    doubts: board.Doubts
    circuits: tuple[board.CircuitLine, ...]
    # who carries texts, the preferred provider first
    carriers: tuple[board.CarrierLine, ...]
    jobs: board.Jobs
    # after a restore, until somebody has decided about what waited in the backup
    hold: holding.Hold | None
    held: holding.Waiting

    @property
    def alive(self) -> int:
        """Workers that live."""
        return sum(worker.alive for worker in self.workers)


def board_of(session: Session, actor: Actor, now: datetime, carriers: Sequence[str] = ()) -> Board:
    """Look at everything that runs by itself; `carriers` are the providers of texts, in order."""
    refuse_unless_allowed(actor, Action.DELIVERY_RUN)
    hold = holding.standing(session)
    return Board(
        at=now,
        leader=_leader(session),
        ticks=tuple(_tick(row, now) for row in ticks.ticks(session)),
        workers=tuple(board.workers(session, now)),
        queues=tuple(board.queues(session, now)),
        doubts=board.doubts(session),
        circuits=tuple(board.circuits(session, now)),
        carriers=tuple(board.carriers(session, carriers, now)),
        jobs=board.jobs(session),
        hold=hold,
        held=holding.messages(session, hold) if hold else holding.Waiting(0, 0),
    )


_LEADER = text(
    """
    select a.backend_start, host(a.client_addr)
    from pg_locks l left join pg_stat_activity a on a.pid = l.pid
    where l.locktype = 'advisory' and l.granted and l.classid = 0 and l.objid = :key
        and l.objsubid = 1
        and l.database = (select oid from pg_database where datname = current_database())
    """
)


def _leader(session: Session) -> Leader | None:
    row = session.execute(_LEADER, {"key": ticks.LEADER}).first()
    return Leader(*row) if row is not None else None


def _tick(row: ticks.ClockTick, now: datetime) -> TickLine:
    every = row.every_seconds or 0
    return TickLine(
        name=row.name,
        every_seconds=every,
        at=row.at,
        took_ms=row.took_ms or 0,
        error=row.error,
        failed_at=row.failed_at,
        late=now - row.at > timedelta(seconds=every) + GRACE,
    )


def close_circuit(uow: UnitOfWork, *, channel: str) -> None:
    """Let a halted channel be tried again at once; whoever pressed stands in the audit trail."""
    uow.authorize(Action.DELIVERY_RUN)
    if not board.close_circuit(uow.session, channel, uow.now):
        raise Conflict(
            Text("这个通道没有停用。", "This channel is not halted."), code="circuit_closed"
        )
    uow.trail.line("change", "delivery_circuit", None, {"halted": channel}, {"halted": None})


def retry_job(uow: UnitOfWork, *, job_id: int) -> None:
    """Put a failed or stalled job back into the queue."""
    uow.authorize(Action.DELIVERY_RUN)
    if not board.retry_job(uow.session, job_id):
        raise Conflict(
            Text(
                "这个任务不需要重试：已经完成，或同样的任务已在排队。",
                "This job need not be retried: it is done, or one like it waits already.",
            ),
            code="job_fine",
        )
    uow.trail.line("change", "procrastinate_jobs", job_id, None, {"status": "todo"})
