"""Notices that stand on the platform first: only families that stay silent there get a text."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, time, timedelta
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from coordination.domain.communication.models import Notice, NoticeRecipient, NoticeRound
from coordination.domain.communication.notices import queries, rounds, services
from coordination.domain.communication.notices.queries import Funnel
from coordination.domain.communication.unanswered import calls, silence
from coordination.ground import clock
from coordination.ground.errors import Conflict, Invalid, TooMany
from coordination.ground.uow import UnitOfWork
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
from tests.integration.communication.test_budgets import account, budget, size, spend

Visit = Callable[[str], FlaskClient]
NOON = datetime(2026, 11, 25, 12, 0, tzinfo=ZoneInfo("Asia/Shanghai"))


@pytest.fixture(autouse=True)
def _noon() -> None:
    # before the people sign in: their sessions last twelve hours
    clock.travel_to(NOON)


def publish(stage: Stage, role: str = "teacher", **more: Any) -> int:
    given: dict[str, Any] = {
        "draft_key": "page-first",
        "class_ids": [] if "org_id" in more else [stage.world.things["class_a"]],
        "title": TITLE,
        "body": BODY,
        "level": "confirm",
        "ladder_hours": 4,
        "page_first": True,
        **more,
    }
    return stage.act(role, lambda uow: services.send_notice(uow, **given).id)


def tick(stage: Stage, hours: float | None = None) -> None:
    """What the clock does that concerns notices, so many hours after noon."""
    if hours is not None:
        clock.travel_to(NOON + timedelta(hours=hours))
    beat = Beat(stage.engine, cast(Any, None), clock.now())
    send_scheduled_notices(beat)
    follow_silence(beat)
    write_notices(beat)


def everything(stage: Stage, notice: int) -> list[tuple[str, str]]:
    """Wording and class of each text of a notice."""
    with Session(stage.engine) as session:
        return [
            (key, sort)
            for key, sort in session.execute(
                text(
                    "select template_key, message_class from outbox_message"
                    " where subject_type = 'notice' and subject_id = :n order by id"
                ),
                {"n": notice},
            )
        ]


def funnel(stage: Stage, notice: int) -> Funnel:
    with Session(stage.engine) as session:
        return queries.funnel(session, session.get_one(Notice, notice), clock.now())


def row(stage: Stage, notice: int) -> Notice:
    with Session(stage.engine, expire_on_commit=False) as session:
        return session.get_one(Notice, notice)


def recipients(stage: Stage, notice: int) -> set[tuple[object, ...]]:
    with Session(stage.engine) as session:
        return {
            (r.guardian_id, tuple(r.child_ids), r.household_key, r.told_via_id, r.skip_reason)
            for r in session.scalars(
                select(NoticeRecipient).where(NoticeRecipient.notice_id == notice)
            )
        }


def test_it_leaves_for_the_same_recipients_and_writes_no_text(stage: Stage, visit: Visit) -> None:
    notice = publish(stage)
    assert everything(stage, notice) == []
    assert recipients(stage, notice) == recipients(stage, stage.send())
    family = visit("guardian").get("/family").get_data(as_text=True)
    assert f"/notices/mine/{notice}" in family


def test_a_family_reads_and_confirms_it_there_and_is_counted(stage: Stage, visit: Visit) -> None:
    notice = publish(stage)
    client = visit("guardian")
    assert "周五八点" in client.get(f"/notices/mine/{notice}").get_data(as_text=True)
    client.post(f"/notices/mine/{notice}", data={"answer": "read"})
    counts = funnel(stage, notice)
    assert (counts.read, counts.confirmed, counts.silent) == (1, 0, 3)
    client.post(f"/notices/mine/{notice}", data={"answer": "confirm"})
    counts = funnel(stage, notice)
    assert (counts.total, counts.read, counts.confirmed, counts.silent) == (5, 1, 1, 2)
    assert everything(stage, notice) == []


def test_who_is_silent_after_the_time_gets_the_first_text_once(stage: Stage) -> None:
    notice = publish(stage)
    stage.acknowledge("guardian", notice)
    tick(stage, 3.99)
    assert everything(stage, notice) == []
    for hours in (4, 4.1, 5):
        tick(stage, hours)
        stage.deliver()
    assert stage.told(notice) == {"friend_mother", "english"}
    assert everything(stage, notice) == [("notice", "confirm")] * 2


def test_of_a_notice_to_be_confirmed_reading_is_not_enough(stage: Stage) -> None:
    notice = publish(stage)
    stage.acknowledge("guardian", notice, confirm=False)
    tick(stage, 4)
    assert "guardian" in stage.told(notice)


def test_of_a_notice_to_be_read_reading_is_enough_and_the_text_is_the_last_step(
    stage: Stage,
) -> None:
    notice = publish(stage, level="info")
    stage.acknowledge("guardian", notice, confirm=False)
    tick(stage, 4)
    stage.deliver()
    assert stage.told(notice) == {"friend_mother", "english"}
    for hours in (8, 12, 60):
        tick(stage, hours)
    assert everything(stage, notice) == [("notice", "info")] * 2
    assert (row(stage, notice).ladder_at, row(stage, notice).calls_since) == (None, None)


def test_who_does_not_confirm_after_the_text_is_to_be_called_and_not_reminded(
    stage: Stage, visit: Visit
) -> None:
    notice = publish(stage)
    stage.acknowledge("english", notice)
    tick(stage, 4)
    stage.deliver()
    tick(stage, 7.9)
    assert row(stage, notice).calls_since is None
    tick(stage, 8)
    assert row(stage, notice).calls_since == clock.now()
    assert everything(stage, notice) == [("notice", "confirm")] * 2
    with Session(stage.engine) as session:
        today = clock.now().date()
        (found,) = calls.to_call(session, stage.actor("teacher"), clock.now(), today)
    assert found.notice.id == notice
    assert {line.child for line in found.pressing} == {"王小雨", "王小宇"}
    page = visit("teacher").get("/").get_data(as_text=True)
    assert "2 个孩子的家长还没有确认" in page


def test_the_call_list_waits_for_texts_that_have_not_left(stage: Stage) -> None:
    notice = publish(stage)
    tick(stage, 4)
    tick(stage, 8)
    assert row(stage, notice).calls_since is None
    stage.deliver()
    tick(stage, 12)
    assert row(stage, notice).calls_since == clock.now()


def test_when_all_have_answered_there_is_no_text_and_nothing_follows(
    stage: Stage, visit: Visit
) -> None:
    notice = publish(stage)
    for role in ("guardian", "friend_father", "english"):
        stage.acknowledge(role, notice)
    for hours in (4, 8, 60):
        tick(stage, hours)
    assert everything(stage, notice) == []
    assert (row(stage, notice).ladder_at, row(stage, notice).calls_since) == (None, None)
    clock.travel_to(NOON + timedelta(hours=5))
    page = visit("teacher").get(f"/notices/{notice}").get_data(as_text=True)
    assert "都已在平台回应，没有发短信" in page


def test_a_phone_that_two_guardians_share_gets_one_text_or_none(stage: Stage) -> None:
    silent = publish(stage)
    answered = publish(stage, draft_key="other")
    stage.acknowledge("friend_father", answered)  # the text would go to the mother's name
    tick(stage, 4)
    shared = {"friend_mother", "friend_father"}
    assert len(shared & stage.told(silent)) == 1
    assert len(stage.messages(silent)) == 3
    assert shared & stage.told(answered) == set()


def test_who_has_no_phone_is_shown_to_the_teacher_from_the_first(
    stage: Stage, visit: Visit
) -> None:
    notice = publish(stage)
    assert (funnel(stage, notice).failed, funnel(stage, notice).to_call) == (1, 1)
    page = visit("teacher").get(f"/notices/{notice}?show=failed").get_data(as_text=True)
    assert "李爷爷" in page
    assert "没有登记手机号" in page
    assert "1 位家长收不了短信" in page
    tick(stage, 4)
    assert "no_phone" not in stage.told(notice)


def test_custody_and_opt_outs_are_looked_at_again_when_the_text_leaves(stage: Stage) -> None:
    notice = publish(stage)
    tick(stage, 4)
    with stage.engine.begin() as connection:
        connection.execute(
            text("update guardianship set no_disclosure = true where guardian_id = :g"),
            {"g": stage.world.people["english"]},
        )
        connection.execute(
            text(
                "update contact_point set suppressed_at = now(), suppressed_reason = 'opted_out'"
                " where person_id = :g"
            ),
            {"g": stage.world.people["guardian"]},
        )
    stage.deliver()
    names = {person: role for role, person in stage.world.people.items()}
    assert {names[m.recipient_id]: (m.state, m.reason_code) for m in stage.messages(notice)} == {
        "english": ("suppressed", "no_longer_concerned"),
        "guardian": ("suppressed", "opted_out"),
        "friend_mother": ("delivered", None),
    }


def test_the_texts_are_written_when_quiet_hours_end_and_who_reads_until_then_gets_none(
    stage: Stage,
) -> None:
    stage.keep_nights_quiet()
    clock.travel_to(NOON + timedelta(hours=6))
    notice = publish(stage)
    tick(stage, 10)  # ten at night
    assert everything(stage, notice) == []
    clock.travel_to(NOON + timedelta(hours=19))
    stage.acknowledge("guardian", notice)
    tick(stage, 19.4)
    assert everything(stage, notice) == []
    tick(stage, 19.5)
    assert stage.told(notice) == {"friend_mother", "english"}


def test_texts_that_fall_into_the_evening_of_the_district_leave_at_its_end(
    stage: Stage, visit: Visit
) -> None:
    stage.keep_nights_quiet(evening=(time(15, 30), time(18)))
    notice = publish(stage)
    page = visit("teacher").get(f"/notices/{notice}").get_data(as_text=True)
    assert "到 11月25日（周三）18:00 仍没确认的会收到短信" in page
    tick(stage, 4)  # four in the afternoon
    stage.acknowledge("guardian", notice)
    tick(stage, 5.9)
    assert everything(stage, notice) == []
    tick(stage, 6)
    assert everything(stage, notice) == [("notice", "confirm")] * 2
    stage.deliver()
    assert {m.state for m in stage.messages(notice)} == {"delivered"}


# -- by hand, stopped -----------------------------------------------------------------------------


def test_by_hand_the_first_text_leaves_now_and_the_clock_writes_no_other(stage: Stage) -> None:
    notice = publish(stage)
    stage.acknowledge("english", notice)
    clock.travel_to(NOON + timedelta(hours=3))
    assert stage.nudge(notice) == 2
    stage.deliver()
    assert everything(stage, notice) == [("notice", "confirm")] * 2
    tick(stage, 4)
    tick(stage, 6.9)
    assert row(stage, notice).calls_since is None
    tick(stage, 7)
    assert row(stage, notice).calls_since == clock.now()
    assert everything(stage, notice) == [("notice", "confirm")] * 2


def test_by_hand_a_notice_to_be_read_is_done_too(stage: Stage) -> None:
    notice = publish(stage, level="info")
    stage.nudge(notice)
    stage.deliver()
    tick(stage, 4)
    tick(stage, 60)
    assert everything(stage, notice) == [("notice", "info")] * 3
    assert (row(stage, notice).ladder_at, row(stage, notice).calls_since) == (None, None)


def test_after_the_first_text_a_reminder_by_hand_is_a_reminder(stage: Stage) -> None:
    notice = publish(stage)
    tick(stage, 4)
    stage.deliver()
    with pytest.raises(TooMany):
        stage.nudge(notice)
    clock.travel_to(NOON + timedelta(hours=6))
    stage.nudge(notice)
    assert (
        everything(stage, notice) == [("notice", "confirm")] * 3 + [("notice_nudge", "confirm")] * 3
    )


def test_stopped_before_the_text_none_leaves_and_the_platform_keeps_it(
    stage: Stage, visit: Visit
) -> None:
    notice = publish(stage)
    client = visit("teacher")
    page = client.get(f"/notices/{notice}").get_data(as_text=True)
    assert f"/notices/{notice}/stop" in page
    assert "家长看得到，无法撤回" in client.get(f"/notices/{notice}/stop").get_data(as_text=True)
    answer = client.post(f"/notices/{notice}/stop")
    assert answer.headers["Location"] == f"/notices/{notice}"
    page = client.get(f"/notices/{notice}").get_data(as_text=True)
    assert "已停止，不会再发短信" in page
    for hours in (4, 8, 60):
        tick(stage, hours)
    assert everything(stage, notice) == []
    clock.travel_to(NOON + timedelta(hours=1))
    assert row(stage, notice).calls_since is None
    family = visit("guardian").get(f"/notices/mine/{notice}").get_data(as_text=True)
    assert "周五八点" in family
    with pytest.raises(Conflict):
        stage.nudge(notice)


# -- two at once, and clocks that die -------------------------------------------------------------


def _two_clocks(stage: Stage) -> int:
    """Both find it due; how many texts come of it."""
    notice = publish(stage)
    clock.travel_to(NOON + timedelta(hours=4))
    all_at_once(lambda: tick(stage), lambda: tick(stage))
    return len(everything(stage, notice))


def test_two_clocks_that_read_it_at_one_moment_text_once(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    meeting_at_the_notice(monkeypatch)
    assert _two_clocks(stage) == 3


def test_without_the_lock_two_clocks_both_begin(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    # the key of the rounds would still keep the second text; the second clock only notices there
    meeting_at_the_notice(monkeypatch, locked=False)
    with pytest.raises(IntegrityError, match="uq_notice_round"):
        _two_clocks(stage)


def _hand_and_clock(stage: Stage) -> tuple[list[str], int]:
    """The sender presses as the clock comes; what came of both, and how many texts."""
    notice = publish(stage)
    clock.travel_to(NOON + timedelta(hours=4))
    went = all_at_once(lambda: tick(stage), lambda: stage.nudge(notice))
    return went, len(everything(stage, notice))


def test_the_hand_and_the_clock_at_one_moment_text_once(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    meeting_at_the_notice(monkeypatch)
    went, texts = _hand_and_clock(stage)
    # the hand is told that they were just written to, if the clock was first
    assert went in (["ok", "ok"], ["ok", "too_many"])
    assert texts == 3


def test_without_the_lock_the_hand_and_the_clock_both_begin(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    meeting_at_the_notice(monkeypatch, locked=False)
    with pytest.raises(IntegrityError, match="uq_notice_round"):
        _hand_and_clock(stage)


def test_a_clock_that_dies_in_the_step_leaves_it_to_the_next(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    notice = publish(stage)
    climb = silence.climb

    def dying(uow: UnitOfWork, **given: Any) -> None:
        climb(uow, **given)
        raise RuntimeError("switched off")

    monkeypatch.setattr(silence, "climb", dying)
    with pytest.raises(RuntimeError, match="switched off"):
        tick(stage, 4)
    monkeypatch.undo()
    assert everything(stage, notice) == []
    tick(stage, 4.1)
    assert len(everything(stage, notice)) == 3


# -- a whole school -------------------------------------------------------------------------------


def to_school(stage: Stage, **more: Any) -> int:
    return publish(stage, "school_admin", org_id=stage.world.things["school_a"], **more)


def test_a_whole_school_is_listed_by_the_clock_and_texted_by_stretches(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds, "STRETCH", 1)
    notice = to_school(stage)
    assert recipients(stage, notice) == set()
    tick(stage, 0.01)
    everybody = recipients(stage, notice)
    assert len(everybody) >= 5
    tick(stage, 0.02)
    assert everything(stage, notice) == []
    stage.acknowledge("guardian", notice)
    silent = funnel(stage, notice).silent
    clock.travel_to(NOON + timedelta(hours=5))
    follow_silence(Beat(stage.engine, cast(Any, None), clock.now()))
    # the clock that took the step dies; the texts are left to the next
    assert everything(stage, notice) == []
    tick(stage)
    tick(stage)
    assert len(everything(stage, notice)) == silent > 1
    assert "guardian" not in stage.told(notice)
    assert recipients(stage, notice) == everybody


def test_nobody_is_silent_before_the_school_is_listed(stage: Stage) -> None:
    notice = to_school(stage)
    clock.travel_to(NOON + timedelta(hours=4))
    follow_silence(Beat(stage.engine, cast(Any, None), clock.now()))
    assert row(stage, notice).ladder_at == clock.now() + timedelta(hours=4)
    tick(stage)
    assert everything(stage, notice) == []
    tick(stage, 8)
    assert len(everything(stage, notice)) >= 3


# -- what it costs --------------------------------------------------------------------------------


def test_the_budget_must_bear_the_texts_of_all_and_only_what_is_written_is_spent(
    stage: Stage,
) -> None:
    budget(stage, 100)
    most = size(stage, stage.send(key="measure"))
    before = account(stage).used
    assert before == most
    notice = publish(stage)
    assert account(stage).used == before
    stage.acknowledge("guardian", notice)
    tick(stage, 4)
    assert account(stage).used - before == size(stage, notice)
    assert 0 < size(stage, notice) < most


def test_what_the_budget_could_not_bear_if_nobody_looked_is_refused(stage: Stage) -> None:
    budget(stage, 1)
    spend(stage, "0.95")
    before = stage.fingerprint()
    with pytest.raises(Conflict) as refusal:
        publish(stage)
    assert refusal.value.code == "budget_used_up"
    assert stage.fingerprint() == before


def test_it_is_held_to_the_month_of_its_texts(stage: Stage) -> None:
    budget(stage, 1)
    spend(stage, "1")
    last = datetime(2026, 11, 30, 12, 0, tzinfo=NOON.tzinfo)
    clock.travel_to(last)
    with pytest.raises(Conflict):
        publish(stage, draft_key="this month")
    notice = publish(stage, ladder_hours=24)
    clock.travel_to(last + timedelta(hours=24))
    tick(stage)
    assert account(stage).used == size(stage, notice) > 0
    assert account(stage, at=last).used == 1


def test_the_clock_keeps_the_promise_though_others_have_used_the_budget_up(stage: Stage) -> None:
    budget(stage, 1)
    notice = publish(stage)
    spend(stage, "1")
    with pytest.raises(Conflict) as refusal:
        stage.nudge(notice)
    assert refusal.value.code == "budget_used_up"
    tick(stage, 4)
    assert len(everything(stage, notice)) == 3


def test_a_whole_school_reserves_nothing_before_its_texts_and_only_those_of_the_silent_then(
    stage: Stage,
) -> None:
    budget(stage, 100)
    notice = to_school(stage)
    assert account(stage).used == 0
    tick(stage, 0.01)
    assert account(stage).used == 0
    for role in ("guardian", "english"):
        stage.acknowledge(role, notice)
    clock.travel_to(NOON + timedelta(hours=4))
    follow_silence(Beat(stage.engine, cast(Any, None), clock.now()))
    reserved = account(stage).used
    assert reserved > 0
    with Session(stage.engine) as session:
        begun = session.scalars(
            select(NoticeRound).where(NoticeRound.notice_id == notice, NoticeRound.number == 1)
        ).one()
        assert begun.reserved == begun.segments_each * funnel(stage, notice).silent
    tick(stage)
    assert account(stage).used == size(stage, notice) > 0
    assert abs(reserved - size(stage, notice)) < reserved


def test_a_whole_school_that_is_stopped_first_costs_nothing(stage: Stage) -> None:
    budget(stage, 100)
    notice = to_school(stage)
    stage.act("school_admin", lambda uow: services.stop_notice(uow, notice_id=notice))
    tick(stage, 0.01)
    tick(stage, 5)
    assert account(stage).used == 0
    with Session(stage.engine) as session:
        open_rounds = select(func.count()).where(NoticeRound.done_at.is_(None))
        assert session.scalar(open_rounds) == 0


# -- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"urgent_reason": "水管爆裂，下午停课"}, "begins"),
        ({"ladder_hours": None}, "ladder"),
        ({"ladder_hours": 1}, "ladder"),
        ({"due_at": NOON + timedelta(hours=4)}, "due_on"),
        ({"due_at": NOON + timedelta(hours=8), "send_at": NOON + timedelta(hours=4)}, "due_on"),
    ],
)
def test_what_makes_no_sense_is_refused_at_its_field(
    stage: Stage, more: dict[str, Any], field: str
) -> None:
    before = stage.fingerprint()
    with pytest.raises(Invalid) as refusal:
        publish(stage, **more)
    assert set(refusal.value.fields) == {field}
    assert stage.fingerprint() == before
    publish(stage, due_at=NOON + timedelta(hours=9), send_at=NOON + timedelta(hours=4))


# -- pages ----------------------------------------------------------------------------------------


def form(stage: Stage, **more: str) -> dict[str, str]:
    return {
        "draft_key": "page",
        "class_ids": str(stage.world.things["class_a"]),
        "title_zh": "秋游通知",
        "title_en": "Autumn outing",
        "body_zh": "周五八点。",
        "body_en": "Friday at eight.",
        "level": "confirm",
        "begins": "page",
        "ladder": "24",
        **more,
    }


@pytest.mark.parametrize("step", ["check", "send"])
@pytest.mark.parametrize(
    ("more", "zh", "en"),
    [
        (
            {"urgent_reason": "水管爆裂，下午停课"},
            "紧急通知要马上发短信",
            "What is urgent must leave as a text at once",
        ),
        ({"ladder": ""}, "请选择多久以后", "Choose after how long"),
        ({"due_on": "2026-11-26", "ladder": "48"}, "短信还没发就到截止时间", "a shorter wait"),
        ({"begins": "fax"}, "", ""),
    ],
)
def test_refusals_stand_at_their_field_and_nothing_is_lost(
    stage: Stage, visit: Visit, step: str, more: dict[str, str], zh: str, en: str
) -> None:
    before = stage.fingerprint()
    for language, says in (("zh", zh), ("en", en)):
        answer = visit("teacher").post(
            f"/notices/new?lang={language}", data=form(stage, step=step, **more)
        )
        page = answer.get_data(as_text=True)
        assert answer.status_code == 422
        assert says in page
        assert "周五八点。" in page
    assert stage.fingerprint() == before


def test_the_check_page_says_what_will_happen_and_what_it_costs_at_most(
    stage: Stage, visit: Visit
) -> None:
    budget(stage, 10)
    client = visit("teacher")
    page = client.post("/notices/new", data=form(stage, step="check")).get_data(as_text=True)
    for part in (
        "先在平台发布；1 天后还没确认的家庭才发短信",
        "短信发出 1 天后列入电话名单",
        "2026年11月26日（周四）12:00 发出，最多 3 条、约",
        "条短信，最多",
        "这条通知最多",
        "在平台发布给 5 位家长",
        'name="begins" value="page"',
        'name="ladder" value="24"',
    ):
        assert part in page
    reading = form(stage, step="check", level="info")
    page = client.post("/notices/new", data=reading).get_data(as_text=True)
    assert "1 天后还没看的家庭才发短信" in page
    assert "不自动跟进" in page
    at_once = form(stage, step="check", begins="text")
    page = client.post("/notices/new", data=at_once).get_data(as_text=True)
    assert "最多" not in page
    assert "1 天后提醒一次，再过 1 天列入电话名单" in page


def test_quiet_hours_at_the_time_of_the_texts_are_named(stage: Stage, visit: Visit) -> None:
    stage.keep_nights_quiet()
    client = visit("teacher")
    clock.travel_to(NOON + timedelta(hours=6))
    page = client.post("/notices/new", data=form(stage, step="check", ladder="4"))
    assert "2026年11月26日（周四）07:30 发出，最多" in page.get_data(as_text=True)
    place = client.post("/notices/new", data=form(stage, step="send", ladder="4"))
    page = client.get(place.headers["Location"]).get_data(as_text=True)
    assert "到 11月26日（周四）07:30 仍没确认的会收到短信" in page


def test_the_page_of_the_notice_goes_through_its_phases(stage: Stage, visit: Visit) -> None:
    client = visit("teacher")
    sent = client.post("/notices/new", data=form(stage, step="send", ladder="4"))
    place = sent.headers["Location"]
    notice = int(place.rsplit("/", 1)[1])
    page = client.get(place).get_data(as_text=True)
    assert "已在平台发布，现在不发短信" in page
    assert "仅在平台发布，还没有发短信。3 位家长还没确认" in page
    assert "到 11月25日（周三）16:00 仍没确认的会收到短信" in page
    assert "现在就发 3 条短信" in page
    assert "仅平台，未发短信" in page
    assert "已提醒" not in page
    assert "仅平台" in client.get("/notices/").get_data(as_text=True)
    assert "还没有发出短信" in client.get(f"{place}/progress").get_data(as_text=True)
    assert "还没有发短信。可以先等一等" in client.get(f"{place}/calls").get_data(as_text=True)
    stage.acknowledge("guardian", notice)
    assert "现在就发 2 条短信" in client.get(place).get_data(as_text=True)
    tick(stage, 4)
    stage.deliver()
    page = client.get(place).get_data(as_text=True)
    assert "1 位家长已在平台回应，没有发短信；2 位没有，已发短信" in page
    assert "到 11月25日（周三）20:00 仍没有确认的，自动列入电话名单" in page
    assert "只提醒未回复的 2 位" in page
    assert "已提醒" not in page
    listed = client.get("/notices/").get_data(as_text=True)
    assert "仅平台" not in listed
    assert re.search(r'data-label="短信">2<', listed)
    tick(stage, 8)
    assert "发短信后仍没有确认的，11月25日（周三）20:00 起" in client.get(place).get_data(True)
    assert "请打电话（" in client.get(f"{place}/calls").get_data(as_text=True)


def test_the_button_sends_the_first_text_now(stage: Stage, visit: Visit) -> None:
    notice = publish(stage)
    client = visit("teacher")
    page = client.post(f"/notices/{notice}/nudge", follow_redirects=True).get_data(as_text=True)
    assert "正在给 3 位还没回应的家长发短信" in page
    assert len(everything(stage, notice)) == 3
    assert client.post("/notices/999999/nudge").status_code == 404


def test_the_family_sees_it_as_new_until_it_is_read(stage: Stage, visit: Visit) -> None:
    notice = publish(stage, level="info")
    client = visit("guardian")
    page = client.get("/family").get_data(as_text=True)
    assert "新通知，请查看" in page
    assert "未读" in page
    assert "New; please read it" in client.get("/family?lang=en").get_data(as_text=True)
    assert "未读" in client.get("/notices/inbox?lang=zh").get_data(as_text=True)
    client.post(f"/notices/mine/{notice}", data={"answer": "read"})
    for path in ("/family", "/notices/inbox"):
        page = client.get(path).get_data(as_text=True)
        assert "未读" not in page
        assert "新通知，请查看" not in page


def test_the_family_is_asked_to_confirm_until_it_has(stage: Stage, visit: Visit) -> None:
    notice = publish(stage)
    client = visit("guardian")
    before = client.get("/family").get_data(as_text=True)
    stage.acknowledge("guardian", notice)
    after = client.get("/family").get_data(as_text=True)
    assert before.count("请确认收到") == after.count("请确认收到") + 1


@pytest.mark.parametrize(
    ("level", "answered", "follows"),
    [
        ("confirm", "已在平台确认，未发短信", "11月25日（周三）16:00 后仍未确认，就发短信"),
        ("info", "已在平台阅读，未发短信", "11月25日（周三）16:00 后仍未读，就发短信"),
    ],
)
def test_the_story_of_a_person_says_why_there_is_no_text(
    stage: Stage, visit: Visit, level: str, answered: str, follows: str
) -> None:
    notice = publish(stage, level=level)
    admin = visit("district_admin")

    def story(role: str) -> str:
        path = f"/admin/messages/of/{stage.world.people[role]}"
        return admin.get(path).get_data(as_text=True)

    for role in ("guardian", "friend_mother", "friend_father", "english"):
        assert follows in story(role)
    assert "没有登记手机号" in story("no_phone")
    stage.acknowledge("friend_father", notice)
    stage.acknowledge("english", notice)
    # the mother shares the phone
    for role in ("friend_mother", "friend_father", "english"):
        assert answered in story(role)
    tick(stage, 4)
    for role in ("friend_father", "english"):
        assert answered in story(role)
    assert "没有直接发给此人的通知" not in story("guardian")
    assert "逐步查看" in story("guardian")


def test_the_story_tells_of_the_phone_call_and_of_the_stop(stage: Stage, visit: Visit) -> None:
    notice = publish(stage)
    with Session(stage.engine) as session:
        reached = services.recipient_of(session, notice, stage.world.people["english"]).id
    stage.act(
        "teacher",
        lambda uow: calls.mark_reached(
            uow, notice_id=notice, recipient_id=reached, today=clock.now().date()
        ),
    )
    stage.act("teacher", lambda uow: services.stop_notice(uow, notice_id=notice))
    admin = visit("district_admin")
    for role, says in (("english", "老师已告知，未发短信"), ("guardian", "发短信前已停止")):
        path = f"/admin/messages/of/{stage.world.people[role]}"
        assert says in admin.get(path).get_data(as_text=True)


def test_who_is_told_by_phone_meanwhile_gets_no_text(stage: Stage) -> None:
    notice = publish(stage)
    with Session(stage.engine) as session:
        found = calls.calls_of(session, stage.actor("teacher"), notice, clock.now().date())
        reached = services.recipient_of(session, notice, stage.world.people["english"]).id
    assert found.pressing == []
    assert {line.child for line in found.waiting} == {"王小雨", "王小宇", "李想"}
    stage.act(
        "teacher",
        lambda uow: calls.mark_reached(
            uow, notice_id=notice, recipient_id=reached, today=clock.now().date()
        ),
    )
    tick(stage, 4)
    assert stage.told(notice) == {"guardian", "friend_mother"}
