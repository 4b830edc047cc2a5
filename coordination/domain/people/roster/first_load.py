"""References and indexes of a district's first import: checked and built once, not for each row.

While a row is added PostgreSQL looks up every row it refers to, which is half of the time of loading
a whole district. Where nearly all rows will be new, the foreign keys and the plain indexes are taken
off and put back in the same transaction: putting them back checks every row by one join, and a row
that refers to nobody fails the import as before (https://www.postgresql.org/docs/current/populate.html).

Everybody else waits meanwhile. So this is done only where hardly anybody is here yet, and only if
nobody reads at that moment; else each row is checked as it comes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

# from how many new rows on it is worth it, and how many of them there must be for each present one
LEAST, FOR_EACH = 20_000, 10

_GROWN = ("person", "contact_point", "class_member", "guardianship")
_REFERRED = ("organisation", "class_group")
# below PostgreSQL's deadlock_timeout: whoever reads now is never the one who has to give up
_PATIENCE = "500ms"

_PRESENT = " + ".join(f"(select count(*) from (select from {t} limit :most) t)" for t in _GROWN)
_MAY = """
select bool_and(pg_has_role(relowner, 'usage')) from pg_class
where oid = any(cast(:tables as regclass[]))
"""
_REFERENCES = """
select cast(cast(conrelid as regclass) as text), quote_ident(conname), pg_get_constraintdef(oid)
from pg_constraint
where contype = 'f' and conrelid = any(cast(:tables as regclass[]))
order by conrelid, conname
"""
# not those of keys, which other tables may refer to
_INDEXES = """
select cast(cast(indexrelid as regclass) as text), pg_get_indexdef(indexrelid) from pg_index
where indrelid = any(cast(:tables as regclass[]))
    and not exists (select from pg_constraint where conindid = indexrelid)
order by indrelid, indexrelid
"""


@contextmanager
def checked_at_once(session: Session, new: int) -> Iterator[bool]:
    """Within the block `new` rows may be added unchecked, if it yields true; at its end all are checked.

    IntegrityError at the end if a row refers to nobody or stands twice.
    """
    if not (_worth_it(session, new) and _alone(session)):
        yield False
        return
    grown = {"tables": list(_GROWN)}
    references = session.execute(text(_REFERENCES), grown).all()
    indexes = session.execute(text(_INDEXES), grown).all()
    for table, name, _ in references:
        session.execute(text(f"alter table {table} drop constraint {name}"))
    for name, _ in indexes:
        session.execute(text(f"drop index {name}"))
    yield True
    for _, definition in indexes:
        session.execute(text(definition))
    for table, name, definition in references:
        session.execute(text(f"alter table {table} add constraint {name} {definition}"))
    # the next statement may be a notice to all of them, long before anybody looks at the tables
    session.execute(text(f"analyze {', '.join(_GROWN)}"))


def _worth_it(session: Session, new: int) -> bool:
    if new < LEAST:
        return False
    most = new // FOR_EACH
    present = session.scalar(text(f"select {_PRESENT}"), {"most": most + 1}) or 0
    tables = {"tables": [*_GROWN, *_REFERRED]}
    return present <= most and bool(session.scalar(text(_MAY), tables))


def _alone(session: Session) -> bool:
    """Have the tables for this transaction alone; false if somebody is at one of them."""
    usual = session.scalar(text("select current_setting('lock_timeout')"))
    wait = text("select set_config('lock_timeout', :wait, true)")
    try:
        with session.begin_nested():
            session.execute(wait, {"wait": _PATIENCE})
            session.execute(
                text(f"lock table {', '.join((*_GROWN, *_REFERRED))} in access exclusive mode")
            )
    except OperationalError:  # somebody reads; they are not to wait for us
        return False
    session.execute(wait, {"wait": usual})
    return True
