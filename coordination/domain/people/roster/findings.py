"""What a comparison found, counted, named and kept with its batch: for the preview and the screens.

Reads the `r_*` tables of `difference.py`; names people, never their phones.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from hashlib import sha256

from sqlalchemy import text
from sqlalchemy.orm import Session

from coordination.domain.people.roster.difference import refusals_query
from coordination.domain.people.roster.values import Counts, Format
from coordination.ground.text import Text

# how many lines of a kind are named, and how many refusals are kept: beyond that nobody reads on
MOST_NAMED = 500
MOST_REFUSALS = 10_000

OPS = ("add", "change", "end", "same", "refused")
LABELS: dict[str, Text] = {
    "school": Text("学校", "Schools"),
    "class": Text("班级", "Classes"),
    "student": Text("学生", "Students"),
    "adult": Text("家长与教职工", "Guardians and staff"),
    "contact": Text("联系方式", "Contact points"),
    "member": Text("班级成员", "Class members"),
    "teacher": Text("班主任任职", "Class teachers' posts"),
    "admin": Text("学校管理员任职", "School administrators' posts"),
    "kin": Text("监护关系", "Guardianships"),
}
REASONS: dict[str, Text] = {
    "duplicate": Text(
        "编号（学号）与前面的一行重复，只采用第一行。",
        "The identifier stands on an earlier line already; only that one is taken.",
    ),
    "not_a_school": Text(
        "这个编号属于一个不是学校的单位。请核对机构编号。",
        "This identifier belongs to a body that is not a school; check it.",
    ),
    "unknown_school": Text(
        "找不到这所学校。请核对学校编号或名称；新学校请先填写学校代码。",
        "This school is not known. Check its identifier or name; a new school needs its code.",
    ),
    "no_role": Text("没有写明角色，这一行未导入。", "No role is given; the row is not taken."),
    "other_kind": Text(
        "系统中同一编号的人一边是学生、一边是成年人。请核对编号。",
        "The person with this identifier is a student on one side and an adult on the other;"
        " check the identifier.",
    ),
    "unknown_class": Text(
        "找不到这个班级。请核对班级编号。", "This class is not known; check its identifier."
    ),
    "unknown_person": Text(
        "找不到这个人。请核对编号，或先导入此人。",
        "This person is not known; check the identifier, or import the person first.",
    ),
    "teacher_as_student": Text(
        "这是一位成年人，不能作为学生编入班级。",
        "This is an adult and cannot be enrolled as a student.",
    ),
    "student_as_teacher": Text(
        "这是一名学生，不能作为教师任职。", "This is a student and cannot be a teacher."
    ),
    "not_child_and_guardian": Text(
        "监护关系必须一方是学生、另一方是成年人。",
        "A guardianship needs a student on one side and an adult on the other.",
    ),
}

_PERSON_VALUES = """jsonb_build_object('name', {name}, 'pinyin', {pinyin}, 'school_id', {school},
    'grade', {grade}, 'birth_month', {birth}, 'source_id', {source}, 'status', {status})"""
_PERSON_OLD = _PERSON_VALUES.format(
    name="old_name",
    pinyin="old_pinyin",
    school="old_school",
    grade="old_grade",
    birth="old_birth",
    source="old_source",
    status="old_status",
)
_PERSON_NEW = _PERSON_VALUES.format(
    name="name",
    pinyin="pinyin",
    school="case when is_student then school_id end",
    grade="coalesce(grade, old_grade)",
    birth="coalesce(birth, old_birth)",
    source="coalesce(old_source, source)",
    status="'active'",
)
_LEFT = "jsonb_build_object('status', 'active'), jsonb_build_object('status', 'left')"
_CLOSED = "jsonb_build_object('active', true), jsonb_build_object('active', false)"
_ENDED = (
    "jsonb_build_object('ends_on', null) as before,"
    " jsonb_build_object('ends_on', cast(:ended as date)) as after"
)
# of a person who is here, or who is about to be
_WHO = "coalesce(p.name, n.name)"
_NAMED = (
    "left join person p on p.id = {id} and {id} > 0 left join r_person n"
    " on n.person_id = {id} and n.op = 'add'"
)


@dataclass(frozen=True, slots=True)
class Entity:
    """One line of the summary.

    `table` is what it is written to, `source` where its rows are found, `label` what one of them
    (t) is called and `named` the joins for that. `changed` selects the changes and ends:
    op, row_id, label, before, after.
    """

    key: str
    table: str
    source: str
    label: str
    named: str
    changed: str


def _posts(key: str, table: str, role: str) -> Entity:
    return Entity(
        key,
        "membership",
        table,
        _WHO,
        _NAMED.format(id="t.person_id"),
        f"""
        select 'end' as op, w.id as row_id, p.name as label, {_ENDED}
        from r_post_ended e join membership w using (id)
        join person p on p.id = w.person_id where w.role {role}
        """,
    )


def _persons(key: str, which: str) -> Entity:
    return Entity(
        key,
        "person",
        f"(select * from r_person where {which} and refuse is distinct from 'merged')",
        "t.name",
        "",
        f"""
        select op, found as row_id, name as label, {_PERSON_OLD} as before, {_PERSON_NEW} as after
        from r_person where op = 'change' and {which}
        union all
        select 'end', p.id, p.name, {_LEFT} from r_person_ended e join person p using (id)
        where {which}
        """,
    )


ENTITIES = (
    Entity(
        "school",
        "organisation",
        "r_org",
        "t.name",
        "",
        f"""
        select op, found as row_id, coalesce(nullif(name, ''), old_zh) as label,
            jsonb_build_object(
                'name_zh', old_zh, 'name_en', old_en, 'active', was_active) as before,
            jsonb_build_object('name_zh', new_zh, 'name_en', new_en, 'active', true) as after
        from r_org where op = 'change'
        union all
        select op, found, old_zh, {_CLOSED} from r_org where op = 'end'
        """,
    ),
    Entity(
        "class",
        "class_group",
        "r_class",
        "t.name",
        "",
        f"""
        select op, found as row_id, name as label,
            jsonb_build_object('name_zh', old_name, 'name_en', old_name_en,
                'school_id', old_school, 'grade', old_grade, 'active', was_active) as before,
            jsonb_build_object('name_zh', new_name, 'name_en', new_name_en,
                'school_id', school_id, 'grade', coalesce(grade, old_grade), 'active', true)
                as after
        from r_class where op = 'change'
        union all
        select 'end', g.id, g.name_zh, {_CLOSED} from r_class_ended e join class_group g using (id)
        """,
    ),
    _persons("student", "is_student"),
    _persons("adult", "not is_student"),
    Entity(
        "contact",
        "contact_point",
        "r_contact",
        _WHO,
        _NAMED.format(id="t.person_id"),
        """
        select 'end' as op, c.id as row_id, p.name as label, to_jsonb(c) as before,
            cast(null as jsonb) as after
        from r_contact_ended e join contact_point c using (id) join person p on p.id = c.person_id
        """,
    ),
    Entity(
        "member",
        "class_member",
        "r_member",
        f"{_WHO} || ' → ' || coalesce(g.name_zh, c.name)",
        f"""
        {_NAMED.format(id="t.person_id")}
        left join class_group g on g.id = t.class_id and t.class_id > 0
        left join r_class c on c.class_id = t.class_id and c.op = 'add'
        """,
        f"""
        select 'end' as op, w.id as row_id, p.name || ' → ' || g.name_zh as label, {_ENDED}
        from r_member_ended e join class_member w using (id)
        join person p on p.id = w.person_id join class_group g on g.id = w.class_id
        """,
    ),
    _posts("teacher", "r_teacher", "<> 'school_admin'"),
    _posts("admin", "r_admin", "= 'school_admin'"),
    Entity(
        "kin",
        "guardianship",
        "r_kin",
        f"{_WHO} || ' → ' || coalesce(p2.name, n2.name)",
        f"""
        {_NAMED.format(id="t.guardian_id")}
        left join person p2 on p2.id = t.child_id and t.child_id > 0
        left join r_person n2 on n2.person_id = t.child_id and n2.op = 'add'
        """,
        f"""
        select t.op, t.found as row_id, p.name || ' → ' || p2.name as label,
            jsonb_build_object('relation', t.old_relation) as before,
            jsonb_build_object('relation', t.said) as after
        from r_kin t join person p on p.id = t.guardian_id join person p2 on p2.id = t.child_id
        where t.op = 'change'
        union all
        select 'end', w.id, p.name || ' → ' || p2.name, {_ENDED}
        from r_kin_ended e join guardianship w using (id)
        join person p on p.id = w.guardian_id join person p2 on p2.id = w.child_id
        """,
    ),
)


def _used(statement: str, **values: object) -> dict[str, object]:
    return {key: value for key, value in values.items() if f":{key}" in statement}


def counted(session: Session, ended: date) -> tuple[Counts, str]:
    """(how many of each entity and op, a digest of all that would be written)."""
    counts: Counts = {}
    digests: list[str] = []
    for entity in ENTITIES:
        line = counts[entity.key] = dict.fromkeys(OPS, 0)
        # the file of a batch does not change, so that its lines stand for what they add
        standing = (
            f"select op, count(*), sum(cast(seq as bigint) * seq) from {entity.source} t"
            " where op in ('add', 'same', 'refused') group by op order by op"
        )
        # not what is written: the day on which something ends may be another
        changed = (
            "select op, count(*), sum(cast(hashtextextended("
            "concat_ws('|', row_id, label, cast(before as text)), 0) as numeric))"
            f" from ({entity.changed}) w group by op order by op"
        )
        for statement in (standing, changed):
            for op, n, digest in session.execute(text(statement), _used(statement, ended=ended)):
                line[op] = n
                if op not in ("same", "refused"):
                    digests.append(f"{entity.key}:{op}:{n}:{digest}")
    for key, table, condition in (
        ("member", "r_enrolled", "and role = 'student'"),
        ("teacher", "r_enrolled", "and role = 'teacher'"),
        ("kin", "r_related", ""),
    ):
        refused = f"select count(*) from {table} where refuse <> 'moot' {condition}"
        counts[key]["refused"] = session.scalar(text(refused)) or 0
    return counts, sha256("\n".join(digests).encode()).hexdigest()


_INTO = (
    "insert into roster_change (batch_id, table_name, row_id, op, label, before, after)"
    " select :batch, :entity, "
)


def keep_named(session: Session, batch_id: int, ended: date) -> None:
    """Keep the first lines of each kind with a batch that is previewed."""
    for entity in ENTITIES:
        added = (
            f"{_INTO} null, 'add', {entity.label}, null, null from (select * from {entity.source} s"
            f" where op = 'add' order by seq limit :most) t {entity.named} order by t.seq"
        )
        session.execute(text(added), {"batch": batch_id, "entity": entity.key, "most": MOST_NAMED})
    _keep_changes(session, batch_id, ended, MOST_NAMED)


def keep_all_changes(session: Session, batch_id: int, ended: date) -> None:
    """Keep every change and every end, with before and after, so that they can be undone.

    Additions are named by the preview already, and added rows carry the number of their batch.
    """
    session.execute(
        text("delete from roster_change where batch_id = :batch and op <> 'add'"),
        {"batch": batch_id},
    )
    _keep_changes(session, batch_id, ended, None)


def _keep_changes(session: Session, batch_id: int, ended: date, most: int | None) -> None:
    for entity in ENTITIES:
        changed = (
            f"{_INTO} row_id, op, label, before, after from (select w.*,"
            " row_number() over (partition by op order by label, row_id) as n"
            f" from ({entity.changed}) w) numbered"
            " where n <= coalesce(cast(:most as bigint), n) order by op, n"
        )
        values = _used(changed, batch=batch_id, entity=entity.key, ended=ended, most=most)
        session.execute(text(changed), values)


def keep_refusals(session: Session, batch_id: int, found: Format) -> int:
    """Keep the refusals with the batch; returns how many there are."""
    reasons = ", ".join(f"(:code{n}, :zh{n}, :en{n})" for n in range(len(REASONS)))
    values: dict[str, object] = {"batch": batch_id, "most": MOST_REFUSALS}
    for n, (code, reason) in enumerate(REASONS.items()):
        values |= {f"code{n}": code, f"zh{n}": reason.zh, f"en{n}": reason.en}
    session.execute(
        text(
            'insert into roster_refusal (batch_id, file, line, "column", code, reason_zh, reason_en)'
            " select :batch, r.file, r.line, r.col, r.code, coalesce(r.zh, w.zh),"
            f" coalesce(r.en, w.en) from ({refusals_query(found)}) r"
            f" left join (values {reasons}) w (code, zh, en) on w.code = r.code"
            " order by r.file, r.line limit :most"
        ),
        values,
    )
    return session.scalar(text(f"select count(*) from ({refusals_query(found)}) r")) or 0
