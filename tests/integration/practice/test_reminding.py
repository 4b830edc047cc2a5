"""Reminders: three days and one day before at 18:00, with what is true when they are due."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime

import pytest
from flask.testing import FlaskClient
from sqlalchemy import update
from sqlalchemy.orm import Session

from coordination.domain.people.models import ClassMember, Guardianship
from coordination.domain.practice import reminding
from coordination.domain.practice.reminding import Place, Rule
from coordination.ground import clock
from coordination.reactions import reminders
from tests.build.outing import DAY, FRIDAY, HOUR, NOW, ZONE, Outing

Visit = Callable[[str], FlaskClient]
THREE = datetime(2026, 12, 8, 18, tzinfo=ZONE)
ONE = datetime(2026, 12, 10, 18, tzinfo=ZONE)


@pytest.fixture
def going(stage: Outing) -> int:
    session = stage.plan(helpers=2)
    stage.enrol(session)
    stage.take(session, "guardian_b")
    return session


def send(stage: Outing, at: datetime) -> int:
    clock.travel_to(at)
    return stage.system(lambda uow: reminders.send_due(uow))


def test_they_go_out_when_due_and_not_a_second_before(stage: Outing, going: int) -> None:
    assert send(stage, THREE.replace(hour=17, minute=59, second=59)) == 0
    assert stage.told("session_reminder") == []
    assert send(stage, THREE) == 1
    assert stage.told("session_reminder", going) == ["english", "friend_mother", "guardian"]
    assert stage.told("session_reminder_staff", going) == ["guardian_b", "teacher"]
    assert send(stage, THREE) == 0  # the clock ticks again
    assert len(stage.told("session_reminder")) == 3


def test_the_second_one_comes_the_day_before(stage: Outing, going: int) -> None:
    send(stage, THREE)
    assert send(stage, ONE) == 1
    assert stage.told("session_reminder", going).count("guardian") == 2


def test_it_says_when_where_and_what_to_bring(stage: Outing, going: int) -> None:
    send(stage, ONE)
    bodies = {m.recipient_id: m.body for m in stage.messages("session_reminder", going)}
    mother = bodies[stage.world.people["guardian"]]
    assert "12月11日（周五）08:30" in mother
    assert "南门集合" in mother
    assert "16:30返校" in mother
    english = bodies[stage.world.people["english"]]
    assert "Fri 11 Dec" in english
    assert "South gate" in english


def test_who_refused_meanwhile_is_not_reminded(stage: Outing, going: int) -> None:
    stage.answer(going, "friend_mother", "friend", "refused")
    send(stage, THREE)
    assert stage.told("session_reminder", going) == ["english", "guardian"]
    (staff, *_) = stage.messages("session_reminder_staff", going)
    assert "3名学生" in staff.body


def test_who_was_cut_off_meanwhile_is_not_reminded(stage: Outing, going: int) -> None:
    with Session(stage.engine) as session:
        session.execute(
            update(Guardianship)
            .where(Guardianship.guardian_id == stage.world.people["english"])
            .values(no_disclosure=True)
        )
        session.commit()
    send(stage, THREE)
    assert stage.told("session_reminder", going) == ["friend_mother", "guardian"]


def test_a_child_that_moved_up_meanwhile_is_reminded(stage: Outing) -> None:
    session = stage.plan(capacity=4)
    stage.enrol(session)
    stage.enrol(session, "class_c", role="teacher_c")
    stage.answer(session, "friend_mother", "friend", "refused")
    send(stage, THREE)
    assert stage.told("session_reminder", session) == ["english", "guardian", "kid_0_mother"]


def test_a_moved_session_reminds_for_its_new_day_only(stage: Outing, going: int) -> None:
    stage.move(going, FRIDAY + 3 * DAY)
    assert send(stage, THREE) == 0
    assert send(stage, THREE + 3 * DAY) == 1
    (first, *_) = stage.messages("session_reminder", going)
    assert "12月14日" in first.body


def test_a_cancelled_session_reminds_nobody(stage: Outing, going: int) -> None:
    stage.cancel(going)
    assert send(stage, THREE) == 0
    assert stage.told("session_reminder") == []


def test_one_that_is_too_late_to_be_of_use_expires(stage: Outing, going: int) -> None:
    assert send(stage, FRIDAY + HOUR) == 0
    assert stage.told("session_reminder") == []
    assert stage.sql("select distinct state from reminder") == [("expired",)]


def test_a_child_that_left_the_school_meanwhile_is_not_reminded(stage: Outing, going: int) -> None:
    with Session(stage.engine) as session:
        session.execute(
            update(ClassMember)
            .where(ClassMember.person_id == stage.world.people["reader"])
            .values(ends_on=date(2026, 12, 1))
        )
        session.commit()
    stage.sql("update person set status = 'left' where id = :p", p=stage.world.people["reader"])
    send(stage, THREE)
    assert "english" not in stage.told("session_reminder", going)


# -- how late is too late -------------------------------------------------------------------------

MISSED = ("系统停机期间错过，已过有用时间，未发", "Missed while the system stood still")


def _only(stage: Outing, *rules: Rule, scope: str = "activity", role: str = "coordinator") -> None:
    thing = {"activity": "activity", "school": "school_a", "district": "district"}[scope]
    place = Place(scope, stage.world.things[thing])  # type: ignore[arg-type]
    with Session(stage.engine) as session:
        before = reminding.in_force(session, place).rules
    for old in before:
        stage.act(role, lambda uow, key=old.key: reminding.remove_rule(uow, place, key))
    for rule in rules:
        stage.act(role, lambda uow, new=rule: reminding.add_rule(uow, place, new))


@pytest.mark.parametrize(("hours", "sent"), [(1, 0), (3, 1), (12, 1), (24, 1)])
def test_a_clock_that_stood_still_sends_what_its_rule_still_wants(
    stage: Outing, going: int, hours: int, sent: int
) -> None:
    _only(stage, Rule("start", "3d@18:00", "families", hours))
    assert send(stage, THREE + 1.5 * HOUR) == sent
    assert len(stage.told("session_reminder", going)) == 3 * sent


def test_what_was_missed_stands_on_the_page_of_its_session(
    stage: Outing, going: int, visit: Visit
) -> None:
    _only(stage, Rule("start", "3d@18:00", "families", 1), Rule("start", "1d@18:00", "families"))
    for role in ("coordinator", "teacher"):
        assert MISSED[0] not in _page(visit, role, going)
    send(stage, THREE + 1.5 * HOUR)
    for role in ("coordinator", "teacher"):
        page = _page(visit, role, going)
        assert MISSED[0] in page
        assert "活动开始前 3 天 18:00" in page
        assert "12月8日（周二）18:00" in page
        assert MISSED[1] in _page(visit, role, going, "en")
    assert MISSED[0] not in _page(visit, "partner", going)
    # the next one is sent and is not listed
    send(stage, ONE)
    assert "活动开始前 1 天 18:00" not in _page(visit, "coordinator", going)


def _page(visit: Visit, role: str, session_id: int, lang: str = "zh") -> str:
    clock.travel_to(NOW)  # who signed in then is not signed in for ever
    answer = visit(role).get(f"/activities/sessions/{session_id}?lang={lang}")
    assert answer.status_code == 200
    return answer.get_data(as_text=True)


def test_of_two_schools_with_one_rule_each_has_its_own_patience(stage: Outing, going: int) -> None:
    _only(stage, Rule("start", "3d@18:00", "everybody", 1), scope="school", role="school_admin")
    _only(
        stage, Rule("start", "3d@18:00", "everybody", 12), scope="district", role="district_admin"
    )
    assert send(stage, THREE + 2 * HOUR) == 1
    # the helper is reminded by the district's, the classes by the school's: for them it is too late
    assert stage.told("session_reminder", going) == []
    assert stage.told("session_reminder_staff", going) == ["guardian_b"]


def test_the_rule_says_how_late_it_may_be(stage: Outing, visit: Visit) -> None:
    coordinator = visit("coordinator")
    here = f"/activities/{stage.world.things['activity']}/reminders"
    page = coordinator.get(here).get_data(as_text=True)
    assert page.count("错过后 12 小时内补发") == 2
    form = {"kind": "pickup", "number": "1", "unit": "hours", "at": "", "useful_hours": "1"}
    assert coordinator.post(here, data={**form, "useful_hours": "5"}).status_code == 422
    assert coordinator.post(here, data=form).status_code == 303
    page = coordinator.get(f"{here}?lang=en").get_data(as_text=True)
    assert page.count("If missed, sent up to 1 h late") == 1
    assert stage.sql("select useful_hours from reminder_rule where anchor = 'end'") == [(1,)]
