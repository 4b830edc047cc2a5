"""Notices of one evening wait for each other: one text per family when it ends, and only these wait."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, time, timedelta
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest
from flask.testing import FlaskClient
from sqlalchemy import event, select, text
from sqlalchemy.orm import Session

from calendars.workdays import DayKind
from coordination.domain.communication.models import Notice, QuietPolicy
from coordination.domain.communication.notices import queries, services
from coordination.domain.communication.unanswered import calls
from coordination.domain.people import contacts, schooldays
from coordination.domain.people.models import ClassMember
from coordination.domain.practice import services as practice
from coordination.ground import clock
from coordination.ground.text import Text
from coordination.reactions import quiet_hours
from coordination.worker import Beat, follow_silence, send_scheduled_notices, write_notices
from notifications.models import OutboxMessage
from tests.build.world import LONG_AGO
from tests.integration.communication.conftest import BODY, Stage

Visit = Callable[[str], FlaskClient]
ZONE = ZoneInfo("Asia/Shanghai")
# a Wednesday and a Saturday without a holiday
DAY = datetime(2026, 11, 25, tzinfo=ZONE)
NOON = DAY.replace(hour=12)
MORNING = DAY.replace(hour=7, minute=30) + timedelta(days=1)
SATURDAY = datetime(2026, 11, 28, 17, 0, tzinfo=ZONE)
WINDOW = (time(16, 30), time(19, 30))
CUP = Text("明天带水杯", "Bring a bottle")
MEETING = Text("家长会改期", "Parents' meeting moved")
GONE = ("accepted", "delivered")


@pytest.fixture(autouse=True)
def _evenings(stage: Stage) -> None:
    """王小宇 goes to another school than his sister, and has another teacher."""
    clock.travel_to(NOON)
    stage.keep_nights_quiet(evening=WINDOW)
    with Session(stage.engine) as session, session.begin():
        session.execute(
            text("delete from class_member where person_id = :b"),
            {"b": stage.world.people["brother"]},
        )
        session.add(
            ClassMember(
                class_id=stage.world.things["class_b"],
                person_id=stage.world.people["brother"],
                starts_on=LONG_AGO,
            )
        )


def _at(hour: int, minute: int = 0, second: int = 0) -> datetime:
    return DAY.replace(hour=hour, minute=minute, second=second)


def _form(stage: Stage, **more: str) -> dict[str, str]:
    return {
        "class_ids": str(stage.world.things["class_a"]),
        "title_zh": CUP.zh,
        "title_en": CUP.en,
        "body_zh": BODY.zh,
        "body_en": BODY.en,
        "level": "info",
        **more,
    }


def _send(stage: Stage, at: datetime, title: Text = CUP, **more: Any) -> int:
    """A notice that was sent then, and looked at by a worker."""
    clock.travel_to(at)
    sent = stage.send(key=f"{at:%H%M%S}", title=title, **{"level": "info", **more})
    stage.deliver()
    return sent


def _two_teachers(stage: Stage) -> tuple[int, int]:
    return (
        _send(stage, _at(17), CUP),
        _send(stage, _at(18, 10), MEETING, role="teacher_b", classes=("class_b",)),
    )


def _held(stage: Stage) -> set[tuple[str, str | None, datetime]]:
    return {
        (m.template_key, m.reason_code, m.next_at.astimezone(ZONE))
        for m in stage.texts_to("guardian")
        if m.state == "held"
    }


def _code(body: str) -> str:
    found = re.search(r"\b([0-9A-Z]{5})-([0-9A-Z]{5})\b", body)
    assert found, body
    return found.group(1) + found.group(2)


def _tick(stage: Stage, at: datetime) -> None:
    clock.travel_to(at)
    beat = Beat(stage.engine, cast(Any, None), clock.now())
    send_scheduled_notices(beat)
    write_notices(beat)
    follow_silence(beat)


def test_two_teachers_write_in_one_evening_and_the_family_has_one_text(
    stage: Stage, visit: Visit
) -> None:
    sent = _two_teachers(stage)
    assert _held(stage) == {("notice", "evening", _at(19, 30))}
    stage.deliver(_at(19, 29, 59))
    assert stage.phone("guardian") == []
    stage.deliver(_at(19, 30))
    [body] = stage.phone("guardian")
    assert "“明天带水杯”等 2 条通知" in body
    page = visit("anonymous").get(f"/notices/together/{_code(body)}").get_data(as_text=True)
    assert CUP.zh in page
    assert MEETING.zh in page
    for notice in sent:
        opened = visit("anonymous").get(f"/notices/together/{_code(body)}/{notice}")
        assert BODY.zh in opened.get_data(as_text=True)


def test_what_is_written_when_the_evening_is_over_leaves_at_once(stage: Stage) -> None:
    _send(stage, _at(16, 29))
    assert len(stage.phone("guardian")) == 1
    _two_teachers(stage)
    stage.deliver(_at(19, 30))
    _send(stage, _at(19, 31), Text("又一条", "One more"))
    assert len(stage.phone("guardian")) == 3
    assert "又一条" in stage.phone("guardian")[-1]


def test_what_is_urgent_does_not_wait_for_the_others(stage: Stage) -> None:
    _send(stage, _at(17))
    clock.travel_to(_at(17, 30))
    closed = Text("明天停课", "No school tomorrow")
    stage.send(key="urgent", title=closed, urgent_reason="台风停课")
    stage.deliver()
    [body] = stage.phone("guardian")
    assert "明天停课" in body
    stage.deliver(_at(19, 30))
    assert len(stage.phone("guardian")) == 2


def test_a_question_for_consent_does_not_wait(stage: Stage) -> None:
    _send(stage, _at(17))
    clock.travel_to(_at(17, 30))
    start = _at(9) + timedelta(days=20)
    session = stage.act(
        "coordinator",
        lambda uow: (
            practice.add_session(
                uow,
                activity_id=stage.world.things["activity"],
                starts_at=start,
                ends_at=start + timedelta(hours=4),
                return_at=start + timedelta(hours=5),
                capacity=10,
                meeting_point=Text("南门", "South gate"),
                signup_until=start - timedelta(days=3),
            ).id
        ),
    )
    stage.act(
        "teacher",
        lambda uow: practice.enrol_class(
            uow,
            session_id=session,
            class_id=stage.world.things["class_a"],
            adults=2,
            needs="",
            leave_out=[],
        ),
    )
    stage.deliver()
    assert {m.template_key for m in stage.texts_to("guardian") if m.state in GONE} == {
        "consent_asked"
    }
    assert _held(stage) == {("notice", "evening", _at(19, 30))}


def test_neither_a_sign_in_code_nor_a_try_on_the_own_phone_waits(
    stage: Stage, visit: Visit
) -> None:
    with Session(stage.engine) as session, session.begin():
        contacts.set_phone(session, stage.world.people["teacher"], "13800138099")
    clock.travel_to(_at(17))
    visit("anonymous").post("/sign-in/phone", data={"phone": "13800138001"})
    stage.act(
        "teacher",
        lambda uow: services.try_notice(
            uow,
            test_key="try",
            class_ids=[stage.world.things["class_a"]],
            org_id=None,
            title=CUP,
            body=BODY,
            links_allowed=False,
        ),
    )
    stage.deliver()
    assert [m.template_key for m in stage.texts_to("guardian") if m.state in GONE] == [
        "sign_in_code"
    ]
    assert [m.template_key for m in stage.texts_to("teacher") if m.state in GONE] == ["notice"]


def test_a_reminder_waits_as_well_and_goes_into_the_same_text(stage: Stage) -> None:
    asked = _send(stage, _at(15), MEETING, level="confirm")
    assert len(stage.phone("guardian")) == 1
    clock.travel_to(_at(17))
    stage.nudge(asked)
    stage.deliver()
    _send(stage, _at(18))
    assert {kind for kind, _, _ in _held(stage)} == {"notice", "notice_nudge"}
    stage.deliver(_at(19, 30))
    assert "等 2 条通知" in stage.phone("guardian")[-1]
    assert len(stage.phone("guardian")) == 2


def test_what_was_refused_before_the_evening_is_not_kept_back_by_it(stage: Stage) -> None:
    """It would be sent for itself in any case."""
    clock.travel_to(_at(16))
    stage.send(level="info")
    with stage.engine.begin() as connection:
        connection.execute(text("update outbox_message set tries = 1"))
    stage.deliver(_at(16, 45))
    assert len(stage.phone("guardian")) == 1


def test_the_evening_that_is_given_up_lets_all_leave(stage: Stage) -> None:
    _two_teachers(stage)
    clock.travel_to(_at(18, 30))
    stage.keep_nights_quiet()
    stage.deliver()
    assert _held(stage) == set()
    [body] = stage.phone("guardian")
    assert "等 2 条通知" in body


def test_an_evening_that_ends_at_another_time_holds_until_then(stage: Stage) -> None:
    _two_teachers(stage)
    clock.travel_to(_at(18, 30))
    stage.keep_nights_quiet(evening=(time(16, 30), time(20)))
    stage.deliver()
    assert _held(stage) == {("notice", "evening", _at(20))}
    stage.deliver(_at(19, 30))
    assert stage.phone("guardian") == []
    stage.keep_nights_quiet(evening=(time(16, 30), time(19)))
    stage.deliver()
    assert len(stage.phone("guardian")) == 1


def test_quiet_hours_that_are_set_later_hold_for_their_own_reason(stage: Stage) -> None:
    _two_teachers(stage)
    clock.travel_to(_at(18, 30))
    with Session(stage.engine) as session, session.begin():
        session.execute(text("delete from quiet_policy"))
    stage.act("district_admin", lambda uow: _all_day_quiet(stage, uow))
    stage.deliver()
    assert _held(stage) == {("notice", "quiet_hours", MORNING)}


def _all_day_quiet(stage: Stage, uow: Any) -> None:
    from coordination.domain.communication.texts import quiet

    quiet.set_policy(
        uow,
        org_id=stage.world.things["district"],
        quiet_from=time(18),
        quiet_until=time(7, 30),
        rest_days=False,
    )


def test_the_same_policy_saved_again_stirs_nothing(stage: Stage) -> None:
    _two_teachers(stage)
    before = {m.id: m.next_at for m in stage.texts_to("guardian")}
    clock.travel_to(_at(18, 30))
    stage.keep_nights_quiet(evening=WINDOW)
    assert {m.id: m.next_at for m in stage.texts_to("guardian")} == before


def test_what_waits_for_a_day_of_rest_is_held_for_that(stage: Stage) -> None:
    stage.keep_nights_quiet(rest_days=True, evening=WINDOW)
    _send(stage, SATURDAY)
    monday = SATURDAY.replace(hour=7, minute=30) + timedelta(days=2)
    assert _held(stage) == {("notice", "quiet_hours", monday)}


def test_a_day_of_rest_that_becomes_a_day_of_work_lets_go_what_waits_for_it(stage: Stage) -> None:
    stage.keep_nights_quiet(rest_days=True)
    _send(stage, SATURDAY)
    stage.act(
        "district_admin",
        lambda uow: schooldays.set_days(
            uow,
            org_id=stage.world.things["district"],
            first=SATURDAY.date(),
            last=SATURDAY.date(),
            kind=DayKind.MAKE_UP_WORKDAY,
            name=Text("补课", "Make-up day"),
        ),
    )
    assert len(_held(stage)) == 1
    stage.deliver(SATURDAY)
    assert _held(stage) == set()
    assert len(stage.phone("guardian")) == 1


def test_a_notice_that_was_stopped_in_the_evening_is_not_told_of(stage: Stage) -> None:
    first, _ = _two_teachers(stage)
    stage.act("teacher", lambda uow: services.stop_notice(uow, notice_id=first))
    stage.deliver(_at(19, 30))
    [body] = stage.phone("guardian")
    assert MEETING.zh in body
    assert CUP.zh not in body


def test_a_scheduled_notice_of_the_evening_waits_for_its_end(stage: Stage, visit: Visit) -> None:
    form = _form(stage, draft_key="later", send_on="2026-11-25", send_time="18:00")
    client = visit("teacher")
    why = "全区傍晚合并发送：16:30–19:30 写的通知 19:30 一起发出，同一家庭只收一条短信"
    page = client.post("/notices/new", data={**form, "step": "check"}).get_data(as_text=True)
    assert f"{why}；这条将等到 2026年11月25日（周三）19:30 发出" in page
    place = client.post("/notices/new", data={**form, "step": "send"}).headers["Location"]
    page = client.get(place).get_data(as_text=True)
    assert "将于 11月25日（周三）19:30 发出" in page
    assert why in page
    assert "定时通知，2026年11月25日（周三）19:30 发出" in page
    _tick(stage, _at(18))
    stage.deliver()
    assert _held(stage) == {("notice", "evening", _at(19, 30))}
    # one that is planned for the end of the evening leaves then
    late = {**form, "draft_key": "end", "send_time": "19:30", "step": "check"}
    assert "傍晚" not in client.post("/notices/new", data=late).get_data(as_text=True)


def test_a_writer_is_told_before_and_after_when_it_leaves(stage: Stage, visit: Visit) -> None:
    form = _form(stage, draft_key="now")
    client = visit("teacher")
    assert "傍晚" not in client.get("/notices/new").get_data(as_text=True)
    clock.travel_to(_at(17))
    assert "全区傍晚合并发送" in client.get("/notices/new").get_data(as_text=True)
    check = client.post("/notices/new", data={**form, "step": "check"})
    assert "2026年11月25日（周三）19:30（全区傍晚合并发送" in check.get_data(as_text=True)
    english = client.post("/notices/new?lang=en", data={**form, "step": "check"})
    assert (
        "the texts wait until then: what is written from 16:30 to 19:30 leaves together at 19:30,"
        " as one text per family" in english.get_data(as_text=True)
    )
    client.get("/notices/new?lang=zh")
    place = client.post("/notices/new", data={**form, "step": "send"}).headers["Location"]
    stage.deliver()
    page = client.get(place).get_data(as_text=True)
    assert "通知已写好，短信将于 11月25日（周三）19:30 发出" in page
    assert "傍晚合并发送，到点一起发出" in page
    assert "4 位家长的短信等到 11月25日（周三）19:30 再发" in page
    assert "正在发送" not in page
    progress = client.get(f"{place}/progress").get_data(as_text=True)
    assert "<dt>傍晚合并发送</dt><dd>3 条等到 11月25日（周三）19:30 再发</dd>" in progress
    assert "免打扰" not in progress


def test_why_somebody_has_not_had_it_yet_is_told_apart_from_quiet_hours(
    stage: Stage, visit: Visit
) -> None:
    _send(stage, _at(17))
    [message] = stage.texts_to("guardian")
    page = visit("district_admin").get(f"/admin/messages/{message.id}").get_data(as_text=True)
    assert "傍晚合并发送，到点一起发出" in page
    assert "19:30" in page
    assert "免打扰时段，稍后发出" not in page


def _ladder(stage: Stage) -> int:
    return stage.act(
        "teacher",
        lambda uow: (
            services.send_notice(
                uow,
                draft_key="ladder",
                class_ids=[stage.world.things["class_a"]],
                title=CUP,
                body=BODY,
                level="confirm",
                ladder_hours=4,
            ).id
        ),
    )


def test_nobody_is_silent_about_what_the_evening_holds(stage: Stage) -> None:
    clock.travel_to(NOON + timedelta(minutes=45))
    notice = _ladder(stage)
    _tick(stage, NOON + timedelta(hours=4, minutes=45))
    assert stage.messages(notice, "notice_nudge") == []
    with Session(stage.engine) as session:
        due = session.get_one(Notice, notice).ladder_at
    assert due == _at(23, 30)


def test_the_hours_after_a_reminder_count_from_when_it_leaves(stage: Stage) -> None:
    clock.travel_to(NOON + timedelta(minutes=45))
    notice = _ladder(stage)
    stage.deliver()
    _tick(stage, _at(16, 45))
    stage.deliver()
    assert {m.reason_code for m in stage.messages(notice, "notice_nudge")} == {"evening"}
    stage.deliver(_at(19, 30))
    _tick(stage, _at(20, 46))
    assert _to_call(stage) == []
    _tick(stage, _at(23, 30))
    assert _to_call(stage) == [notice]


def _to_call(stage: Stage) -> list[int]:
    with Session(stage.engine) as session:
        found = calls.to_call(session, stage.actor("teacher"), clock.now(), clock.now().date())
        return [f.notice.id for f in found]


def test_a_reminder_by_hand_says_when_it_leaves(stage: Stage, visit: Visit) -> None:
    asked = _send(stage, _at(15), level="confirm")
    client = visit("teacher")
    clock.travel_to(_at(17))
    page = client.post(f"/notices/{asked}/nudge", follow_redirects=True).get_data(as_text=True)
    assert "将于 11月25日（周三）19:30 提醒 3 位未回复的家长" in page


def _calls(stage: Stage, notice: int, visit: Visit) -> tuple[int, int, str]:
    """Guardians and children to call now, and the list of recipients."""
    with Session(stage.engine) as session:
        row = session.get_one(Notice, notice)
        guardians = queries.funnel(session, row, clock.now()).to_call
        listed = calls.calls_of(session, stage.actor("teacher"), notice, clock.now().date())
    page = visit("teacher").get(f"/notices/{notice}").get_data(as_text=True)
    return guardians, len(listed.pressing), page


def test_nobody_is_to_be_called_about_a_reminder_that_has_not_left(
    stage: Stage, visit: Visit
) -> None:
    asked = _send(stage, _at(15), level="confirm")
    before = _calls(stage, asked, visit)[:2]
    clock.travel_to(_at(17))
    stage.nudge(asked)
    stage.deliver()
    assert _calls(stage, asked, visit)[:2] == before
    assert "已提醒" not in _calls(stage, asked, visit)[2]
    stage.deliver(_at(19, 30))
    guardians, children, page = _calls(stage, asked, visit)
    assert guardians > before[0]
    assert children > before[1]
    assert "已提醒 1 次" in page


def _statements(stage: Stage, ids: list[int]) -> list[str]:
    """What a claim of a worker reads and writes."""
    seen: list[str] = []

    def note(_c: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        seen.append(statement)

    event.listen(stage.engine, "before_cursor_execute", note)
    from coordination.reactions.deliveries import Resolver

    with stage.engine.begin() as connection:
        rows = connection.execute(
            select(OutboxMessage.__table__).where(OutboxMessage.id.in_(ids))
        ).all()
        seen.clear()
        Resolver(ZONE).resolve(connection, cast(Any, rows))
    event.remove(stage.engine, "before_cursor_execute", note)
    return seen


def test_neither_with_nor_without_it_is_anything_more_asked_of_the_database(stage: Stage) -> None:
    clock.travel_to(_at(17))
    stage.send(level="info")
    ids = [m.id for m in stage.texts_to("guardian")]
    within = _statements(stage, ids)
    stage.keep_nights_quiet()
    assert _statements(stage, ids) == within
    assert sum("quiet_policy" in statement for statement in within) == 1


def test_without_a_policy_there_is_none(stage: Stage) -> None:
    with Session(stage.engine) as session, session.begin():
        session.execute(text("delete from quiet_policy"))
    with Session(stage.engine) as session:
        assert quiet_hours.waits_of(session, _at(17), ZONE) == quiet_hours.Waits(None, None)
    _send(stage, _at(17))
    assert len(stage.phone("guardian")) == 1


# -- the page of the policy -----------------------------------------------------------------------

FORM = {"quiet_from": "21:00", "quiet_until": "07:30"}


def test_the_bureau_sets_an_evening_sees_it_again_and_gives_it_up(
    stage: Stage, visit: Visit
) -> None:
    office = visit("district_admin")
    evening = {**FORM, "gather_from": "17:00", "gather_at": "20:00"}
    assert office.post("/admin/quiet", data=evening).status_code == 303
    page = office.get("/admin/quiet").get_data(as_text=True)
    assert 'value="17:00"' in page
    assert 'value="20:00"' in page
    assert office.post("/admin/quiet", data=FORM).status_code == 303
    with Session(stage.engine) as session:
        policy = session.scalars(select(QuietPolicy)).one()
    assert (policy.gather_from, policy.gather_at) == (None, None)
    assert policy.quiet_from == time(21)


@pytest.mark.parametrize(
    ("evening", "field", "zh", "en"),
    [
        ({"gather_from": "16:30"}, "gather_at", "也要填几点发出", "say when they leave"),
        ({"gather_at": "19:30"}, "gather_from", "也要填从几点开始等", "say from when notices wait"),
        (
            {"gather_from": "19:30", "gather_at": "16:30"},
            "gather_at",
            "要晚于开始等的 19:30",
            "before they wait, from 19:30",
        ),
        (
            {"gather_from": "16:30", "gather_at": "21:30"},
            "gather_at",
            "21:30 在免打扰时段（21:00–07:30）内",
            "21:30 lies within the quiet hours, 21:00–07:30",
        ),
        (
            {"gather_from": "25:99", "gather_at": "19:30"},
            "gather_from",
            "请填写时间",
            "Enter a time",
        ),
    ],
)
def test_an_evening_that_cannot_be_is_refused_at_its_field(
    stage: Stage, visit: Visit, evening: dict[str, str], field: str, zh: str, en: str
) -> None:
    office = visit("district_admin")
    before = stage.fingerprint()
    for language, says in (("zh", zh), ("en", en)):
        answer = office.post(f"/admin/quiet?lang={language}", data={**FORM, **evening})
        page = answer.get_data(as_text=True)
        assert answer.status_code == 422
        assert says in page
        assert f'aria-describedby="{field}-error' in page or f'id="{field}-error"' in page
        for name, typed in evening.items():
            assert re.search(rf'name="{name}"[^>]*value="{typed}"', page)
    assert stage.fingerprint() == before
