"""Claim and record in batches, beside task queues that do one job for each message.

`ours` claims due messages with every re-check and records their acceptance; nothing is called between
the two. Two limits stand beside it. `bare` writes the same rows by the barest statements and looks at
nothing: below what PostgreSQL needs for that, no claim that keeps an attempt of its own can come.
`unchecked` reads what a message says, asks for its number, writes intent and acceptance by the product's
own statements, and decides nothing: below its client's CPU no claim can come that is written in Python.
The queues run a task that does nothing, in the process that enqueued it, which is the cheapest way to
run them. CPU is that of this process and of the server behind it (PostgreSQL with commits on the disk,
or Redis), per message.

Dramatiq and Celery need `redis-server` on the PATH; they are installed into a folder of their own in
the system's place for temporary files, never beside the product. What cannot be had is said and left out.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from procrastinate import App, PsycopgConnector
from sqlalchemy import Engine, create_engine, text

from benchmarks._processes import cpu_of_family
from benchmarks._server import server
from benchmarks._table import at_least, at_most, console, quick, rounds, show
from benchmarks.pipeline import Numbers, fill
from notifications import claiming, clock, recording
from notifications.claiming import take
from notifications.jobs import libpq_dsn
from notifications.recording import record_many
from notifications.values import Answer, Claimed, Sent
from notifications.ways import Ways
from notifications.workers import Worker

MANY = 5_000 if quick() else 20_000
WAYS = Ways({"sms": ("sms",)})
FEW = 200 if quick() else 1_000
PEERS = ("dramatiq[redis]==2.2.1", "celery[redis]==5.7.0")
PLACE = Path(tempfile.gettempdir()) / "coordination-bench-peers"


BARE = (
    text(
        "with due as (select id from outbox_message where state in ('queued', 'held')"
        " and next_at <= now() order by priority, next_at, id limit :batch for update skip locked),"
        " claimed as (update outbox_message m set state = 'sending', tries = m.tries + 1,"
        " updated_at = now() from due where m.id = due.id returning m.id)"
        " insert into delivery_attempt (id, message_id, worker_id, channel, intent_at, next_check_at)"
        " select gen_random_uuid(), id, 1, 'sms', now(), now() from claimed"
    ),
    text(
        "with taken as (update delivery_attempt set state = 'accepted', segments = 2,"
        " provider_id = 'SM' || id, settled_at = now() where state = 'intent'"
        " returning message_id, provider_id)"
        " update outbox_message m set state = 'accepted', segments = 2, updated_at = now(),"
        " provider_id = taken.provider_id from taken where m.id = taken.message_id"
    ),
)


@dataclass
class Way:
    """One candidate; `run` does `count` messages and says what the server behind it used."""

    count: int
    run: Callable[[int], tuple[float, float]]
    client: list[float] = field(default_factory=list)
    behind: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)

    def turn(self) -> None:
        began = time.perf_counter()
        client, behind = self.run(self.count)
        self.wall.append((time.perf_counter() - began) / self.count)
        self.client.append(client / self.count * 1e6)
        self.behind.append(behind / self.count * 1e6)

    @property
    def total(self) -> float:
        return statistics.median(c + b for c, b in zip(self.client, self.behind, strict=True))


def ours(
    engine: Engine, worker: Worker, postmaster: int, batch: int, count: int
) -> tuple[float, float]:
    """Everything that is due, batch by batch."""
    numbers, done = Numbers(), 0
    fill(engine, count)
    cpu, behind = time.process_time(), cpu_of_family(postmaster)
    while True:
        claimed = take(engine, worker.id, batch, resolver=numbers, ways=WAYS).claimed
        if not claimed:
            break
        answered: list[tuple[Claimed, Answer]] = [
            (c, Sent(f"SM{c.attempt.id.hex}", 2)) for c in claimed
        ]
        record_many(engine, answered)
        done += len(claimed)
    used = time.process_time() - cpu, cpu_of_family(postmaster) - behind
    with engine.connect() as connection:
        accepted = connection.scalar(
            text("select count(*) from outbox_message where state = 'accepted'")
        )
    assert done == accepted == count, (done, accepted)
    return used


def bare(engine: Engine, postmaster: int, batch: int, count: int) -> tuple[float, float]:
    """The same rows in the same batches, and nothing else."""
    fill(engine, count)
    cpu, behind = time.process_time(), cpu_of_family(postmaster)
    for _ in range(count // batch):
        for statement in BARE:
            with engine.begin() as connection:
                done = connection.execute(
                    statement, {"batch": batch} if statement is BARE[0] else {}
                )
                assert done.rowcount == batch, done.rowcount
    return time.process_time() - cpu, cpu_of_family(postmaster) - behind


def unchecked(
    engine: Engine, worker: Worker, postmaster: int, batch: int, count: int
) -> tuple[float, float]:
    """What has to pass through Python for each message, with no decision about it."""
    numbers = Numbers()
    fill(engine, count)
    cpu, behind = time.process_time(), cpu_of_family(postmaster)
    for _ in range(count // batch):
        at = clock.now()
        with engine.begin() as connection:
            rows = claiming._due(connection, at, batch, ["sms"])
            where = numbers.resolve(connection, rows)
            intents = [
                {
                    "id": uuid4().hex,
                    "message_id": row.id,
                    "mask": where[row.id].value[-4:],  # type: ignore[union-attr]
                    "channel": "sms",
                    "key": where[row.id].key,  # type: ignore[union-attr]
                }
                for row in rows
            ]
            connection.execute(
                claiming._INTENTS,
                {"rows": json.dumps(intents), "worker": worker.id, "at": at, "check": at},
            )
        told = [
            {"id": i["id"], "provider_id": f"SM{i['id']}", "segments": 2, "state": "accepted"}
            for i in intents
        ]
        with engine.begin() as connection:
            done = connection.execute(
                recording._ACCEPTED, {"rows": json.dumps(told), "open": ["intent"], "at": at}
            )
            assert done.rowcount == batch, done.rowcount
    return time.process_time() - cpu, cpu_of_family(postmaster) - behind


def procrastinate(url: str, postmaster: int, count: int) -> tuple[float, float]:
    """A job for each message, deferred in one go: the cheapest way."""

    async def go() -> tuple[float, float]:
        app, done = App(connector=PsycopgConnector(conninfo=libpq_dsn(url))), [0]

        @app.task(name="nothing", queue="nothing")
        async def nothing(number: int) -> None:  # noqa: ARG001 - a task has an argument
            done[0] += 1

        async with app.open_async():
            cpu, behind = time.process_time(), cpu_of_family(postmaster)
            await nothing.batch_defer_async(*({"number": n} for n in range(count)))
            await app.run_worker_async(
                queues=["nothing"], wait=False, concurrency=16, install_signal_handlers=False
            )
            assert done[0] == count, done
            return time.process_time() - cpu, cpu_of_family(postmaster) - behind

    return asyncio.run(go())


@contextmanager
def redis() -> Iterator[tuple[str, int] | None]:
    """The address and process of a broker for as long as the block runs; None without Redis."""
    program = shutil.which("redis-server")
    if program is None:
        console.print("left out: Dramatiq and Celery (redis-server is not installed)")
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="bench-redis-") as folder:
        socket = f"{folder}/redis.sock"
        process = subprocess.Popen(
            [program, "--port", "0", "--unixsocket", socket, "--save", "", "--dir", folder],
            stdout=subprocess.DEVNULL,
        )
        try:
            for _ in range(100):
                if Path(socket).exists():
                    break
                time.sleep(0.1)
            yield socket, process.pid
        finally:
            process.kill()
            process.wait()


def peers() -> Path | None:
    """An interpreter that has the queues; None if they cannot be installed."""
    python = PLACE / "bin" / "python"
    probe = "import celery, dramatiq, redis"
    if python.exists() and not subprocess.run([python, "-c", probe], check=False).returncode:
        return python
    try:
        subprocess.run([sys.executable, "-m", "venv", "--clear", PLACE], check=True)
        subprocess.run(
            [python, "-m", "pip", "install", "--quiet", *PEERS],
            check=True,
            stderr=subprocess.DEVNULL,
        )
    except (OSError, subprocess.CalledProcessError) as error:
        console.print(f"left out: Dramatiq and Celery (not installed: {type(error).__name__})")
        return None
    return python


def peer(python: Path, name: str, broker: tuple[str, int], count: int) -> tuple[float, float]:
    """One turn of a queue, in a process of its own."""
    socket, pid = broker
    scheme = "unix" if name == "dramatiq" else "redis+socket"
    done = subprocess.run(
        [
            python,
            Path(__file__).with_name("_queue_peer.py"),
            *(name, str(count), f"{scheme}://{socket}", str(pid)),
        ],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=600,
    )
    client, behind = json.loads(done.stdout.splitlines()[-1])
    return client, behind


def main() -> None:
    """Print the table."""
    logging.getLogger("procrastinate").setLevel(logging.ERROR)
    gc.freeze()  # as the product's worker does when it has started
    with ExitStack() as stack:
        database = stack.enter_context(server(durable=True))
        broker = stack.enter_context(redis())
        python = peers() if broker else None
        url, pid = database.database("claims"), database.pid
        engine = create_engine(url, pool_size=5)
        worker = stack.enter_context(Worker(engine))
        ways = {
            "ours, 200 at a time": Way(MANY, lambda n: ours(engine, worker, pid, 200, n)),
            "ours, 500 at a time": Way(MANY, lambda n: ours(engine, worker, pid, 500, n)),
            "bare, 500 at a time": Way(MANY, lambda n: bare(engine, pid, 500, n)),
            "unchecked, 500 at a time": Way(MANY, lambda n: unchecked(engine, worker, pid, 500, n)),
            "a Procrastinate job each": Way(FEW, lambda n: procrastinate(url, pid, n)),
        }
        if broker and python:
            found, interpreter = broker, python
            ways["Dramatiq"] = Way(FEW * 2, lambda n: peer(interpreter, "dramatiq", found, n))
            ways["Celery"] = Way(FEW, lambda n: peer(interpreter, "celery", found, n))
        for way in ways.values():
            way.run(way.count // 5)
        for turn in range(rounds(5)):
            for way in ways.values() if turn % 2 == 0 else reversed(ways.values()):
                way.turn()
    first, second = ways["ours, 200 at a time"], ways["ours, 500 at a time"]
    show(
        f"One message claimed and recorded, or one task done; median of {rounds(5)}, µs of CPU",
        ("", "client", "least-most", "server", "total", "x ours at 500"),
        [
            (
                name,
                f"{statistics.median(way.client):,.1f}",
                f"{min(way.client):,.1f}-{max(way.client):,.1f}",
                f"{statistics.median(way.behind):,.0f}",
                f"{way.total:,.0f}",
                f"{way.total / second.total:,.1f}",
            )
            for name, way in ways.items()
        ],
    )
    at_most("client CPU at 200, µs", statistics.median(first.client), 10)
    at_most("client CPU at 500, µs", statistics.median(second.client), 10)
    jobs = ways["a Procrastinate job each"]
    console.print(f"total CPU of Procrastinate: {jobs.total / second.total:.0f}x")
    floor = statistics.median(ways["unchecked, 500 at a time"].client)
    console.print(f"client CPU of it without a single check: {floor:.0f} µs")
    least = ways["bare, 500 at a time"].total
    console.print(f"the barest statements that write these rows: {least:.0f} µs")
    if "Dramatiq" in ways:
        for peer_name in ("Dramatiq", "Celery"):
            console.print(f"{peer_name} beside them: {ways[peer_name].total / least:.1f}x")
        at_least("total CPU of Dramatiq", ways["Dramatiq"].total / second.total, 15)
        at_least("total CPU of Celery", ways["Celery"].total / second.total, 50)


if __name__ == "__main__":
    main()
