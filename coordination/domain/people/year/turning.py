"""Turns a school's year: classes end and begin, children move, class teachers' posts follow.

One transaction, a statement for each kind of row however many children there are. It is kept as a
roster batch with every row before and after, which is what `taking_back.py` goes by. Custody, consents,
contact points and languages are none of its business: it touches no such row.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import CursorResult, select, text
from sqlalchemy.orm import Session

from coordination.domain.people.events import YearTurned
from coordination.domain.people.models import ClassGroup, RosterBatch, RosterChange
from coordination.domain.people.roster import batches, writing
from coordination.domain.people.year import checklist, following, naming, plan, preparing
from coordination.domain.people.year.models import ALREADY, SchoolTurn, TurnClass
from coordination.ground.errors import Conflict, Invalid, Stale
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork

FORMAT = "year"
# a turn may be written down some days after it took place; one to come cannot
LATEST_ENTRY = timedelta(days=31)

_GOING = """
create temp table turn_going on commit drop as
select w.id as member_id, w.person_id as child_id, w.ends_on, g.name_zh as class_name,
    p.name, p.grade, p.status,
    coalesce(c.target_id,
        case k.fate when 'up' then k.id when 'into' then k.into_id end) as target_id
from turn_class k
join class_group g on g.id = k.class_id
join class_member w on w.class_id = k.class_id and w.starts_on < :day
    and (w.ends_on is null or w.ends_on >= :day)
join person p on p.id = w.person_id
left join turn_child c on c.turn_id = k.turn_id and c.child_id = w.person_id
where k.turn_id = :turn and k.fate in ('up', 'into', 'leaves')
"""
_POSTS = """
create temp table turn_post on commit drop as
select w.id as post_id, w.person_id, w.org_id, w.ends_on, p.name,
    case when k.fate = 'up' and k.keeps_teacher then k.made_id end as goes_to
from turn_class k
join membership w on w.class_id = k.class_id and w.role = 'class_teacher'
    and w.starts_on < :day and (w.ends_on is null or w.ends_on >= :day)
join person p on p.id = w.person_id
where k.turn_id = :turn and k.fate in ('up', 'into', 'leaves')
"""
# every row that changes with what it was and what it becomes: what taking back goes by
_KEPT = (
    """
    insert into roster_change (batch_id, table_name, row_id, op, label, before, after)
    select :batch, 'member', member_id, 'end', name || ' → ' || class_name,
        jsonb_build_object('ends_on', ends_on), jsonb_build_object('ends_on', cast(:last as date))
    from turn_going
    """,
    """
    insert into roster_change (batch_id, table_name, row_id, op, label, before, after)
    select :batch, 'teacher', post_id, 'end', name,
        jsonb_build_object('ends_on', ends_on), jsonb_build_object('ends_on', cast(:last as date))
    from turn_post
    """,
    # whoever is in two classes that leave is one child
    """
    insert into roster_change (batch_id, table_name, row_id, op, label, before, after)
    select :batch, 'student', child_id, 'change', min(g.name),
        jsonb_build_object('grade', min(g.grade), 'status', 'active'),
        jsonb_build_object('grade', coalesce(max(k.grade), min(g.grade)),
            'status', case when bool_and(g.target_id is null) then 'graduated' else 'active' end)
    from turn_going g left join turn_class k on k.id = g.target_id
    where g.status = 'active'
    group by child_id
    """,
)
_WRITTEN = {
    ("member", "end"): "update class_member w set ends_on = :last from turn_going g"
    " where w.id = g.member_id",
    ("member", "add"): """
        insert into class_member (class_id, person_id, starts_on, batch_id)
        select distinct k.made_id, g.child_id, cast(:day as date), cast(:batch as bigint)
        from turn_going g join turn_class k on k.id = g.target_id where g.status = 'active'
    """,
    ("student", "change"): """
        update person p set grade = cast(c.after ->> 'grade' as smallint),
            status = c.after ->> 'status'
        from roster_change c
        where c.batch_id = :batch and c.table_name = 'student' and p.id = c.row_id
    """,
    ("teacher", "end"): "update membership w set ends_on = :last from turn_post t"
    " where w.id = t.post_id",
    ("teacher", "add"): """
        insert into membership (person_id, org_id, role, class_id, starts_on, batch_id)
        select distinct person_id, org_id, 'class_teacher', goes_to, cast(:day as date),
            cast(:batch as bigint)
        from turn_post where goes_to is not null
        union
        select k.teacher_id, cast(:school as bigint), 'class_teacher', k.made_id,
            cast(:day as date), cast(:batch as bigint)
        from turn_class k
        where k.turn_id = :turn and k.made_id is not null and not k.keeps_teacher
            and k.teacher_id is not null
    """,
}
_ADDED = (
    """
    insert into roster_change (batch_id, table_name, row_id, op, label)
    select :batch, 'member', w.id, 'add', p.name || ' → ' || g.name_zh
    from class_member w join person p on p.id = w.person_id join class_group g on g.id = w.class_id
    where w.batch_id = :batch
    """,
    """
    insert into roster_change (batch_id, table_name, row_id, op, label)
    select :batch, 'teacher', w.id, 'add', p.name from membership w
    join person p on p.id = w.person_id where w.batch_id = :batch
    """,
)


@dataclass(frozen=True, slots=True)
class Turned:
    """What was written."""

    up: int
    graduated: int
    classes: int
    along: int


def apply(
    uow: UnitOfWork,
    *,
    turn_id: int,
    starts_on: date,
    digest: str,
    seen: bool,
    today: date,
    begins: datetime,
) -> Turned:
    """Write what the plan shows, from `starts_on` on; `begins` is the first moment of today.

    Stale if the plan or a class is another one than was looked at; Conflict if the year is turned.
    """
    turn = _locked(uow, turn_id)
    if turn.state != "draft":
        raise Conflict(
            Text("这次升级已经执行过了。", "This turn has been carried out already."),
            code="not_draft",
        )
    if _turned(uow.session, turn):
        raise Conflict(ALREADY, code="turned_already")
    writing.hold_present_rows(uow.session)
    shown = plan.plan_of(uow.session, turn, today)
    if shown.problems:
        raise Conflict(shown.problems[0], code="not_ready")
    if shown.digest != digest:
        raise Stale(
            Text(
                "您打开页面之后，方案或班级名单有变动。还没有写入任何内容，请看过新的预览再升级。",
                "The plan or a class has changed since you opened the page. Nothing was written:"
                " look at the preview again.",
            )
        )
    _refuse_unfit_day(uow.session, turn, starts_on, today)
    checks = checklist.checks_of(uow.session, turn, shown, day=today, begins=begins)
    if not seen and not all(check.good for check in checks):
        raise Invalid(
            fields={
                "seen": Text(
                    "检查清单里还有提醒，请看过并勾选。",
                    "The checklist has something to look at: read it and tick this.",
                )
            }
        )
    last = starts_on - timedelta(days=1)
    batch = _batch(uow, turn, shown)
    pairs = _classes(uow.session, turn, batch.id, last)
    values = {
        "turn": turn.id,
        "batch": batch.id,
        "school": turn.school_id,
        "day": starts_on,
        "last": last,
    }
    for statement in (_GOING, _POSTS, *_KEPT):
        _run(uow.session, statement, values)
    written = {kind: _run(uow.session, said, values) for kind, said in _WRITTEN.items()}
    for statement in _ADDED:
        _run(uow.session, statement, values)
    along = following.go_along(uow.session, turn.id, pairs, begins)
    _count(batch, written, shown)
    turn.state, turn.starts_on, turn.batch_id = "applied", starts_on, batch.id
    turn.applied_at, turn.applied_by_id = uow.now, uow.actor.person_id
    uow.session.flush()
    uow.session.expire_all()  # what was written past the session
    uow.record(YearTurned(turn.id))
    return Turned(shown.totals.up, shown.totals.leaving, shown.totals.classes, along)


def _locked(uow: UnitOfWork, turn_id: int) -> SchoolTurn:
    # no roster is written meanwhile, and of two who press at once the second sees the first
    batches.one_at_a_time(uow.session)
    return preparing.locked(uow, turn_id)


def _turned(session: Session, turn: SchoolTurn) -> bool:
    found = session.scalar(
        select(SchoolTurn.id).where(
            SchoolTurn.school_id == turn.school_id,
            SchoolTurn.year == turn.year,
            SchoolTurn.state == "applied",
        )
    )
    return found is not None


def _refuse_unfit_day(session: Session, turn: SchoolTurn, starts_on: date, today: date) -> None:
    if starts_on > today:
        raise Invalid(
            fields={
                "starts_on": Text(
                    "不能晚于今天。准备会一直保留，到那一天再来执行。",
                    "It cannot be after today. What you prepared is kept: come back on that day.",
                )
            }
        )
    if starts_on < today - LATEST_ENTRY:
        raise Invalid(
            fields={
                "starts_on": Text(
                    f"不能早于 {(today - LATEST_ENTRY).isoformat()}。",
                    f"It cannot be before {(today - LATEST_ENTRY).isoformat()}.",
                )
            }
        )
    latest = session.scalar(
        text(
            "select max(w.starts_on) from ("
            " select m.class_id, m.starts_on from class_member m"
            "  where m.ends_on is null or m.ends_on >= :day"
            " union all"
            " select p.class_id, p.starts_on from membership p where p.role = 'class_teacher'"
            "  and (p.ends_on is null or p.ends_on >= :day)) w"
            " join turn_class k on k.class_id = w.class_id and k.turn_id = :turn"
            "  and k.fate in ('up', 'into', 'leaves')"
        ),
        {"turn": turn.id, "day": starts_on},
    )
    if latest is not None and latest >= starts_on:
        raise Invalid(
            fields={
                "starts_on": Text(
                    f"有学生或班主任 {latest.isoformat()} 才到现在的班，新学年只能从之后开始。",
                    f"A child or teacher came to a class on {latest.isoformat()}; the new year must"
                    " begin after that.",
                )
            }
        )


def _batch(uow: UnitOfWork, turn: SchoolTurn, shown: plan.Plan) -> RosterBatch:
    year = naming.school_year(turn.year)
    batch = RosterBatch(
        source_name=f"{shown.school.zh} {year.zh}",
        format=FORMAT,
        state="applied",
        made_by_id=uow.actor.person_id,
        applied_at=uow.now,
        counts={"label": ["升级", "Turn of the year"]},
    )
    uow.session.add(batch)
    uow.session.flush()  # every row carries its number
    return batch


def _classes(session: Session, turn: SchoolTurn, batch_id: int, last: date) -> dict[int, int]:
    """End the classes and begin the new ones; which class follows which."""
    lines = session.scalars(
        select(TurnClass).where(TurnClass.turn_id == turn.id).order_by(TurnClass.id)
    ).all()
    ending = {
        line.id: session.get_one(ClassGroup, line.class_id, with_for_update=True)
        for line in lines
        if line.class_id is not None and line.fate in ("up", "into", "leaves")
    }
    sources = {ident: group.source_id for ident, group in ending.items()}
    for group in ending.values():
        group.active, group.ended_on, group.source_id = False, last, None
    session.flush()  # a registry's identifier is the new class's from now on
    for line in lines:
        if line.fate in ("up", "new"):
            made = ClassGroup(
                school_id=turn.school_id,
                grade=line.grade,
                name_zh=line.name_zh,
                name_en=line.name_en,
                source_id=sources.get(line.id),
                batch_id=batch_id,
            )
            session.add(made)
            session.flush()
            line.made_id = made.id
            session.add(_change(batch_id, "class", made.id, "add", made.name_zh))
    follows = {line.id: line.made_id for line in lines}
    pairs: dict[int, int] = {}
    for line in lines:
        group_ended = ending.get(line.id)
        if group_ended is None:
            continue
        after = line.made_id if line.fate == "up" else follows.get(line.into_id or 0)
        group_ended.succeeded_by_id = after
        if after is not None:
            pairs[group_ended.id] = after
        session.add(
            _change(
                batch_id,
                "class",
                group_ended.id,
                "end",
                group_ended.name_zh,
                before=_class_values(True, None, sources[line.id], None),
                after=_class_values(False, last, None, after),
            )
        )
    session.flush()
    return pairs


def _class_values(
    active: bool, ended_on: date | None, source_id: str | None, succeeded_by_id: int | None
) -> dict[str, Any]:
    return {
        "active": active,
        "ended_on": ended_on.isoformat() if ended_on else None,
        "source_id": source_id,
        "succeeded_by_id": succeeded_by_id,
    }


def _change(
    batch_id: int,
    table: str,
    row_id: int,
    op: str,
    label: str,
    *,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> RosterChange:
    return RosterChange(
        batch_id=batch_id,
        table_name=table,
        row_id=row_id,
        op=op,
        label=label,
        before=before,
        after=after,
    )


def _run(session: Session, statement: str, values: dict[str, object]) -> int:
    result = session.execute(
        text(statement), {k: v for k, v in values.items() if f":{k}" in statement}
    )
    assert isinstance(result, CursorResult)
    return result.rowcount


def _count(batch: RosterBatch, written: dict[tuple[str, str], int], shown: plan.Plan) -> None:
    entities: dict[str, dict[str, int]] = {
        "class": {"add": shown.totals.classes, "end": shown.totals.ending}
    }
    for (key, op), count in written.items():
        entities.setdefault(key, {})[op] = count
    total = sum(n for line in entities.values() for n in line.values())
    batch.counts = {**batch.counts, "entities": entities, "refusals": 0, "written": total}
