"""Sessions are planned and classes signed up: what is refused, who is asked, who waits."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy.orm import Session

from coordination.domain.practice import queries
from coordination.domain.practice import services as practice
from coordination.ground import clock
from coordination.ground.errors import Conflict, Forbidden, Invalid, NotFound, TooLate
from coordination.ground.text import Text
from tests.build.outing import DAY, FRIDAY, HOUR, NOW, Outing


def plan_activity(stage: Outing, role: str = "coordinator", **changes: object) -> int:
    values: dict[str, object] = {
        "type": "labour",
        "title": Text("种植", "Planting"),
        "purpose": Text("", ""),
        "bring": Text("", ""),
        "base_id": stage.world.things["partner_p"],
        "grades": [5],
        **changes,
    }
    return stage.act(role, lambda uow: practice.plan_activity(uow, **values).id)  # type: ignore[arg-type]


@pytest.mark.parametrize("role", ["teacher", "school_admin", "partner", "guardian", "volunteer"])
def test_only_the_district_plans_moves_and_cancels(stage: Outing, role: str) -> None:
    with pytest.raises(Forbidden):
        plan_activity(stage, role)
    with pytest.raises(Forbidden):
        stage.plan(role=role)
    session = stage.plan()
    with pytest.raises(Forbidden):
        stage.move(session, FRIDAY + DAY, role)
    with pytest.raises(Forbidden):
        stage.cancel(session, role=role)
    assert stage.session(session).state == "open"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"title": Text(" ", "x")}, "title_zh"),
        ({"title": Text("x", "")}, "title_en"),
        ({"grades": []}, "grades"),
        ({"type": "picnic"}, "type"),
        ({"grades": [0, 3]}, "grades"),
        ({"base_id": 999_999}, "base_id"),
    ],
)
def test_an_activity_names_what_it_lacks(
    stage: Outing, changes: dict[str, object], field: str
) -> None:
    with pytest.raises(Invalid) as refused:
        plan_activity(stage, **changes)
    assert field in refused.value.fields


def test_a_school_is_no_base(stage: Outing) -> None:
    with pytest.raises(Invalid) as refused:
        plan_activity(stage, base_id=stage.world.things["school_a"])
    assert "base_id" in refused.value.fields


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"starts_at": NOW - HOUR, "signup_until": NOW - 2 * HOUR}, "day"),
        ({"ends_at": FRIDAY}, "ends"),
        ({"ends_at": FRIDAY - HOUR}, "ends"),
        ({"return_at": FRIDAY + 6 * HOUR}, "returns"),
        ({"signup_until": NOW}, "signup_until"),
        ({"signup_until": FRIDAY}, "signup_until"),
        ({"capacity": 0}, "capacity"),
        ({"capacity": -5}, "capacity"),
        ({"capacity": 3_000_000_000}, "capacity"),
        (
            {"ends_at": FRIDAY + timedelta(days=400), "return_at": FRIDAY + timedelta(days=401)},
            "ends",
        ),
    ],
)
def test_a_session_names_the_time_or_number_that_cannot_be(
    stage: Outing, changes: dict[str, object], field: str
) -> None:
    with pytest.raises(Invalid) as refused:
        stage.plan(**changes)  # type: ignore[arg-type]
    assert field in refused.value.fields
    assert stage.sql("select count(*) from practice_session")[0][0] == 1  # the world's own


def test_a_session_of_no_activity_is_not_found(stage: Outing) -> None:
    with pytest.raises(NotFound):
        stage.plan(activity=999_999)
    with pytest.raises(NotFound):
        stage.enrol(999_999)
    with pytest.raises(NotFound):
        stage.move(999_999, FRIDAY)


def test_a_class_is_signed_up_and_every_household_asked_once(stage: Outing) -> None:
    session = stage.plan()
    assert stage.enrol(session) == (4, 0)
    assert stage.session(session).taken == 4
    assert set(stage.states(session).values()) == {"enrolled"}
    # one text for the siblings, one for the shared phone, none for those cut off
    assert stage.told("consent_asked", session) == ["english", "friend_mother", "guardian"]
    (mother,) = [
        m
        for m in stage.messages("consent_asked", session)
        if m.recipient_id == stage.world.people["guardian"]
    ]
    assert "王*" in mother.body
    assert "王小雨" not in mother.body
    english = stage.messages("consent_asked", session)[-1]
    assert "Planting" in english.body or "Planting" in stage.messages("consent_asked")[1].body


def test_the_base_learns_numbers_and_needs_and_no_name(stage: Outing) -> None:
    session = stage.plan()
    stage.enrol(session)
    (told,) = stage.messages("enrolment_base", session)
    assert told.recipient_id == stage.world.people["partner"]
    assert "学生4人" in told.body
    assert "带队2人" in told.body
    assert "1 名花生过敏" in told.body
    for name in ("王小雨", "李想", "王敏", "赵兰", "李静"):
        assert name not in told.body


def test_the_session_stands_in_the_calendars_of_those_who_go(stage: Outing) -> None:
    session = stage.plan(capacity=3)
    stage.enrol(session)
    audience = stage.audience("session", session)
    assert ("class_staff", "class_a") in audience
    assert ("school", "partner_p") in audience
    assert ("person", "coordinator") in audience
    going = {key for key, state in stage.states(session).items() if state == "enrolled"}
    assert {key for kind, key in audience if kind == "child"} == going
    assert len(going) == 3


def test_who_does_not_go_is_left_out_and_takes_no_place(stage: Outing) -> None:
    session = stage.plan()
    assert stage.enrol(session, leave_out=["friend"]) == (3, 0)
    assert "friend" not in stage.states(session)
    assert stage.told("consent_asked", session) == ["english", "guardian"]


def test_children_beyond_the_places_wait_in_order_and_are_not_asked(stage: Outing) -> None:
    session = stage.plan(capacity=5)
    assert stage.enrol(session) == (4, 0)
    assert stage.enrol(session, "class_c", role="teacher_c") == (1, 2)
    rows = stage.sql(
        "select p.name, e.state, e.position from enrolment e join person p on p.id = e.child_id"
        " where e.session_id = :s and e.class_id = :c order by e.id",
        s=session,
        c=stage.world.things["class_c"],
    )
    assert rows == [("孙一", "enrolled", None), ("孙二", "waiting", 1), ("孙三", "waiting", 2)]
    assert stage.session(session).taken == 5
    assert "kid_1_mother" not in stage.told("consent_asked", session)


def test_a_full_session_puts_the_whole_class_on_the_waiting_list(stage: Outing) -> None:
    session = stage.plan(capacity=4)
    stage.enrol(session)
    stage.forget_messages()
    assert stage.enrol(session, "class_c", role="teacher_c") == (0, 3)
    assert stage.told("consent_asked") == []
    (base,) = stage.messages("enrolment_base", session)
    assert "学生0人" in base.body


def test_the_same_class_twice_is_refused_and_changes_nothing(stage: Outing) -> None:
    session = stage.plan()
    stage.enrol(session)
    with pytest.raises(Conflict) as refused:
        stage.enrol(session)
    assert refused.value.code == "already_enrolled"
    assert stage.session(session).taken == 4


def test_a_class_of_another_grade_is_refused_by_name(stage: Outing) -> None:
    session = stage.plan()
    with pytest.raises(Conflict) as refused:
        stage.enrol(session, "class_five", role="teacher_five")
    assert refused.value.code == "wrong_grade"
    assert "五（1）班" in refused.value.message.zh
    assert stage.states(session) == {}


@pytest.mark.parametrize("role", ["teacher_c", "teacher_b", "coordinator", "partner", "guardian"])
def test_only_the_class_teacher_or_the_school_signs_a_class_up(stage: Outing, role: str) -> None:
    session = stage.plan()
    with pytest.raises(Forbidden):
        stage.enrol(session, role=role)


def test_the_school_office_may_sign_up_any_of_its_classes(stage: Outing) -> None:
    assert stage.enrol(stage.plan(), role="school_admin") == (4, 0)


def test_nobody_is_signed_up_after_the_deadline(stage: Outing) -> None:
    session = stage.plan(signup_until=NOW + DAY)
    clock.travel_to(NOW + DAY)
    with pytest.raises(TooLate):
        stage.enrol(session)


@pytest.mark.parametrize("state", ["planned", "closed", "cancelled", "departed"])
def test_nobody_is_signed_up_unless_it_is_open(stage: Outing, state: str) -> None:
    session = stage.plan()
    stage.sql("update practice_session set state = :state where id = :id", state=state, id=session)
    with pytest.raises(TooLate):
        stage.enrol(session)


@pytest.mark.parametrize("adults", [0, -1, 40_000])
def test_the_number_of_adults_must_be_possible(stage: Outing, adults: int) -> None:
    session = stage.plan()
    with pytest.raises(Invalid) as refused:
        stage.enrol(session, adults=adults)
    assert "adults" in refused.value.fields
    assert stage.session(session).taken == 0


def test_a_class_of_nobody_is_refused(stage: Outing) -> None:
    session = stage.plan()
    with pytest.raises(Invalid) as refused:
        stage.enrol(session, leave_out=["child", "brother", "friend", "reader"])
    assert "children" in refused.value.fields


def test_a_child_cannot_be_in_two_places_and_the_refusal_names_it(stage: Outing) -> None:
    stage.enrol(stage.plan(), leave_out=["brother", "friend", "reader"])
    other = stage.plan(FRIDAY + 2 * HOUR)
    with pytest.raises(Conflict) as refused:
        stage.enrol(other)
    assert refused.value.code == "child_clash"
    assert "王小雨" in refused.value.message.zh  # the teacher must know whom to leave out
    assert stage.enrol(other, leave_out=["child"]) == (3, 0)


def test_a_session_after_the_other_has_returned_is_no_clash(stage: Outing) -> None:
    stage.enrol(stage.plan())
    assert stage.enrol(stage.plan(FRIDAY + 8 * HOUR)) == (4, 0)


def test_a_teacher_is_shown_what_is_still_open_to_a_class_of_hers(stage: Outing) -> None:
    fitting, other = stage.plan(), stage.plan(FRIDAY + HOUR)
    stage.plan(activity=plan_activity(stage))  # for the fifth grade

    def shown(at: datetime) -> list[int]:
        with Session(stage.engine) as session:
            found = queries.sessions_open_to(session, stage.actor("teacher"), at)
            return [line.session.id for line in found]

    assert shown(NOW) == [fitting, other]
    stage.enrol(fitting)
    assert shown(NOW) == [other]  # signed up already: nothing to do
    assert shown(stage.session(other).signup_until) == []
    with Session(stage.engine) as session:
        assert queries.sessions_open_to(session, stage.actor("coordinator"), NOW) == []
