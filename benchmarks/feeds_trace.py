"""A whole district polls within an hour: 300,000 family feeds, each asked for once with the ETag it
had, after sessions of 2 % of the classes have moved.

Each poll goes through the application's own door. The hour is not waited for: what is measured is
the CPU that all polls need, of this process and of PostgreSQL, as a share of one core for an hour,
and whether memory grows. `--quick` takes a tenth of the district.
"""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from sqlalchemy import Engine, create_engine, select, text
from sqlalchemy.orm import Session

from benchmarks import feeds
from benchmarks._processes import cpu_of_family
from benchmarks._server import FIELD_KEY, Server, server
from benchmarks._table import at_most, console, quick, show
from calendars import feed as ics
from coordination.authz.actions import Action
from coordination.authz.actor import SYSTEM
from coordination.domain.agenda import polling, services
from coordination.domain.people.models import ClassGroup
from coordination.ground import clock, crypto
from coordination.ground.text import Text
from coordination.reactions.work import begin
from coordination.seed.synthetic import seed
from coordination.web.feed_door import SHELF_BYTES, FeedDoor, Poll, engine_for_polls

ZONE = ZoneInfo("Asia/Shanghai")
SCHOOLS, STUDENTS = (25, 20_000) if quick() else (250, 200_000)
EACH = 20
CHANGED = 0.02
HOUR = 3600


def secret_of(person: int) -> str:
    """A secret of the right shape for a guardian's feed."""
    return f"{person:043d}"


def furnish(engine: Engine) -> list[int]:
    """Twenty entries for every class and a token for every guardian; the guardians."""
    with Session(engine) as session:
        uow = begin(session, SYSTEM)
        uow.authorize(Action.SYSTEM_RUN)
        groups = session.scalars(select(ClassGroup.id).order_by(ClassGroup.id)).all()
        for number in range(EACH):
            put(session, groups[0], number)
        session.flush()
        session.execute(
            text(
                """
                with made as (
                  insert into calendar_entry (uid, subject_type, subject_id, category, sequence,
                    starts_at, ends_at, all_day, status, summary_zh, summary_en, location_zh,
                    location_en, description_zh, description_en, last_modified, fragment_zh,
                    fragment_en)
                  select 'trace-' || g || '-' || e.subject_id, 'trace', g * 1000 + e.subject_id,
                    category, 0, starts_at, ends_at, false, status, summary_zh, summary_en,
                    location_zh, location_en, description_zh, description_en, last_modified,
                    fragment_zh, fragment_en
                  from unnest(cast(:groups as bigint[])) g, calendar_entry e
                  where e.subject_type = 'bench'
                  returning id, subject_id / 1000 as class_id, starts_at, ends_at
                )
                insert into entry_audience (entry_id, kind, audience_id, starts_at, ends_at)
                select id, 'class', class_id, starts_at, ends_at from made
                """
            ),
            {"groups": list(groups[1:])},
        )
        guardians = list(
            session.scalars(text("select distinct guardian_id from guardianship order by 1"))
        )
        with (
            session.connection().connection.cursor() as cursor,
            cursor.copy(  # type: ignore[attr-defined]
                "copy feed_token (owner_id, scope, name, token_hash, last_fetched_at) from stdin"
            ) as rows,
        ):
            rows.set_types(["int8", "text", "text", "bytea", "timestamptz"])
            for person in guardians:
                hashed = crypto.token_hash(secret_of(person))
                rows.write_row((person, "family", "f", hashed, clock.now()))
        session.commit()
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("vacuum analyze"))
    return guardians


def put(session: Session, class_id: int, number: int, hours: int = 0) -> None:
    """Write, or move, one session of a class as a reaction would."""
    starts = feeds.START + timedelta(days=7 * number, hours=hours)
    uow = begin(session, SYSTEM)
    services.put(
        uow,
        subject_type="bench",
        subject_id=number,
        category="practice",
        starts_at=starts,
        ends_at=starts + timedelta(hours=2),
        summary=Text(f"绿谷劳动实践基地种植体验 {number}", f"Planting at Green Valley {number}"),
        location=Text("光明区光明路12号绿谷劳动实践基地", "Green Valley, 12 Guangming Road"),
        description=feeds.ABOUT,
        audiences=[("class", class_id)],
    )
    session.flush()


def tags(engine: Engine, guardians: list[int]) -> list[str]:
    """The ETag that each family's calendar has from its last poll."""
    today = clock.now().astimezone(ZONE).date()
    found = []
    with engine.connect() as held:
        for person in guardians:
            feed = polling.look_up(held, secret_of(person), today)
            found.append(ics.etag(feed.version, [feed.language, feed.options.as_words()]))
    return found


def change(engine: Engine) -> int:
    """One session of 2 % of the classes moves; how many classes."""
    with Session(engine) as session:
        uow = begin(session, SYSTEM)
        uow.authorize(Action.SYSTEM_RUN)
        groups = session.scalars(select(ClassGroup.id).order_by(ClassGroup.id)).all()
        chosen = random.Random(1).sample(groups[1:], max(1, round(len(groups) * CHANGED)))
        for number, group in enumerate(chosen, start=EACH):
            put(session, group, number)  # it stands in their calendars from now on
        session.commit()
    return len(chosen)


def resident(door: FeedDoor) -> float:
    """MiB of this process in memory, without the feeds kept ready, which have a budget of their own."""
    fields = Path("/proc/self/statm").read_text().split()
    return (int(fields[1]) * 4096 - door._shelf.held) / 2**20


def hour(made: Server, url: str, guardians: list[int], known: list[str]) -> None:
    """All polls, one after the other, in the order of a trace."""
    door = FeedDoor(lambda *_: [], engine_for_polls(url), ZONE)
    order = list(range(len(guardians)))
    random.Random(2).shuffle(order)
    statuses: Counter[str] = Counter()
    marks: list[float] = []
    longest = 0.0
    begun, here, there = time.perf_counter(), time.process_time(), cpu_of_family(made.pid)
    for count, at in enumerate(order):
        if count % (len(order) // 10) == 0:
            marks.append(resident(door))
        asked = time.perf_counter()
        answer = door.answer(
            Poll(
                secret=secret_of(guardians[at]),
                address="127.0.0.1",
                client="iOS/18.0 dataaccessd/1.0",
                if_none_match=known[at],
                packed=True,
            )
        )
        longest = max(longest, time.perf_counter() - asked)
        statuses[answer.status[:3]] += 1
    marks.append(resident(door))
    used, database = time.process_time() - here, cpu_of_family(made.pid) - there
    wall = time.perf_counter() - begun
    console.print(
        f"{len(order):,} polls in {wall:,.0f} s: {dict(statuses)}, the longest {longest * 1e3:.0f} ms;"
        f" {used / len(order) * 1e6:,.0f} µs of this process and"
        f" {database / len(order) * 1e6:,.0f} µs of PostgreSQL for each"
    )
    whole = 300_000 / len(order)
    show(
        "300,000 polls in an hour, as a share of one core",
        ("", "CPU seconds", "of a core"),
        [
            ("the application", f"{used * whole:,.0f}", f"{100 * used * whole / HOUR:.1f} %"),
            ("PostgreSQL", f"{database * whole:,.0f}", f"{100 * database * whole / HOUR:.1f} %"),
        ],
    )
    at_most("the application's share", 100 * used * whole / HOUR, 5, " %")
    console.print(f"feeds kept ready: {door._shelf.held / 2**20:.0f} MiB of {SHELF_BYTES >> 20}")
    at_most("growth of its memory beside them", max(marks) - marks[0], 20, " MiB")


def main() -> int:
    """Seed, tag, change, poll."""
    crypto.use_key(FIELD_KEY)
    with server() as made:
        url = made.database("trace")
        seed(url, SCHOOLS, STUDENTS)
        engine = create_engine(url)
        guardians = furnish(engine)
        known = tags(engine, guardians)
        classes = change(engine)
        console.print(f"{len(guardians):,} feeds; a session came into {classes:,} classes")
        hour(made, url, guardians, known)
        engine.dispose()
    return 0


if __name__ == "__main__":
    sys.exit(main())
