"""Quiet hours: texts wait, are not lost, and go at once only with a reason that the bureau sees."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text

from coordination.domain.communication.notices import services
from coordination.domain.people.models import CalendarDay
from coordination.ground import clock
from coordination.ground.errors import Forbidden, Invalid
from coordination.ground.text import Text
from tests.integration.communication.conftest import Stage

Visit = Callable[[str], FlaskClient]
ZONE = ZoneInfo("Asia/Shanghai")
# a Wednesday, a Friday and a Saturday without a holiday
EVENING = datetime(2026, 11, 25, 22, 30, tzinfo=ZONE)
NOON = datetime(2026, 11, 25, 12, 0, tzinfo=ZONE)
SATURDAY = datetime(2026, 11, 28, 12, 0, tzinfo=ZONE)


@pytest.fixture(autouse=True)
def _noon() -> None:
    # before the people sign in: their sessions last twelve hours
    clock.travel_to(NOON)


def _set(stage: Stage, role: str = "district_admin", *, rest_days: bool = False) -> None:
    stage.keep_nights_quiet(role, rest_days=rest_days)


def _states(stage: Stage, notice: int) -> set[tuple[str, str | None]]:
    return {(m.state, m.reason_code) for m in stage.messages(notice)}


def _send(stage: Stage, reason: str = "", key: str = "quiet") -> int:
    return stage.act(
        "teacher",
        lambda uow: (
            services.send_notice(
                uow,
                draft_key=key,
                class_ids=[stage.world.things["class_a"]],
                title=Text("明天停课", "No school tomorrow"),
                body=Text("因大雪停课一天。", "School is closed for snow."),
                level="confirm",
                urgent_reason=reason,
            ).id
        ),
    )


def test_a_text_waits_for_the_morning_and_then_leaves(stage: Stage) -> None:
    _set(stage)
    clock.travel_to(EVENING)
    notice = _send(stage)
    stage.deliver()
    assert _states(stage, notice) == {("held", "quiet_hours")}
    clock.travel_to(EVENING.replace(hour=7, minute=29) + timedelta(days=1))
    stage.deliver()
    assert _states(stage, notice) == {("held", "quiet_hours")}
    clock.travel_to(EVENING.replace(hour=7, minute=31) + timedelta(days=1))
    stage.deliver()
    assert {state for state, _ in _states(stage, notice)} <= {"accepted", "delivered"}


def test_without_a_policy_nothing_waits(stage: Stage) -> None:
    clock.travel_to(EVENING)
    notice = _send(stage)
    stage.deliver()
    assert {state for state, _ in _states(stage, notice)} <= {"accepted", "delivered"}


def test_an_urgent_text_leaves_at_once_and_its_reason_is_reported(
    stage: Stage, visit: Visit
) -> None:
    _set(stage)
    clock.travel_to(EVENING)
    notice = _send(stage, "大雪，明早停课")
    stage.deliver()
    assert {state for state, _ in _states(stage, notice)} <= {"accepted", "delivered"}
    page = visit("district_admin").get("/admin/quiet").get_data(as_text=True)
    assert "大雪，明早停课" in page
    assert "因大雪停课一天" not in page  # the bureau reads the reason, not the notice


def test_a_mark_is_no_reason(stage: Stage) -> None:
    with pytest.raises(Invalid):
        _send(stage, "急")


def test_texts_rest_on_rest_days_but_not_on_a_make_up_school_day(stage: Stage) -> None:
    _set(stage, rest_days=True)
    clock.travel_to(SATURDAY)
    notice = _send(stage)
    stage.deliver()
    assert _states(stage, notice) == {("held", "quiet_hours")}
    with stage.engine.begin() as connection:
        connection.execute(
            CalendarDay.__table__.insert().values(
                org_id=stage.world.things["district"],
                day=SATURDAY.date(),
                kind="make_up_workday",
                name_zh="调休上课",
                name_en="Make-up school day",
            )
        )
        connection.execute(text("update outbox_message set next_at = :now"), {"now": SATURDAY})
    stage.deliver()
    assert {state for state, _ in _states(stage, notice)} <= {"accepted", "delivered"}


def test_a_sign_in_code_never_waits(stage: Stage, visit: Visit) -> None:
    _set(stage)
    clock.travel_to(EVENING)
    visit("anonymous").post("/sign-in/phone", data={"phone": "13800138001"})
    stage.deliver()
    with stage.engine.connect() as connection:
        codes = connection.execute(
            text("select state from outbox_message where message_class = 'otp'")
        ).all()
    assert codes
    assert {state for (state,) in codes} <= {"accepted", "delivered"}


@pytest.mark.parametrize("role", ["school_admin", "teacher", "coordinator", "data_officer"])
def test_only_the_bureau_sets_the_hours(stage: Stage, role: str) -> None:
    with pytest.raises(Forbidden):
        _set(stage, role)


def test_the_bureau_sets_the_hours_and_a_teacher_learns_when_a_text_will_leave(
    stage: Stage, visit: Visit
) -> None:
    clock.travel_to(NOON)
    form = {"quiet_from": "21:00", "quiet_until": "07:30", "rest_days": "y"}
    assert visit("district_admin").post("/admin/quiet", data=form).status_code == 303
    teacher = visit("teacher")
    assert "免打扰" not in teacher.get("/notices/new").get_data(as_text=True)
    clock.travel_to(EVENING)
    page = visit("teacher").get("/notices/new").get_data(as_text=True)
    assert "07:30" in page
    assert "免打扰" in page


def test_hours_that_are_none_are_refused_at_their_field(stage: Stage, visit: Visit) -> None:
    answer = visit("district_admin").post(
        "/admin/quiet", data={"quiet_from": "25:99", "quiet_until": ""}
    )
    assert answer.status_code == 422
