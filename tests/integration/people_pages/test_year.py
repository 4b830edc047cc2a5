"""A school's turn of the year: what it writes, what it leaves alone, and taking it back."""

from __future__ import annotations

import re
import threading
from datetime import timedelta

import pytest
from sqlalchemy import event, func, select, text
from sqlalchemy.orm import Session

from coordination.domain.people import posts, recipients
from coordination.domain.people.models import (
    ClassGroup,
    ClassMember,
    ContactPoint,
    Guardianship,
    Person,
    RosterBatch,
)
from coordination.domain.people.year import plan, preparing, taking_back, turning
from coordination.domain.people.year.models import SchoolTurn, TurnClass
from coordination.ground.audit import AuditEntry
from coordination.ground.errors import Conflict, CoordinationError, Forbidden, Invalid, Stale
from coordination.ground.text import Text
from tests.build import years
from tests.integration.people_pages.conftest import Stage


@pytest.fixture
def school(stage: Stage) -> Stage:
    """Our school with 三（2）班 of the small world, a sixth grade and a group without a grade."""
    years.add_class(stage.engine, stage.world, "third", 3, "三（1）班", "Class 3(1)", 2)
    years.add_class(stage.engine, stage.world, "sixth", 6, "六（1）班", "Class 6(1)", 3)
    years.add_class(stage.engine, stage.world, "choir", None, "合唱团", "Choir", 1)
    stage.act("school_admin", preparing.begin, school_id=_school(stage), day=years.today())
    return stage


def _school(stage: Stage) -> int:
    return stage.world.things["school_a"]


def _draft(stage: Stage) -> plan.Plan:
    with Session(stage.engine) as session:
        return years.draft_of(session, stage.world)[1]


def _line(stage: Stage, name: str) -> plan.Line:
    return next(x for x in _draft(stage).lines if (x.old or x.name).zh == name)


def apply(stage: Stage, by: str = "school_admin", **more: object) -> None:
    shown = _draft(stage)
    values: dict[str, object] = {
        "turn_id": shown.id,
        "starts_on": years.today(),
        "digest": shown.digest,
        "seen": True,
        "today": years.today(),
        "begins": years.begins(),
        **more,
    }
    stage.act(by, turning.apply, **values)


def _change(stage: Stage, which: str, **more: object) -> None:
    line = _line(stage, which)
    values: dict[str, object] = {
        "line_id": line.id,
        "fate": line.fate,
        "name": line.name,
        "grade": line.grade,
        "into_id": line.into_id,
        "keeps_teacher": line.keeps_teacher,
        "teacher_id": line.teacher_id,
        "day": years.today(),
        **more,
    }
    stage.act("school_admin", preparing.change, **values)


def _turn(stage: Stage) -> SchoolTurn:
    with Session(stage.engine) as session:
        return session.scalars(select(SchoolTurn).order_by(SchoolTurn.id.desc())).first()  # type: ignore[return-value]


def _everything(stage: Stage) -> dict[str, list[tuple[object, ...]]]:
    """Every row of the roster as it is, to compare before and after."""
    found = {}
    with Session(stage.engine) as session:
        for table in (
            "class_group",
            "class_member",
            "membership",
            "person",
            "booking",
            "class_enrolment",
            "enrolment",
            "consent_ask",
            "notice",
            "entry_audience",
            "feed_token",
        ):
            rows = session.execute(text(f"select to_jsonb(t) from {table} t order by id"))
            found[table] = [row[0] for row in rows]
    return found


def test_the_rules_lay_out_the_next_year(school: Stage) -> None:
    lines = {(x.old or x.name).zh: x for x in _draft(school).lines}
    assert lines["三（2）班"].fate == "up" and lines["三（2）班"].name.zh == "四（2）班"
    assert lines["三（2）班"].name.en == "Class 4(2)"
    assert lines["六（1）班"].fate == "leaves" and lines["六（1）班"].present == 3
    assert lines["合唱团"].fate == "stays"
    # as many classes begin as the lowest grade has now
    assert {n for n, x in lines.items() if x.fate == "new"} == {"一（1）班", "一（2）班"}
    totals = _draft(school).totals
    assert (totals.up, totals.leaving, totals.classes, totals.ending) == (3, 3, 4, 3)


def test_preparing_changes_no_class(stage: Stage) -> None:
    before = _everything(stage)
    stage.act("school_admin", preparing.begin, school_id=_school(stage), day=years.today())
    _change(stage, "三（2）班", fate="leaves")
    assert _everything(stage) == before


def test_children_move_with_dates_and_the_past_can_be_looked_up(school: Stage) -> None:
    yesterday = years.today() - timedelta(days=1)
    before = years.classes(school.engine, school.world, yesterday)
    apply(school)
    now = years.classes(school.engine, school.world, years.today())
    assert now == {
        "四（1）班": ["三（1）班0", "三（1）班1"],
        "四（2）班": ["王小雨"],
        "合唱团": ["合唱团0"],
    }
    assert years.classes(school.engine, school.world, yesterday) == before
    office = school.visit("school_admin")
    third = school.world.things["class_a"]
    assert "王小雨" in office.get(f"/people/classes/{third}?on={yesterday}").text
    assert "王小雨" not in office.get(f"/people/classes/{third}").text
    done = office.get(f"/people/year/{_school(school)}").text
    assert f"/people/classes/{third}?on={yesterday}" in done


def test_class_teachers_go_along_or_change(school: Stage) -> None:
    choir = school.world.people["teacher_choir"]
    _change(school, "三（1）班", keeps_teacher=False, teacher_id=choir)
    apply(school)
    made = {x.name.zh: x.made_id for x in _lines_done(school)}
    assert school.actor("teacher").class_ids == {made["四（2）班"]}
    assert made["四（1）班"] in school.actor("teacher_choir").class_ids
    assert school.actor("teacher_third").class_ids == frozenset()
    assert school.actor("teacher_sixth").class_ids == frozenset()


def _lines_done(stage: Stage) -> tuple[plan.Line, ...]:
    with Session(stage.engine) as session:
        turn = session.scalars(select(SchoolTurn).where(SchoolTurn.state == "applied")).one()
        return plan.plan_of(session, turn, years.today()).lines


def test_who_graduates_is_told_nothing_and_the_family_keeps_what_is_theirs(school: Stage) -> None:
    child = school.world.people["sixth_0"]
    apply(school)
    with Session(school.engine) as session:
        assert session.get_one(Person, child).status == "graduated"
        assert recipients.guardians_of_children(session, [child], years.today()) == []
        everybody = set(
            session.scalars(recipients.children_of_organisation(_school(school), years.today()))
        )
        assert child not in everybody and school.world.people["third_0"] in everybody
    assert child in school.actor("sixth_0_parent").child_ids


def test_custody_contacts_language_and_consents_are_untouched(school: Stage) -> None:
    def kept() -> list[tuple[object, ...]]:
        with Session(school.engine) as session:
            return [
                *map(tuple, session.execute(text("select * from guardianship order by id"))),
                *map(tuple, session.execute(text("select * from consent_answer order by id"))),
                *(
                    (p.id, p.kind, bytes(p.value_index), p.mask, p.suppressed_at)
                    for p in session.scalars(select(ContactPoint).order_by(ContactPoint.id))
                ),
                *session.execute(
                    select(Person.id, Person.language, Person.name).order_by(Person.id)
                ),  # type: ignore[list-item]
            ]

    before = kept()
    apply(school)
    assert kept() == before
    restricted = school.actor("restricted")
    assert school.world.people["child"] not in restricted.child_ids
    with Session(school.engine) as session:
        assert session.scalars(select(Guardianship).where(Guardianship.no_disclosure)).one()


def test_a_class_is_split_and_another_joined(school: Stage) -> None:
    shown = _draft(school)
    school.act("school_admin", preparing.add_class, turn_id=shown.id, grade=4, number=3)
    line, extra = _line(school, "三（1）班"), _line(school, "四（3）班")
    moved = school.world.people["third_1"]
    school.act(
        "school_admin",
        preparing.place,
        line_id=line.id,
        targets={moved: extra.id, school.world.people["third_0"]: None},
        day=years.today(),
    )
    _change(school, "三（2）班", fate="into", into_id=line.id)
    apply(school)
    assert years.classes(school.engine, school.world, years.today()) == {
        "四（1）班": ["王小雨", "三（1）班0"],
        "四（3）班": ["三（1）班1"],
        "合唱团": ["合唱团0"],
    }


def test_somebody_who_repeats_stays_and_graduates_with_nobody(school: Stage) -> None:
    line = _line(school, "六（1）班")
    school.act("school_admin", preparing.add_class, turn_id=_draft(school).id, grade=6, number=1)
    with Session(school.engine) as session:
        target = session.scalars(
            select(TurnClass.id).where(TurnClass.fate == "new", TurnClass.grade == 6)
        ).one()
    school.act(
        "school_admin",
        preparing.place,
        line_id=line.id,
        targets={school.world.people["sixth_2"]: target},
        day=years.today(),
    )
    apply(school)
    with Session(school.engine) as session:
        repeats = session.get_one(Person, school.world.people["sixth_2"])
        assert (repeats.status, repeats.grade) == ("active", 6)
        assert session.get_one(Person, school.world.people["sixth_1"]).status == "graduated"


def test_taken_back_everything_is_as_before(school: Stage) -> None:
    before = _everything(school)
    apply(school)
    assert _everything(school) != before
    school.act("school_admin", taking_back.take_back, turn_id=_turn(school).id, today=years.today())
    after = _everything(school)
    for table, rows in before.items():
        assert after[table] == rows, table
    assert _turn(school).state == "undone"
    # and it can be done again
    school.act("school_admin", preparing.begin, school_id=_school(school), day=years.today())
    apply(school)


def test_a_notice_to_a_new_class_stands_in_the_way_and_is_named(school: Stage) -> None:
    apply(school)
    made = next(x.made_id for x in _lines_done(school) if x.name.zh == "四（2）班")
    with Session(school.engine) as session:
        session.execute(
            text(
                "insert into notice (school_id, class_ids, class_id, sender_id, draft_key, title_zh,"
                " title_en, body_zh, body_en, level, state) values (:s, array[:c]::bigint[], :c, :p,"
                " 'new year', '欢迎', 'Welcome', '欢迎', 'Welcome', 'info', 'draft')"
            ),
            {"s": _school(school), "c": made, "p": school.world.people["teacher"]},
        )
        session.commit()
    page = school.visit("school_admin").get(f"/people/year/{_school(school)}").text
    assert "1 项通知" in page and "/back" not in page
    with pytest.raises(Conflict, match="hangs_on_it") as refused:
        school.act(
            "school_admin", taking_back.take_back, turn_id=_turn(school).id, today=years.today()
        )
    assert "1 项通知" in refused.value.message.zh


def test_a_teacher_entered_since_stands_in_the_way(school: Stage) -> None:
    apply(school)
    made = next(x.made_id for x in _lines_done(school) if x.name.zh == "一（1）班")
    school.act(
        "school_admin",
        posts.grant,
        org_id=_school(school),
        role=posts.Role.CLASS_TEACHER,
        name="新老师",
        phone="13700137001",
        starts_on=years.today(),
        class_id=made,
    )
    with pytest.raises(Conflict, match="hangs_on_it"):
        school.act(
            "school_admin", taking_back.take_back, turn_id=_turn(school).id, today=years.today()
        )


def test_the_page_of_imports_does_not_take_a_year_back(school: Stage) -> None:
    apply(school)
    batch = _turn(school).batch_id
    office = school.visit("district_admin")
    assert "升级" in office.get(f"/people/import/{batch}").text
    office.post(f"/people/import/{batch}/undo")
    assert _turn(school).state == "applied"
    with Session(school.engine) as session:
        assert session.get_one(RosterBatch, batch).state == "applied"


def test_a_second_turn_of_one_year_is_refused(school: Stage) -> None:
    apply(school)
    with pytest.raises(Conflict, match="turned_already"):
        school.act("school_admin", preparing.begin, school_id=_school(school), day=years.today())
    # not by way of a draft that was made before, either
    with Session(school.engine) as session:
        session.add(SchoolTurn(school_id=_school(school), year=_turn(school).year))
        session.commit()
    with pytest.raises(Conflict, match="turned_already"):
        apply(school)


def test_what_was_not_looked_at_is_not_written(school: Stage) -> None:
    looked_at = _draft(school).digest
    _change(school, "三（1）班", fate="leaves")
    with pytest.raises(Stale):
        apply(school, digest=looked_at)
    assert _turn(school).state == "draft"


def test_a_child_who_came_meanwhile_makes_it_stale(school: Stage) -> None:
    looked_at = _draft(school).digest
    school.fill(1)
    with pytest.raises(Stale):
        apply(school, digest=looked_at)


def test_the_checklist_must_be_seen(school: Stage) -> None:
    with pytest.raises(Invalid) as refused:
        apply(school, seen=False)
    assert "seen" in refused.value.fields


@pytest.mark.parametrize("days", [1, -40])
def test_a_day_that_does_not_fit_is_refused(school: Stage, days: int) -> None:
    with pytest.raises(Invalid) as refused:
        apply(school, starts_on=years.today() + timedelta(days=days))
    assert "starts_on" in refused.value.fields


def test_a_day_before_somebody_came_is_refused(school: Stage) -> None:
    with Session(school.engine) as session:
        row = session.scalars(
            select(ClassMember).where(ClassMember.person_id == school.world.people["third_0"])
        ).one()
        row.starts_on = years.today() - timedelta(days=2)
        session.commit()
    with pytest.raises(Invalid) as refused:
        apply(school, starts_on=years.today() - timedelta(days=3))
    assert "starts_on" in refused.value.fields
    apply(school, starts_on=years.today() - timedelta(days=1))


def test_names_that_are_missing_or_twice_are_solved_first(school: Stage) -> None:
    with Session(school.engine) as session:
        session.get_one(ClassGroup, school.world.things["third"]).name_zh = "向日葵班"
        turn = session.scalars(select(SchoolTurn)).one()
        session.delete(turn)
        session.commit()
    school.act("school_admin", preparing.begin, school_id=_school(school), day=years.today())
    assert any("还没有新名称" in p.zh for p in _draft(school).problems)
    with pytest.raises(Conflict, match="not_ready"):
        apply(school)
    _change(school, "向日葵班", name=Text("四（2）班", "Class 4(2)"))
    assert any("都叫“四（2）班”" in p.zh for p in _draft(school).problems)


def _both_apply(stage: Stage) -> list[str]:
    shown, told = _draft(stage), []
    both = threading.Barrier(2)

    def press(by: str) -> None:
        both.wait(10)
        try:
            apply_as(stage, by, shown)
        except CoordinationError as refusal:
            told.append(refusal.code)
        else:
            told.append("applied")

    threads = [
        threading.Thread(target=press, args=(b,)) for b in ("school_admin", "district_admin")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return sorted(told)


def apply_as(stage: Stage, by: str, shown: plan.Plan) -> None:
    stage.act(
        by,
        turning.apply,
        turn_id=shown.id,
        starts_on=years.today(),
        digest=shown.digest,
        seen=True,
        today=years.today(),
        begins=years.begins(),
    )


def _new_classes(stage: Stage) -> int:
    with Session(stage.engine) as session:
        return session.scalar(select(func.count()).where(ClassGroup.name_zh == "四（2）班")) or 0


def test_two_who_press_at_once_turn_the_year_once(school: Stage) -> None:
    assert _both_apply(school) == ["applied", "not_draft"]
    assert _new_classes(school) == 1


def test_without_the_lock_the_year_would_turn_twice(
    school: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    # negative control: both read the draft before either writes, and each makes the classes
    seen = threading.Barrier(2)

    def unlocked(uow: object, turn_id: int) -> SchoolTurn:
        turn = uow.session.get(SchoolTurn, turn_id)  # type: ignore[attr-defined]
        uow.authorize("year.turn", turn)  # type: ignore[attr-defined]
        return turn  # type: ignore[no-any-return]

    plan_of = plan.plan_of

    def slowly(*given: object) -> plan.Plan:
        shown = plan_of(*given)  # type: ignore[arg-type]
        seen.wait(10)
        return shown

    monkeypatch.setattr(turning, "_locked", unlocked)
    monkeypatch.setattr(turning.writing, "hold_present_rows", lambda session: None)
    shown = _draft(school)
    monkeypatch.setattr(turning.plan, "plan_of", slowly)
    told: list[str] = []

    def press(by: str) -> None:
        try:
            apply_as(school, by, shown)
        except CoordinationError as refusal:
            told.append(refusal.code)
        else:
            told.append("applied")

    threads = [
        threading.Thread(target=press, args=(b,)) for b in ("school_admin", "district_admin")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert told.count("applied") == 2
    assert _new_classes(school) == 2


@pytest.mark.parametrize("who", ["school_admin_b", "teacher", "coordinator"])
def test_others_turn_nothing(school: Stage, who: str) -> None:
    with pytest.raises(Forbidden):
        apply(school, by=who)
    assert school.visit(who).get(f"/people/year/{_school(school)}").status_code == 404


def test_the_district_turns_a_school_but_reads_no_child_by_name(school: Stage) -> None:
    line = _line(school, "三（1）班")
    office = school.visit("district_admin")
    assert office.get(f"/people/year/{_school(school)}").status_code == 200
    assert office.get(f"/people/year/lines/{line.id}/children").status_code == 403
    assert (
        "三（1）班0"
        in school.visit("school_admin").get(f"/people/year/lines/{line.id}/children").text
    )
    apply(school, by="district_admin")


def test_the_whole_way_by_the_pages(stage: Stage) -> None:
    years.add_class(stage.engine, stage.world, "sixth", 6, "六（1）班", "Class 6(1)", 2)
    office, school = stage.visit("school_admin"), _school(stage)
    assert office.get("/people/year").headers["Location"] == f"/people/year/{school}"
    assert office.post(f"/people/year/{school}/begin").status_code == 303
    page = office.get(f"/people/year/{school}").text
    assert "四（2）班" in page and "毕业" in page
    line = _line(stage, "三（2）班")
    edited = office.post(
        f"/people/year/lines/{line.id}",
        data={
            "fate": "up",
            "name_zh": "四（5）班",
            "name_en": "Class 4(5)",
            "grade": "4",
            "into": "0",
            "teacher": "-1",
        },
    )
    assert edited.status_code == 303
    children = {f"child-{stage.world.people['child']}": "0"}
    assert office.post(f"/people/year/lines/{line.id}/children", data=children).status_code == 303
    page = office.get(f"/people/year/{school}").text
    digest = re.search(r'name="digest"[^>]*value="(\w+)"', page)
    assert digest
    data = {"starts_on": years.today().isoformat(), "digest": digest[1]}
    refused = office.post(f"/people/year/{school}", data=data)
    assert refused.status_code == 422 and "检查清单" in refused.text
    assert office.post(f"/people/year/{school}", data={**data, "seen": "y"}).status_code == 303
    page = office.get(f"/people/year/{school}").text
    assert "四（5）班" in page and "撤销升级" in page
    assert office.post(f"/people/year/turns/{_turn(stage).id}/back").status_code == 303
    assert "王小雨" in office.get(f"/people/classes/{stage.world.things['class_a']}").text


def test_every_class_and_the_turn_itself_are_in_the_audit_trail(school: Stage) -> None:
    apply(school)
    with Session(school.engine) as session:
        tables = set(
            session.scalars(
                select(AuditEntry.table_name).where(
                    AuditEntry.actor_id == school.world.people["school_admin"]
                )
            )
        )
    assert {"school_turn", "turn_class", "class_group", "roster_batch"} <= tables


def test_a_thousand_children_are_as_many_statements_as_one(school: Stage) -> None:
    def statements() -> int:
        seen: list[str] = []
        event.listen(school.engine, "before_cursor_execute", lambda *a: seen.append(a[2]))
        apply(school)
        return len(seen)

    school.fill(200)
    many = statements()
    school.act("school_admin", taking_back.take_back, turn_id=_turn(school).id, today=years.today())
    with Session(school.engine) as session:
        session.execute(
            text(
                "update class_member w set ends_on = '2020-09-02' from person p"
                " where p.id = w.person_id and p.pinyin like 'xuesheng%'"
            )
        )
        session.commit()
    school.act("school_admin", preparing.begin, school_id=_school(school), day=years.today())
    few = statements()
    assert abs(many - few) < 12
