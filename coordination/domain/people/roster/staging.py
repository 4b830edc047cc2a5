"""The temporary tables that a source is copied into, a chunk at a time, in the caller's transaction.

Memory is bounded by the chunk, whatever the size of the source. Decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import psycopg
from psycopg import sql
from sqlalchemy import text
from sqlalchemy.orm import Session

from coordination.domain.people.roster.values import Cell, Row, Staged

CHUNK = 10_000

_AT = "file text, line int"
TABLES: dict[Staged, str] = {
    Staged.ORG: f"{_AT}, source text, kind text, parent text, name text, gone bool, may_add bool",
    Staged.CLASS: (
        f"{_AT}, source text, school text, name text, name_en text, grade smallint, gone bool"
    ),
    Staged.PERSON: (
        f"{_AT}, source text, role text, kin text, name text, pinyin text, language text,"
        " school text, grade smallint, birth date, gone bool, merge bool"
    ),
    Staged.CONTACT: (
        f"{_AT}, person text, kind text, value bytea, idx bytea, mask text, ord smallint"
    ),
    Staged.MEMBER: (
        f"{_AT}, col text, class text, person text, role text, starts date, ends date, gone bool"
    ),
    Staged.KIN: f"{_AT}, col text, a text, b text, relation text, ord smallint, gone bool",
    Staged.POST: (
        f"{_AT}, person text, org text, role text, kin text, grade smallint, first bool, gone bool"
    ),
    Staged.REFUSED: f"{_AT}, col text, code text, zh text, en text",
}


def _columns(definition: str) -> list[str]:
    return [part.split()[0] for part in definition.split(",")]


# for this transaction only: a few large joins over tables that were made a moment ago
_SETTINGS = (
    "set local work_mem = '64MB'",
    "set local default_statistics_target = 10",
    "set local jit = off",
)


def make_tables(session: Session) -> None:
    """Fresh, empty staging tables; they vanish with the transaction."""
    for setting in _SETTINGS:
        session.execute(text(setting))
    for name, definition in TABLES.items():
        session.execute(text(f"drop table if exists roster_{name}"))
        session.execute(
            text(
                f"create temp table roster_{name}"
                f" (seq int generated always as identity, {definition}) on commit drop"
            )
        )


def fill(session: Session, rows: Iterable[Row]) -> None:
    """Copy `rows` into the staging tables."""
    connection = cast(
        "psycopg.Connection[tuple[object, ...]]", session.connection().connection.driver_connection
    )
    statements = {
        table: sql.SQL("copy {} ({}) from stdin").format(
            sql.Identifier("pg_temp", f"roster_{table}"),
            sql.SQL(", ").join(map(sql.Identifier, _columns(definition))),
        )
        for table, definition in TABLES.items()
    }
    waiting: dict[Staged, list[tuple[Cell, ...]]] = {table: [] for table in TABLES}
    with connection.cursor() as cursor:

        def write(table: Staged) -> None:
            with cursor.copy(statements[table]) as copy:
                for cells in waiting[table]:
                    copy.write_row(cells)
            waiting[table].clear()

        for table, cells in rows:
            held = waiting[table]
            held.append(cells)
            if len(held) >= CHUNK:
                write(table)
        for table, held in waiting.items():
            if held:
                write(table)
    for table in TABLES:
        session.execute(text(f"analyze roster_{table}"))
