"""What a session lacks before it may leave: answers, adults by the ratio, helpers; and what helps."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from coordination.domain.oversight.readiness import readiness_of
from coordination.domain.practice import staffing
from coordination.domain.practice.staffing import Ratio
from coordination.domain.volunteering import services as volunteering
from coordination.ground.errors import Forbidden, Invalid
from tests.build.outing import DAY, NOW, Outing


def lacking(stage: Outing, session_id: int) -> dict[str, int]:
    with Session(stage.engine) as session:
        found = readiness_of(session, [session_id])[session_id]
        return {check.key: check.short for check in found.lacking}


def set_ratio(stage: Outing, low: int, role: str = "district_admin") -> None:
    stage.act(
        role,
        lambda uow: staffing.set_ratio(
            uow, org_id=stage.world.things["district"], ratio=Ratio(low, 20, 20)
        ),
    )


def shifts(stage: Outing, session_id: int) -> list[tuple[object, ...]]:
    return stage.sql(
        "select id, min_people, max_people from shift_need where session_id = :s", s=session_id
    )


def test_a_session_lacks_what_nobody_has_settled_and_nothing_else(stage: Outing) -> None:
    session = stage.plan(helpers=2)
    assert lacking(stage, session) == {"classes": 1, "helpers": 1}
    stage.enrol(session, adults=1)
    assert lacking(stage, session) == {"answers": 4, "helpers": 1}
    stage.answer(session, "friend_mother", "friend")
    stage.answer(session, "english", "reader", "refused")  # who does not go needs no answer
    stage.take(session, "guardian_b")
    assert lacking(stage, session) == {"answers": 2}
    for child in ("child", "brother"):
        stage.answer(session, "guardian", child)
    assert lacking(stage, session) == {}


def test_guardians_who_differ_are_no_yes(stage: Outing) -> None:
    session = stage.plan()
    stage.enrol(session, leave_out=("child", "brother", "reader"))
    stage.answer(session, "friend_mother", "friend")
    assert lacking(stage, session) == {}
    stage.answer(session, "friend_father", "friend", "refused")
    assert lacking(stage, session) == {"answers": 1}


def test_each_class_has_its_own_adults_rounded_up() -> None:
    assert staffing.adults_needed([(20, 3), (21, 3)], Ratio()) == 3
    assert staffing.adults_needed([(20, 3), (20, 5), (20, 8)], Ratio(10, 15, 20)) == 2 + 2 + 1
    assert staffing.adults_needed([(12, None)], Ratio(10, 15, 20)) == 2  # no grade: most careful
    assert staffing.adults_needed([(0, 3)], Ratio()) == 0


def test_a_stricter_ratio_lacks_adults_until_a_helper_comes_and_again_when_one_leaves(
    stage: Outing,
) -> None:
    session = stage.plan(helpers=2)
    stage.enrol(session, adults=1)
    set_ratio(stage, 2)
    assert lacking(stage, session)["adults"] == 1
    stage.take(session, "guardian_b")
    assert "adults" not in lacking(stage, session)
    stage.leave(session, "guardian_b")
    assert lacking(stage, session)["adults"] == 1


def test_only_the_office_sets_the_ratio_and_within_reason(stage: Outing) -> None:
    for role in ("teacher", "school_admin", "coordinator", "partner"):
        with pytest.raises(Forbidden):
            set_ratio(stage, 10, role)
    with pytest.raises(Invalid) as refused:
        set_ratio(stage, 0)
    assert set(refused.value.fields) == {"low"}


def test_recruiting_twice_wants_as_many_once(stage: Outing) -> None:
    session = stage.plan(helpers=2)
    need = stage.world.things[f"need-{session}"]
    stage.take(session, "guardian_b")
    for _ in range(2):
        stage.act(
            "coordinator",
            lambda uow: volunteering.recruit(uow, session_id=session, more=3).id,
        )
    assert shifts(stage, session) == [(need, 4, 4)]


def test_where_no_helpers_were_wanted_a_shift_is_opened(
    stage: Outing, visit: Callable[[str], FlaskClient]
) -> None:
    session = stage.plan()
    stage.enrol(session, adults=1)
    set_ratio(stage, 1)
    browser = visit("coordinator")
    page = browser.get(f"/activities/sessions/{session}?lang=en").text
    assert "Adults: 1, wanted by the ratio: 4; 3 more" in page
    after = browser.post(
        f"/activities/sessions/{session}/recruit?lang=en", follow_redirects=True
    ).text
    assert "Parent helpers wanted: 3 more" in after
    assert [row[1:] for row in shifts(stage, session)] == [(3, 3)]
    # the button is for who plans; a teacher is told what is missing
    assert (
        "Find 3 more helpers"
        not in visit("teacher").get(f"/activities/sessions/{session}?lang=en").text
    )


def test_today_names_what_leaves_within_a_week_and_lacks_something(
    stage: Outing, visit: Callable[[str], FlaskClient]
) -> None:
    soon, later = stage.plan(NOW + 5 * DAY), stage.plan(NOW + 8 * DAY)
    for session in (soon, later):
        stage.enrol(session, adults=1)
    for role in ("coordinator", "teacher", "school_admin"):
        page = visit(role).get("/").text
        assert f"/activities/sessions/{soon}" in page
        assert "4 名学生还没有得到家长同意" in page
        assert f"/activities/sessions/{later}" not in page
    # another class may still sign up, but what is missing there is not its business
    assert "还没有得到家长同意" not in visit("teacher_b").get("/").text
    for role, child in (
        *(("guardian", "child"), ("guardian", "brother")),
        *(("friend_mother", "friend"), ("english", "reader")),
    ):
        stage.answer(soon, role, child)
    assert f"/activities/sessions/{soon}" not in visit("coordinator").get("/").text


def test_the_office_sets_the_ratio_on_a_page(
    stage: Outing, visit: Callable[[str], FlaskClient]
) -> None:
    browser = visit("district_admin")
    assert "LB/T 054-2016" in browser.get("/activities/ratio").text
    refused = browser.post(
        "/activities/ratio?lang=en", data={"low": "0", "high": "15", "middle": "20"}
    )
    assert refused.status_code == 422
    assert "from 1 to 50" in refused.text
    saved = browser.post(
        "/activities/ratio?lang=en",
        data={"low": "10", "high": "15", "middle": "20"},
        follow_redirects=True,
    )
    assert "The ratio is saved" in saved.text
    with Session(stage.engine) as session:
        assert staffing.in_force(session) == Ratio(10, 15, 20)
