"""What is said against a confirmed time and answered; and the certificates that rest on it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial

import pytest
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from coordination.domain.volunteering import certificates, objections, time_queries, times
from coordination.domain.volunteering.certificates import Checked
from coordination.domain.volunteering.models import ShiftNeed
from coordination.domain.volunteering.times import Mark
from coordination.ground import clock
from coordination.ground.errors import Conflict, Forbidden, Invalid, NotFound, TooLate
from tests.build.outing import DAY, FRIDAY, HOUR, ZONE, Outing, all_at_once

Visit = Callable[[str], FlaskClient]


@pytest.fixture
def served(stage: Outing) -> int:
    """The mother's time of Friday, eight hours, is confirmed; it is Saturday."""
    session = stage.plan(helpers=2)
    stage.enrol(session)
    ours = stage.take(session, "guardian")
    need = stage.world.things[f"need-{session}"]
    clock.travel_to(FRIDAY + DAY)
    settle(stage, need, ours, 8)
    return need


def settle(stage: Outing, need: int, assignment: int, hours: int) -> None:
    marks = {assignment: Mark(FRIDAY, FRIDAY + hours * HOUR)}
    stage.act("teacher", lambda uow: times.mark(uow, need_id=need, marks=marks))
    actor = stage.actor("coordinator")
    with Session(stage.engine) as session:
        lines = time_queries.volunteers(session, actor, session.get_one(ShiftNeed, need))
        seen = {line.time.id: times.stamp(line.time) for line in lines if line.time}
    stage.act("coordinator", lambda uow: times.confirm(uow, need_id=need, seen=seen))


def time_id(stage: Outing) -> int:
    ((found,),) = stage.sql(
        "select id from shift_time where person_id = :p", p=stage.world.people["guardian"]
    )
    return int(str(found))


def object_to(stage: Outing, role: str = "guardian", words: str = "我十七点才走。") -> int:
    row = time_id(stage)
    return stage.act(role, lambda uow: objections.object_to(uow, time_id=row, words=words).id)


def answer(
    stage: Outing,
    objection: int,
    minutes: int = 510,
    role: str = "coordinator",
    words: str = "核对过，改为八个半小时。",
) -> None:
    stage.act(
        role,
        lambda uow: objections.answer(uow, objection_id=objection, words=words, minutes=minutes),
    )


def issue(stage: Outing, role: str = "guardian") -> str:
    return stage.act(role, lambda uow: certificates.issue(uow, zone=ZONE).number)


def check(stage: Outing, number: str) -> Checked | None:
    with Session(stage.engine) as session:
        return certificates.check(session, number)


def minutes(stage: Outing) -> object:
    return stage.sql("select minutes from shift_time where id = :i", i=time_id(stage))[0][0]


def test_both_sides_stay_and_the_time_is_corrected(stage: Outing, served: int) -> None:
    answer(stage, object_to(stage))
    assert minutes(stage) == 510
    with Session(stage.engine) as session:
        mine = time_queries.own_time(session, stage.actor("guardian"), served)
    (said,) = mine.objections
    assert (said.words, said.answer) == ("我十七点才走。", "核对过，改为八个半小时。")
    assert (said.minutes_then, said.minutes_after) == (480, 510)
    assert not mine.objected


def test_an_objection_waits_for_whoever_confirms(stage: Outing, served: int) -> None:
    object_to(stage)
    for role, count in (("coordinator", 1), ("district_admin", 1), ("teacher", 0), ("guardian", 0)):
        with Session(stage.engine) as session:
            found = time_queries.open_objections(session, stage.actor(role))
        assert len(found) == count, role
    assert served


def test_one_at_a_time(stage: Outing, served: int) -> None:
    first = object_to(stage)
    with pytest.raises(Conflict) as refused:
        object_to(stage)
    assert refused.value.code == "objected_already"
    answer(stage, first)
    assert object_to(stage) != first
    with pytest.raises(Conflict):
        answer(stage, first)
    assert served


def test_two_presses_are_one_objection(stage: Outing, served: int) -> None:
    press = partial(object_to, stage)
    assert sorted(all_at_once(press, press)) == ["objected_already", "ok"]
    assert served


def test_two_who_answer_at_once_answer_once(stage: Outing, served: int) -> None:
    found = object_to(stage)
    assert sorted(
        all_at_once(
            partial(answer, stage, found, 510),
            partial(answer, stage, found, 480, "district_admin"),
        )
    ) == ["answered", "ok"]
    assert served


def test_the_days_to_object_end(stage: Outing, served: int) -> None:
    clock.travel_to(FRIDAY + DAY + timedelta(days=15))
    object_to(stage)
    clock.travel_to(FRIDAY + DAY + timedelta(days=15, minutes=1))
    with pytest.raises((TooLate, Conflict)):
        object_to(stage)
    assert served


@pytest.mark.usefixtures("served")
@pytest.mark.parametrize("role", ["guardian_b", "teacher", "coordinator", "restricted"])
def test_only_the_volunteer_objects(stage: Outing, role: str) -> None:
    with pytest.raises(NotFound):
        object_to(stage, role)


@pytest.mark.usefixtures("served")
@pytest.mark.parametrize("role", ["teacher", "school_admin", "guardian", "partner", "guardian_b"])
def test_only_the_coordinator_answers(stage: Outing, role: str) -> None:
    found = object_to(stage)
    with pytest.raises((NotFound, Forbidden)):
        answer(stage, found, role=role)


@pytest.mark.usefixtures("served")
def test_words_and_minutes_must_be_possible(stage: Outing) -> None:
    for words in ("", "  ", "长" * 201):
        with pytest.raises(Invalid) as refused:
            object_to(stage, words=words)
        assert set(refused.value.fields) == {"words"}
    found = object_to(stage)
    for wrong in (-1, 541):
        with pytest.raises(Invalid) as refused:
            answer(stage, found, wrong)
        assert set(refused.value.fields) == {"minutes"}
    with pytest.raises(Invalid) as refused:
        answer(stage, found, words="")
    assert set(refused.value.fields) == {"answer"}


@pytest.mark.usefixtures("served")
def test_who_answers_second_reads_that_and_loses_no_word(stage: Outing, visit: Visit) -> None:
    found = object_to(stage)
    path, said = f"/shifts/objections/{found}", {"minutes": "480", "answer": "按签退时间计。"}
    assert visit("coordinator").post(path, data=said).status_code == 303
    late = visit("district_admin").post(path, data={**said, "answer": "我再核对一下。"})
    assert late.status_code == 409
    page = late.get_data(as_text=True)
    assert "已经答复过" in page
    assert "按签退时间计。" in page
    assert "我再核对一下。" in page


# -- certificates ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("served")
def test_a_number_says_what_the_paper_says_and_no_more(stage: Outing) -> None:
    number = issue(stage)
    found = check(stage, f"{number[:5].lower()}-{number[5:]}")
    assert found is not None
    assert (found.name, found.services, found.minutes) == ("王*", 1, 480)
    assert (found.first_day, found.last_day) == (FRIDAY.date(), FRIDAY.date())
    assert found.void_at is None
    assert check(stage, "0000000000") is None


@pytest.mark.usefixtures("served")
def test_nothing_added_is_the_same_number(stage: Outing) -> None:
    press = partial(issue, stage)
    assert all_at_once(press, press) == ["ok", "ok"]
    assert stage.sql("select count(*) from service_certificate") == [(1,)]
    assert issue(stage) == issue(stage)


@pytest.mark.usefixtures("served")
def test_who_has_nothing_confirmed_gets_none(stage: Outing) -> None:
    with pytest.raises(Conflict):
        issue(stage, "guardian_b")


@pytest.mark.usefixtures("served")
def test_a_corrected_hour_makes_the_certificate_void(stage: Outing) -> None:
    first = issue(stage)
    answer(stage, object_to(stage), 480, words="核对过，没有错。")
    found = check(stage, first)
    assert found is not None
    assert found.void_at is None  # the same time: it stands
    answer(stage, object_to(stage), 510)
    found = check(stage, first)
    assert found is not None
    assert found.void_at is not None
    second = issue(stage)
    assert second != first
    found = check(stage, second)
    assert found is not None
    assert found.minutes == 510


@pytest.mark.usefixtures("served")
def test_the_page_of_a_number_is_for_anybody_and_masks_the_name(
    stage: Outing, visit: Visit
) -> None:
    number = issue(stage)
    answer_ = visit("nobody").get(f"/verify/{number}")
    page = answer_.get_data(as_text=True)
    assert answer_.status_code == 200
    assert "王*" in page
    assert "王敏" not in page
    assert "8小时" in page
    assert "138" not in page
    assert visit("nobody").get("/verify/ZZZZZZZZZZ").status_code == 404
    led = visit("nobody").get(f"/verify/?number={number[:5]}-{number[5:]}")
    assert led.headers["Location"].endswith(f"/verify/{number}")


@pytest.mark.usefixtures("served")
def test_the_certificate_itself_is_for_its_holder(stage: Outing, visit: Visit) -> None:
    number = issue(stage)
    path = f"/shifts/record/certificates/{number}"
    page = visit("guardian").get(path).get_data(as_text=True)
    for said in (
        "王敏",
        "8小时",
        f"{number[:5]}-{number[5:]}",
        "不收取任何费用",
        f"/verify/{number}",
    ):
        assert said in page
    for role in ("guardian_b", "coordinator", "teacher"):
        assert visit(role).get(path).status_code == 404
