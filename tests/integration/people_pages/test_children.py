"""Who sees which schools, classes and children, and at what cost."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from sqlalchemy import event, update
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session

from coordination.domain.people.models import ClassMember, ContactPoint, Guardianship, Person
from coordination.ground import clock
from tests.build import world as worlds
from tests.integration.people_pages.conftest import Stage


@contextmanager
def counting() -> Iterator[list[str]]:
    """The statements that read, on whatever engine."""
    seen: list[str] = []

    def note(_c: object, _k: object, statement: str, *_rest: object) -> None:
        if statement.lstrip().lower().startswith(("select", "with")):
            seen.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def path_of(stage: Stage, page: str) -> str:
    things = stage.world.things
    return {
        "index": "/people/",
        "school": f"/people/schools/{things['school_a']}",
        "class": f"/people/classes/{things['class_a']}",
        "children": "/people/children?name=xuesheng",
    }[page]


@pytest.mark.parametrize("role", ["teacher", "school_admin"])
@pytest.mark.parametrize("page", ["index", "school", "class", "children"])
def test_a_page_asks_five_questions_at_most_however_many_children(
    stage: Stage, page: str, role: str
) -> None:
    client, asked = stage.visit(role), []
    stage.fill(5)
    client.get("/people/")  # what is read once per process is read here
    for more in (0, 45):
        stage.fill(more, start=5)
        with counting() as seen:
            answer = client.get(path_of(stage, page))
        assert answer.status_code == 200
        asked.append(len(seen))
    if page in ("class", "children"):
        assert len(re.findall("学生\\d+", answer.text)) >= 49
    assert asked[0] == asked[1] <= 5, asked


def test_the_class_page_shows_guardians_with_masked_phones_and_relations(stage: Stage) -> None:
    text = stage.visit("teacher").get(path_of(stage, "class")).text
    assert "王小雨" in text and "王敏" in text
    assert "138****8001" in text and "13800138001" not in text
    assert "父母" in text


def test_a_former_guardian_is_not_listed(stage: Stage) -> None:
    assert "赵磊" not in stage.visit("teacher").get(path_of(stage, "class")).text


def test_a_limited_guardian_is_marked_and_the_ground_is_for_the_school_office_only(
    stage: Stage,
) -> None:
    with stage.engine.begin() as connection:
        connection.execute(
            update(Guardianship)
            .where(Guardianship.guardian_id == stage.world.people["restricted"])
            .values(limit_reason="法院裁定 12 号")
        )
    teacher = stage.visit("teacher").get(path_of(stage, "class")).text
    office = stage.visit("school_admin").get(path_of(stage, "class")).text
    assert "不得告知" in teacher and "不得告知" in office
    assert "法院裁定 12 号" in office and "法院裁定 12 号" not in teacher
    assert "/limit" in office and "/limit" not in teacher


def test_the_district_sees_numbers_and_no_names(stage: Stage) -> None:
    stage.fill(10)
    client = stage.visit("district_admin")
    index = client.get("/people/").text
    school = client.get(path_of(stage, "school")).text
    assert "school_a" in index and "school_b" in index
    # ten families, one of them without a phone, and the child of the world
    assert ">11<" in index and ">1<" in index
    assert "王小雨" not in index + school and "/people/classes/" not in school
    assert client.get(path_of(stage, "class")).status_code == 403
    assert client.get("/people/children?name=王").status_code == 403


def test_a_school_administrator_finds_only_children_of_the_own_school(stage: Stage) -> None:
    client = stage.visit("school_admin")
    assert "王小雨" in client.get("/people/children?name=小雨").text
    assert "张珺" not in client.get("/people/children?name=珺").text
    assert "张珺" in stage.visit("school_admin_b").get("/people/children?name=珺").text


@pytest.mark.parametrize("typed", ["wangxiaoyu", "Wang Xiao", "wangx"])
def test_pinyin_is_found_with_and_without_spaces(stage: Stage, typed: str) -> None:
    with Session(stage.engine) as session:
        session.get_one(Person, stage.world.people["child"]).pinyin = "wang xiao yu"
        session.commit()
    assert "王小雨" in stage.visit("school_admin").get(f"/people/children?name={typed}").text


def test_a_percent_sign_finds_nobody(stage: Stage) -> None:
    assert "王小雨" not in stage.visit("school_admin").get("/people/children?name=%25").text


def test_a_child_in_no_class_is_found_by_the_school_but_by_no_teacher(stage: Stage) -> None:
    with Session(stage.engine) as session:
        session.add(
            Person(
                name="赵无班",
                pinyin="zhaowuban",
                is_student=True,
                school_id=stage.world.things["school_a"],
            )
        )
        session.commit()
    found = stage.visit("school_admin").get("/people/children?name=无班").text
    assert "赵无班" in found and "未编班" in found
    assert "赵无班" not in stage.visit("teacher").get("/people/children?name=无班").text


def test_a_teacher_who_is_a_parent_elsewhere_finds_no_guardians_there(stage: Stage) -> None:
    """Being a child's guardian opens the family's pages, not the staff's."""
    with Session(stage.engine) as session:
        session.add(
            Guardianship(
                child_id=stage.world.people["child_b"],
                guardian_id=stage.world.people["teacher"],
                relation="mother",
                starts_on=worlds.LONG_AGO,
            )
        )
        session.commit()
    assert stage.world.people["child_b"] in stage.actor("teacher").child_ids
    assert "张珺" not in stage.visit("teacher").get("/people/children?name=珺").text


def test_whom_no_text_reaches_can_be_listed(stage: Stage) -> None:
    stage.fill(10)
    path = path_of(stage, "class") + "?show=without-phone"
    assert "学生9<" in stage.visit("teacher").get(path).text
    assert "学生8<" not in stage.visit("teacher").get(path).text
    # a child whose only phones are stopped, or belong to the limited, is one of them
    with Session(stage.engine) as session:
        mother = stage.world.people["guardian"]
        session.execute(
            update(ContactPoint)
            .where(ContactPoint.person_id == mother)
            .values(suppressed_at=clock.now(), suppressed_reason="bad")
        )
        session.commit()
    text = stage.visit("teacher").get(path).text
    assert "王小雨" in text and "号码打不通" in text
    index = stage.visit("school_admin").get("/people/").text
    assert re.search(r"<b>2</b><span>短信无法通知", index)


def test_who_was_in_the_class_on_a_past_day_stays_to_be_seen(stage: Stage) -> None:
    today = clock.now().date()
    with Session(stage.engine) as session:
        left = Person(
            name="钱离班",
            pinyin="qianliban",
            is_student=True,
            school_id=stage.world.things["school_a"],
            status="left",
        )
        session.add(left)
        session.flush()
        session.add(
            ClassMember(
                class_id=stage.world.things["class_a"],
                person_id=left.id,
                starts_on=worlds.LONG_AGO,
                ends_on=today - timedelta(days=10),
            )
        )
        session.commit()
    client, path = stage.visit("teacher"), path_of(stage, "class")
    assert "钱离班" not in client.get(path).text
    assert "钱离班" in client.get(f"{path}?on={today - timedelta(days=20)}").text
    assert "钱离班" not in client.get(f"{path}?on={today - timedelta(days=5)}").text
    assert client.get(f"{path}?on=soon").status_code == 200


def test_a_long_class_is_shown_in_pages(stage: Stage) -> None:
    stage.fill(60)
    client, path = stage.visit("teacher"), path_of(stage, "class")
    first, second = client.get(path).text, client.get(f"{path}?page=2").text
    assert "学生3<" in first and "学生59" not in first
    assert "学生59" in second and "学生3<" not in second


@pytest.mark.parametrize("role", ["partner", "volunteer", "guardian", "data_officer"])
def test_nobody_else_gets_there(stage: Stage, role: str) -> None:
    client = stage.visit(role)
    for page in ("index", "school", "class", "children"):
        assert client.get(path_of(stage, page)).status_code == 403
    assert 'href="/people/"' not in client.get("/").text


def test_the_navigation_leads_to_the_roster(stage: Stage) -> None:
    assert 'href="/people/"' in stage.visit("teacher").get("/").text
