"""Roster import against the ORM and against a bare csv.reader + COPY, interleaved in one run.

Every candidate loads the same generated OneRoster files in a process and an empty migrated database
of its own, on one server. `ours` is the whole import: read, validate, encrypt, compare, write, in
one transaction. `orm` makes the same rows by `add_all`, on a sample. `bare text` copies the files as
they are into unindexed text tables. `bare tables` copies them into the product's own tables (keys,
indexes, encrypted phones) without looking at a cell: the least that any import into them costs.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import psycopg
from rich.console import Console
from rich.table import Table
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.orm import Session

from coordination.authz.actor import SYSTEM
from coordination.domain.people.contacts import sealed
from coordination.domain.people.models import (
    ClassGroup,
    ClassMember,
    ContactPoint,
    Guardianship,
    Organisation,
    Person,
)
from coordination.domain.people.roster import batches, normal
from coordination.embedded import EmbeddedPostgres
from coordination.ground import crypto
from coordination.reactions.work import begin
from coordination.supervisor import migrate

ZONE = ZoneInfo("Asia/Shanghai")
TODAY = date(2026, 9, 1)
SURNAMES = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗"
GIVEN = "小雨子涵珺垚喆思远一诺欣怡浩然梓萱祎翀晨曦语桐俊熙雅静天宇可欣奕辰诗涵"
PER_CLASS, PER_SCHOOL = 40, 1000
LIMIT_MIB = 50


# -- the files -----------------------------------------------------------------------------------


def generate(folder: Path, students: int) -> Path:
    """A OneRoster 1.1 bulk export: `students` children, half as many guardians again."""
    folder.mkdir(parents=True)

    def write(name: str, head: str, rows: Iterator[tuple[object, ...]]) -> None:
        with (folder / name).open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(head.split(","))
            writer.writerows(rows)

    def name(n: int) -> tuple[str, str]:
        return SURNAMES[n % 20], GIVEN[n * 7 % len(GIVEN)] + GIVEN[n * 13 % len(GIVEN)]

    def users() -> Iterator[tuple[object, ...]]:
        for n in range(students):
            family, given = name(n)
            yield (
                f"K{n}", "", "", "true", f"S{n // PER_SCHOOL}", "student", f"k{n}", "", given,
                family, "", f"{n:08d}", "", "", "", "", f"{n // PER_CLASS % 6 + 1:02d}", "",
            )  # fmt: skip
        for n in range(students * 3 // 2):
            # the first guardian of every child, then a second one of every other child
            child = n if n < students else (n - students) * 2
            family, given = name(child + n)
            yield (
                f"P{n}", "", "", "true", f"S{child // PER_SCHOOL}", "parent", f"p{n}", "", given,
                family, "", "", "", "", f"13{n % 10}{n * 7919 % 100_000_000:08d}",
                f"K{child}", "", "",
            )  # fmt: skip

    schools, classes = -(-students // PER_SCHOOL), -(-students // PER_CLASS)
    write(
        "manifest.csv",
        "propertyName,value",
        iter(
            [
                ("manifest.version", "1.0"),
                ("oneroster.version", "1.1"),
                *((f"file.{t}", "bulk") for t in ("orgs", "classes", "users", "enrollments")),
            ]
        ),
    )
    write(
        "orgs.csv",
        "sourcedId,status,dateLastModified,name,type,identifier,parentSourcedId",
        ((f"S{n}", "", "", f"第{n + 1}小学", "school", "", "") for n in range(schools)),
    )
    write(
        "classes.csv",
        "sourcedId,status,dateLastModified,title,grades,courseSourcedId,classCode,classType,"
        "location,schoolSourcedId,termSourcedIds,subjects,subjectCodes,periods",
        (
            (f"C{n}", "", "", f"三（{n}）班", "03", "", "", "homeroom", "",
             f"S{n * PER_CLASS // PER_SCHOOL}", "", "", "", "")
            for n in range(classes)
        ),
    )  # fmt: skip
    write(
        "users.csv",
        "sourcedId,status,dateLastModified,enabledUser,orgSourcedIds,role,username,userIds,"
        "givenName,familyName,middleName,identifier,email,phone,sms,agentSourcedIds,grades,password",
        users(),
    )
    write(
        "enrollments.csv",
        "sourcedId,status,dateLastModified,classSourcedId,schoolSourcedId,userSourcedId,role,"
        "primary,beginDate,endDate",
        (
            (f"E{n}", "", "", f"C{n // PER_CLASS}", f"S{n // PER_SCHOOL}", f"K{n}", "student", "",
             "", "")
            for n in range(students)
        ),
    )  # fmt: skip
    return folder


def lines(folder: Path, name: str) -> Iterator[list[str]]:
    """The data lines of one file."""
    with (folder / name).open(encoding="utf-8", newline="") as file:
        reader = csv.reader(file)
        next(reader)
        yield from reader


# -- the candidates ------------------------------------------------------------------------------


def ours(url: str, folder: Path) -> dict[str, float]:
    """Preview and apply as a person does; the import is the apply, which does it all again."""
    engine = create_engine(url)
    batches.use_zone(ZONE)
    started = time.perf_counter()
    with Session(engine) as session, begin(session, SYSTEM) as uow:
        batch = batches.preview(uow, path=folder, name="bench")
    previewed = time.perf_counter()
    with Session(engine) as session, begin(session, SYSTEM) as uow:
        written = batches.apply(uow, batch_id=batch)
    applied = time.perf_counter()
    return {"seconds": applied - previewed, "preview": previewed - started, "rows": written}


def orm(url: str, folder: Path) -> dict[str, float]:
    """The same rows as objects, added and flushed by the ORM."""
    started = time.perf_counter()
    with Session(create_engine(url)) as session:
        schools = {
            line[0]: Organisation(kind="school", code=line[0], name_zh=line[3], name_en=line[3])
            for line in lines(folder, "orgs.csv")
        }
        session.add_all(schools.values())
        session.flush()
        classes = {
            line[0]: ClassGroup(
                school_id=schools[line[9]].id, name_zh=line[3], name_en=line[3], source_id=line[0]
            )
            for line in lines(folder, "classes.csv")
        }
        session.add_all(classes.values())
        people, phones, kin = {}, [], []
        for line in lines(folder, "users.csv"):
            student = line[5] == "student"
            full = line[9] + line[8]
            people[line[0]] = Person(
                name=full,
                pinyin=normal.pinyin(full),
                is_student=student,
                school_id=schools[line[4]].id if student else None,
                source_id=line[0],
            )
            if line[14]:
                phones.append((line[0], line[14]))
            if line[15]:
                kin.append((line[15], line[0]))
        session.add_all(people.values())
        session.flush()
        rows: list[object] = []
        for source, phone in phones:
            value, index, mask = sealed("phone", f"+86{phone}")
            rows.append(
                ContactPoint(
                    person_id=people[source].id,
                    kind="phone",
                    value_enc=value,
                    value_index=index,
                    mask=mask,
                )
            )
        rows += [
            Guardianship(
                child_id=people[child].id,
                guardian_id=people[guardian].id,
                relation="parent",
                starts_on=TODAY,
            )
            for child, guardian in kin
        ]
        rows += [
            ClassMember(class_id=classes[line[3]].id, person_id=people[line[5]].id, starts_on=TODAY)
            for line in lines(folder, "enrollments.csv")
        ]
        session.add_all(rows)
        session.commit()
    return {"seconds": time.perf_counter() - started}


def bare_text(url: str, folder: Path) -> dict[str, float]:
    """Every file into a table of texts, as it is."""
    started = time.perf_counter()
    with psycopg.connect(_libpq(url)) as connection, connection.cursor() as cursor:
        for name in ("orgs", "classes", "users", "enrollments"):
            with (folder / f"{name}.csv").open(encoding="utf-8", newline="") as file:
                reader = csv.reader(file)
                columns = ", ".join(f'"{column}" text' for column in next(reader))
                cursor.execute(f"create table bare_{name} ({columns})")
                with cursor.copy(f"copy bare_{name} from stdin") as copy:
                    for line in reader:
                        copy.write_row(line)
    return {"seconds": time.perf_counter() - started}


def bare_tables(url: str, folder: Path) -> dict[str, float]:
    """The same rows into the product's own tables, ids counted by hand, nothing looked at."""
    started = time.perf_counter()
    ids: dict[str, int] = {}

    def number(source: str) -> int:
        ids[source] = made = len(ids) + 1_000
        return made

    with psycopg.connect(_libpq(url)) as connection, connection.cursor() as cursor:

        def load(table: str, rows: Iterator[tuple[object, ...]]) -> None:
            with cursor.copy(f"copy {table} from stdin") as copy:
                for row in rows:
                    copy.write_row(row)

        load(
            "organisation (id, kind, code, name_zh, name_en)",
            ((number(x[0]), "school", x[0], x[3], x[3]) for x in lines(folder, "orgs.csv")),
        )
        load(
            "class_group (id, school_id, name_zh, name_en, source_id)",
            ((number(x[0]), ids[x[9]], x[3], x[3], x[0]) for x in lines(folder, "classes.csv")),
        )
        load(
            "person (id, name, is_student, school_id, source_id)",
            (
                (number(x[0]), x[9] + x[8], x[5] == "student",
                 ids[x[4]] if x[5] == "student" else None, x[0])
                for x in lines(folder, "users.csv")
            ),
        )  # fmt: skip
        load(
            "contact_point (person_id, kind, value_enc, value_index, mask)",
            (
                (ids[x[0]], "phone", *sealed("phone", f"+86{x[14]}"))
                for x in lines(folder, "users.csv")
                if x[14]
            ),
        )
        load(
            "guardianship (child_id, guardian_id, relation, starts_on)",
            ((ids[x[15]], ids[x[0]], "parent", TODAY) for x in lines(folder, "users.csv") if x[15]),
        )
        load(
            "class_member (class_id, person_id, starts_on)",
            ((ids[x[3]], ids[x[5]], TODAY) for x in lines(folder, "enrollments.csv")),
        )
    return {"seconds": time.perf_counter() - started}


def again(url: str, folder: Path) -> dict[str, float]:
    """Import, and import the same once more: nothing may be written."""
    engine = create_engine(url)
    first = ours(url, folder)
    with engine.connect() as connection:
        before = _fingerprint(connection)
    second = ours(url, folder)
    with engine.connect() as connection:
        same = before == _fingerprint(connection)
    return {
        "seconds": second["seconds"],
        "first": first["seconds"],
        "rows": second["rows"],
        "same": same,
    }


def _fingerprint(connection: object) -> list[object]:
    return [
        connection.execute(  # type: ignore[attr-defined]
            text(
                "select count(*), sum(hashtextextended(ctid::text || xmin::text, 0)::numeric)"
                f" from {table}"
            )
        ).one()
        for table in (
            "organisation", "class_group", "person", "contact_point", "class_member", "membership",
            "guardianship",
        )
    ]  # fmt: skip


CANDIDATES: dict[str, Callable[[str, Path], dict[str, float]]] = {
    "ours": ours,
    "orm": orm,
    "bare text": bare_text,
    "bare tables": bare_tables,
    "again": again,
}


# -- the run -------------------------------------------------------------------------------------


def _libpq(url: str) -> str:
    return url.replace("postgresql+psycopg://", "postgresql://")


def _peak_kib() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


def one(candidate: str, url: str, warm_url: str, folder: Path, warm: Path) -> None:
    """In a process of its own: warm up on a tiny roster, then measure."""
    crypto.use_key("a field key for benchmarks only")
    run = CANDIDATES[candidate]
    run(warm_url, warm)
    before = _peak_kib()
    result = run(url, folder)
    print(json.dumps({**result, "extra_mib": (_peak_kib() - before) / 1024}))


class Bench:
    """The server, its template database and the files."""

    def __init__(self, server: EmbeddedPostgres, folder: Path) -> None:
        self.server, self.folder, self._number = server, folder, 0
        self.admin = create_engine(server.url("postgres"), isolation_level="AUTOCOMMIT")
        self._sql("create database bench_template")
        migrate(self._url("bench_template"))
        self.warm = generate(folder / "warm", 80)

    def _url(self, database: str) -> str:
        return make_url(self.server.url("postgres")).set(database=database).render_as_string(False)

    def _sql(self, statement: str) -> None:
        with self.admin.connect() as connection:
            connection.execute(text(statement))

    def measure(self, candidate: str, files: Path) -> dict[str, float]:
        """One run of one candidate."""
        names = []
        for _ in range(2):
            self._number += 1
            names.append(f"bench_{self._number}")
            self._sql(f"create database {names[-1]} template bench_template")
        self._sql("checkpoint")
        done = subprocess.run(
            [sys.executable, __file__, "--one", candidate, *map(self._url, names), str(files),
             str(self.warm)],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        for name in names:
            self._sql(f"drop database {name} with (force)")
        found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        return found


def main() -> None:
    """Run all candidates in turns and print the ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--students", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--one", nargs=5, metavar=("CANDIDATE", "URL", "WARM", "FILES", "SMALL"))
    given = parser.parse_args()
    if given.one:
        one(*given.one[:3], Path(given.one[3]), Path(given.one[4]))
        return
    crypto.use_key("a field key for benchmarks only")
    console = Console(width=110)
    folder = Path(tempfile.mkdtemp(prefix="bench-roster-"))
    sample = max(given.students // 10, 100)
    try:
        with EmbeddedPostgres(folder / "pg", durable=False) as server:
            bench = Bench(server, folder)
            files = {n: generate(folder / str(n), n) for n in {given.students, sample}}
            plan = [
                ("ours", sample), ("orm", sample), ("bare text", given.students),
                ("bare tables", given.students), ("ours", given.students),
            ]  # fmt: skip
            found: dict[tuple[str, int], list[dict[str, float]]] = {p: [] for p in plan}
            for turn in range(given.rounds):
                for candidate, size in plan if turn % 2 == 0 else reversed(plan):
                    result = bench.measure(candidate, files[size])
                    found[candidate, size].append(result)
                    console.print(f"  round {turn + 1}: {candidate} {size}: {result}")
            once_more = bench.measure("again", files[given.students])
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    _report(console, found, once_more, given.students, sample)


def _report(
    console: Console,
    found: dict[tuple[str, int], list[dict[str, float]]],
    once_more: dict[str, float],
    students: int,
    sample: int,
) -> None:
    def median(candidate: str, size: int, key: str = "seconds") -> float:
        return statistics.median(r[key] for r in found[candidate, size])

    table = Table("candidate", "students", "seconds (median)", "extra MiB", "ours is")
    for (candidate, size), results in found.items():
        ratio = median(candidate, size) / median("ours", size)
        table.add_row(
            candidate,
            f"{size:,}",
            f"{median(candidate, size):.2f}",
            f"{max(r['extra_mib'] for r in results):.0f}",
            f"{ratio:.2f} x as fast" if candidate != "ours" else "",
        )
    console.print(table)
    checks = (
        ("at least 10 x the ORM", median("orm", sample) / median("ours", sample), 10.0),
        ("at least 0.7 x bare text", median("bare text", students) / median("ours", students), 0.7),
        (
            "at least 0.7 x bare tables",
            median("bare tables", students) / median("ours", students),
            0.7,
        ),
    )
    for what, ratio, goal in checks:
        console.print(f"{what}: {ratio:.2f}  {'met' if ratio >= goal else 'NOT met'}")
    extra = max(r["extra_mib"] for r in found["ours", students])
    console.print(f"extra memory under {LIMIT_MIB} MiB: {extra:.0f}"
                  f"  {'met' if extra < LIMIT_MIB else 'NOT met'}")  # fmt: skip
    untouched = once_more["rows"] == 0 and once_more["same"]
    console.print(f"an unchanged import writes no row: {'met' if untouched else 'NOT met'}"
                  f" ({once_more['seconds']:.2f} s)")  # fmt: skip


if __name__ == "__main__":
    main()
