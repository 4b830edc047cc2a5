"""What goes along with a class into the new year, and comes back with it: what is still to happen.

What is past stays with the class it happened in. The rows belong to features above this one, which may
not be imported here, so they stand here by the names of their tables; `tests/integration/people_pages/
test_year_following.py` finds a table that points at classes and is not among them.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

# (row_id, class_id, once): rows of these classes that are not over yet; of two rows with one `once`
# that meet in one class only the first can go along
OPEN = {
    "booking": """
        select b.id as row_id, b.class_id, b.id as once from booking b
        where b.class_id = any(:classes) and b.state in ('requested', 'tentative', 'confirmed')
            and exists (select from booking_occurrence o
                where o.booking_id = b.id and o.ends_at >= :begins)
    """,
    "class_enrolment": """
        select e.id as row_id, e.class_id, e.session_id as once from class_enrolment e
        join practice_session s on s.id = e.session_id
        where e.class_id = any(:classes) and s.ends_at >= :begins
            and s.state not in ('cancelled', 'aborted', 'closed_out')
    """,
    "enrolment": """
        select e.id as row_id, e.class_id, e.id as once from enrolment e
        join practice_session s on s.id = e.session_id
        where e.class_id = any(:classes) and s.ends_at >= :begins
            and s.state not in ('cancelled', 'aborted', 'closed_out')
    """,
    "consent_ask": """
        select a.id as row_id, a.class_id, a.id as once from consent_ask a
        join consent_request r on r.id = a.request_id
        where a.class_id = any(:classes) and r.state = 'open'
            and (r.due_at is null or r.due_at >= :begins)
    """,
    "notice": """
        select n.id as row_id, c.id as class_id, n.id as once from notice n
        join unnest(n.class_ids) c(id) on c.id = any(:classes)
        where n.state in ('draft', 'awaiting', 'returned', 'scheduled')
    """,
    "entry_audience": """
        select a.id as row_id, a.audience_id as class_id, a.entry_id * 2
            + (a.kind = 'class')::int as once from entry_audience a
        where a.kind in ('class', 'class_staff') and a.audience_id = any(:classes)
            and a.ends_at >= :begins
    """,
    "feed_token": """
        select f.id as row_id, f.scope_id as class_id, f.id as once from feed_token f
        where f.scope = 'class' and f.scope_id = any(:classes) and f.revoked_at is null
    """,
}
_COLUMN = {
    "booking": "class_id",
    "class_enrolment": "class_id",
    "enrolment": "class_id",
    "consent_ask": "class_id",
    "entry_audience": "audience_id",
    "feed_token": "scope_id",
}
# a notice names all its classes in one list
_LISTS = """
update notice n set
    class_ids = (
        select array_agg(distinct coalesce(m.{to}, c.id))
        from unnest(n.class_ids) c(id)
        left join turn_move m on m.turn_id = :turn and m.table_name = 'notice'
            and m.row_id = n.id and m.{away} = c.id
    ),
    class_id = coalesce((
        select min(m.{to}) from turn_move m where m.turn_id = :turn and m.table_name = 'notice'
            and m.row_id = n.id and m.{away} = n.class_id
    ), n.class_id)
where n.id in (select row_id from turn_move where turn_id = :turn and table_name = 'notice')
"""


def go_along(session: Session, turn_id: int, pairs: dict[int, int], begins: datetime) -> int:
    """Move what is open from each class to the one that follows it; how many rows went."""
    if not pairs:
        return 0
    values = {"turn": turn_id, "classes": list(pairs), "begins": begins}
    follows = {"olds": list(pairs), "news": list(pairs.values())}
    total = 0
    for table, found in OPEN.items():
        moved = session.scalars(
            text(
                f"""
                insert into turn_move (turn_id, table_name, row_id, from_id, to_id)
                select distinct on (p.new, o.once, case when '{table}' = 'notice'
                        then o.class_id end)
                    :turn, '{table}', o.row_id, o.class_id, p.new
                from ({found}) o
                join unnest(cast(:olds as bigint[]), cast(:news as bigint[])) p(old, new)
                    on p.old = o.class_id
                order by p.new, o.once, case when '{table}' = 'notice' then o.class_id end,
                    o.row_id
                returning id
                """
            ),
            {**values, **follows},
        ).all()
        total += len(moved)
        if moved:
            _write(session, turn_id, table, "from_id", "to_id")
    return total


def come_back(session: Session, turn_id: int) -> None:
    """Give every row that went along back to the class it came from."""
    for table in OPEN:
        _write(session, turn_id, table, "to_id", "from_id")
    session.execute(text("delete from turn_move where turn_id = :turn"), {"turn": turn_id})


def _write(session: Session, turn_id: int, table: str, away: str, to: str) -> None:
    if table == "notice":
        session.execute(text(_LISTS.format(away=away, to=to)), {"turn": turn_id})
        return
    column = _COLUMN[table]
    session.execute(
        text(
            f"update {table} t set {column} = m.{to} from turn_move m"
            f" where m.turn_id = :turn and m.table_name = '{table}' and m.row_id = t.id"
            f" and t.{column} = m.{away}"
        ),
        {"turn": turn_id},
    )
