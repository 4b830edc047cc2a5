"""A synthetic district of any size: the same arguments make the same people, every time.

Rows are streamed by COPY, so that memory does not grow with the district. All names and phones are
invented; every fourth child has a sibling, every child 1.5 guardians on average.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any, cast

import click
import psycopg
from psycopg import sql
from pypinyin import lazy_pinyin
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

from coordination.domain.people.accounts import hash_password
from coordination.domain.people.contacts import sealed
from coordination.ground.errors import Conflict
from coordination.ground.text import Text
from coordination.seed import history
from coordination.seed.demo import FATHERS, GIVEN, MOTHERS, PASSWORD, SINCE, SURNAMES
from coordination.seed.plan import GRADES, Cells, Plan, Table, partner_name, school_name

# a few families in a hundred have no phone, or read English
WITHOUT_PHONE = 33
ENGLISH = 47

_GRADE_ZH = "一二三四五六"
# no mobile number begins with 110: nobody can be written to by mistake
_FIRST_PHONE = 11_000_000_000

_EMPTY = Text(
    "数据库里已有数据。请先换一个空的数据库（例如另设 INSTANCE_DIR）再生成。",
    "The database is not empty. Choose another one first, for example by INSTANCE_DIR.",
)


def seed(url: str, schools: int, students: int) -> None:
    """Fill the migrated, empty database at `url`; Conflict if it is not empty."""
    if schools < 1 or students < 1:
        raise Conflict(
            Text("学校和学生数量至少为 1。", "There must be at least one school and one student.")
        )
    plan = Plan(schools, students)
    engine = create_engine(url)
    begun = time.monotonic()
    try:
        with Session(engine) as session, session.begin():
            session.execute(text("lock table organisation in exclusive mode"))
            if session.scalar(text("select exists (select from organisation)")):
                raise Conflict(_EMPTY)
            for table, columns, rows in (*_tables(plan), *history.tables(plan)):
                count = _copy(session, table, columns, rows())
                _say(f"{table}: {count:,}", begun)
            session.execute(text("analyze"))  # what follows joins what has just come
            for table, count in history.derive(session):
                _say(f"{table}: {count:,}", begun)
            _go_on_counting(session)
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("analyze"))
    finally:
        engine.dispose()
    _say("ready; sign in as admin, school1 or teacher1", begun)


def _say(what: str, begun: float) -> None:
    click.echo(f"  {time.monotonic() - begun:6.1f} s  {what}", err=True)


def _copy(session: Session, table: str, columns: Sequence[str], rows: Iterator[Cells]) -> int:
    connection = cast(
        "psycopg.Connection[tuple[Any, ...]]", session.connection().connection.driver_connection
    )
    statement = sql.SQL("copy {} ({}) from stdin").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    count = 0
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)
            count += 1
    return count


def _go_on_counting(session: Session) -> None:
    for table in ("organisation", "class_group", "person", "resource", *history.NUMBERED):
        session.execute(
            text(
                f"select setval(pg_get_serial_sequence('{table}', 'id'), max(id)) from {table}"  # noqa: S608 - names of ours
            )
        )


def _tables(plan: Plan) -> tuple[Table, ...]:
    """Every table in the order of the references."""
    return (
        (
            "organisation",
            ("id", "kind", "parent_id", "code", "name_zh", "name_en", "lat", "lng", "active"),
            lambda: _organisations(plan),
        ),
        (
            "term",
            ("org_id", "name_zh", "name_en", "starts_on", "ends_on"),
            lambda: iter(
                [(1, "2026—2027学年第一学期", "Autumn term 2026", SINCE, date(2027, 1, 22))]
            ),
        ),
        (
            "class_group",
            ("id", "school_id", "grade", "name_zh", "name_en", "source_id", "active"),
            lambda: _classes(plan),
        ),
        (
            "person",
            (
                "id",
                "name",
                "pinyin",
                "language",
                "is_student",
                "school_id",
                "grade",
                "source_id",
                "status",
            ),
            lambda: _people(plan),
        ),
        ("account", ("person_id", "login", "password_hash"), lambda: _accounts(plan)),
        (
            "contact_point",
            ("person_id", "kind", "value_enc", "value_index", "mask"),
            lambda: _contacts(plan),
        ),
        (
            "class_member",
            ("class_id", "person_id", "starts_on"),
            lambda: ((plan.class_of(n), n + 1, SINCE) for n in range(plan.students)),
        ),
        (
            "guardianship",
            ("child_id", "guardian_id", "relation", "contact_order", "starts_on"),
            lambda: _guardianships(plan),
        ),
        (
            "membership",
            ("person_id", "org_id", "role", "class_id", "starts_on"),
            lambda: _memberships(plan),
        ),
        (
            "partner_profile",
            ("org_id", "sector", "is_practice_base"),
            lambda: ((plan.partner(n), "craft", n % 2 == 0) for n in range(plan.partners)),
        ),
        (
            "resource",
            ("id", "owner_id", "kind", "title_zh", "title_en", "capacity_max", "approval_mode"),
            lambda: _resources(plan),
        ),
        (
            "opening_rule",
            ("resource_id", "weekday", "opens", "closes"),
            lambda: (
                (n + 1, day, "09:00", "17:30") for n in range(plan.partners) for day in range(6)
            ),
        ),
    )


def _organisations(plan: Plan) -> Iterator[Cells]:
    yield 1, "district", None, "SYN", "示范区教育局", "Model District Bureau", 30.9, 121.1, True
    for kind, count, at, name in (
        ("school", plan.schools, plan.school, school_name),
        ("partner", plan.partners, plan.partner, partner_name),
    ):
        for n in range(count):
            yield (
                at(n),
                kind,
                1 if kind == "school" else None,
                f"{kind[0].upper()}{n + 1:04}",
                name(n).zh,
                name(n).en,
                30.8 + n * 37 % 200 / 1000,
                121.0 + n * 53 % 200 / 1000,
                True,
            )


def _grade(plan: Plan, class_index: int) -> int:
    return class_index % plan.per_school % GRADES + 1


def _classes(plan: Plan) -> Iterator[Cells]:
    for n in range(plan.classes):
        grade, number = _grade(plan, n), n % plan.per_school // GRADES + 1
        yield (
            n + 1,
            plan.school(n // plan.per_school),
            grade,
            f"{_GRADE_ZH[grade - 1]}（{number}）班",
            f"Class {grade}({number})",
            f"C{n + 1:06}",
            True,
        )


class _Names:
    """Names with their pinyin; every part is looked up once."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def of(self, surname: str, given: str) -> tuple[str, str]:
        """Name and pinyin."""
        return surname + given, f"{self._part(surname)} {self._part(given)}"

    def _part(self, part: str) -> str:
        if part not in self._known:
            self._known[part] = " ".join(lazy_pinyin(part))
        return self._known[part]


def _surname(family: int) -> str:
    return SURNAMES[family * 7 % len(SURNAMES)]


def _people(plan: Plan) -> Iterator[Cells]:
    names = _Names()
    for n in range(plan.students):
        at = plan.class_of(n) - 1
        name = names.of(_surname(plan.family_of(n)), GIVEN[(n * 3 + n // 20) % len(GIVEN)])
        yield (
            n + 1,
            *name,
            "zh",
            True,
            plan.school(at // plan.per_school),
            _grade(plan, at),
            f"S{n + 1:07}",
            "active",
        )
    for family in range(plan.families):
        language = "en" if family % ENGLISH == 0 else "zh"
        mother = names.of(_surname(family + 3), MOTHERS[family // 3 % len(MOTHERS)])
        father = names.of(_surname(family), FATHERS[family // 5 % len(FATHERS)])
        for which, name in enumerate((mother, father)):
            at = plan.guardian(family, which)
            yield at, *name, language, False, None, None, f"G{2 * family + which + 1:07}", "active"
    for n in range(plan.staffed):
        name = names.of(_surname(n + 11), MOTHERS[n // 2 % len(MOTHERS)])
        yield plan.staff(n), *name, "zh", False, None, None, f"T{n + 1:06}", "active"


def _accounts(plan: Plan) -> Iterator[Cells]:
    stored = hash_password(PASSWORD)  # once: argon2 is slow on purpose
    first_admin = plan.classes
    yield plan.staff(0), "teacher1", stored
    yield plan.staff(first_admin), "school1", stored
    yield plan.staff(first_admin + plan.schools), "partner1", stored
    yield plan.staff(plan.staffed - 2), "admin", stored
    yield plan.staff(plan.staffed - 1), "coordinator", stored


def _contacts(plan: Plan) -> Iterator[Cells]:
    for n in range(plan.guardians):
        if n // 2 % WITHOUT_PHONE:
            phone = f"+86{_FIRST_PHONE + n}"
            yield plan.guardian(n // 2, n % 2), "phone", *sealed("phone", phone)


def _guardianships(plan: Plan) -> Iterator[Cells]:
    for n in range(plan.students):
        family = plan.family_of(n)
        yield n + 1, plan.guardian(family, 0), "mother", 1, SINCE
        yield n + 1, plan.guardian(family, 1), "father", 2, SINCE


def _memberships(plan: Plan) -> Iterator[Cells]:
    for n in range(plan.classes):
        yield plan.staff(n), plan.school(n // plan.per_school), "class_teacher", n + 1, SINCE
    for n in range(plan.schools):
        yield plan.staff(plan.classes + n), plan.school(n), "school_admin", None, SINCE
    for n in range(plan.partners):
        at = plan.staff(plan.classes + plan.schools + n)
        yield at, plan.partner(n), "partner_staff", None, SINCE
    yield plan.staff(plan.staffed - 2), 1, "district_admin", None, SINCE
    yield plan.staff(plan.staffed - 1), 1, "coordinator", None, SINCE


def _resources(plan: Plan) -> Iterator[Cells]:
    for n in range(plan.partners):
        mode = "direct" if n % 3 == 0 else "request"
        yield n + 1, plan.partner(n), "space", "活动室", "Activity room", 40 + n % 40, mode
