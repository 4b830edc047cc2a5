"""How soon a message is with the provider at a steady 20 a second; and a worker's memory in a long drain.

A clock and two workers run as processes of their own, as in production, against a provider that needs
50 ms, on PostgreSQL with commits on the disk. A message counts as handed over when its acceptance
is recorded, which is a little later than when the provider took it. Then very many are due
at once, and the resident memory of both workers is watched: 100,000, or 300,000 with `--full`, or
10,000 with `--quick`. Three turns of the first, because each takes a minute; one of the second.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sqlalchemy import Engine, create_engine, text

from benchmarks._memory import resident
from benchmarks._provider import provider
from benchmarks._server import FIELD_KEY, server
from benchmarks._table import at_least, at_most, console, quick, show
from coordination.seed.synthetic import seed
from coordination.supervisor import ROOT

PER_SECOND, WITHIN = 20, 10.0
SECONDS = 15 if quick() else 60
TURNS = 3
WORKERS = 2
MANY = 300_000 if "--full" in sys.argv else 10_000 if quick() else 100_000

# urgent, so that the result does not depend on the hour at which it is measured
PUT = text(
    "insert into outbox_message (dedupe_key, recipient_id, template_key, language, body, body_hash,"
    " message_class, priority, channel, subject_type, subject_id, next_at, created_at)"
    " select cast(cast(:turn as bigint) as text) || '-' || i, p.person_id, 'notice', 'zh',"
    " '明天停课一天。', 'h', 'urgent', 0, 'sms', 'bench', cast(:turn as bigint),"
    " clock_timestamp(), clock_timestamp()"
    " from generate_series(cast(:low as bigint) + 1, cast(:low as bigint) + :count) i"
    " join reader p on p.n = i % (select count(*) from reader)"
)


@contextmanager
def processes(url: str, base: str) -> Iterator[list[int]]:
    """The workers' process ids; a clock runs beside them."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "DATABASE_URL": url,
        "PUBLIC_URL": "http://127.0.0.1:9",
        "SECRET_KEY": "a secret key for benchmarks only",
        "FIELD_KEY": FIELD_KEY,
        "SMS_CHANNEL": "twilio",
        "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
        "TWILIO_AUTH_TOKEN": "token",
        "TWILIO_MESSAGING_SERVICE_SID": "MG" + "1" * 32,
        "TWILIO_API_BASE": base,
    }
    with tempfile.TemporaryDirectory(prefix="bench-instance-") as folder, ExitStack() as stack:
        started = []
        for name in ["worker"] * WORKERS + ["clock"]:
            log = stack.enter_context((Path(folder) / "log").open("ab"))
            started.append(
                subprocess.Popen(
                    [sys.executable, "-m", "coordination.cli", name],
                    env={**environment, "INSTANCE_DIR": folder},
                    cwd=ROOT,
                    stdout=log,
                    stderr=log,
                )
            )
        try:
            yield [process.pid for process in started[:WORKERS]]
        finally:
            for process in started:
                process.terminate()
            for process in started:
                process.wait(60)


def put(engine: Engine, turn: int, low: int, count: int) -> None:
    """Messages that are due now."""
    with engine.begin() as connection:
        connection.execute(PUT, {"turn": turn, "low": low, "count": count})


def left(engine: Engine, turn: int) -> int:
    """How many of a turn are not with the provider yet."""
    with engine.connect() as connection:
        return int(
            connection.scalar(
                text(
                    "select count(*) from outbox_message"
                    " where subject_id = :turn and state in ('queued', 'sending')"
                ),
                {"turn": turn},
            )
            or 0
        )


def steady(engine: Engine, turn: int) -> tuple[int, float, float, float]:
    """One turn: messages, share within the limit, median and longest wait."""
    began = time.monotonic()
    for second in range(SECONDS * 10):
        put(engine, turn, second * PER_SECOND // 10, PER_SECOND // 10)
        time.sleep(max(0.0, began + (second + 1) / 10 - time.monotonic()))
    until = time.monotonic() + 120
    while left(engine, turn) and time.monotonic() < until:
        time.sleep(0.5)
    with engine.connect() as connection:
        count, soon, median, longest = connection.execute(
            text(
                "select count(*), avg(case when took <= :within then 1.0 else 0.0 end),"
                " percentile_cont(0.5) within group (order by took), max(took) from ("
                "select coalesce(extract(epoch from min(a.settled_at) - m.created_at), 1e9) took"
                " from outbox_message m left join delivery_attempt a on a.message_id = m.id"
                " and a.state = 'accepted' where m.subject_id = :turn group by m.id) t"
            ),
            {"turn": turn, "within": WITHIN},
        ).one()
    return int(count), float(soon), float(median), float(longest)


def drain(engine: Engine, workers: list[int]) -> None:
    """Memory of the workers from the first thousand to the last message."""
    began = time.monotonic()
    put(engine, 99, 0, MANY)
    first: list[float] = []
    most = [0.0] * len(workers)
    while True:
        time.sleep(1)
        remaining = left(engine, 99)
        now = [resident(pid) for pid in workers]
        if not first and remaining < MANY - min(MANY // 10, 5_000):
            first = now
        most = [max(pair) for pair in zip(most, now, strict=True)]
        if not remaining:
            break
    seconds = time.monotonic() - began
    with engine.connect() as connection:
        accepted, sids = connection.execute(
            text(
                "select count(*), count(distinct provider_id) from outbox_message"
                " where subject_id = 99 and state = 'accepted'"
            )
        ).one()
    assert accepted == sids == MANY, (accepted, sids)
    show(
        f"{MANY:,} drained in {seconds:.0f} s, resident MiB",
        ("worker", "after the first", "at most", "at last"),
        [
            (str(n + 1), f"{first[n]:.0f}", f"{most[n]:.0f}", f"{now[n]:.0f}")
            for n in range(len(workers))
        ],
    )
    at_most("growth, MiB", max(m - f for m, f in zip(most, first, strict=True)), 50)


def main() -> None:
    """Print the tables."""
    with provider(0.05) as base, server(durable=True) as made:
        url = made.database("hand_over")
        seed(url, schools=2, students=2_000)
        engine = create_engine(url)
        with engine.begin() as connection:
            # those of the seed's own messages that wait are none of ours
            connection.execute(text("truncate outbox_message, delivery_attempt cascade"))
            connection.execute(
                text(
                    "create table reader as select person_id, row_number() over () - 1 n"
                    " from contact_point where kind = 'phone'"
                )
            )
            connection.execute(text("create unique index on reader (n)"))
        with processes(url, base) as workers:
            put(engine, 98, 0, 100)
            while left(engine, 98):
                time.sleep(0.2)
            found = [steady(engine, turn) for turn in range(TURNS)]
            show(
                f"{PER_SECOND} a second for {SECONDS} s, {WORKERS} workers",
                ("turn", "messages", f"within {WITHIN:.0f} s", "median s", "longest s"),
                [
                    (str(turn + 1), f"{n:,}", f"{soon:.2%}", f"{median:.2f}", f"{longest:.2f}")
                    for turn, (n, soon, median, longest) in enumerate(found)
                ],
            )
            assert all(n == SECONDS * PER_SECOND for n, *_ in found)
            total = sum(n for n, *_ in found)
            share = sum(n * soon for n, soon, *_ in found) / total
            console.print(f"all turns: {share:.3%} of {total:,}")
            at_least(f"handed over within {WITHIN:.0f} s", share * 100, 99.9, " %")
            drain(engine, workers)
        engine.dispose()


if __name__ == "__main__":
    main()
