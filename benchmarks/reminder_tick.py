"""A look for due reminders when none is due, among 10,000 and among 5,000,000 that are pending.

`ours` is the clock's tick: one statement that looks, and a transaction only if there is something to
take. Beside it, what APScheduler does at each wake-up with its SQLAlchemyJobStore on the same server,
one job per reminder; it has fewer jobs, because adding one takes a commit. Scheduling: reminders of
sessions as the product writes them, and many by one statement, against `add_job`; the same statement into
a table that keeps no promise is the limit. `--quick` has 500,000 instead of 5,000,000.
"""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.schedulers.background import BackgroundScheduler
from sqlalchemy import (
    BigInteger,
    DateTime,
    Engine,
    create_engine,
    literal,
    select,
    text,
    union_all,
)
from sqlalchemy.orm import Session

from benchmarks._server import Server, server
from benchmarks._table import at_least, at_most, console, quick, rounds, show
from notifications import reminders

FEW, MANY = 10_000, 500_000 if quick() else 5_000_000
JOBS = 1_000
CALLS = 200
ZONE = ZoneInfo("Asia/Shanghai")
RULES = {"start|3d@18:00": "3d@18:00", "start|1d@18:00": "1d@18:00"}
AHEAD = datetime.now(UTC).replace(microsecond=0) + timedelta(days=30)

INSERT = text(
    "insert into reminder (rule_key, rule_spec, zone, subject_type, subject_id, anchor_at, due_at,"
    " useful_until) select 'start|1d@18:00', '1d@18:00', 'Asia/Shanghai', 'session', n,"
    " cast(:ahead as timestamptz) + n * interval '1 second',"
    " cast(:ahead as timestamptz) + n * interval '1 second' - interval '1 day',"
    " cast(:ahead as timestamptz) + n * interval '1 second'"
    " from generate_series(cast(:low as bigint), cast(:high as bigint)) n"
)


def remind(_number: int) -> None:
    """What a job of the peer would call."""


def filled(made: Server, name: str, count: int) -> Engine:
    """A database with so many pending reminders."""
    engine = create_engine(made.database(name))
    with engine.begin() as connection:
        connection.execute(INSERT, {"ahead": AHEAD, "low": 1, "high": count})
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("vacuum analyze reminder"))
    return engine


def tick(engine: Engine) -> int:
    """The clock's look (`send_reminders` in `coordination/worker.py`): how many were taken."""
    if not reminders.any_due(engine, datetime.now(UTC)):
        return 0
    with Session(engine) as session, session.begin():
        return len(reminders.take_due(session, datetime.now(UTC)))


class Peer:
    """APScheduler with its store; it only wakes when told to."""

    def __init__(self, url: str) -> None:
        self.store = SQLAlchemyJobStore(url=url)
        self.scheduler = BackgroundScheduler(timezone="UTC", jobstores={"default": self.store})
        self.scheduler.start(paused=True)
        self.added = 0

    def add(self, count: int) -> None:
        for number in range(self.added + 1, self.added + count + 1):
            at = AHEAD + timedelta(seconds=number)
            self.scheduler.add_job(remind, "date", run_date=at, args=(number,))
        self.added += count

    def wake(self) -> int:
        """What `_process_jobs` asks of a store when nothing is due."""
        due = self.store.get_due_jobs(datetime.now(UTC))
        self.store.get_next_run_time()
        return len(due)


def wake_ups(few: Engine, many: Engine, peer: Peer) -> None:
    """Empty looks in turns; p50 of each turn, median of the turns."""
    ways: dict[str, Callable[[], int]] = {
        f"ours, {FEW:,} pending": lambda: tick(few),
        f"ours, {MANY:,} pending": lambda: tick(many),
        f"APScheduler, {peer.added:,} jobs": peer.wake,
    }
    found: dict[str, list[float]] = {name: [] for name in ways}
    cpu: dict[str, list[float]] = {name: [] for name in ways}
    for name, way in ways.items():
        for _ in range(CALLS):
            assert way() == 0, name
    for turn in range(rounds(7)):
        each: dict[str, list[float]] = {name: [] for name in ways}
        spent = dict.fromkeys(ways, 0.0)
        # call by call, so that what else the machine does falls on all alike
        for call in range(CALLS):
            for name in list(ways) if (turn + call) % 2 == 0 else reversed(ways):
                used, began = time.process_time(), time.perf_counter()
                ways[name]()
                each[name].append(time.perf_counter() - began)
                spent[name] += time.process_time() - used
        for name in ways:
            cpu[name].append(spent[name] / CALLS * 1e6)
            found[name].append(statistics.median(each[name]) * 1e6)
    p50 = {name: statistics.median(all_of) for name, all_of in found.items()}
    first, second, theirs = p50.values()
    show(
        f"A look when nothing is due, {rounds(7)} turns of {CALLS}, µs",
        ("", "p50", "least-most", "client CPU", "x ours at most"),
        [
            (
                name,
                f"{p50[name]:,.0f}",
                f"{min(found[name]):,.0f}-{max(found[name]):,.0f}",
                f"{statistics.median(cpu[name]):,.0f}",
                f"{p50[name] / second:.2f}",
            )
            for name in ways
        ],
    )
    at_most(f"p50 at {MANY:,} in parts of that at {FEW:,}", second / first, 1.5)
    at_least("wake-up of APScheduler", theirs / second, 4)


def scheduling(made: Server, peer: Peer) -> None:
    """Reminders a second: by session as the product does it, by one statement, by `add_job`."""
    engine, turn = create_engine(made.database("scheduling")), [0]
    # as the product's own selects are, this one is compiled once
    rules = union_all(
        *(select(literal(k).label("key"), literal(s).label("spec")) for k, s in RULES.items())
    ).subquery()

    def by_session(count: int) -> None:
        with Session(engine) as session, session.begin():
            for number in range(count // len(RULES)):
                subject = literal(1_000_000 * turn[0] + number, BigInteger)
                reminders.rewrite(
                    session,
                    select(
                        subject,
                        rules.c.key,
                        rules.c.spec,
                        literal(AHEAD, DateTime(True)),
                        literal(12, BigInteger),
                    ),
                    select(subject),
                    subject_type="session",
                    zone=ZONE,
                )

    def in_bulk(count: int) -> None:
        low = 10_000_000_000 + turn[0] * count
        with engine.begin() as connection:
            connection.execute(INSERT, {"ahead": AHEAD, "low": low + 1, "high": low + count})

    with engine.begin() as connection:
        connection.execute(text("create table keyless (like reminder including identity)"))
        connection.execute(
            text(
                "alter table keyless alter state set default '', alter created_at set default now()"
            )
        )
    keyless = text(INSERT.text.replace("insert into reminder", "insert into keyless"))

    def without_a_key(count: int) -> None:
        with engine.begin() as connection:
            connection.execute(keyless, {"ahead": AHEAD, "low": 1, "high": count})

    ways: dict[str, tuple[Callable[[int], None], int]] = {
        "one statement": (in_bulk, 50_000),
        "into a table without index, key or check": (without_a_key, 50_000),
        "by session": (by_session, 400),
        "add_job": (peer.add, 50),
    }
    walls: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds(5)):
        turn[0] += 1
        for name, (way, count) in ways.items():
            began = time.perf_counter()
            way(count)
            walls[name].append((time.perf_counter() - began) / count * 1e6)
    with engine.connect() as connection:
        written = connection.scalar(text("select count(*) from reminder where state = 'pending'"))
    assert written == rounds(5) * 50_400, written
    assert len(peer.store.get_all_jobs()) == peer.added
    each = {name: statistics.median(found) for name, found in walls.items()}
    show(
        f"Scheduling a reminder, {rounds(5)} turns, commits on the disk",
        ("", "µs each", "x faster than add_job"),
        [(name, f"{each[name]:,.1f}", f"{each['add_job'] / each[name]:,.0f}") for name in ways],
    )
    limit = each["add_job"] / each["into a table without index, key or check"]
    console.print(f"without index, key or check: {limit:.0f}x")
    at_least("in bulk", each["add_job"] / each["one statement"], 500)
    console.print(
        f"by session, all in one transaction: {each['add_job'] / each['by session']:.0f}x"
    )
    engine.dispose()


def main() -> None:
    """Print the tables."""
    logging.getLogger("apscheduler").setLevel(logging.WARNING)
    with server(durable=True) as made:
        few, many = filled(made, "few", FEW), filled(made, "many", MANY)
        peer = Peer(made.database("peer"))
        peer.add(200 if quick() else JOBS)
        wake_ups(few, many, peer)
        scheduling(made, peer)
        peer.scheduler.shutdown(wait=False)
        few.dispose()
        many.dispose()


if __name__ == "__main__":
    main()
