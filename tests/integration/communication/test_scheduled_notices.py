"""Notices that leave at a time: once, to whom they concern then, and changed or withdrawn until then."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from coordination.domain.communication.models import Notice, NoticeRecipient, NoticeRound
from coordination.domain.communication.notices import services
from coordination.ground import clock
from coordination.ground.audit import AuditEntry
from coordination.ground.errors import Conflict, Forbidden, Invalid
from coordination.ground.text import Text
from coordination.worker import (
    Beat,
    follow_silence,
    send_scheduled_notices,
    write_notices,
)
from tests.build.outing import all_at_once
from tests.integration.communication.conftest import (
    BODY,
    TITLE,
    Stage,
    meeting_at_the_notice,
)

Visit = Callable[[str], FlaskClient]
ZONE = ZoneInfo("Asia/Shanghai")
NOON = datetime(2026, 11, 25, 12, 0, tzinfo=ZONE)
EVENING = datetime(2026, 11, 25, 18, 0, tzinfo=ZONE)


@pytest.fixture(autouse=True)
def _noon() -> None:
    # before the people sign in: their sessions last twelve hours
    clock.travel_to(NOON)


def _schedule(stage: Stage, at: datetime = EVENING, role: str = "teacher", **more: Any) -> int:
    given: dict[str, Any] = {
        "draft_key": "later",
        "class_ids": [stage.world.things["class_a"]],
        "title": TITLE,
        "body": BODY,
        "level": "confirm",
        "send_at": at,
        **more,
    }
    if "org_id" in more:
        given["class_ids"] = []
    return stage.act(role, lambda uow: services.send_notice(uow, **given).id)


def _change(stage: Stage, notice: int, role: str = "teacher", **more: Any) -> None:
    given: dict[str, Any] = {
        "class_ids": [stage.world.things["class_a"]],
        "title": Text("改期通知", "A new date"),
        "body": BODY,
        "level": "confirm",
        "send_at": EVENING,
        **more,
    }
    stage.act(role, lambda uow: services.change_notice(uow, notice_id=notice, **given))


def _tick(stage: Stage, at: datetime | None = None) -> None:
    if at is not None:
        clock.travel_to(at)
    beat = Beat(stage.engine, cast(Any, None), clock.now())
    send_scheduled_notices(beat)
    write_notices(beat)


def _state(stage: Stage, notice: int) -> tuple[str, str | None]:
    with Session(stage.engine) as session:
        row = session.get_one(Notice, notice)
        return row.state, row.unsent_reason


def test_a_notice_waits_for_its_time_and_then_leaves(stage: Stage) -> None:
    notice = _schedule(stage)
    _tick(stage, EVENING - timedelta(seconds=1))
    assert stage.messages(notice) == []
    _tick(stage, EVENING)
    assert stage.told(notice) == {"guardian", "friend_mother", "english"}
    assert _state(stage, notice) == ("sent", None)


def test_it_leaves_once_however_many_clocks_tick_and_however_time_jumps(stage: Stage) -> None:
    notice = _schedule(stage)
    clock.travel_to(EVENING)
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda _: _tick(stage), range(6)))
    _tick(stage, EVENING - timedelta(minutes=90))
    _tick(stage, EVENING + timedelta(minutes=90))
    with Session(stage.engine) as session:
        assert session.scalar(select(func.count()).where(NoticeRound.notice_id == notice)) == 1
    assert len(stage.messages(notice)) == 3


def _two_clocks(stage: Stage) -> int:
    """Both find it due; how many rounds come of it."""
    notice = _schedule(stage)
    clock.travel_to(EVENING)
    all_at_once(lambda: _tick(stage), lambda: _tick(stage))
    with Session(stage.engine) as session:
        return session.scalar(select(func.count()).where(NoticeRound.notice_id == notice)) or 0


def test_two_clocks_that_read_it_at_one_moment_send_it_once(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    meeting_at_the_notice(monkeypatch)
    assert _two_clocks(stage) == 1


def test_without_the_lock_two_clocks_both_begin(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    # the key of the rounds would still keep the second text; the second clock only notices there
    meeting_at_the_notice(monkeypatch, locked=False)
    with pytest.raises(IntegrityError, match="uq_notice_round"):
        _two_clocks(stage)


def test_recipients_are_those_of_the_day_it_leaves(stage: Stage) -> None:
    notice = _schedule(stage)
    with Session(stage.engine) as session:
        listed = select(func.count()).where(NoticeRecipient.notice_id == notice)
        assert session.scalar(listed) == 0
    with stage.engine.begin() as connection:
        connection.execute(
            text("update guardianship set no_disclosure = true where guardian_id = :g"),
            {"g": stage.world.people["english"]},
        )
    _tick(stage, EVENING)
    assert stage.told(notice) == {"guardian", "friend_mother"}


def test_the_day_it_leaves_is_that_of_the_district(stage: Stage) -> None:
    morning = datetime(2026, 11, 26, 7, 30, tzinfo=ZONE)
    notice = _schedule(stage, morning)
    with stage.engine.begin() as connection:
        connection.execute(
            text("update guardianship set starts_on = :d where guardian_id = :g"),
            {"g": stage.world.people["english"], "d": morning.date()},
        )
    _tick(stage, morning)
    assert "english" in stage.told(notice)


def test_a_school_is_written_to_by_the_clock(stage: Stage) -> None:
    notice = _schedule(stage, role="school_admin", org_id=stage.world.things["school_a"])
    _tick(stage, EVENING - timedelta(minutes=1))
    assert stage.messages(notice) == []
    _tick(stage, EVENING)
    assert "guardian" in stage.told(notice)


def test_quiet_hours_hold_what_left_in_them(stage: Stage) -> None:
    stage.keep_nights_quiet()
    notice = _schedule(stage, NOON.replace(hour=22))
    _tick(stage, NOON.replace(hour=22))
    stage.deliver()
    assert {m.reason_code for m in stage.messages(notice)} == {"quiet_hours"}


def test_what_was_changed_leaves_as_it_is_now(stage: Stage) -> None:
    notice = _schedule(stage)
    _change(stage, notice, send_at=EVENING + timedelta(hours=1))
    _tick(stage, EVENING)
    assert stage.messages(notice) == []
    _tick(stage, EVENING + timedelta(hours=1))
    assert all("秋游" not in (m.body or "") for m in stage.messages(notice))
    with Session(stage.engine) as session:
        changes = session.scalars(
            select(AuditEntry).where(
                AuditEntry.table_name == "notice", AuditEntry.action == "change"
            )
        ).all()
    assert changes[0].before is not None
    assert changes[0].before["title_zh"] == TITLE.zh


def test_a_change_without_a_time_sends_at_once(stage: Stage) -> None:
    notice = _schedule(stage)
    _change(stage, notice, send_at=None)
    assert len(stage.messages(notice)) == 3
    _tick(stage, EVENING)
    assert len(stage.messages(notice)) == 3


def _first_on_the_platform(stage: Stage, notice: int) -> tuple[bool, int | None]:
    with Session(stage.engine) as session:
        row = session.get_one(Notice, notice)
        return row.page_first, row.ladder_hours


def test_the_clock_puts_it_on_the_platform_and_texts_the_silent_later(stage: Stage) -> None:
    notice = _schedule(stage, page_first=True, ladder_hours=4)
    _tick(stage, EVENING)
    assert _state(stage, notice) == ("sent", None)
    assert stage.messages(notice) == []
    stage.acknowledge("guardian", notice)
    clock.travel_to(EVENING + timedelta(hours=4))
    follow_silence(Beat(stage.engine, cast(Any, None), clock.now()))
    assert stage.told(notice) == {"friend_mother", "english"}


def test_a_whole_school_is_listed_at_its_time_by_the_clock(stage: Stage) -> None:
    notice = _schedule(
        stage,
        role="school_admin",
        org_id=stage.world.things["school_a"],
        page_first=True,
        ladder_hours=4,
    )
    listed = select(func.count()).where(NoticeRecipient.notice_id == notice)
    clock.travel_to(EVENING)
    send_scheduled_notices(Beat(stage.engine, cast(Any, None), clock.now()))
    with Session(stage.engine) as session:
        assert session.scalar(listed) == 0
    _tick(stage)
    with Session(stage.engine) as session:
        assert (session.scalar(listed) or 0) >= 5
    assert stage.messages(notice) == []


def test_a_change_keeps_or_changes_how_it_begins(stage: Stage, visit: Visit) -> None:
    notice = _schedule(stage, page_first=True, ladder_hours=24)
    client = visit("teacher")
    page = client.get(f"/notices/{notice}").get_data(as_text=True)
    assert "先在平台发布；1 天后还没确认的家庭才发短信" in page
    page = client.get(f"/notices/{notice}/change").get_data(as_text=True)
    assert re.search(r'name="begins" value="page" checked', page)
    kept = _form(stage, step="send", begins="page", ladder="48", send_time="19:00")
    assert client.post(f"/notices/{notice}/change", data=kept).status_code == 303
    assert _first_on_the_platform(stage, notice) == (True, 48)
    other = _form(stage, step="send", begins="text", ladder="")
    assert client.post(f"/notices/{notice}/change", data=other).status_code == 303
    assert _first_on_the_platform(stage, notice) == (False, None)
    _tick(stage, EVENING)
    assert len(stage.messages(notice)) == 3


def test_nothing_changes_once_it_has_left_or_been_withdrawn(stage: Stage) -> None:
    gone = _schedule(stage)
    _tick(stage, EVENING)
    with pytest.raises(Conflict):
        _change(stage, gone, send_at=EVENING + timedelta(hours=1))
    withdrawn = _schedule(stage, EVENING + timedelta(hours=1), draft_key="other")
    stage.act("teacher", lambda uow: services.stop_notice(uow, notice_id=withdrawn))
    with pytest.raises(Conflict):
        _change(stage, withdrawn, send_at=EVENING + timedelta(hours=2))
    _tick(stage, EVENING + timedelta(hours=2))
    assert stage.messages(withdrawn) == []
    assert _state(stage, withdrawn) == ("cancelled", None)


def test_a_change_and_the_clock_at_the_same_moment_give_one_text(stage: Stage) -> None:
    notice = _schedule(stage)
    clock.travel_to(EVENING)

    def either(number: int) -> None:
        try:
            if number % 2:
                _tick(stage)
            else:
                _change(stage, notice, send_at=None)
        except Conflict:
            pass

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(either, range(4)))
    titles = {"改期" in (m.body or "") for m in stage.messages(notice) if m.language == "zh"}
    assert len(titles) == 1
    assert len(stage.messages(notice)) == 3


@pytest.mark.parametrize("role", ["teacher_b", "school_admin_b", "partner", "coordinator"])
def test_strangers_may_not_change_or_withdraw(stage: Stage, role: str) -> None:
    notice = _schedule(stage)
    with pytest.raises(Forbidden):
        _change(stage, notice, role)
    with pytest.raises(Forbidden):
        stage.act(role, lambda uow: services.stop_notice(uow, notice_id=notice))


def test_a_notice_of_somebody_who_left_the_class_stays(stage: Stage, visit: Visit) -> None:
    notice = _schedule(stage)
    other = _schedule(stage, role="school_admin", draft_key="other")
    with stage.engine.begin() as connection:
        connection.execute(
            text("update membership set ends_on = :d where person_id = :p"),
            {"d": (NOON - timedelta(days=1)).date(), "p": stage.world.people["teacher"]},
        )
    _tick(stage, EVENING)
    assert _state(stage, notice) == ("cancelled", "sender_left")
    assert stage.messages(notice) == []
    assert len(stage.messages(other)) == 3
    admin = visit("school_admin")
    assert "定时通知没有发出" in admin.get("/").get_data(as_text=True)
    assert "不再负责这些班级" in admin.get(f"/notices/{notice}").get_data(as_text=True)


def test_after_an_outage_it_leaves_late_or_not_at_all_if_nobody_could_answer(stage: Stage) -> None:
    late = _schedule(stage)
    useless = _schedule(stage, draft_key="other", due_at=EVENING + timedelta(hours=2))
    _tick(stage, EVENING + timedelta(hours=3))
    assert _state(stage, late) == ("sent", None)
    assert _state(stage, useless) == ("cancelled", "too_late")


@pytest.mark.parametrize(
    ("send_at", "due_at", "field"),
    [
        (NOON, None, "send_on"),
        (NOON - timedelta(days=1), None, "send_on"),
        (NOON + timedelta(days=400), None, "send_on"),
        (EVENING, EVENING - timedelta(hours=1), "due_on"),
    ],
)
def test_times_that_make_no_sense_are_refused(
    stage: Stage, send_at: datetime, due_at: datetime | None, field: str
) -> None:
    with pytest.raises(Invalid) as refusal:
        _schedule(stage, send_at, due_at=due_at)
    assert set(refusal.value.fields) == {field}


def test_it_cannot_be_reminded_of_before_it_has_left(stage: Stage) -> None:
    notice = _schedule(stage)
    with pytest.raises(Conflict):
        stage.nudge(notice)


# -- pages --------------------------------------------------------------------------------------


def _form(stage: Stage, **more: str) -> dict[str, str]:
    return {
        "draft_key": "page-later",
        "class_ids": str(stage.world.things["class_a"]),
        "title_zh": "秋游通知",
        "title_en": "Autumn outing",
        "body_zh": "周五八点。",
        "body_en": "Friday at eight.",
        "level": "confirm",
        "send_on": "2026-11-25",
        "send_time": "18:00",
        **more,
    }


def test_a_teacher_schedules_changes_and_withdraws(stage: Stage, visit: Visit) -> None:
    client = visit("teacher")
    page = client.post("/notices/new", data=_form(stage, step="check")).get_data(as_text=True)
    assert "定时发送给 5 位家长" in page
    assert 'name="send_time" value="18:00"' in page
    answer = client.post("/notices/new", data=_form(stage, step="send"))
    place = answer.headers["Location"]
    page = client.get(place, follow_redirects=True).get_data(as_text=True)
    assert "2026年11月25日（周三）18:00 发出" in page
    assert "定时" in client.get("/notices/").get_data(as_text=True)
    assert client.get(f"{place}/progress").status_code == 303
    page = client.get(f"{place}/change").get_data(as_text=True)
    assert 'value="18:00"' in page
    assert "周五八点。" in page
    changed = _form(stage, step="send", send_time="19:00", title_zh="改到七点")
    assert client.post(f"{place}/change", data=changed).status_code == 303
    page = client.get(place).get_data(as_text=True)
    assert "19:00" in page
    assert "改到七点" in page
    assert "现在还没有任何家长收到" in client.get(f"{place}/stop").get_data(as_text=True)
    assert client.post(f"{place}/stop").headers["Location"] == place
    assert "发出前已撤回" in client.get(place).get_data(as_text=True)
    assert "已撤回" in client.get("/notices/").get_data(as_text=True)


def test_what_was_typed_too_late_can_leave_as_a_new_notice(stage: Stage, visit: Visit) -> None:
    client = visit("teacher")
    place = client.post("/notices/new", data=_form(stage, step="send")).headers["Location"]
    _tick(stage, EVENING)
    typed = _form(stage, step="send", send_time="20:00", title_zh="晚到的修改")
    answer = client.post(f"{place}/change", data=typed)
    page = answer.get_data(as_text=True)
    assert answer.status_code == 409
    assert "已经发出，不能再改" in page
    assert "晚到的修改" in page
    assert 'action="/notices/new"' in page
    assert client.get(f"{place}/change").headers["Location"] == place


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"send_on": "2026-11-24"}, "所选的发送时间已过"),
        ({"send_time": ""}, "请填写几点发送"),
        ({"send_on": ""}, "请填写哪天发送"),
        ({"send_time": "25:00"}, "请填写时间"),
        ({"send_on": "2062-11-25"}, "请核对年份"),
    ],
)
def test_a_time_that_cannot_be_is_said_on_the_page_and_nothing_is_lost(
    stage: Stage, visit: Visit, more: dict[str, str], says: str
) -> None:
    before = stage.fingerprint()
    for step in ("check", "send"):
        answer = visit("teacher").post("/notices/new", data=_form(stage, step=step, **more))
        page = answer.get_data(as_text=True)
        assert answer.status_code == 422
        assert says in page
        assert "周五八点。" in page
    assert stage.fingerprint() == before


def test_quiet_hours_and_rest_days_are_named_before_it_is_scheduled(
    stage: Stage, visit: Visit
) -> None:
    stage.keep_nights_quiet(rest_days=True)
    client = visit("teacher")
    night = _form(stage, step="check", send_time="22:30")
    page = client.post("/notices/new", data=night).get_data(as_text=True)
    assert "那时是免打扰时段；这条将等到 2026年11月26日（周四）07:30 发出" in page
    saturday = _form(stage, step="check", send_on="2026-11-28")
    page = client.post("/notices/new", data=saturday).get_data(as_text=True)
    assert "当天是休息日；这条将等到 2026年11月30日（周一）07:30 发出" in page
    place = client.post("/notices/new", data={**saturday, "step": "send"}).headers["Location"]
    assert "当天是休息日" in client.get(place).get_data(as_text=True)
