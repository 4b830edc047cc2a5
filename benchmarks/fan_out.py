"""One notice to 300,000: by one statement, by the ORM, and by the barest statement there could be.

`ours` is `notifications.broadcast.expand` with its unique key, its household merge and its indexes.
`ORM` adds one object per message; it gets fewer, and is compared by the row. `bare` is an
INSERT … SELECT of the same values into a table without any index: the limit. Then the product's own
way with a district of 300,000 guardians: the click, and the clock's writing of one text for each
phone, with the children's names and a code of its own. `--quick` makes everything ten times smaller.
"""

from __future__ import annotations

import json
import multiprocessing
import statistics
import time
from collections.abc import Callable
from zoneinfo import ZoneInfo

from sqlalchemy import BigInteger, Engine, Text, cast, create_engine, literal, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session

from benchmarks._memory import extra
from benchmarks._server import FIELD_KEY, server
from benchmarks._table import at_least, at_most, console, quick, show
from coordination.authz.actor import SYSTEM
from coordination.domain.communication.notices import rounds, services
from coordination.domain.people.actors import actor_of
from coordination.ground import clock, crypto
from coordination.ground.text import Text as Words
from coordination.reactions.work import begin
from coordination.seed.synthetic import seed
from notifications.broadcast import expand
from notifications.models import OutboxMessage
from notifications.outbox import body_hash
from notifications.values import PRIORITY, Broadcast

MANY = 30_000 if quick() else 300_000
BY_ORM = MANY // 15
TURNS = 5
BODY = "【光明实验小学】明天（周五）研学活动 7:40 在南门集合，请带水壶。打开 gm.example.cn 输入 7K3P-9QXA"
PARAMS = {"school": "光明实验小学"}
NOTICE = Broadcast(
    key="notice:1", template_key="notice", message_class="info", subject_type="notice", subject_id=1
)

BARE = text(
    "insert into bare select null::bigint id, 1::bigint broadcast_id, 'broadcast:notice:1:' ||"
    " household, id, household, 'notice', language, cast(:params as jsonb), :body,"
    " encode(sha256(convert_to(:body, 'UTF8')), 'hex'), null, 'info', 3::smallint, 'sms', 'notice',"
    " 1::bigint, null::timestamptz, 'queued', null, now(), 0::smallint, 0::smallint, null, null,"
    " null::smallint, now(), now(), null::timestamptz from guardian"
)
CONTENT = (
    "select count(*), count(distinct dedupe_key), md5(string_agg(recipient_id || language || body ||"
    " body_hash || params::text || message_class || priority, ',' order by recipient_id))"
    " from {} where recipient_id <= :upto"
)


class Race:
    """The candidates on one database; each begins with empty tables."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        with engine.begin() as connection:
            connection.execute(
                text(
                    "create table guardian as select n::bigint id, 'phone' || n household,"
                    " case when n % 47 = 0 then 'en' else 'zh' end language"
                    " from generate_series(1, :many) n"
                ),
                {"many": MANY},
            )
            connection.execute(text("create table bare (like outbox_message including defaults)"))
            for column in ("id", "next_at", "dedupe_key"):
                connection.execute(text(f"alter table bare alter {column} drop not null"))
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("vacuum analyze guardian"))

    def clear(self) -> None:
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(
                text("truncate bare, broadcast, outbox_message, delivery_attempt cascade")
            )
            connection.execute(text("checkpoint"))

    def ours(self) -> None:
        guardian = text("select id, household, language from guardian").columns(
            id=BigInteger, household=Text, language=Text
        )
        rows = guardian.subquery("guardian")
        recipients = select(
            rows.c.id.label("recipient_id"),
            rows.c.household.label("household_key"),
            rows.c.language,
            cast(literal(json.dumps(PARAMS)), JSONB).label("params"),
            literal(BODY, Text).label("body"),
        )
        with Session(self.engine) as session, session.begin():
            assert expand(session, NOTICE, recipients) == MANY

    def orm(self) -> None:
        with Session(self.engine) as session, session.begin():
            found = session.execute(
                text("select id, household, language from guardian where id <= :n order by id"),
                {"n": BY_ORM},
            )
            at = clock.now()
            session.add_all(
                OutboxMessage(
                    dedupe_key=f"broadcast:notice:1:{row.household}",
                    recipient_id=row.id,
                    household_key=row.household,
                    template_key="notice",
                    language=row.language,
                    params=PARAMS,
                    body=BODY,
                    body_hash=body_hash(BODY),
                    message_class="info",
                    priority=PRIORITY["info"],
                    channel="sms",
                    subject_type="notice",
                    subject_id=1,
                    next_at=at,
                )
                for row in found
            )

    def bare(self) -> None:
        with self.engine.begin() as connection:
            connection.execute(BARE, {"params": json.dumps(PARAMS), "body": BODY})

    def content(self, table: str) -> tuple[object, ...]:
        """What the first messages say, so that the candidates can be compared."""
        with self.engine.connect() as connection:
            return tuple(connection.execute(text(CONTENT.format(table)), {"upto": BY_ORM}).one())


def compare(race: Race) -> None:
    """Equal results first, then the turns."""
    ways: dict[str, tuple[Callable[[], None], int]] = {
        "ours": (race.ours, MANY),
        "ORM add_all": (race.orm, BY_ORM),
        "bare": (race.bare, MANY),
    }
    peaks, contents = {}, set()
    for name, (way, _) in ways.items():
        race.clear()
        peaks[name] = extra(way)
        contents.add(race.content("bare" if name == "bare" else "outbox_message"))
    assert len(contents) == 1, contents
    walls: dict[str, list[float]] = {name: [] for name in ways}
    cpus: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(TURNS):
        for name in list(ways) if turn % 2 == 0 else reversed(ways):
            way, count = ways[name]
            race.clear()
            wall, cpu = time.perf_counter(), time.process_time()
            way()
            walls[name].append((time.perf_counter() - wall) / count)
            cpus[name].append((time.process_time() - cpu) / count)
    each = {name: statistics.median(found) for name, found in walls.items()}
    show(
        f"One notice to {MANY:,} ({BY_ORM:,} by the ORM), median of {TURNS}",
        ("", "µs a message", "least-most", "client CPU µs", "extra MiB", "x ours"),
        [
            (
                name,
                f"{each[name] * 1e6:.2f}",
                f"{min(walls[name]) * 1e6:.2f}-{max(walls[name]) * 1e6:.2f}",
                f"{statistics.median(cpus[name]) * 1e6:.3f}",
                f"{peaks[name]:.1f}",
                f"{each[name] / each['ours']:.2f}",
            )
            for name in ways
        ],
    )
    at_least("ORM add_all, by the row", each["ORM add_all"] / each["ours"], 30)
    at_most("time in parts of the bare statement", each["ours"] / each["bare"], 3.5)
    at_most("client memory, MiB", peaks["ours"], 10)


def product(url: str) -> None:
    """The click of a district administrator, and the writing that the clock does after it.

    In a process of its own: the memory that the ORM has used before would hide what this needs.
    """
    crypto.use_key(FIELD_KEY)
    seed(url, schools=max(MANY // 1500, 1), students=MANY * 2 // 3)
    engine = create_engine(url)
    with engine.connect() as connection:
        sender = connection.scalar(text("select person_id from account where login = 'admin'"))
    clicks, numbers = [], []
    with Session(engine) as session:
        actor = actor_of(session, int(sender or 0), clock.today(ZoneInfo("Asia/Shanghai")))
    for turn in range(TURNS + 1):
        began = time.perf_counter()
        with Session(engine) as session, begin(session, actor) as uow:
            notice = services.send_notice(
                uow,
                draft_key=f"bench-{turn}",
                title=Words("明天停课", "No school tomorrow"),
                body=Words("因台风明天停课一天。", "No school tomorrow because of the typhoon."),
                level="info",
                org_id=1,
            )
            numbers.append(notice.id)
        clicks.append((time.perf_counter() - began) * 1e3)
    console.print(f"the click for the whole district: {statistics.median(clicks[1:]):.0f} ms")
    at_most("the click, ms", statistics.median(clicks[1:]), 300)
    with Session(engine) as session:
        waiting = rounds.open_rounds(session)[:1]

    def write() -> None:
        more = True
        while more:
            with Session(engine) as session, begin(session, SYSTEM) as uow:
                more = rounds.write_stretch(uow, round_id=waiting[0])

    began, cpu = time.perf_counter(), time.process_time()
    peak = extra(write)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    with engine.connect() as connection:
        texts, phones = connection.execute(
            text(
                "select count(*), count(distinct household_key) from outbox_message"
                " where subject_type = 'notice' and subject_id = :notice"
            ),
            {"notice": numbers[0]},
        ).one()
        people = connection.scalar(
            text("select count(*) from notice_recipient where notice_id = :notice"),
            {"notice": numbers[0]},
        )
    assert texts == phones, (texts, phones)
    console.print(
        f"written by the clock: {people:,} guardians, {texts:,} texts in {seconds:.0f} s"
        f" ({texts / seconds:,.0f} a second, {cpu / texts * 1e6:.0f} µs of its CPU each),"
        f" extra memory {peak:.0f} MiB; one run"
    )
    engine.dispose()


def main() -> None:
    """Print the table."""
    with server(durable=True) as made:
        engine = create_engine(made.database("fan_out"))
        compare(Race(engine))
        engine.dispose()
        apart = multiprocessing.get_context("spawn").Process(
            target=product, args=(made.database("district"),)
        )
        apart.start()
        apart.join()
        assert apart.exitcode == 0


if __name__ == "__main__":
    main()
