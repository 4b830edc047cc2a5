"""Jobs: deferred with the caller's transaction, run by real workers, taken over when stalled."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from procrastinate import App
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from notifications import jobs, outbox
from notifications.pump import deliver_batch
from notifications.workers import Worker
from tests.unit.notifications.making import Phones, Provider, make_outgoing, put, states_of


def _dsn(engine: Engine) -> str:
    return engine.url.render_as_string(hide_password=False)


@pytest.fixture
def app(engine: Engine) -> App:
    return jobs.make_job_app(_dsn(engine))


def _jobs(engine: Engine) -> list[tuple[str, str]]:
    with engine.connect() as connection:
        rows = connection.execute(
            text("select status::text, args::text from procrastinate_jobs order by id")
        )
        return [(row[0], row[1]) for row in rows]


def test_jobs_and_messages_commit_together(engine: Engine, app: App) -> None:
    with Session(engine) as session:
        outbox.enqueue(session, [make_outgoing(n) for n in range(250)])
        ids = [status.message_id for status in outbox.statuses(session, "notice", 1)]
        assert jobs.defer_in_transaction(app, session, ids) == 3
        assert _jobs(engine) == []
        session.commit()
    assert len(_jobs(engine)) == 3


def test_a_rollback_leaves_no_job(engine: Engine, app: App) -> None:
    with Session(engine) as session:
        jobs.defer_in_transaction(app, session, [1, 2])
        session.rollback()
    assert _jobs(engine) == []


def test_a_second_drain_is_not_deferred_and_the_transaction_lives_on(
    engine: Engine, app: App
) -> None:
    with Session(engine) as session:
        assert jobs.defer_drain(app, session)
        session.commit()
        outbox.enqueue(session, [make_outgoing()])
        assert not jobs.defer_drain(app, session)
        session.commit()
    assert len(_jobs(engine)) == 1
    assert states_of(engine) == ["queued"]


def _run(app: App) -> None:
    async def run() -> None:
        async with app.open_async():
            await app.run_worker_async(
                wait=False, queues=[jobs.QUEUE], install_signal_handlers=False
            )

    asyncio.run(run())


@pytest.fixture
def delivering(engine: Engine, worker: Worker, phones: Phones) -> tuple[App, Provider]:
    provider = Provider()

    def deliver(ids: Sequence[int] | None) -> None:
        deliver_batch(engine, {"sms": provider}, phones, worker.id, ids=ids)

    return jobs.make_job_app(_dsn(engine), deliver), provider


def test_a_worker_delivers_the_batch(engine: Engine, delivering: tuple[App, Provider]) -> None:
    app, provider = delivering
    ids = put(engine, make_outgoing(1), make_outgoing(2), make_outgoing(3))
    with Session(engine) as session:
        jobs.defer_in_transaction(app, session, ids[:2])
        session.commit()
    _run(app)
    assert states_of(engine) == ["accepted", "accepted", "queued"]
    assert len(provider.calls) == 2


def test_a_job_that_runs_twice_sends_once(engine: Engine, delivering: tuple[App, Provider]) -> None:
    app, provider = delivering
    ids = put(engine, make_outgoing(1))
    with Session(engine) as session:
        jobs.defer_in_transaction(app, session, ids)
        jobs.defer_in_transaction(app, session, ids)
        session.commit()
    _run(app)
    assert len(provider.calls) == 1


def test_a_stalled_job_is_taken_over(engine: Engine, delivering: tuple[App, Provider]) -> None:
    app, provider = delivering
    ids = put(engine, make_outgoing(1))
    with Session(engine) as session:
        jobs.defer_in_transaction(app, session, ids)
        session.execute(
            text(
                "with w as (insert into procrastinate_workers (last_heartbeat)"
                " values (now() - interval '1 hour') returning id)"
                " update procrastinate_jobs set status = 'doing', worker_id = (select id from w)"
            )
        )
        session.commit()

    async def reap() -> int:
        async with app.open_async():
            return await jobs.reap_stalled(app)

    assert asyncio.run(reap()) == 1
    with engine.begin() as connection:
        connection.execute(text("update procrastinate_jobs set scheduled_at = null"))
    _run(app)
    assert len(provider.calls) == 1
    assert [status for status, args in _jobs(engine) if "ids" in args] == ["succeeded"]


def test_a_stalled_drain_beside_a_waiting_one_does_not_hold_up_the_others(
    engine: Engine, app: App
) -> None:
    with Session(engine) as session:
        session.execute(
            text(
                "insert into procrastinate_workers (last_heartbeat) values (now() - interval '1 hour')"
            )
        )
        for defer in (
            lambda: jobs.defer_drain(app, session),
            lambda: jobs.defer_in_transaction(app, session, [1]),
        ):
            defer()
            session.execute(
                text(
                    "update procrastinate_jobs set status = 'doing',"
                    " worker_id = (select max(id) from procrastinate_workers) where status = 'todo'"
                )
            )
        assert jobs.defer_drain(app, session)
        session.commit()

    async def reap() -> int:
        async with app.open_async():
            return await jobs.reap_stalled(app)

    assert asyncio.run(reap()) == 2
    assert [status for status, _ in _jobs(engine)] == ["aborted", "todo", "todo"]


def test_the_reaper_runs_as_the_clock_calls_it(
    engine: Engine, delivering: tuple[App, Provider]
) -> None:
    app, _ = delivering
    with Session(engine) as session:
        own = session.connection().connection.driver_connection
        app.tasks[jobs.REAP].configure(connection=own).defer(timestamp=0)
        session.commit()
    _run(app)
    assert {status for status, args in _jobs(engine) if '"timestamp": 0' in args} == {"succeeded"}
