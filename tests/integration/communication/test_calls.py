"""The call list: by child, for the own classes, numbers on request, and who told whom."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from coordination.domain.communication.models import Notice, NoticeRecipient
from coordination.domain.communication.notices import queries, services
from coordination.domain.communication.unanswered import calls, silence
from coordination.domain.communication.unanswered.calls import CallList
from coordination.ground import clock
from coordination.ground.audit import AuditEntry
from coordination.ground.errors import Conflict, Invalid, NotFound
from coordination.ground.uow import UnitOfWork
from coordination.worker import Beat, follow_silence, write_notices
from tests.build.outing import all_at_once
from tests.integration.communication.conftest import (
    BODY,
    TITLE,
    Stage,
    meeting_at_the_notice,
)

Visit = Callable[[str], FlaskClient]
NOON = datetime(2026, 11, 25, 4, 0, tzinfo=UTC)


def _list(stage: Stage, notice: int, role: str = "teacher") -> CallList:
    with Session(stage.engine, expire_on_commit=False) as session:
        return calls.calls_of(session, stage.actor(role), notice, clock.now().date())


def _row(stage: Stage, notice: int, role: str) -> int:
    with Session(stage.engine) as session:
        return services.recipient_of(session, notice, stage.world.people[role]).id


def _reach(stage: Stage, notice: int, guardian: str, role: str = "teacher") -> bool:
    row = _row(stage, notice, guardian)
    return stage.act(
        role,
        lambda uow: calls.mark_reached(
            uow, notice_id=notice, recipient_id=row, today=clock.now().date()
        ),
    )


def _children(found: CallList) -> list[str]:
    return [line.child for line in found.lines]


def test_the_list_goes_by_child_and_names_every_guardian_who_may_be_told(stage: Stage) -> None:
    found = _list(stage, stage.send())
    lines = {line.child: [g.name for g in line.guardians] for line in found.lines}
    assert lines["李想"] == ["赵兰", "李刚", "李爷爷", "Anna Smith"]
    assert lines["王小宇"] == ["王敏"]
    assert "受限" not in str(lines)
    assert found.children == len(found.lines)
    phones = {g.name: g.phone for line in found.lines for g in line.guardians}
    assert phones["李爷爷"] is None
    assert "*" in (phones["赵兰"] or "")


def test_one_guardian_who_knows_is_enough_for_a_child(stage: Stage) -> None:
    notice = stage.send()
    stage.acknowledge("english", notice)
    assert "李想" not in _children(_list(stage, notice))
    stage.acknowledge("guardian", notice)
    assert _list(stage, notice).lines == ()


def test_who_must_be_phoned_now_stands_apart(stage: Stage) -> None:
    notice = stage.send()
    assert _list(stage, notice).pressing == []
    stage.settle("guardian", "failed", "21211")
    found = _list(stage, notice)
    assert {line.child for line in found.pressing} == {"王小雨", "王小宇"}
    stage.settle("guardian", "delivered")
    for role in ("friend_mother", "english"):
        stage.settle(role, "accepted")
    stage.nudge(notice)
    assert len(_list(stage, notice).pressing) == len(_list(stage, notice).lines)


def test_told_by_phone_counts_as_confirmed_by_whom_and_when(stage: Stage) -> None:
    notice = stage.send()
    assert _reach(stage, notice, "friend_father")
    found = _list(stage, notice)
    assert "李想" not in _children(found)
    [told] = found.reached
    assert (told.guardian, told.children) == ("李刚", "李想")
    assert told.at == clock.now() or told.at <= clock.now()
    with Session(stage.engine) as session:
        row = session.get_one(NoticeRecipient, told.recipient_id)
        assert row.reached_by_id == stage.world.people["teacher"]
        # the guardian's own answer is not made up
        assert (row.read_at, row.confirmed_at) == (None, None)
        counts = queries.funnel(session, session.get_one(Notice, notice), clock.now())
        line = queries.notices_of(session, stage.actor("teacher"))[0]
    assert (counts.read, counts.confirmed) == (1, 1)
    assert line.done == 1
    # the phone that the parents share is silent no more, so no reminder goes there
    stage.nudge(notice)
    assert stage.told(notice, "notice_nudge") == {"guardian", "english"}


def test_the_first_tick_counts_and_can_be_taken_back(stage: Stage) -> None:
    notice = stage.send()
    assert _reach(stage, notice, "guardian")
    assert not _reach(stage, notice, "guardian", "school_admin")
    row = _row(stage, notice, "guardian")
    stage.act(
        "teacher",
        lambda uow: calls.unmark_reached(
            uow, notice_id=notice, recipient_id=row, today=clock.now().date()
        ),
    )
    assert {"王小雨", "王小宇"} <= set(_children(_list(stage, notice)))
    with Session(stage.engine) as session:
        lines = session.scalars(
            select(AuditEntry)
            .where(AuditEntry.table_name == "notice_recipient", AuditEntry.row_id == row)
            .order_by(AuditEntry.id)
        ).all()
    assert [bool((line.after or {}).get("reached_at")) for line in lines[-2:]] == [True, False]


def test_a_teacher_calls_the_own_class_about_a_notice_to_the_school(stage: Stage) -> None:
    notice = stage.act(
        "school_admin",
        lambda uow: (
            services.send_notice(
                uow,
                draft_key="school",
                org_id=stage.world.things["school_a"],
                title=TITLE,
                body=BODY,
                level="confirm",
            ).id
        ),
    )
    write_notices(Beat(stage.engine, None, clock.now()))  # type: ignore[arg-type]
    assert "李想" in _children(_list(stage, notice))
    assert _reach(stage, notice, "guardian")
    for role in ("teacher_b", "school_admin_b", "coordinator", "district_admin"):
        with pytest.raises(NotFound):
            _list(stage, notice, role)


@pytest.mark.parametrize(
    "role", ["teacher_b", "school_admin_b", "coordinator", "district_admin", "partner", "guardian"]
)
def test_nobody_else_sees_a_number_or_ticks(stage: Stage, role: str) -> None:
    notice = stage.send()
    row = _row(stage, notice, "guardian")
    today = clock.now().date()
    for use in (calls.show_number, calls.mark_reached, calls.unmark_reached):
        with pytest.raises(NotFound):
            stage.act(
                role, lambda uow, use=use: use(uow, notice_id=notice, recipient_id=row, today=today)
            )


def test_a_number_is_not_shown_once_the_guardian_may_not_be_told(stage: Stage) -> None:
    notice = stage.send()
    row = _row(stage, notice, "english")
    with stage.engine.begin() as connection:
        connection.execute(
            text("update guardianship set no_disclosure = true where guardian_id = :g"),
            {"g": stage.world.people["english"]},
        )
    with pytest.raises(NotFound):
        stage.act(
            "teacher",
            lambda uow: calls.show_number(
                uow, notice_id=notice, recipient_id=row, today=clock.now().date()
            ),
        )
    assert all(g.name != "Anna Smith" for x in _list(stage, notice).lines for g in x.guardians)


def test_a_guardian_without_a_phone_is_said_to_have_none(stage: Stage) -> None:
    notice = stage.send()
    row = _row(stage, notice, "no_phone")
    with pytest.raises(Conflict):
        stage.act(
            "teacher",
            lambda uow: calls.show_number(
                uow, notice_id=notice, recipient_id=row, today=clock.now().date()
            ),
        )


# -- pages --------------------------------------------------------------------------------------


def test_a_teacher_asks_for_a_number_calls_and_ticks(stage: Stage, visit: Visit) -> None:
    notice = stage.send()
    client = visit("teacher")
    assert f"/notices/{notice}/calls" in client.get(f"/notices/{notice}").get_data(as_text=True)
    before = stage.fingerprint()
    page = client.get(f"/notices/{notice}/calls").get_data(as_text=True)
    assert stage.fingerprint() == before
    assert "13800138066" not in page
    row = _row(stage, notice, "english")
    answer = client.post(f"/notices/{notice}/calls/{row}/number")
    page = answer.get_data(as_text=True)
    assert 'href="tel:+8613800138066"' in page
    assert "138 0013 8066" in page
    assert "13800138055" not in page
    assert answer.headers["Cache-Control"] == "no-store"
    assert not answer.headers.get("Location")
    with Session(stage.engine) as session:
        [look] = session.scalars(select(AuditEntry).where(AuditEntry.action == "look")).all()
    assert (look.actor_id, look.table_name, look.reason, look.after) == (
        stage.world.people["teacher"],
        "contact_point",
        "call_list",
        {"notice_id": notice},
    )
    client.post(f"/notices/{notice}/calls/{row}/reached")
    page = client.get(f"/notices/{notice}/calls").get_data(as_text=True)
    assert "已告知（1）" in page
    assert "李想 · Anna Smith" in page
    assert "电话告知" in client.get(f"/notices/{notice}").get_data(as_text=True)
    client.post(f"/notices/{notice}/calls/{row}/undo")
    assert "已告知（1）" not in client.get(f"/notices/{notice}/calls").get_data(as_text=True)


def test_the_family_sees_that_it_was_told_and_is_asked_no_more(stage: Stage, visit: Visit) -> None:
    notice = stage.send()
    assert "请确认收到" in visit("guardian").get("/family").get_data(as_text=True)
    _reach(stage, notice, "guardian")
    family = visit("guardian").get("/family").get_data(as_text=True)
    assert "已电话告知" in family
    page = visit("guardian").get(f"/notices/mine/{notice}").get_data(as_text=True)
    assert "电话告知您" in page
    assert "确认收到" in page


# -- what follows by itself ---------------------------------------------------------------------


def _laddered(
    stage: Stage, hours: int = 4, level: str = "confirm", draft_key: str = "ladder"
) -> int:
    return stage.act(
        "teacher",
        lambda uow: (
            services.send_notice(
                uow,
                draft_key=draft_key,
                class_ids=[stage.world.things["class_a"]],
                title=TITLE,
                body=BODY,
                level=level,
                ladder_hours=hours,
            ).id
        ),
    )


def _later(stage: Stage, hours: float) -> None:
    clock.travel_to(NOON + timedelta(hours=hours))
    follow_silence(Beat(stage.engine, None, clock.now()))  # type: ignore[arg-type]


def test_a_step_that_fails_does_not_keep_the_steps_of_other_notices(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock.travel_to(NOON)
    first, second = _laddered(stage), _laddered(stage, draft_key="another")
    stage.deliver()
    climb = silence.climb

    def failing(uow: UnitOfWork, *, notice_id: int, **rest: Any) -> None:
        climb(uow, notice_id=notice_id, **rest)
        if notice_id == first:
            raise RuntimeError("this one alone")

    monkeypatch.setattr(silence, "climb", failing)
    with pytest.raises(RuntimeError, match="this one alone"):
        _later(stage, 5)
    with Session(stage.engine) as session:
        due = silence.due_ladders(session, clock.now())
        waits = session.get_one(Notice, second).ladder_at
    assert due == [first]
    assert waits is not None and waits > clock.now()
    monkeypatch.undo()
    _later(stage, 6)
    with Session(stage.engine) as session:
        assert silence.due_ladders(session, clock.now()) == []


@pytest.fixture
def noon() -> None:
    # people's sessions, too, begin here
    clock.travel_to(NOON)


@pytest.mark.usefixtures("noon")
def test_who_does_not_confirm_is_reminded_once_and_then_to_be_called(stage: Stage) -> None:
    notice = _laddered(stage)
    stage.deliver()
    stage.acknowledge("guardian", notice)
    _later(stage, 3.9)
    assert stage.told(notice, "notice_nudge") == set()
    for hours in (4, 4.1, 5):
        _later(stage, hours)
        stage.deliver()
    assert stage.told(notice, "notice_nudge") == {"friend_mother", "english"}
    assert len(stage.messages(notice, "notice_nudge")) == 2
    assert _home(stage) == []
    _later(stage, 8)
    assert _home(stage) == [(notice, ["李想"])]
    _later(stage, 30)
    assert len(stage.messages(notice, "notice_nudge")) == 2
    _reach(stage, notice, "english")
    assert _home(stage) == []


def _home(stage: Stage, role: str = "teacher") -> list[tuple[int, list[str]]]:
    with Session(stage.engine) as session:
        found = calls.to_call(session, stage.actor(role), clock.now(), clock.now().date())
        return [(f.notice.id, _children(f)) for f in found]


@pytest.mark.usefixtures("noon")
def test_the_home_page_of_the_class_teacher_names_the_list(stage: Stage, visit: Visit) -> None:
    notice = _laddered(stage)
    stage.deliver()
    _later(stage, 4)
    stage.deliver()
    _later(stage, 8)
    page = visit("teacher").get("/").get_data(as_text=True)
    assert "个孩子的家长还没有确认" in page
    assert f"/notices/{notice}/calls" in page
    assert "还没有确认" not in visit("teacher_b").get("/").get_data(as_text=True)


@pytest.mark.usefixtures("noon")
def test_nothing_follows_when_all_confirm_or_it_is_stopped_or_need_not_be_confirmed(
    stage: Stage,
) -> None:
    read_only = _laddered(stage, level="info")
    _later(stage, 9)
    assert stage.messages(read_only, "notice_nudge") == []
    stopped = stage.send(key="other")
    stage.act("teacher", lambda uow: services.stop_notice(uow, notice_id=stopped))
    _later(stage, 30)
    assert stage.messages(stopped, "notice_nudge") == []
    assert _home(stage) == []


@pytest.mark.usefixtures("noon")
def test_nobody_is_silent_about_a_text_that_has_not_come(stage: Stage) -> None:
    notice = _laddered(stage)
    _later(stage, 4)
    assert stage.messages(notice, "notice_nudge") == []
    stage.deliver()
    _later(stage, 7.9)
    assert stage.messages(notice, "notice_nudge") == []
    _later(stage, 8)
    assert len(stage.messages(notice, "notice_nudge")) == 3


@pytest.mark.usefixtures("noon")
def test_a_reminder_by_hand_is_the_reminder(stage: Stage) -> None:
    notice = _laddered(stage)
    stage.deliver()
    clock.travel_to(NOON + timedelta(hours=3))
    stage.nudge(notice)
    stage.deliver()
    _later(stage, 4)
    stage.deliver()
    assert len(stage.messages(notice, "notice_nudge")) == 3
    _later(stage, 6.9)
    assert _home(stage) == []
    _later(stage, 7)
    assert [n for n, _ in _home(stage)] == [notice]


def _two_clocks(stage: Stage) -> int:
    """Both find the step due; how many reminders come of it."""
    notice = _laddered(stage)
    stage.deliver()
    clock.travel_to(NOON + timedelta(hours=4))
    beat = Beat(stage.engine, None, clock.now())  # type: ignore[arg-type]
    all_at_once(lambda: follow_silence(beat), lambda: follow_silence(beat))
    return len(stage.messages(notice, "notice_nudge"))


@pytest.mark.usefixtures("noon")
def test_two_clocks_that_read_it_at_one_moment_remind_once(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    meeting_at_the_notice(monkeypatch)
    assert _two_clocks(stage) == 3


@pytest.mark.usefixtures("noon")
def test_without_the_lock_two_clocks_both_take_the_step(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    meeting_at_the_notice(monkeypatch, locked=False)
    with pytest.raises(IntegrityError, match="uq_notice_round"):
        _two_clocks(stage)


def test_a_span_that_is_not_offered_is_refused(stage: Stage, visit: Visit) -> None:
    with pytest.raises(Invalid) as refusal:
        _laddered(stage, 1)
    assert set(refusal.value.fields) == {"ladder"}
    form = {
        "draft_key": "page-ladder",
        "class_ids": str(stage.world.things["class_a"]),
        "title_zh": "秋游通知",
        "title_en": "Autumn outing",
        "body_zh": "周五八点。",
        "body_en": "Friday at eight.",
        "level": "confirm",
        "ladder": "24",
    }
    client = visit("teacher")
    page = client.post("/notices/new", data={**form, "step": "check"}).get_data(as_text=True)
    assert "1 天后提醒一次" in page
    assert 'name="ladder" value="24"' in page
    place = client.post("/notices/new", data={**form, "step": "send"}).headers["Location"]
    assert "自动进入下一步" in client.get(place).get_data(as_text=True)
    answer = client.post("/notices/new", data={**form, "ladder": "1", "step": "check"})
    assert answer.status_code == 422
    assert "周五八点。" in answer.get_data(as_text=True)
