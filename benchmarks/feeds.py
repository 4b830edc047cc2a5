"""Calendar feeds against what a team writes first, on one database, candidates interleaved.

`ours` is the whole application as it is served. `usual` is a Flask view that loads the entries with
the ORM, builds the calendar with the icalendar library and adds an ETag with `make_conditional`.
`empty page` is the application's own /healthz. CPU is this process's; the database's own work is
in the wall time. `recurring` is recurring-ical-events on a calendar of the same entries.
"""

from __future__ import annotations

import argparse
import gc
import math
import resource
import shutil
import statistics
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import patch
from zoneinfo import ZoneInfo

import icalendar
import recurring_ical_events
from flask import Flask, Response, request
from rich.console import Console
from rich.table import Table
from sqlalchemy import create_engine, event, func, insert, select, text
from sqlalchemy.orm import Session

from calendars import feed as ics
from calendars.values import Entry, FeedHead
from coordination.app import create_app
from coordination.authz.actions import Action
from coordination.authz.actor import SYSTEM
from coordination.domain.agenda import polling, queries, services
from coordination.domain.agenda.models import (
    CalendarEntry,
    EntryAudience,
    FeedToken,
    FeedVersion,
)
from coordination.domain.people.models import (
    ClassGroup,
    ClassMember,
    Guardianship,
    Organisation,
    Person,
)
from coordination.embedded import EmbeddedPostgres
from coordination.ground import clock, crypto
from coordination.ground.text import Text
from coordination.reactions.work import begin
from coordination.settings import Settings
from coordination.supervisor import migrate
from coordination.web.feed_door import FeedDoor, engine_for_polls

ZONE = ZoneInfo("Asia/Shanghai")
START = datetime(2026, 9, 1, 0, 30, tzinfo=UTC)
FIELD_KEY = "a field key for figures only"
ENTRIES = 1_000
TOKEN_ROWS = 100_000
PEER_SAMPLE = 30_000
ABOUT = Text(
    "集合：校门口，请带水杯、遮阳帽和阅读记录。返校时间以班主任通知为准，如有变动会另发短信通知家长。"
    * 2,
    "Meet at the school gate; bring a cup, a hat and the reading log. Changes come by SMS. " * 3,
)
Call = Callable[[], object]


# -- what is measured -----------------------------------------------------------------------------


def cpu(call: Call, times: int) -> float:
    """CPU seconds of one call."""
    begun = time.process_time()
    for _ in range(times):
        call()
    return (time.process_time() - begun) / times


def wall(call: Call, times: int) -> float:
    """Wall seconds of one call."""
    begun = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - begun) / times


def interleaved(
    calls: dict[str, tuple[Call, int]], rounds: int, clock_: Callable[[Call, int], float] = cpu
) -> dict[str, float]:
    """The median of every candidate over rounds in which each gets its turn."""
    found: dict[str, list[float]] = {name: [] for name in calls}
    for call, _ in calls.values():
        call()
    for _ in range(rounds):
        for name, (call, times) in calls.items():
            gc.collect()
            found[name].append(clock_(call, times))
    return {name: statistics.median(each) for name, each in found.items()}


def wsgi(app: Flask, path: str, **headers: str) -> Callable[[], tuple[str, bytes]]:
    """One request to an application without a server, body read."""
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.url_scheme": "http",
        "wsgi.input": sys.stdin.buffer,
        "wsgi.errors": sys.stderr,
        "wsgi.version": (1, 0),
        "wsgi.multithread": False,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "HTTP_USER_AGENT": "benchmark",
        **headers,
    }

    def call() -> tuple[str, bytes]:
        said: list[str] = []
        answer = app.wsgi_app(dict(environ), lambda status, *_: said.append(status))  # type: ignore[arg-type,return-value]
        body = b"".join(answer)
        if hasattr(answer, "close"):
            answer.close()
        return said[0], body

    return call


# -- the district ---------------------------------------------------------------------------------


def furnish(session: Session, families: int) -> list[int]:
    """Families with one child each, and other people's tokens beside them; the children's ids."""
    org = Organisation(kind="school", code="B", name_zh="学校", name_en="School", active=True)
    session.add(org)
    session.flush()
    group = ClassGroup(school_id=org.id, grade=3, name_zh="班", name_en="Class", active=True)
    session.add(group)
    people = [Person(name=f"人{n}", status="active") for n in range(2 * families)]
    session.add_all(people)
    session.flush()
    children = [p.id for p in people[:families]]
    for child, parent in zip(people[:families], people[families:], strict=True):
        session.add(ClassMember(class_id=group.id, person_id=child.id, starts_on=START.date()))
        session.add(
            Guardianship(
                child_id=child.id,
                guardian_id=parent.id,
                relation="parent",
                starts_on=START.date(),
                contact_order=1,
                legal=True,
                may_consent=True,
                may_pick_up=True,
                receives_notice=True,
                no_disclosure=False,
            )
        )
        session.add(
            FeedToken(
                owner_id=parent.id,
                scope="family",
                name="f",
                language="zh",
                token_hash=crypto.token_hash(secret_of(child.id)),
                last_fetched_at=clock.now(),
            )
        )
    session.flush()
    others = [
        {
            "owner_id": people[-1].id,
            "scope": "volunteer",
            "name": "other",
            "token_hash": crypto.token_hash(f"other{n}"),
        }
        for n in range(TOKEN_ROWS)
    ]
    session.execute(insert(FeedToken), others)
    return children


def secret_of(child: int) -> str:
    """A secret of the right shape for the feed of a child's parent."""
    return f"{child:043d}"


def put(session: Session, child: int, number: int, hours: int = 0) -> None:
    """Write, or move, one entry as a reaction would."""
    starts = START + timedelta(hours=6 * number + hours)
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
        description=ABOUT,
        audiences=[("child", child)],
    )
    session.flush()


def copy(session: Session, child: int, count: int) -> None:
    """`count` entries for a child, rendered bytes included, copied from those that were written."""
    session.execute(
        text(
            """
            with made as (
              insert into calendar_entry (uid, subject_type, subject_id, category, sequence,
                starts_at, ends_at, all_day, status, summary_zh, summary_en, location_zh,
                location_en, description_zh, description_en, last_modified, fragment_zh, fragment_en)
              select 'k' || :child || '-' || n, 'size', :child * 100000 + n, category, 0,
                e.starts_at, e.ends_at, false, status, summary_zh, summary_en, location_zh,
                location_en, description_zh, description_en, last_modified, fragment_zh, fragment_en
              from generate_series(0, :count - 1) n
              join calendar_entry e on e.subject_type = 'bench' and e.subject_id = n % :entries
              returning id, starts_at, ends_at
            )
            insert into entry_audience (entry_id, kind, audience_id, starts_at, ends_at)
            select id, 'child', :child, starts_at, ends_at from made
            """
        ),
        {"child": child, "count": count, "entries": ENTRIES},
    )


def fill(session: Session, children: list[int], each: int) -> None:
    """`each` entries for every further child, copied inside the database."""
    session.execute(
        text(
            """
            with made as (
              insert into calendar_entry (uid, subject_type, subject_id, category, sequence,
                starts_at, ends_at, all_day, status, summary_zh, summary_en, location_zh,
                location_en, description_zh, description_en, last_modified, fragment_zh, fragment_en)
              select 'c' || c || '-' || n, 'copy', c * 100000 + n, 'practice', 0,
                cast(:start as timestamptz) + n * interval '6 hours',
                cast(:start as timestamptz) + n * interval '6 hours' + interval '2 hours',
                false, 'confirmed', 's', 's', '', '', '', '', now(), '', ''
              from unnest(cast(:children as bigint[])) c, generate_series(1, :each) n
              returning id, subject_id, starts_at, ends_at
            )
            insert into entry_audience (entry_id, kind, audience_id, starts_at, ends_at)
            select id, 'child', subject_id / 100000, starts_at, ends_at from made
            """
        ),
        {"children": children, "each": each, "start": START},
    )


# -- the peer -------------------------------------------------------------------------------------


def usual_application(url: str) -> Flask:
    """What a team writes first: rows to objects to a calendar, at every request."""
    app, engine = Flask("usual"), create_engine(url)

    @app.get("/usual/<secret>.ics")
    def serve(secret: str) -> Response:
        with Session(engine) as session:
            token = session.scalar(
                select(FeedToken).where(FeedToken.token_hash == crypto.token_hash(secret))
            )
            assert token is not None
            child = select(Guardianship.child_id).where(Guardianship.guardian_id == token.owner_id)
            entries = session.scalars(
                select(CalendarEntry)
                .join(EntryAudience, EntryAudience.entry_id == CalendarEntry.id)
                .where(EntryAudience.kind == "child", EntryAudience.audience_id.in_(child))
                .order_by(CalendarEntry.starts_at)
            ).all()
            answer = Response(built(entries), content_type="text/calendar; charset=utf-8")
        answer.add_etag()
        return answer.make_conditional(request)

    return app


def built(entries: list[CalendarEntry]) -> bytes:
    """The entries by the icalendar library, with the same properties as ours."""
    calendar = icalendar.Calendar()
    calendar.add("prodid", "-//usual//")
    calendar.add("version", "2.0")
    calendar.add("x-wr-calname", "家庭日历")
    for row in entries:
        one = icalendar.Event()
        one.add("uid", row.uid)
        one.add("sequence", row.sequence)
        one.add("dtstamp", row.last_modified)
        one.add("last-modified", row.last_modified)
        one.add("created", row.created_at)
        one.add("dtstart", row.starts_at.astimezone(ZONE))
        one.add("dtend", row.ends_at.astimezone(ZONE))
        one.add("summary", row.summary_zh)
        one.add("status", row.status.upper())
        one.add("description", row.description_zh)
        one.add("location", row.location_zh)
        one.add("categories", [row.category])
        one.add("transp", "OPAQUE")
        calendar.add_component(one)
    calendar.add_missing_timezones()
    return bytes(calendar.to_ical())


def indico_application(url: str) -> Flask:
    """The calls that Indico makes for an export of events: times in UTC, DTSTAMP of the request, no
    condition. Its access checks, its signals and its reading of HTML are left out: it costs more."""
    app, engine = Flask("indico"), create_engine(url)

    @app.get("/indico/<int:child>.ics")
    def serve(child: int) -> Response:
        with Session(engine) as session:
            entries = session.scalars(
                select(CalendarEntry)
                .join(EntryAudience, EntryAudience.entry_id == CalendarEntry.id)
                .where(EntryAudience.kind == "child", EntryAudience.audience_id == child)
            ).all()
            calendar = icalendar.Calendar()
            calendar.add("version", "2.0")
            calendar.add("prodid", "-//CERN//INDICO//EN")
            now = datetime.now(UTC)
            for row in entries:
                one = icalendar.Event()
                one.add("uid", row.uid)
                one.add("dtstamp", now)
                one.add("dtstart", row.starts_at.astimezone(UTC))
                one.add("dtend", row.ends_at.astimezone(UTC))
                one.add("created", row.created_at)
                one.add("url", f"https://indico.example/event/{row.id}/")
                one.add("summary", row.summary_zh)
                one.add("location", row.location_zh)
                one.add("description", row.description_zh)
                calendar.add_component(one)
            return Response(calendar.to_ical(), content_type="text/calendar")

    return app


# -- the tables -----------------------------------------------------------------------------------


class Report:
    """Prints each figure beside its limit and remembers whether all were held."""

    def __init__(self) -> None:
        self.console = Console(width=110)
        self.held = True

    def table(self, title: str, *heads: str) -> Table:
        made = Table(title=title, title_justify="left")
        for place, head in enumerate(heads):
            made.add_column(head, justify="left" if place == 0 else "right")
        return made

    def verdict(self, good: bool) -> str:
        self.held = self.held and good
        return "[green]held[/]" if good else "[red]missed[/]"


def ms(seconds: float) -> str:
    """Milliseconds to read."""
    return f"{seconds * 1000:,.3f} ms"


def requests_(report: Report, url: str, child: int, rounds: int) -> None:
    """Whole requests: 200 and 304."""
    app = create_app(Settings(database_url=url, field_key=FIELD_KEY))
    peer, indico = usual_application(url), indico_application(url)
    address = f"/c/{secret_of(child)}.ics"
    ours, usual = wsgi(app, address), wsgi(peer, f"/usual/{secret_of(child)}.ics")
    packed = wsgi(app, address, HTTP_ACCEPT_ENCODING="gzip")
    size, usual_size = len(ours()[1]), len(usual()[1])
    door = FeedDoor(app.wsgi_app, engine_for_polls(url), ZONE)
    cold = Flask("cold")
    cold.wsgi_app = door.serve  # type: ignore[method-assign]

    def unkept() -> object:
        door._shelf = type(door._shelf)(0)
        return wsgi(cold, address)()

    tag = tag_of(app, address)
    poll = wsgi(app, address, HTTP_IF_NONE_MATCH=tag)
    peer_tag = tag_of(peer, f"/usual/{secret_of(child)}.ics")
    peer_poll = wsgi(peer, f"/usual/{secret_of(child)}.ics", HTTP_IF_NONE_MATCH=peer_tag)
    empty = wsgi(app, "/healthz")
    assert poll()[0].startswith("304")
    assert peer_poll()[0].startswith("304")
    assert empty()[0].startswith("200")
    calls = {
        "usual 200": (usual, 1),
        "Indico's calls 200": (wsgi(indico, f"/indico/{child}.ics"), 1),
        "ours 200, read from the database": (unkept, 10),
        "ours 200, kept": (ours, 200),
        "ours 200, kept, gzip": (packed, 200),
        "usual 304": (peer_poll, 1),
        "ours 304": (poll, 500),
        "empty page": (empty, 500),
    }
    took = interleaved(calls, rounds)
    waited = interleaved(calls, 3, wall)
    table = report.table(
        f"Whole requests, {ENTRIES:,} entries ({size:,} bytes ours, {usual_size:,} usual)",
        "",
        "CPU",
        "wall",
        "times usual",
        "limit",
        "",
    )
    limits = {
        "ours 200, kept": ("usual 200", 300),
        "ours 200, kept, gzip": ("usual 200", 300),
        "ours 304": ("usual 304", 1000),
    }
    for name, seconds in took.items():
        base = took["usual 304" if "304" in name else "usual 200"]
        limit = limits.get(name)
        table.add_row(
            name,
            ms(seconds),
            ms(waited[name]),
            "" if "page" in name else f"{base / seconds:,.0f}",
            f"≥ {limit[1]:,}" if limit else "",
            report.verdict(base / seconds >= limit[1]) if limit else "",
        )
    beside = took["Indico's calls 200"] / took["ours 200, kept"]
    table.add_row(
        "ours beside Indico's calls",
        "",
        "",
        f"{beside:,.0f}",
        "≥ 150",
        report.verdict(beside >= 150),
    )
    share = took["ours 304"] / took["empty page"]
    table.add_row(
        "a poll in empty pages", f"{share:.2f}", "", "", "≤ 2", report.verdict(share <= 2)
    )
    report.console.print(table)


def tag_of(app: Flask, path: str) -> str:
    """The ETag of an address."""
    return app.test_client().get(path).headers["ETag"]


def growth(report: Report, url: str, children: dict[int, int], rounds: int) -> None:
    """A whole feed made from the database, of 10 to 10,000 entries: time and memory."""
    table = report.table(
        "A feed made anew from its stored entries, by size",
        "entries",
        "CPU",
        "bytes",
        "memory ÷ body",
        "",
    )
    calls: dict[str, tuple[Call, int]] = {}
    made: dict[int, Callable[[], bytes]] = {}
    with create_engine(url).connect() as held:
        for size, child in children.items():
            found = polling.look_up(held, secret_of(child), START.date())
            head = FeedHead("家庭日历", "", "Asia/Shanghai", 6, "teal")

            def make(found: polling.Feed = found, head: FeedHead = head) -> bytes:
                return ics.assemble(head, polling.fragments(held, found))

            made[size] = make
            calls[str(size)] = (make, max(1, 2_000 // size))
        took = {int(k): v for k, v in interleaved(calls, rounds).items()}
        worst = 0.0
        for size, make in made.items():
            tracemalloc.start()
            body = make()
            peak = tracemalloc.get_traced_memory()[1] / len(body)
            tracemalloc.stop()
            worst = max(worst, peak if size > 100 else 0)
            table.add_row(f"{size:,}", ms(took[size]), f"{len(body):,}", f"{peak:.2f}")
    low, high = min(took), max(took)
    exponent = math.log(took[high] / took[low]) / math.log(high / low)
    steep = math.log(took[high] / took[1_000]) / math.log(high / 1_000)
    table.add_row(
        "exponent over all", f"{exponent:.2f}", "", "≤ 1.1", report.verdict(exponent <= 1.1)
    )
    table.add_row(
        "exponent 1,000 to 10,000", f"{steep:.2f}", "", "≤ 1.1", report.verdict(steep <= 1.1)
    )
    table.add_row("most memory", "", f"{worst:.2f}", "≤ 3", report.verdict(worst <= 3))
    report.console.print(table)


def entry(number: int) -> Entry:
    """An entry as large as the usual one."""
    starts = START + timedelta(hours=6 * number)
    return Entry(
        uid=f"bench-{number}@coordination",
        sequence=0,
        summary=f"绿谷劳动实践基地种植体验 {number}",
        description=ABOUT.zh,
        location="光明区光明路12号绿谷劳动实践基地",
        starts_at=starts,
        ends_at=starts + timedelta(hours=2),
        all_day=False,
        status="confirmed",
        last_modified=START,
        created=START,
        categories=("practice",),
        url=None,
        geo=None,
    )


def moving(report: Report, session: Session, children: list[int]) -> None:
    """One session moved: how many fragments are rendered, how many feeds change."""
    first, second = children[:2]
    before = [version(session, c) for c in (first, second)]
    count = session.scalar(select(func.count()).select_from(FeedVersion))
    rendered: list[str] = []
    real = ics.render_entry
    with patch.object(ics, "render_entry", lambda e, *a: (rendered.append(e.uid), real(e, *a))[1]):
        put(session, first, 17, hours=1)
    after = [version(session, c) for c in (first, second)]
    changed = [a != b for a, b in zip(after, before, strict=True)]
    table = report.table(f"One session moved among {ENTRIES:,}", "", "found", "limit", "")
    alone = set(rendered) == {"bench-17@coordination"} and len(rendered) == 2
    table.add_row(
        "fragments rendered, zh and en", str(len(rendered)), "1 entry", report.verdict(alone)
    )
    table.add_row(
        "feeds that changed",
        f"{sum(changed)} of {len(changed)} watched",
        "the child's own",
        report.verdict(changed == [True, False]),
    )
    same = count == session.scalar(select(func.count()).select_from(FeedVersion))
    table.add_row("other versions touched", "0" if same else "some", "0", report.verdict(same))
    report.console.print(table)


def version(session: Session, child: int) -> str:
    """The version of the feed of a child's parent."""
    return polling.look_up(session, secret_of(child), START.date()).version


def week(report: Report, url: str, child: int, total: int, rounds: int) -> None:
    """A week of one family out of everything, against expanding the same entries."""
    engine = create_engine(url)
    since = START + timedelta(days=60)
    until = since + timedelta(days=7)
    with Session(engine) as session:
        plan = explained(session, child, since, until)
        found = queries.entries_between(session, [("child", child), ("class", 1)], since, until)

        def ours() -> object:
            session.expunge_all()
            return queries.entries_between(session, [("child", child), ("class", 1)], since, until)

        # a small part of the data: all of it would take the peer half a minute and gigabytes
        sample = PEER_SAMPLE
        calendar = icalendar.Calendar()
        for n in range(sample):
            calendar.add_component(ics.event_of(entry(n), "Asia/Shanghai"))

        def recurring() -> object:
            return recurring_ical_events.of(calendar).between(since, until)

        took = interleaved({"ours": (ours, 50), "recurring": (recurring, 1)}, rounds, wall)
        used = interleaved({"ours": (ours, 50), "recurring": (recurring, 1)}, rounds)
    ratio = used["recurring"] / used["ours"]
    table = report.table(
        f"A week of a family ({len(found)} entries) out of {total:,}",
        "",
        "CPU",
        "wall",
        "",
        "limit",
        "",
    )
    table.add_row(
        f"recurring-ical-events, {sample:,} parsed entries",
        ms(used["recurring"]),
        ms(took["recurring"]),
    )
    table.add_row(
        f"ours, {total:,} rows",
        ms(used["ours"]),
        ms(took["ours"]),
        f"{ratio:,.0f} times",
        "≥ 1,000",
        report.verdict(ratio >= 1000),
    )
    table.add_row("", "", "", "", "< 5 ms", report.verdict(took["ours"] < 0.005))
    ranges = plan.count("ix_entry_audience_span")
    table.add_row(
        "index ranges",
        "",
        "",
        str(ranges),
        "1",
        report.verdict(ranges == 1 and "Seq Scan" not in plan),
    )
    report.console.print(table)
    report.console.print(plan, highlight=False)


def explained(session: Session, child: int, since: datetime, until: datetime) -> str:
    """The plan of the statement the page runs."""
    caught: list[tuple[str, object]] = []

    def catch(*args: object) -> None:
        caught.append((str(args[2]), args[3]))

    engine = session.get_bind()
    event.listen(engine, "before_cursor_execute", catch)
    queries.entries_between(session, [("child", child), ("class", 1)], since, until)
    event.remove(engine, "before_cursor_execute", catch)
    statement, values = caught[-1]
    rows = session.connection().exec_driver_sql(f"explain (analyze, costs off) {statement}", values)  # type: ignore[arg-type]
    return "\n".join(str(row[0]) for row in rows)


@contextmanager
def database() -> Iterator[str]:
    """A migrated PostgreSQL of its own."""
    folder = Path(tempfile.mkdtemp(prefix="coordination-bench-"))
    try:
        with EmbeddedPostgres(folder, durable=False) as server:
            migrate(server.url())
            yield Settings().with_database(server.url()).database_url
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    """Everything; 1 if a limit was missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="entries in the database")
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    crypto.use_key(FIELD_KEY)
    report = Report()
    with database() as url:
        engine = create_engine(url)
        families = max(6, asked.rows // ENTRIES)
        with Session(engine) as session:
            children = furnish(session, families)
            uow = begin(session, SYSTEM)
            uow.authorize(Action.SYSTEM_RUN)
            for number in range(ENTRIES):
                put(session, children[0], number)
            sizes = {ENTRIES: children[0]}
            for size, child in zip((10, 100, 10_000), children[2:5], strict=True):
                copy(session, child, size)
                sizes[size] = child
            fill(session, [children[1], *children[5:]], ENTRIES)
            session.commit()
            session.execute(text("analyze"))
            session.commit()
        requests_(report, url, children[0], asked.rounds)
        growth(report, url, dict(sorted(sizes.items())), asked.rounds)
        with Session(engine) as session:
            moving(report, session, children)
        week(report, url, children[0], families * ENTRIES, asked.rounds)
        engine.dispose()
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    report.console.print(f"this process at most {used:,.0f} MiB")
    return 0 if report.held else 1


if __name__ == "__main__":
    raise SystemExit(main())
