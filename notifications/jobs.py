"""The distributed engine: Procrastinate jobs that carry batches of messages.

The only file that imports procrastinate. A job is a hint that there is work; the outbox is the
truth, so a job that runs twice, or never, loses and repeats nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from procrastinate import App, JobContext, PsycopgConnector, RetryStrategy
from procrastinate.exceptions import AlreadyEnqueued, UniqueViolation
from procrastinate.jobs import Status
from procrastinate.schema import SchemaManager
from procrastinate.types import JSONDict
from sqlalchemy.orm import Session

log = logging.getLogger(__name__)

BATCH = 100
QUEUE = "deliveries"
DELIVER = "notifications.deliver_batch"
REAP = "notifications.retry_stalled"
# Procrastinate's heartbeat is 10 s; three missed ones mean that the worker is gone
STALLED_AFTER = 30.0

# how a worker carries out a batch; None means: whatever is due
Deliver = Callable[[Sequence[int] | None], None]


def procrastinate_schema_sql() -> str:
    """Return Procrastinate's own schema, for a migration to apply."""
    return str(SchemaManager.get_schema())


def make_job_app(dsn: str, deliver: Deliver | None = None) -> App:
    """Build the job application. Without `deliver` it can only defer, which is all a web needs."""
    app = App(connector=PsycopgConnector(conninfo=libpq_dsn(dsn)))

    @app.task(name=DELIVER, queue=QUEUE, retry=RetryStrategy(max_attempts=5, exponential_wait=5))
    def deliver_batch(ids: list[int] | None = None) -> None:
        if deliver is None:
            raise RuntimeError("this process only defers jobs")
        deliver(ids)

    @app.periodic(cron="* * * * *")
    @app.task(name=REAP, queue=QUEUE, pass_context=True)
    async def retry_stalled(_context: JobContext, timestamp: int) -> None:  # noqa: ARG001
        # without a lock: a stalled reaper must not block the next one
        await reap_stalled(app)

    return app


async def reap_stalled(app: App) -> int:
    """Give the jobs of dead workers to living ones; return how many."""
    count = 0
    for job in await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=STALLED_AFTER):
        try:
            await app.job_manager.retry_job(job)
        except UniqueViolation:
            # another one that delivers whatever is due waits already
            await app.job_manager.finish_job(job, status=Status.ABORTED, delete_job=False)
        count += 1
    if count:
        log.warning("%d stalled jobs were taken over", count)
    return count


def defer_in_transaction(app: App, session: Session, ids: Sequence[int]) -> int:
    """Defer batch jobs on the session's own connection: they commit, or roll back, with it."""
    if not ids:
        return 0
    session.flush()
    batches: list[JSONDict] = [
        {"ids": list(ids[start : start + BATCH])} for start in range(0, len(ids), BATCH)
    ]
    app.tasks[DELIVER].configure(connection=_driver(session)).batch_defer(*batches)
    return len(batches)


def defer_drain(app: App, session: Session) -> bool:
    """Defer one job that delivers whatever is due; False if such a job waits already."""
    session.flush()
    try:
        # the savepoint keeps the caller's transaction alive if the job exists
        with session.begin_nested():
            app.tasks[DELIVER].configure(
                connection=_driver(session), queueing_lock="notifications.drain"
            ).defer(ids=None)
    except AlreadyEnqueued:
        return False
    return True


def _driver(session: Session) -> object:
    return session.connection().connection.driver_connection


def libpq_dsn(url: str) -> str:
    """Turn an SQLAlchemy URL into one that libpq reads."""
    return url.replace("postgresql+psycopg://", "postgresql://", 1)
