"""Writes what a comparison found: one statement per table and op, in the caller's transaction.

A row that would stay as it is is never touched. Decides nothing; the `r_*` tables say it all.
"""

from __future__ import annotations

from datetime import date

from sqlalchemy import CursorResult, text
from sqlalchemy.orm import Session

from coordination.domain.people.roster.normal import LEGAL

# between comparing and writing nobody else may change what was compared; reading goes on
_HELD = (
    "organisation",
    "person",
    "class_group",
    "contact_point",
    "class_member",
    "membership",
    "guardianship",
)
_LEGAL = ", ".join(f"'{word}'" for word in sorted(LEGAL))

_STATEMENTS = (
    """
    insert into organisation (id, kind, parent_id, code, name_zh, name_en, batch_id)
    select org_id, 'school', (select min(id) from organisation where kind = 'district'),
        source, name, name, :batch
    from r_org where op = 'add'
    """,
    """
    update organisation o set name_zh = r.new_zh, name_en = r.new_en, active = true
    from r_org r where r.op = 'change' and o.id = r.found
    """,
    "update organisation o set active = false from r_org r where r.op = 'end' and o.id = r.found",
    """
    insert into class_group (id, school_id, grade, name_zh, name_en, source_id, batch_id)
    select class_id, school_id, grade, name, name_en, source, :batch from r_class where op = 'add'
    """,
    """
    update class_group g set name_zh = r.new_name, name_en = r.new_name_en,
        school_id = r.school_id, grade = coalesce(r.grade, g.grade), active = true
    from r_class r where r.op = 'change' and g.id = r.found
    """,
    "update class_group g set active = false from r_class_ended r where g.id = r.id",
    """
    insert into person (id, name, pinyin, language, is_student, school_id, grade, birth_month,
        source_id, batch_id)
    select person_id, name, pinyin, coalesce(nullif(language, ''), 'zh'), is_student,
        case when is_student then school_id end, grade, birth, source, :batch
    from r_person where op = 'add'
    """,
    """
    update person p set name = r.name, pinyin = r.pinyin,
        school_id = case when r.is_student then r.school_id end,
        grade = coalesce(r.grade, p.grade), birth_month = coalesce(r.birth, p.birth_month),
        source_id = coalesce(p.source_id, r.source), status = 'active'
    from r_person r where r.op = 'change' and p.id = r.found
    """,
    "update person p set status = 'left' from r_person_ended r where p.id = r.id",
    "delete from contact_point c using r_contact_ended r where c.id = r.id",
    # of several numbers the newest is used: the first of a cell goes last, the few others before it
    """
    insert into contact_point (person_id, kind, value_enc, value_index, mask, batch_id)
    select person_id, kind, value, idx, mask, :batch from r_contact where op = 'add' and ord > 0
    order by ord desc
    """,
    """
    insert into contact_point (person_id, kind, value_enc, value_index, mask, batch_id)
    select person_id, kind, value, idx, mask, :batch from r_contact where op = 'add' and ord = 0
    """,
    "update class_member w set ends_on = :ended from r_member_ended r where w.id = r.id",
    """
    insert into class_member (class_id, person_id, starts_on, batch_id)
    select class_id, person_id, least(coalesce(starts, :today), :today), :batch
    from r_member where op = 'add'
    """,
    "update membership w set ends_on = :ended from r_post_ended r where w.id = r.id",
    """
    insert into membership (person_id, org_id, role, class_id, starts_on, batch_id)
    select person_id, school_id, 'class_teacher', class_id,
        least(coalesce(starts, :today), :today), :batch
    from r_teacher where op = 'add'
    """,
    """
    insert into membership (person_id, org_id, role, starts_on, batch_id)
    select person_id, org_id, 'school_admin', :today, :batch from r_admin where op = 'add'
    """,
    "update guardianship w set ends_on = :ended from r_kin_ended r where w.id = r.id",
    """
    update guardianship w set relation = r.said from r_kin r
    where r.op = 'change' and w.id = r.found
    """,
    # a limit that somebody once set for this pair comes back with the pair
    f"""
    insert into guardianship (child_id, guardian_id, relation, legal, may_consent, contact_order,
        no_disclosure, starts_on, batch_id)
    select r.child_id, r.guardian_id, coalesce(nullif(r.said, ''), 'guardian'),
        coalesce(nullif(r.said, ''), 'guardian') in ({_LEGAL}),
        coalesce(nullif(r.said, ''), 'guardian') in ({_LEGAL}), r.ord,
        l.child_id is not null, :today, :batch
    from r_kin r
    left join (select distinct child_id, guardian_id from guardianship where no_disclosure) l
        using (child_id, guardian_id)
    where r.op = 'add'
    """,
)


def hold_present_rows(session: Session) -> None:
    """Keep everybody else from writing people until the end of this transaction."""
    session.execute(text(f"lock table {', '.join(_HELD)} in share row exclusive mode"))


def write(session: Session, batch_id: int, *, today: date, ended: date) -> int:
    """Write the difference; returns how many rows were touched."""
    values = {"batch": batch_id, "today": today, "ended": ended}
    total = 0
    for statement in _STATEMENTS:
        used = {k: v for k, v in values.items() if f":{k}" in statement}
        result = session.execute(text(statement), used)
        assert isinstance(result, CursorResult)
        total += result.rowcount
    return total
