"""How many texts families got in a week and from whom: numbers for the bureau and the schools' leaders."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from flask.testing import FlaskClient
from sqlalchemy import event, text
from sqlalchemy.orm import Session

from coordination.domain.communication.notices import rounds, services
from coordination.domain.communication.texts import family_budget, load
from coordination.domain.people import contacts
from coordination.domain.people.models import ClassMember, Guardianship, Organisation, Person
from coordination.ground import clock
from coordination.ground.actor import SYSTEM
from coordination.ground.errors import NotFound
from coordination.ground.text import Text
from coordination.reactions.notices import tell
from coordination.reactions.work import begin
from tests.build.world import LONG_AGO
from tests.integration.communication.conftest import BODY, Stage
from tests.integration.communication.test_family_budget import FAMILIES, allow, send

Visit = Callable[[str], FlaskClient]
ZONE = ZoneInfo("Asia/Shanghai")
# a Wednesday without a holiday, and the Monday before it
NOON = datetime(2026, 11, 25, 12, 0, tzinfo=ZONE)
MONDAY = date(2026, 11, 23)


@pytest.fixture(autouse=True)
def _noon(stage: Stage) -> None:
    """At noon, and what the world has sent before is of no week that is looked at."""
    with stage.engine.begin() as connection:
        connection.execute(text("update notice set sent_at = '2026-01-01'"))
    clock.travel_to(NOON)


def week(session: Session, stage: Stage, place: str, monday: date = MONDAY) -> load.Week:
    org = session.get_one(Organisation, stage.world.things[place])
    return load.Week(org, monday, family_budget.chosen(session), clock.now().date())


def total(stage: Stage, place: str, monday: date = MONDAY) -> load.Total:
    with Session(stage.engine) as session:
        return load.load_of(session, week(session, stage, place, monday))[0]


def parts(stage: Stage, place: str) -> dict[str, tuple[int, int, int]]:
    """Name -> families, texts and how many got more than the number."""
    with Session(stage.engine) as session:
        found = load.load_of(session, week(session, stage, place))[1]
    return {p.name.zh: (p.families, p.texts, p.over) for p in found}


def senders(stage: Stage, place: str) -> dict[str, tuple[int, int, int]]:
    """Name -> notices, families and texts."""
    with Session(stage.engine) as session:
        found = load.senders_of(session, week(session, stage, place))
    return {s.name.zh: (s.notices, s.families, s.texts) for s in found}


def more_families(stage: Stage, count: int, group: str = "class_a") -> None:
    """Children of a class, each with a guardian who has a phone."""
    with Session(stage.engine) as session, session.begin():
        for n in range(count):
            child, guardian = (
                Person(
                    name=f"{who}{n}", language="zh", pinyin="x", is_student=pupil, status="active"
                )
                for who, pupil in (("钱小宝", True), ("钱大明", False))
            )
            session.add_all([child, guardian])
            session.flush()
            session.add(
                ClassMember(
                    class_id=stage.world.things[group], person_id=child.id, starts_on=LONG_AGO
                )
            )
            session.add(
                Guardianship(
                    child_id=child.id,
                    guardian_id=guardian.id,
                    relation="parent",
                    starts_on=LONG_AGO,
                    contact_order=1,
                    legal=True,
                    may_consent=True,
                    may_pick_up=True,
                    receives_notice=True,
                    no_disclosure=False,
                )
            )
            contacts.set_phone(session, guardian.id, f"139001390{n:02d}")


def test_every_phone_is_a_family_once_with_what_it_got(stage: Stage) -> None:
    send(stage, 2)
    send(stage, urgent_reason="暴雨停课，马上通知")
    # three texts for each of class A, and none for the family of class B
    assert total(stage, "district") == load.Total(
        FAMILIES + 1, 3 * FAMILIES, 0, (1, 0, FAMILIES, 0)
    )
    assert total(stage, "school_a") == load.Total(FAMILIES, 3 * FAMILIES, 0, (0, 0, FAMILIES, 0))
    assert total(stage, "school_b").bands == (1, 0, 0, 0)
    assert str(total(stage, "district").each) == "2.2"


def test_only_routine_texts_are_too_many(stage: Stage) -> None:
    allow(stage, 2)
    send(stage, 2)
    send(stage, urgent_reason="暴雨停课，马上通知")
    assert total(stage, "district").over == 0
    send(stage)
    assert total(stage, "district").over == FAMILIES
    assert parts(stage, "district") == {
        "school_a": (FAMILIES, 4 * FAMILIES, FAMILIES),
        "school_b": (1, 0, 0),
    }
    assert parts(stage, "school_a") == {"三（2）班": (FAMILIES, 4 * FAMILIES, FAMILIES)}


def test_a_text_counts_in_the_week_in_which_it_left(stage: Stage) -> None:
    stage.keep_nights_quiet()
    clock.travel_to(datetime(2026, 11, 29, 22, 0, tzinfo=ZONE))
    send(stage)
    assert total(stage, "district").texts == 0
    stage.deliver(datetime(2026, 11, 30, 7, 31, tzinfo=ZONE))
    assert total(stage, "district").texts == 0
    assert total(stage, "district", MONDAY + timedelta(days=7)).texts == FAMILIES


def test_who_must_not_be_told_any_more_is_no_family(stage: Stage) -> None:
    send(stage)
    with stage.engine.begin() as connection:
        connection.execute(
            text("update guardianship set no_disclosure = true where guardian_id = :g"),
            {"g": stage.world.people["english"]},
        )
    assert total(stage, "district").families == FAMILIES
    assert total(stage, "district").texts == FAMILIES - 1


def test_what_was_written_and_did_not_leave_counts_for_nobody(stage: Stage) -> None:
    with stage.engine.begin() as connection:
        connection.execute(
            text(
                "update contact_point set suppressed_at = now(), suppressed_reason = 'opted_out'"
                " where person_id = :p"
            ),
            {"p": stage.world.people["english"]},
        )
    notice = stage.send()
    stage.act("teacher", lambda uow: services.stop_notice(uow, notice_id=notice))
    stage.deliver()
    assert total(stage, "district").texts == 0
    assert senders(stage, "district")["school_a"] == (1, 0, 0)


def test_senders_of_the_district_are_its_office_its_schools_and_what_goes_by_itself(
    stage: Stage,
) -> None:
    send(stage, 2)
    stage.send(role="teacher_b", key="b", classes=("class_b",))
    with Session(stage.engine) as session, begin(session, SYSTEM) as uow:
        uow.authorize("system.run")
        tell(
            uow,
            "session_return",
            [stage.world.people["guardian"]],
            {"activity": "陶艺", "back": "16:00", "school": "小学", "children": "王*雨"},
            subject=("session", 1),
            version="1",
        )
    wide(stage)
    stage.deliver()
    found = senders(stage, "district")
    assert found["school_a"] == (2, FAMILIES, 2 * FAMILIES)
    assert found["school_b"] == (1, 1, 1)
    assert found["district"] == (1, FAMILIES + 1, FAMILIES + 1)
    assert found["活动和场地预约的自动消息"] == (0, 1, 1)
    with Session(stage.engine) as session:
        lines = load.senders_of(session, week(session, stage, "district"))
    weights = [line.each for line in lines if not line.is_small]
    assert weights == sorted(weights, reverse=True)


def wide(stage: Stage) -> int:
    """A notice of the bureau to everybody, written by the clock."""
    notice = stage.act(
        "district_admin",
        lambda uow: (
            services.send_notice(
                uow,
                draft_key="wide",
                org_id=stage.world.things["district"],
                title=Text("放假", "Holiday"),
                body=BODY,
                level="info",
            ).id
        ),
    )
    with Session(stage.engine) as session:
        begun = rounds.open_rounds(session)
    for number in begun:
        with Session(stage.engine) as session, begin(session, SYSTEM) as uow:
            rounds.write_stretch(uow, round_id=number)
    return notice


def test_senders_to_a_schools_families_are_its_people_and_the_bureau(stage: Stage) -> None:
    send(stage, 2)
    stage.send(role="school_admin", key="office")
    stage.send(role="teacher_b", key="b", classes=("class_b",))
    wide(stage)
    stage.deliver()
    found = senders(stage, "school_a")
    # what was due at one moment is one text, and one of each of its senders
    assert found == {
        "李静": (2, FAMILIES, 2 * FAMILIES),
        "刘芳": (1, FAMILIES, FAMILIES),
        "教育局": (0, FAMILIES, FAMILIES),
    }


def test_one_text_that_says_notices_of_two_schools_is_one_and_one_for_each(stage: Stage) -> None:
    with stage.engine.begin() as connection:
        connection.execute(
            text("update class_member set class_id = :c where person_id = :p"),
            {"c": stage.world.things["class_b"], "p": stage.world.people["brother"]},
        )
    stage.keep_nights_quiet()
    clock.travel_to(NOON.replace(hour=22))
    for key, role, group in (
        ("a1", "teacher", "class_a"),
        ("a2", "teacher", "class_a"),
        ("b", "teacher_b", "class_b"),
    ):
        stage.send(role=role, key=key, classes=(group,))
        stage.deliver()
    stage.deliver(NOON + timedelta(days=1))
    # the mother of both has one text, the others of class A and the family of class B one as well
    assert total(stage, "district").texts == FAMILIES + 1
    found = senders(stage, "district")
    assert found["school_a"] == (2, FAMILIES, FAMILIES)
    assert found["school_b"] == (1, 2, 2)
    assert senders(stage, "school_b")["其他学校"] == (0, 1, 1)


def _page(visit: Visit, stage: Stage, role: str, place: str, query: str = "") -> str:
    answer = visit(role).get(f"/notices/load/{stage.world.things[place]}?{query}")
    assert answer.status_code == 200
    return answer.get_data(as_text=True)


def test_the_page_of_few_families_has_no_figures(stage: Stage, visit: Visit) -> None:
    send(stage)
    for query in ("", "by=parts"):
        page = _page(visit, stage, "school_admin", "school_a", query)
        assert "户数太少，不显示数字" in page
        assert "counters" not in page
        assert "李静" not in page


def test_a_small_class_and_a_sender_to_few_families_have_no_figures(
    stage: Stage, visit: Visit
) -> None:
    more_families(stage, 6)
    stage.send(role="teacher_b", key="b", classes=("class_b",))
    send(stage)
    district = _page(visit, stage, "district_admin", "district", "by=parts")
    assert district.count("不足 5 户，不单列") == 1
    district = _page(visit, stage, "district_admin", "district")
    assert district.count("不足 5 户，不单列") == 1
    assert ">9</td>" in district


def test_the_bureau_reads_the_week_and_opens_a_school(stage: Stage, visit: Visit) -> None:
    more_families(stage, 7)
    allow(stage, 1)
    send(stage, 2)
    start = visit("district_admin").get("/notices/load")
    assert start.status_code == 302
    page = visit("district_admin").get(start.location).get_data(as_text=True)
    assert "11月23日（周一） – 11月29日（周日）" in page
    assert "10 户（91%）超过了" in page
    link = f"/notices/load/{stage.world.things['school_a']}?week=2026-11-23"
    assert link in page
    school = visit("district_admin").get(link).get_data(as_text=True)
    assert "李静" in school
    assert "全区" in school
    classes = _page(visit, stage, "district_admin", "school_a", "by=parts&lang=en")
    assert "More than 1" in classes
    before = _page(visit, stage, "district_admin", "district", "week=2026-11-18")
    assert "11月16日（周一）" in before
    assert "没有超过的" in before
    for odd in ("week=nonsense", "week=2030-01-01", "week=0001-01-01", "by=x&page=-1"):
        assert "11月23日（周一）" in _page(visit, stage, "district_admin", "district", odd)


def test_neither_a_child_nor_a_guardian_nor_a_phone_is_on_the_page(
    stage: Stage, visit: Visit
) -> None:
    more_families(stage, 7)
    send(stage)
    for place in ("district", "school_a"):
        for by in ("senders", "parts"):
            page = _page(visit, stage, "district_admin", place, f"by={by}")
            for word in ("王小雨", "王敏", "李想", "Anna", "钱小宝", "钱大明", "138", "139****"):
                assert word not in page


def test_a_leader_sees_the_own_school_only_and_a_teacher_nothing(
    stage: Stage, visit: Visit
) -> None:
    leader = visit("school_admin")
    own, other = stage.world.things["school_a"], stage.world.things["school_b"]
    assert leader.get("/notices/load").location == f"/notices/load/{own}"
    assert leader.get(f"/notices/load/{own}").status_code == 200
    assert leader.get(f"/notices/load/{other}").status_code == 404
    assert leader.get(f"/notices/load/{stage.world.things['district']}").status_code == 404
    assert "/notices/load" in leader.get("/notices/").get_data(as_text=True)
    for role in ("teacher", "coordinator"):
        assert visit(role).get("/notices/load").status_code == 403
        assert visit(role).get(f"/notices/load/{own}").status_code == 404
        assert "/notices/load" not in visit(role).get("/notices/").get_data(as_text=True)


@pytest.mark.parametrize("place", ["partner_p", None])
def test_what_is_neither_a_school_nor_the_district_has_no_page(
    stage: Stage, place: str | None
) -> None:
    number = stage.world.things[place] if place else 987654321
    with Session(stage.engine) as session, pytest.raises(NotFound):
        load.place_of(session, stage.actor("district_admin"), number)


def _statements(stage: Stage) -> int:
    seen = []

    def note(*given: object) -> None:
        seen.append(given[2])

    with Session(stage.engine) as session:
        place = week(session, stage, "district")
        event.listen(stage.engine, "before_cursor_execute", note)
        load.load_of(session, place)
        load.senders_of(session, place)
        event.remove(stage.engine, "before_cursor_execute", note)
    return len(seen)


def test_looking_takes_as_many_statements_for_more_families(stage: Stage) -> None:
    send(stage)
    before = _statements(stage)
    more_families(stage, 12, "class_b")
    stage.send(role="teacher_b", key="b", classes=("class_b",))
    send(stage, 2)
    assert total(stage, "district").texts > 4 * FAMILIES
    assert _statements(stage) == before
