"""Takes a batch back: what it added goes, what it changed or ended becomes what it was.

Nothing is torn away under others: a row that something hangs on is ended instead, and a row that
somebody changed since keeps that change; both are named in the result.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from sqlalchemy import CursorResult, text
from sqlalchemy.orm import Session

from coordination.domain.people.models import RosterBatch
from coordination.domain.people.roster.findings import ENTITIES, Entity
from coordination.ground.errors import Conflict
from coordination.ground.text import Text

_MOST_KEPT = 50

# in the order in which rows may go; how a row that must stay is ended
_ADDED = (
    ("contact_point", ""),
    ("guardianship", "ends_on = :ended"),
    ("membership", "ends_on = :ended"),
    ("class_member", "ends_on = :ended"),
    ("class_group", "active = false"),
    ("person", "status = 'left'"),
    ("organisation", "active = false"),
)
_OPEN = {
    # what limits a guardian stays in force
    "guardianship": "t.ends_on is null and not t.no_disclosure",
    "membership": "t.ends_on is null",
    "class_member": "t.ends_on is null",
    "class_group": "t.active",
    "person": "t.status = 'active'",
    "organisation": "t.active",
}
# of which there is one at a time; by equality, for `is not distinct from` allows no hash join
_PAIR = {
    "class_member": ("o.class_id = t.class_id", "o.person_id = t.person_id"),
    "membership": (
        "o.person_id = t.person_id",
        "o.org_id = t.org_id",
        "o.role = t.role",
        "coalesce(o.class_id, 0) = coalesce(t.class_id, 0)",
    ),
    "guardianship": ("o.child_id = t.child_id", "o.guardian_id = t.guardian_id"),
}
_NAME = {
    "contact_point": "(select name from person where id = t.person_id)",
    "guardianship": "(select name from person where id = t.guardian_id)",
    "membership": "(select name from person where id = t.person_id)",
    "class_member": "(select name from person where id = t.person_id)",
    "class_group": "t.name_zh",
    "person": "t.name",
    "organisation": "t.name_zh",
}
# every foreign key to a table, and the lists of ids that no foreign key can hold
_POINTING = """
select format('select from %s f where f.%I = t.id', c.conrelid::regclass, a.attname)
from pg_constraint c
join pg_attribute a on a.attrelid = c.conrelid and a.attnum = c.conkey[1]
where c.contype = 'f' and c.confrelid = cast(cast(:table as text) as regclass)
union all
select format('select from (select unnest(%I) as id from %s) f where f.id = t.id',
    a.attname, a.attrelid::regclass)
from pg_attribute a join pg_class k on k.oid = a.attrelid and k.relkind = 'r'
where a.attname = case cast(:table as text)
        when 'person' then 'child_ids' when 'class_group' then 'class_ids' end
    and a.atttypid = 'bigint[]'::regtype and not a.attisdropped
"""


@dataclass(frozen=True, slots=True)
class Undone:
    """What an undo did; `kept` names the rows it could not take back."""

    removed: int
    restored: int
    ended: int
    kept: tuple[str, ...]


def refuse_if_built_upon(session: Session, batch: RosterBatch) -> None:
    """Conflict if a later batch stands on rows of this one."""
    later = session.execute(
        text(
            "select b.id, b.source_name from roster_batch b where b.state = 'applied'"
            " and b.id <> :batch and (b.applied_at, b.id) > (:at, :batch) and ("
            + " or ".join(_built_upon())
            + ") order by b.applied_at desc limit 1"
        ),
        {"batch": batch.id, "at": batch.applied_at},
    ).first()
    if later is not None:
        raise Conflict(
            Text(
                f"之后的导入“{later.source_name}”（编号 {later.id}）改动了同样的内容，请先撤销那一次。",
                f"The later import “{later.source_name}” (no. {later.id}) changed the same rows;"
                " undo that one first.",
            ),
            code="built_upon",
        )


def _built_upon() -> list[str]:
    tables = {e.key: e.table for e in ENTITIES}
    touched = [
        "exists (select from roster_change l join roster_change e using (table_name, row_id)"
        " where l.batch_id = b.id and e.batch_id = :batch and l.op <> 'add')"
    ]
    touched += [
        f"exists (select from roster_change l join {table} t on t.id = l.row_id"
        f" where l.batch_id = b.id and l.table_name = '{key}' and t.batch_id = :batch)"
        for key, table in tables.items()
    ]
    hanging = (
        ("class_group", "school_id", "organisation"),
        ("person", "school_id", "organisation"),
        ("contact_point", "person_id", "person"),
        ("class_member", "person_id", "person"),
        ("class_member", "class_id", "class_group"),
        ("membership", "person_id", "person"),
        ("membership", "class_id", "class_group"),
        ("guardianship", "child_id", "person"),
        ("guardianship", "guardian_id", "person"),
    )
    touched += [
        f"exists (select from {table} l join {under} t on t.id = l.{column}"
        " where l.batch_id = b.id and t.batch_id = :batch)"
        for table, column, under in hanging
    ]
    return touched


def undo(session: Session, batch_id: int, *, ended: date) -> Undone:
    """Take the batch back, last things first."""
    kept: list[str] = []
    restored = 0
    for entity in reversed(ENTITIES):
        if entity.key == "contact":
            restored += _bring_back_contacts(session, batch_id, kept)
        else:
            restored += _restore(session, batch_id, entity, kept)
    removed = over = 0
    for table, end in _ADDED:
        removed += _remove(session, batch_id, table)
        if end:
            over += _end(session, batch_id, table, end, ended, kept)
    return Undone(removed, restored, over, tuple(kept[:_MOST_KEPT]))


def _run(session: Session, statement: str, **values: object) -> int:
    result = session.execute(text(statement), values)
    assert isinstance(result, CursorResult)
    return result.rowcount


def _restore(session: Session, batch_id: int, entity: Entity, kept: list[str]) -> int:
    total = 0
    for op in ("end", "change"):
        values = {"batch": batch_id, "key": entity.key, "op": op}
        columns = session.scalars(
            text(
                "select jsonb_object_keys(before) from (select before from roster_change"
                " where batch_id = :batch and table_name = :key and op = :op limit 1) c"
            ),
            values,
        ).all()
        if not columns:
            continue
        joined = (
            f"roster_change c, jsonb_populate_record(null::{entity.table}, c.before) old,"
            f" jsonb_populate_record(null::{entity.table}, c.after) new"
            " where c.batch_id = :batch and c.table_name = :key and c.op = :op and t.id = c.row_id"
        )
        sets = ", ".join(f"{column} = old.{column}" for column in columns)
        # only what the batch itself wrote is taken back: `after` must still be there
        ours = " and ".join(f"t.{column} is not distinct from new.{column}" for column in columns)
        total += _run(
            session,
            f"update {entity.table} t set {sets} from {joined} and {ours}{_no_twin(entity.table)}",
            **values,
        )
        back = " and ".join(f"t.{column} is not distinct from old.{column}" for column in columns)
        kept.extend(
            session.scalars(
                text(
                    f"select c.label from {entity.table} t, {joined} and not ({back})"
                    " order by c.id limit :most"
                ),
                {**values, "most": _MOST_KEPT},
            )
        )
    return total


def _no_twin(table: str) -> str:
    """Whatever ended does not begin again if somebody has begun it anew meanwhile."""
    if table not in _PAIR:
        return ""
    return (
        f" and not exists (select from {table} o where o.id <> t.id and o.ends_on is null"
        f" and t.ends_on is not null and {' and '.join(_PAIR[table])})"
    )


def _bring_back_contacts(session: Session, batch_id: int, kept: list[str]) -> int:
    removed = (
        "from roster_change c, jsonb_populate_record(null::contact_point, c.before) old"
        " where c.batch_id = :batch and c.table_name = 'contact' and c.op = 'end'"
    )
    total = _run(
        session,
        f"insert into contact_point overriding system value select old.* {removed}"
        " on conflict do nothing",
        batch=batch_id,
    )
    kept.extend(
        session.scalars(
            text(
                f"select c.label {removed} and not exists"
                " (select from contact_point t where t.id = old.id) order by c.id limit :most"
            ),
            {"batch": batch_id, "most": _MOST_KEPT},
        )
    )
    return total


def _remove(session: Session, batch_id: int, table: str) -> int:
    hanging = session.scalars(text(_POINTING), {"table": table}).all()
    free = "".join(f" and not exists ({pointing})" for pointing in hanging)
    if table == "guardianship":
        # a custody limit outlives the import that brought the guardian
        free += " and not t.no_disclosure"
    return _run(
        session,
        f"delete from {table} t where t.batch_id = :batch{free}",
        batch=batch_id,
    )


def _end(
    session: Session, batch_id: int, table: str, end: str, ended: date, kept: list[str]
) -> int:
    rows = f"where t.batch_id = :batch and {_OPEN[table]}"
    values = {"ended": ended} if ":ended" in end else {}
    kept.extend(
        session.scalars(
            text(f"select {_NAME[table]} from {table} t {rows} order by t.id limit :most"),
            {"batch": batch_id, "most": _MOST_KEPT},
        )
    )
    return _run(
        session,
        f"update {table} t set {end} {rows}",
        batch=batch_id,
        **values,
    )
