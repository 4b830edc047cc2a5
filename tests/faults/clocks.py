"""Many reminders, three clocks at once whose time jumps by ninety minutes: each exactly once.

`python -m tests.faults.clocks --n 100000 --seed 1`. The lock by which one clock leads is taken out,
so that three really tick; what is left to hold is how reminders are taken. Each reminder handled
writes a message under a key of its own, so that a second handling would be seen.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import psycopg
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session

from coordination.embedded import EmbeddedPostgres
from coordination.ground import clock
from coordination.ground.uow import UnitOfWork
from coordination.reactions import reminders as reacting
from coordination.settings import Settings
from coordination.supervisor import ROOT, migrate
from coordination.worker import Beat, configure, send_reminders
from notifications import outbox, reminders
from notifications.jobs import libpq_dsn, make_job_app
from notifications.models import Reminder
from notifications.reminders import Due
from notifications.values import Outgoing

SUBJECT = "fault"
JUMP = timedelta(minutes=90)
CLOCKS = 3
# the advisory lock behind which they wait for each other
START = 74_299


@dataclass(frozen=True, slots=True)
class Counted:
    """How often the reminders were handled."""

    due: int
    never: int
    again: int

    @property
    def holds(self) -> bool:
        return not (self.never or self.again)

    def __str__(self) -> str:
        return f"due={self.due} lost={self.never} duplicated={self.again}"


def write_reminders(url: str, count: int) -> None:
    """All of them due between ninety minutes ago and now, useful for hours."""
    with psycopg.connect(libpq_dsn(url)) as connection:
        connection.execute(
            "insert into reminder (rule_key, rule_spec, zone, subject_type, subject_id, anchor_at,"
            " due_at, useful_until) select 'soon', '-90m', 'Asia/Shanghai', %s, n,"
            " now() + interval '1 day', now() - n %% 90 * interval '1 minute',"
            " now() + interval '12 hours' from generate_series(1, %s) n",
            [SUBJECT, count],
        )


def count_handled(url: str, due: int) -> Counted:
    """Compare the messages written with the reminders that were due."""
    with psycopg.connect(libpq_dsn(url)) as connection:
        row = connection.execute(
            "select count(*), coalesce(sum(times - 1), 0) from (select count(*) as times"
            " from outbox_message where subject_type = %s group by subject_id) handled",
            [SUBJECT],
        ).fetchone()
    if row is None:
        raise RuntimeError("a count has one row")
    return Counted(due, due - int(row[0]), int(row[1]))


def run_clocks(url: str, seed: int, seconds: float, *, without_lock: bool = False) -> None:
    """Let three clocks tick until nothing is pending; TimeoutError if something stays."""
    held = psycopg.connect(libpq_dsn(url), autocommit=True)
    held.execute("select pg_advisory_lock(%s)", [START])
    more = ["--without-lock"] if without_lock else []
    command = [sys.executable, "-m", "tests.faults.clocks", "--tick", url]
    started = [
        subprocess.Popen(
            [*command, "--seed", str(seed * CLOCKS + number), *more],
            cwd=ROOT,
        )
        for number in range(CLOCKS)
    ]
    try:
        deadline = time.monotonic() + seconds
        _start_together(held, deadline)
        for process in started:
            code = process.wait(max(0.1, deadline - time.monotonic()))
            if code:
                raise RuntimeError(f"a clock ended with {code}")
    finally:
        for process in started:
            process.kill()
            process.wait()
        held.close()


def _start_together(held: psycopg.Connection[tuple[object, ...]], deadline: float) -> None:
    """Let the clocks go when all of them wait: one that is early could do everything alone."""
    waiting = (
        "select count(*) from pg_locks where locktype = 'advisory' and objid = %s and not granted"
        " and database = (select oid from pg_database where datname = current_database())"
    )
    while held.execute(waiting, [START]).fetchone() != (CLOCKS,):
        if time.monotonic() > deadline:
            raise TimeoutError("the clocks did not start")
        time.sleep(0.02)
    held.execute("select pg_advisory_unlock(%s)", [START])


def _handle(uow: UnitOfWork, subject_id: int, _due: datetime) -> None:
    outbox.enqueue(
        uow.session,
        [
            Outgoing(
                recipient_id=subject_id,
                household_key=None,
                template_key="session_reminder",
                language="zh",
                params={},
                body="明天集合。",
                message_class="info",
                subject_type=SUBJECT,
                subject_id=subject_id,
                dedupe_key=f"{subject_id}:{uuid4()}",
            )
        ],
    )


def _take_without_lock(session: Session, now: datetime, limit: int = 100) -> list[Due]:
    """What `take_due` would be if nobody else were there."""
    rows = session.scalars(
        select(Reminder)
        .where(Reminder.state == "pending", Reminder.due_at <= now)
        .order_by(Reminder.due_at, Reminder.id)
        .limit(limit)
    ).all()
    reminders._settle(session, [row.id for row in rows], "done", now)
    return [
        Due(r.id, r.rule_key, r.subject_type, r.subject_id, r.anchor_at, r.due_at) for r in rows
    ]


def tick(url: str, seed: int) -> None:
    """One clock: its time jumps before each beat; ends when nothing is pending for good."""
    dice = random.Random(f"clock:{seed}")
    configure(replace(Settings(field_key="a field key for fault tests only"), database_url=url))
    reacting.answers_for(SUBJECT, _handle)
    engine = create_engine(url)
    jobs = make_job_app(libpq_dsn(url))
    with psycopg.connect(libpq_dsn(url), autocommit=True) as waits:
        waits.execute("select pg_advisory_lock_shared(%s)", [START])
    while True:
        at = datetime.now(UTC) + dice.choice((-1, 0, 1)) * JUMP
        clock.travel_to(at)
        send_reminders(Beat(engine, jobs, at))
        with Session(engine) as session:
            left = session.scalar(select(Reminder.id).where(Reminder.state == "pending").limit(1))
        if left is None:
            engine.dispose()
            return
        time.sleep(dice.uniform(0, 0.1))


def main() -> int:
    """Run by command, or be one of the clocks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tick", default="")
    parser.add_argument("--without-lock", action="store_true")
    given = parser.parse_args()
    if given.tick:
        if given.without_lock:
            reminders.take_due = _take_without_lock
        tick(given.tick, given.seed)
        return 0
    with (
        tempfile.TemporaryDirectory(prefix="coordination-clocks-", ignore_cleanup_errors=True) as f,
        EmbeddedPostgres(Path(f)) as server,
    ):
        migrate(server.url())
        write_reminders(server.url(), given.n)
        begun = time.monotonic()
        run_clocks(server.url(), given.seed, 3600)
        counted = count_handled(server.url(), given.n)
    print(f"n={given.n} seed={given.seed} clocks={CLOCKS} {time.monotonic() - begun:.0f} s")
    print(counted)
    return 0 if counted.holds else 1


if __name__ == "__main__":
    sys.exit(main())
