"""What a staged source would do to the present rows, computed by the database, table by table.

Each `r_*` table holds the staged rows with the row they mean and what would happen to it (`op`:
add, change, end, same, refused). Ids of new rows are negative in a preview and real ones in an
apply, so that the same statements serve both. Writes only temporary tables.
"""

from __future__ import annotations

from datetime import date

from sqlalchemy import text
from sqlalchemy.orm import Session

from coordination.domain.people.roster.values import Format

TABLES = ("org", "class", "person", "contact", "member", "teacher", "admin", "kin")

_ORG = """
create temp table r_org on commit drop as
select y.*, case
    when refuse is not null then 'refused'
    when gone then case when found is null or not was_active then 'same' else 'end' end
    when found is null then 'add'
    when not was_active or (may_add and name <> '' and name not in (old_zh, old_en)) then 'change'
    else 'same' end as op
from (
    select o.*, g.id as found, g.name_zh as old_zh, g.name_en as old_en, g.active as was_active,
        case when o.name = '' or not o.may_add or o.name in (g.name_zh, g.name_en)
            or (o.name ~ '^[ -~]*$' and g.name_zh <> g.name_en) then g.name_zh else o.name end
            as new_zh,
        case when o.name = '' or not o.may_add or o.name in (g.name_zh, g.name_en)
            or (o.name ~ '[^ -~]' and g.name_zh <> g.name_en) then g.name_en else o.name end
            as new_en,
        coalesce(g.id, {organisation}) as org_id,
        case when d.first <> o.seq then 'duplicate'
             when g.kind <> 'school' then 'not_a_school'
             when g.id is null and not o.gone and (not o.may_add or o.name = '')
                then 'unknown_school'
        end as refuse
    from roster_org o
    left join (
        select source, min(seq) as first from roster_org group by source having count(*) > 1
    ) d using (source)
    left join organisation g on g.code = o.source
    where o.kind = 'school'
) y
"""

# a department or a campus stands for the school above it
_SCHOOL = """
create temp table r_school on commit drop as
with recursive up as (
    select source, source as at, 0 as depth from roster_org
    union all
    select up.source, o.parent, depth + 1 from up join roster_org o on o.source = up.at
    where o.kind <> 'school' and o.parent <> '' and depth < 9
), best as (
    select distinct on (up.source) up.source, r.org_id
    from up join r_org r on r.source = up.at and r.refuse is null
    order by up.source, depth
)
select source, org_id from best
union all
select g.code, g.id from organisation g
where g.kind = 'school' and not exists (select from best where best.source = g.code)
"""

_CLASS = """
create temp table r_class on commit drop as
select y.*, case
    when refuse is not null then 'refused'
    when gone then case when found is null or not was_active then 'same' else 'end' end
    when found is null then 'add'
    when not was_active or (not :by_name and (name <> old_name or school_id <> old_school))
        or (grade is not null and grade is distinct from old_grade) then 'change'
    else 'same' end as op
from (
    select c.*, s.org_id as school_id, e.id as found, e.name_zh as old_name,
        e.name_en as old_name_en, e.school_id as old_school, e.grade as old_grade,
        e.active as was_active,
        case when :by_name or c.name = e.name_zh then e.name_zh else c.name end as new_name,
        case when :by_name or c.name = e.name_zh then e.name_en else c.name_en end as new_name_en,
        coalesce(e.id, {class_group}) as class_id,
        case when d.first <> c.seq then 'duplicate'
             when s.org_id is null and not c.gone then 'unknown_school'
        end as refuse
    from roster_class c
    left join (
        select source, min(seq) as first from roster_class group by source having count(*) > 1
    ) d using (source)
    left join r_school s on s.source = c.school
    left join lateral (
        select k.* from class_group k
        where k.ended_on is null and (k.source_id = c.source
            or (:by_name and k.school_id = s.org_id and c.name in (k.name_zh, k.name_en)))
        order by k.active desc, k.id limit 1
    ) e on true
) y
"""

_CLASS_ENDED = """
create temp table r_class_ended on commit drop as
select found as id from r_class where op = 'end'
union
select e.id from class_group e
where :full_class and e.active and e.batch_id is not null and e.source_id is not null
    and e.school_id in (select found from r_org where refuse is null and not gone)
    and not exists (select from r_class c where c.found = e.id)
"""

_MATCH = """
create temp table r_match on commit drop as
select distinct p.source, e.id as person_id
from roster_person p join person e on e.source_id = p.source
"""

# children who were here before they had a number: one child of that name in that class
_MATCH_CHILDREN = """
insert into r_match
select p.source, min(e.id)
from roster_person p
join roster_member m on m.person = p.source
join r_class c on c.source = m.class and c.found is not null
join class_member w on w.class_id = c.found and w.ends_on is null
join person e on e.id = w.person_id and e.name = p.name and e.is_student and e.source_id is null
where p.role = 'student' and not exists (select from r_match k where k.source = p.source)
group by p.source having count(distinct e.id) = 1
"""

# two children of one name in the source: nobody knows which of them was here before
_UNMATCH_TWINS = """
delete from r_match m using person e
where e.id = m.person_id and e.is_student and e.source_id is null
    and (select count(*) from r_match o where o.person_id = m.person_id) > 1
"""

# a guardian of that name of that child, whatever phone the sheet has now
_MATCH_GUARDIANS_OF_CHILD = """
insert into r_match
select p.source, min(e.id)
from roster_person p
join roster_kin k on k.b = p.source
join r_match c on c.source = k.a
join guardianship g on g.child_id = c.person_id and g.ends_on is null
join person e on e.id = g.guardian_id and e.name = p.name and not e.is_student
where p.role = 'guardian' and not exists (select from r_match r where r.source = p.source)
group by p.source
"""

# an adult of that name with that phone
_MATCH_GUARDIANS_BY_PHONE = """
insert into r_match
select p.source, min(e.id)
from roster_person p
join roster_contact t on t.person = p.source and t.kind = 'phone'
join contact_point q on q.kind = t.kind and q.value_index = t.idx
join person e on e.id = q.person_id and e.name = p.name and not e.is_student
where p.role = 'guardian' and not exists (select from r_match r where r.source = p.source)
group by p.source
"""

# OneRoster 1.2 keeps roles apart; somebody who is a student anywhere is a student, and whoever is
# only said to be somebody's mother is a guardian
_ROLE = """
create temp table r_role on commit drop as
select distinct on (person) person, role, kin, org, grade
from (
    select person, role, kin, org, grade, 0 as rank, first, seq from roster_post where not gone
    union all
    select b, 'guardian', '', null, null, 1, false, seq from roster_kin
    where relation <> '' and not gone
) r
order by person, rank, (role = 'student') desc, first desc, seq
"""

_PERSON = """
create temp table r_person on commit drop as
select y.*, case
    when refuse is not null then 'refused'
    when gone then case when found is null or old_status = 'left' then 'same' else 'end' end
    when found is null then 'add'
    when old_status = 'left' or name <> old_name
        or (is_student and school_id is distinct from old_school)
        or (grade is not null and grade is distinct from old_grade)
        or (birth is not null and birth is distinct from old_birth)
        or (is_student and old_source is null) then 'change'
    else 'same' end as op
from (
    select p.seq, p.file, p.line, p.source, p.name, p.pinyin, p.language, p.gone, p.merge,
        coalesce(p.birth, null) as birth, coalesce(p.grade, r.grade) as grade,
        coalesce(nullif(p.role, ''), r.role, '') as role,
        coalesce(nullif(p.kin, ''), r.kin, '') as kin,
        coalesce(nullif(p.role, '') = 'student', r.role = 'student', e.is_student, false)
            as is_student,
        s.org_id as school_id, e.id as found, e.name as old_name, e.pinyin as old_pinyin,
        e.school_id as old_school, e.grade as old_grade, e.birth_month as old_birth,
        e.status as old_status, e.source_id as old_source,
        coalesce(e.id, {person}) as person_id,
        case when d.first <> p.seq then case when p.merge then 'merged' else 'duplicate' end
             when p.gone then null
             when coalesce(nullif(p.role, ''), r.role) is null and e.id is null then 'no_role'
             when e.is_student <> (coalesce(nullif(p.role, ''), r.role) = 'student')
                then 'other_kind'
             when s.org_id is null
                and coalesce(nullif(p.role, '') = 'student', r.role = 'student', e.is_student)
                then 'unknown_school'
        end as refuse
    from roster_person p
    left join (
        select source, min(seq) as first from roster_person group by source having count(*) > 1
    ) d using (source)
    left join r_role r on r.person = p.source
    left join r_match k on k.source = p.source
    left join person e on e.id = k.person_id
    left join r_school s on s.source = coalesce(nullif(p.school, ''), r.org)
) y
"""

# everybody a row may refer to: staged here, or known from before
_KNOWN = """
create temp table r_known on commit drop as
select source, person_id, is_student, kin, gone, true as staged
from r_person where refuse is null and op <> 'same'
    or refuse is null and not gone
union all
select e.source_id, e.id, e.is_student, '', false, false
from person e
join (
    select person as source from roster_member union select a from roster_kin
    union select b from roster_kin union select person from roster_post
) n on n.source = e.source_id
where e.status = 'active' and not exists (select from roster_person p where p.source = e.source_id)
"""

_CONTACT = """
create temp table r_contact on commit drop as
select distinct on (k.person_id, t.kind, t.idx) t.*, k.person_id,
    case when c.id is null then 'add' else 'same' end as op
from roster_contact t
join r_known k on k.source = t.person and not k.gone
left join contact_point c
    on c.person_id = k.person_id and c.kind = t.kind and c.value_index = t.idx
order by k.person_id, t.kind, t.idx, t.seq
"""

# a number that came by a roster and is no longer in it may belong to a stranger tomorrow
_CONTACT_ENDED = """
create temp table r_contact_ended on commit drop as
select c.id from contact_point c
join (select distinct person_id, kind from r_contact) t using (person_id, kind)
where c.batch_id is not null and not exists (
    select from r_contact n
    where n.person_id = c.person_id and n.kind = c.kind and n.idx = c.value_index
)
"""

_MEMBER_BASE = """
create temp table r_enrolled on commit drop as
select m.seq, m.role, m.starts, coalesce(c.class_id, g.id) as class_id,
    coalesce(c.school_id, g.school_id) as school_id,
    k.person_id, k.is_student, (m.gone or k.gone or coalesce(m.ends < :today, false)) as out,
    case when m.gone and (k.person_id is null or c.class_id is null and g.id is null) then 'moot'
         when c.class_id is null and g.id is null then 'unknown_class'
         when k.person_id is null then 'unknown_person'
         when m.role = 'student' and not k.is_student then 'teacher_as_student'
         when m.role = 'teacher' and k.is_student then 'student_as_teacher'
    end as refuse
from roster_member m
left join r_class c on c.source = m.class and c.refuse is null
left join class_group g on c.class_id is null and g.source_id = m.class
left join r_known k on k.source = m.person
"""

_MEMBER = """
create temp table r_member on commit drop as
select distinct on (m.class_id, m.person_id) m.*, w.id as found,
    case when m.out then case when w.id is null then 'same' else 'end' end
         when w.id is null then 'add' else 'same' end as op
from r_enrolled m
left join class_member w
    on w.class_id = m.class_id and w.person_id = m.person_id and w.ends_on is null
where m.refuse is null and m.role = 'student'
order by m.class_id, m.person_id, m.out, m.seq
"""

_TEACHER = """
create temp table r_teacher on commit drop as
select distinct on (m.class_id, m.person_id) m.*, w.id as found,
    case when m.out then case when w.id is null then 'same' else 'end' end
         when w.id is null then 'add' else 'same' end as op
from r_enrolled m
left join membership w on w.class_id = m.class_id and w.person_id = m.person_id
    and w.role = 'class_teacher' and w.ends_on is null
where m.refuse is null and m.role = 'teacher'
order by m.class_id, m.person_id, m.out, m.seq
"""

_ADMIN = """
create temp table r_admin on commit drop as
select distinct on (s.org_id, k.person_id) p.*, s.org_id, k.person_id, w.id as found,
    case when p.gone or k.gone then case when w.id is null then 'same' else 'end' end
         when w.id is null then 'add' else 'same' end as op
from roster_post p
join r_school s on s.source = p.org
join r_known k on k.source = p.person and not k.is_student
left join membership w on w.org_id = s.org_id and w.person_id = k.person_id
    and w.role = 'school_admin' and w.ends_on is null
where p.role = 'admin'
order by s.org_id, k.person_id, p.gone, p.seq
"""

_KIN_BASE = """
create temp table r_related on commit drop as
select n.seq, n.relation, n.ord,
    case when x.is_student then x.person_id else y.person_id end as child_id,
    case when x.is_student then y.person_id else x.person_id end as guardian_id,
    coalesce(nullif(n.relation, ''), case when x.is_student then y.kin else x.kin end) as said,
    (n.gone or x.gone or y.gone) as out,
    case when n.gone and (x.person_id is null or y.person_id is null) then 'moot'
         when x.person_id is null or y.person_id is null then 'unknown_person'
         when x.is_student = y.is_student then 'not_child_and_guardian'
    end as refuse
from roster_kin n
left join r_known x on x.source = n.a
left join r_known y on y.source = n.b
"""

# a custody limit is nobody's to lift by a file: such a guardianship neither ends nor changes but in
# its relation
_KIN = """
create temp table r_kin on commit drop as
select y.*, case
    when out then case when found is null or limited then 'same' else 'end' end
    when found is null then 'add'
    when said <> '' and said <> old_relation then 'change'
    else 'same' end as op
from (
    select distinct on (n.child_id, n.guardian_id) n.*, w.id as found, w.relation as old_relation,
        w.no_disclosure as limited
    from r_related n
    left join guardianship w on w.child_id = n.child_id and w.guardian_id = n.guardian_id
        and w.ends_on is null
    where n.refuse is null
    order by n.child_id, n.guardian_id, n.out, (n.relation = ''), n.seq
) y
"""

# rows of earlier imports that a complete source no longer has, and whatever hangs on who left
_PERSON_ENDED = """
create temp table r_person_ended on commit drop as
select person_id as id from r_person where op = 'end'
union
select e.id from person e
where :full_person and e.is_student and e.status = 'active' and e.batch_id is not null
    and e.source_id is not null
    and e.school_id in (select found from r_org where refuse is null and not gone)
    and not exists (select from r_match k where k.person_id = e.id)
"""

_MEMBER_ENDED = """
create temp table r_member_ended on commit drop as
select found as id from r_member where op = 'end'
union
select w.id from class_member w join r_person_ended e on e.id = w.person_id
where w.ends_on is null
union
select w.id from class_member w join r_class_ended e on e.id = w.class_id
where w.ends_on is null
union
select w.id from class_member w join r_class c on c.found = w.class_id and c.refuse is null
where :full_member and w.ends_on is null and w.batch_id is not null
    and not exists (
        select from r_enrolled m where m.class_id = w.class_id and m.person_id = w.person_id
    )
union
select w.id from r_member m
join class_member w on w.person_id = m.person_id and w.ends_on is null and w.class_id <> m.class_id
join class_group g on g.id = w.class_id and g.school_id = m.school_id
where :by_name and m.op = 'add'
"""

_POST_ENDED = """
create temp table r_post_ended on commit drop as
select found as id from r_teacher where op = 'end'
union
select found from r_admin where op = 'end'
union
select w.id from membership w join r_person_ended e on e.id = w.person_id
where w.ends_on is null
union
select w.id from membership w join r_class_ended e on e.id = w.class_id
where w.ends_on is null
union
select w.id from membership w join r_class c on c.found = w.class_id and c.refuse is null
where :full_member and w.ends_on is null and w.batch_id is not null and w.role = 'class_teacher'
    and not exists (
        select from r_enrolled m where m.class_id = w.class_id and m.person_id = w.person_id
    )
"""

_KIN_ENDED = """
create temp table r_kin_ended on commit drop as
select found as id from r_kin where op = 'end'
union
select w.id from guardianship w join r_person_ended e on e.id = w.guardian_id
where w.ends_on is null and not w.no_disclosure
union
select w.id from guardianship w
join r_person c on c.found = w.child_id and c.op in ('same', 'change') and not c.gone
where :full_kin and w.ends_on is null and w.batch_id is not null and not w.no_disclosure
    and not exists (
        select from r_related n where n.child_id = w.child_id and n.guardian_id = w.guardian_id
    )
"""

# table, column that is to blame, condition
_REFUSALS = (
    ("r_org", "'sourcedId'"),
    ("r_class", "case when refuse = 'duplicate' then 'sourcedId' else 'orgSourcedId' end"),
    (
        "r_person",
        "case refuse when 'duplicate' then 'sourcedId' when 'unknown_school' then 'orgSourcedIds'"
        " else 'role' end",
    ),
    (
        "r_enrolled join roster_member using (seq)",
        "case when refuse = 'unknown_class' then 'classSourcedId' else col end",
    ),
    ("r_related join roster_kin using (seq)", "col"),
)

# one line of a sheet makes rows of many tables: what follows from its child is not said again
_SHEET_REFUSALS = (
    (
        "r_person",
        "case refuse when 'duplicate' then '学号' when 'unknown_school' then '学校' else '学生姓名' end",
    ),
)

_STEPS = (
    ("r_org", _ORG),
    ("r_school", _SCHOOL),
    ("r_class", _CLASS),
    ("r_class_ended", _CLASS_ENDED),
    ("r_match", _MATCH),
    ("", _MATCH_CHILDREN),
    ("", _UNMATCH_TWINS),
    ("", _MATCH_GUARDIANS_OF_CHILD),
    ("", _MATCH_GUARDIANS_BY_PHONE),
    ("r_role", _ROLE),
    ("r_person", _PERSON),
    ("r_known", _KNOWN),
    ("r_contact", _CONTACT),
    ("r_contact_ended", _CONTACT_ENDED),
    ("r_enrolled", _MEMBER_BASE),
    ("r_member", _MEMBER),
    ("r_teacher", _TEACHER),
    ("r_admin", _ADMIN),
    ("r_related", _KIN_BASE),
    ("r_kin", _KIN),
    ("r_person_ended", _PERSON_ENDED),
    ("r_member_ended", _MEMBER_ENDED),
    ("r_post_ended", _POST_ENDED),
    ("r_kin_ended", _KIN_ENDED),
)
_NEW_IDS = {
    "organisation": ("roster_org", "o.seq"),
    "class_group": ("roster_class", "c.seq"),
    "person": ("roster_person", "p.seq"),
}


def compare(session: Session, found: Format, *, today: date, real_ids: bool) -> None:
    """Make the `r_*` tables for what is staged."""
    new = {
        table: f"({_reserved(session, table, staged)} + {seq})" if real_ids else f"(-{seq})"
        for table, (staged, seq) in _NEW_IDS.items()
    }
    full = _complete(session, found)
    values = {
        "by_name": found.by_name,
        "today": today,
        "full_class": "class" in full,
        "full_person": "person" in full,
        "full_member": "member" in full,
        "full_kin": "kin" in full,
    }
    for name, statement in _STEPS:
        if not name and not found.by_name:
            continue
        if name:
            session.execute(text(f"drop table if exists {name}"))
        if name in _NEW_ID_STEPS:
            statement = statement.format(**new)
        used = {k: v for k, v in values.items() if f":{k}" in statement}
        session.execute(text(statement), used)
        if name:
            session.execute(text(f"analyze {name}"))


def _reserved(session: Session, table: str, staged: str) -> int:
    """The number before a block of ids, one for each staged row, that nobody else will get.

    Safe because the caller holds the table: between the two calls nobody may insert.
    """
    reserve = text(
        "select nextval(s.name) - 1, setval(s.name, currval(s.name)"
        f" + (select coalesce(max(seq), 0) from {staged}))"
        f" from (select cast(pg_get_serial_sequence('{table}', 'id') as regclass) as name) s"
    )
    first: int = session.execute(reserve).one()[0]
    return first


_NEW_ID_STEPS = frozenset({"r_org", "r_class", "r_person"})


def _complete(session: Session, found: Format) -> frozenset[str]:
    """Of which entities the source really holds everything.

    A line that could not be read may be the one that somebody is missing from: then nobody is
    taken to have left.
    """
    broken = session.scalar(
        text("select exists (select from roster_refused where code not in ('phone', 'email'))")
    )
    return frozenset() if broken else found.full


def refusals_query(found: Format) -> str:
    """All rows that were refused, with the reader's own first: file, line, col, code, zh, en."""
    later = "".join(
        f" union all select file, line, {column} as col, refuse as code, null as zh, null as en"
        f" from {table} where refuse not in ('merged', 'moot')"
        for table, column in (_SHEET_REFUSALS if found.by_name else _REFUSALS)
    )
    return f"select file, line, col, code, zh, en from roster_refused{later}"
