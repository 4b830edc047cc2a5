"""Calls about an alert: whose phone rings and when, what stops it, what a key does, how often it rings."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, datetime, timedelta
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from coordination.authz.actor import SYSTEM
from coordination.domain.communication.models import Notice, NoticeRecipient
from coordination.domain.communication.notices import alerts, ringing, services
from coordination.domain.communication.unanswered import calls
from coordination.domain.people import contacts
from coordination.domain.people.models import Guardianship
from coordination.ground import clock
from coordination.ground.audit import AuditEntry
from coordination.ground.errors import Invalid
from coordination.ground.uow import UnitOfWork
from coordination.reactions import by_phone
from coordination.reactions.work import begin
from coordination.settings import Settings
from coordination.worker import drain
from notifications import outbox, receipts
from notifications.models import DeliveryAttempt, OutboxMessage
from tests.integration.communication.conftest import Stage
from tests.integration.communication.test_alerts import RAIN, _form

NIGHT = datetime(2026, 11, 25, 22, 30, tzinfo=ZoneInfo("Asia/Shanghai"))
TODAY = NIGHT.date()
WAIT = 10


@pytest.fixture(autouse=True)
def _line() -> Iterator[None]:
    clock.travel_to(NIGHT)
    by_phone.use_line(True)
    yield
    by_phone.use_line(False)


def _alert(stage: Stage, call_after: int | None = WAIT, key: str = "alert") -> int:
    return stage.act(
        "teacher",
        lambda uow: (
            alerts.send_alert(
                uow,
                draft_key=key,
                alert=RAIN,
                class_ids=[stage.world.things["class_a"]],
                call_after=call_after,
            ).id
        ),
    )


def _system(stage: Stage, use: Callable[[UnitOfWork], object]) -> object:
    with Session(stage.engine) as session, begin(session, SYSTEM) as uow:
        return use(uow)


def _ring(stage: Stage, notice: int, minutes: float = 0, today: date = TODAY) -> int:
    """One beat of the clock, so many minutes after the alert."""
    clock.travel_to(NIGHT + timedelta(minutes=minutes))
    done = _system(stage, lambda uow: by_phone.ring_due(uow, notice_id=notice, today=today))
    assert isinstance(done, int)
    return done


def _deliver(stage: Stage) -> None:
    drain(
        stage.engine,
        replace(Settings(), database_url=stage.url, voice_channel="console", voice_rate=0.0),
    )


def _calls(stage: Stage) -> list[OutboxMessage]:
    with Session(stage.engine, expire_on_commit=False) as session:
        return list(
            session.scalars(
                select(OutboxMessage)
                .where(OutboxMessage.channel == "voice")
                .order_by(OutboxMessage.id)
            )
        )


def _called(stage: Stage) -> list[str]:
    names = {person: role for role, person in stage.world.people.items()}
    return [names[m.recipient_id] for m in _calls(stage)]


def _attempt(stage: Stage, role: str) -> UUID:
    with Session(stage.engine) as session:
        found = session.scalar(
            select(DeliveryAttempt.id)
            .join(OutboxMessage, OutboxMessage.id == DeliveryAttempt.message_id)
            .where(
                OutboxMessage.recipient_id == stage.world.people[role],
                OutboxMessage.channel == "voice",
            )
            .order_by(DeliveryAttempt.intent_at.desc())
        )
    assert found is not None
    return found


def _press(stage: Stage, role: str, key: str = "1") -> by_phone.Reply | None:
    attempt = _attempt(stage, role)
    reply = _system(
        stage,
        lambda uow: by_phone.pressed(
            uow, attempt_id=attempt, provider_id=None, key=key, today=TODAY
        ),
    )
    assert reply is None or isinstance(reply, by_phone.Reply)
    return reply


def _end(stage: Stage, role: str, status: str) -> None:
    """The provider says how the last call to somebody went: it had only been taken until then."""
    attempt = _attempt(stage, role)
    with stage.engine.begin() as connection:
        of = select(DeliveryAttempt.message_id).where(DeliveryAttempt.id == attempt)
        connection.execute(
            update(DeliveryAttempt).where(DeliveryAttempt.id == attempt).values(state="accepted")
        )
        connection.execute(
            update(OutboxMessage).where(OutboxMessage.id.in_(of)).values(state="accepted")
        )
    with Session(stage.engine) as session, session.begin():
        assert receipts.apply_status(
            session, attempt_id=attempt, status=status, error_code=status, at=clock.now()
        )


def _row(stage: Stage, role: str, notice: int) -> NoticeRecipient:
    with Session(stage.engine, expire_on_commit=False) as session:
        return services.recipient_of(session, notice, stage.world.people[role])


# -- when -----------------------------------------------------------------------------------------


def test_a_family_that_has_its_text_has_the_minutes_that_were_chosen(stage: Stage) -> None:
    notice = _alert(stage)
    stage.deliver()
    assert _ring(stage, notice, WAIT - 1) == 0
    assert _ring(stage, notice, WAIT) == 3
    # who shares a phone is called once, and nobody who may not be told
    assert sorted(_called(stage)) == ["english", "friend_mother", "guardian"]
    assert _ring(stage, notice, WAIT + 1) == 0


def test_an_alert_without_calls_is_followed_by_none(stage: Stage) -> None:
    notice = _alert(stage, call_after=None)
    stage.deliver()
    assert _ring(stage, notice, 60) == 0
    with Session(stage.engine) as session:
        assert ringing.ringing_notices(session, clock.now()) == []


def test_nobody_is_called_where_nobody_carries_calls(stage: Stage) -> None:
    by_phone.use_line(False)
    notice = _alert(stage)
    stage.deliver()
    assert _ring(stage, notice, 60) == 0


def test_calls_that_wait_are_withdrawn_when_nobody_carries_calls_any_more(stage: Stage) -> None:
    notice = _alert(stage)
    stage.deliver()
    assert _ring(stage, notice, WAIT) == 3
    by_phone.use_line(False)
    assert _ring(stage, notice, WAIT + 1) == 0
    assert {m.state for m in _calls(stage)} == {"cancelled"}


def test_a_family_none_of_whose_phones_takes_texts_is_called_at_once(stage: Stage) -> None:
    with Session(stage.engine) as session, session.begin():
        contacts.suppress(session, stage.world.people["guardian"], contacts.BAD_NUMBER, clock.now())
    notice = _alert(stage)
    stage.deliver()
    assert _ring(stage, notice) == 1
    assert _called(stage) == ["guardian"]
    _deliver(stage)
    # the number rings although no text goes there
    assert _calls(stage)[0].state == "delivered"


def test_a_text_that_failed_is_followed_at_once_unless_another_phone_of_the_family_has_it(
    stage: Stage,
) -> None:
    notice = _alert(stage)
    stage.deliver()
    stage.settle("guardian", "undelivered", "30005")
    stage.settle("english", "undelivered", "30005")
    assert _ring(stage, notice, 1) == 1
    assert _called(stage) == ["guardian"]
    assert _ring(stage, notice, WAIT) == 2


def test_a_text_that_still_waits_does_not_keep_the_phone_from_ringing(stage: Stage) -> None:
    notice = _alert(stage)
    assert _ring(stage, notice, WAIT - 1) == 0
    assert _ring(stage, notice, WAIT) == 3


def test_who_opted_out_of_texts_is_called_about_what_cannot_wait(stage: Stage) -> None:
    with Session(stage.engine) as session, session.begin():
        contacts.suppress(session, stage.world.people["guardian"], contacts.OPTED_OUT, NIGHT)
    notice = _alert(stage)
    stage.deliver()
    _ring(stage, notice, WAIT)
    _deliver(stage)
    assert {m.state for m in _calls(stage)} == {"delivered"}


def test_a_family_that_knows_is_not_called(stage: Stage) -> None:
    notice = _alert(stage)
    stage.deliver()
    # one guardian is enough for the child whose parents share another phone
    stage.acknowledge("english", notice)
    assert _ring(stage, notice, WAIT) == 1
    assert _called(stage) == ["guardian"]


def test_nobody_is_called_about_an_alert_that_is_old_or_was_stopped(stage: Stage) -> None:
    notice = _alert(stage)
    stage.deliver()
    with Session(stage.engine) as session:
        assert ringing.ringing_notices(session, NIGHT + timedelta(hours=1)) == [notice]
        assert ringing.ringing_notices(session, NIGHT + timedelta(hours=4)) == []
    stage.act("teacher", lambda uow: services.stop_notice(uow, notice_id=notice))
    assert _ring(stage, notice, WAIT) == 0


def test_calls_are_for_alerts_and_for_times_that_are_offered(stage: Stage) -> None:
    with pytest.raises(Invalid) as refused:
        _alert(stage, call_after=7)
    assert "call_after" in refused.value.fields
    notice = stage.send(urgent_reason="台风马上登陆")
    with pytest.raises(IntegrityError), stage.engine.begin() as connection:
        connection.execute(update(Notice).where(Notice.id == notice).values(call_after=10))


# -- what is said ---------------------------------------------------------------------------------


def test_what_is_said_names_the_school_and_what_to_do_but_no_child_and_no_code(
    stage: Stage,
) -> None:
    notice = _alert(stage)
    stage.deliver()
    _ring(stage, notice, WAIT)
    said = {m.language: m.body or "" for m in _calls(stage)}
    assert "学校" in said["zh"] and "明天停课，暴雨，请让孩子留在家里" in said["zh"]
    assert "School is closed tomorrow, heavy rain: keep your child at home" in said["en"]
    assert "按 1" in said["zh"] and "Press 1" in said["en"]
    texts = " ".join(m.body or "" for m in stage.messages(notice))
    assert "*" in texts
    for body in said.values():
        assert not set("*【】[]") & set(body) and "http" not in body and "127.0.0.1" not in body


# -- once more ------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["busy", "no-answer"])
def test_a_phone_that_nobody_answers_rings_three_times_with_a_pause(
    stage: Stage, status: str
) -> None:
    notice = _alert(stage)
    stage.deliver()
    stage.acknowledge("english", notice)
    rang = []
    for minutes in range(WAIT, WAIT + 40):
        if _ring(stage, notice, minutes):
            rang.append(minutes)
            _deliver(stage)
            _end(stage, "guardian", status)
    assert rang == [WAIT, WAIT + 5, WAIT + 10]
    with Session(stage.engine) as session:
        held = session.get_one(Notice, notice)
        counts = by_phone.calls_of(session, held)
        row = _row(stage, "guardian", notice)
        assert by_phone.rung(session, held, [row.id]) == {
            row.id: by_phone.Rung("undelivered", status, 3)
        }
    assert (counts.phones, counts.unanswered) == (1, 1)


@pytest.mark.parametrize("status", ["completed", "failed", "canceled"])
def test_a_call_that_was_answered_or_cannot_be_made_is_not_repeated(
    stage: Stage, status: str
) -> None:
    notice = _alert(stage)
    stage.deliver()
    stage.acknowledge("english", notice)
    _ring(stage, notice, WAIT)
    _deliver(stage)
    _end(stage, "guardian", status)
    assert _ring(stage, notice, WAIT + 30) == 0


def test_two_clocks_write_one_call_and_without_the_key_two(stage: Stage) -> None:
    notice = _alert(stage)
    stage.deliver()
    stage.acknowledge("english", notice)
    _ring(stage, notice, WAIT)
    (call,) = _calls(stage)
    assert call.household_key is not None

    def again(key: str) -> int:
        with Session(stage.engine) as session, session.begin():
            fresh = OutboxMessage(
                **{
                    c.key: getattr(call, c.key)
                    for c in OutboxMessage.__table__.columns
                    if c.key not in ("id", "dedupe_key")
                },
                dedupe_key=key,
            )
            session.add(fresh)
        return len(_calls(stage))

    # a clock that read before the first had committed comes with the same key
    with pytest.raises(IntegrityError):
        again(call.dedupe_key)
    assert len(_calls(stage)) == 1
    # the control: it is the key that keeps the second out
    assert again(str(uuid4())) == 2


# -- at the claim ---------------------------------------------------------------------------------


def test_a_family_that_confirms_while_its_call_waits_is_left_in_peace(stage: Stage) -> None:
    notice = _alert(stage)
    stage.deliver()
    _ring(stage, notice, WAIT)
    stage.acknowledge("english", notice)
    _deliver(stage)
    by_role = dict(zip(_called(stage), _calls(stage), strict=True))
    for role in ("english", "friend_mother"):
        assert (by_role[role].state, by_role[role].reason_code) == (
            "suppressed",
            "answered_before_call",
        )
    assert by_role["guardian"].state == "delivered"


def test_custody_that_changed_while_the_call_waited_keeps_it_from_being_made(
    stage: Stage,
) -> None:
    notice = _alert(stage)
    stage.deliver()
    _ring(stage, notice, WAIT)
    with stage.engine.begin() as connection:
        connection.execute(
            update(Guardianship)
            .where(Guardianship.guardian_id == stage.world.people["guardian"])
            .values(no_disclosure=True)
        )
    _deliver(stage)
    by_role = dict(zip(_called(stage), _calls(stage), strict=True))
    assert by_role["guardian"].reason_code == "no_longer_concerned"
    assert by_role["english"].state == "delivered"


def test_one_child_of_whom_the_listener_may_be_told_is_enough(stage: Stage) -> None:
    notice = _alert(stage)
    stage.deliver()
    _ring(stage, notice, WAIT)
    with stage.engine.begin() as connection:
        connection.execute(
            update(Guardianship)
            .where(
                Guardianship.guardian_id == stage.world.people["guardian"],
                Guardianship.child_id == stage.world.people["brother"],
            )
            .values(no_disclosure=True)
        )
    _deliver(stage)
    by_role = dict(zip(_called(stage), _calls(stage), strict=True))
    assert by_role["guardian"].state == "delivered"


def test_stopping_the_alert_stops_the_calls_that_wait(stage: Stage) -> None:
    notice = _alert(stage)
    stage.deliver()
    _ring(stage, notice, WAIT)
    stage.act("teacher", lambda uow: services.stop_notice(uow, notice_id=notice))
    _deliver(stage)
    assert {m.state for m in _calls(stage)} == {"cancelled"}


# -- on pages -----------------------------------------------------------------------------------

Visit = Callable[[str], FlaskClient]


def _page(client: FlaskClient, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200, address
    return answer.get_data(as_text=True)


def _waits(session: Session) -> list[int | None]:
    return list(session.scalars(select(Notice.call_after).where(Notice.alert.is_not(None))))


def test_the_form_asks_when_and_the_check_shows_what_is_said(stage: Stage, visit: Visit) -> None:
    client = visit("teacher")
    assert "发出 10 分钟后" in _page(client, "/notices/alert?lang=zh")
    given = _form(stage, call_after="20")
    check = client.post("/notices/alert", data={**given, "step": "check"}).get_data(as_text=True)
    assert "发出 20 分钟后" in check and "明天停课，暴雨，请让孩子留在家里" in check
    assert 'name="call_after" value="20"' in check
    client.post("/notices/alert", data={**given, "step": "send"})
    with Session(stage.engine) as session:
        assert _waits(session) == [20]


def test_the_form_takes_no_other_time_and_no_call_is_a_choice(stage: Stage, visit: Visit) -> None:
    client = visit("teacher")
    odd = client.post("/notices/alert", data={**_form(stage, call_after="7"), "step": "send"})
    assert odd.status_code == 422
    client.post("/notices/alert", data={**_form(stage, call_after=""), "step": "send"})
    with Session(stage.engine) as session:
        assert _waits(session) == [None]


def test_where_nobody_carries_calls_nothing_is_asked_and_none_is_written(
    stage: Stage, app: Flask, visit: Visit
) -> None:
    app.config["SETTINGS"] = replace(app.config["SETTINGS"], voice_channel="")
    client = visit("teacher")
    assert "自动打电话" not in _page(client, "/notices/alert?lang=zh")
    client.post("/notices/alert", data={**_form(stage, call_after="10"), "step": "send"})
    with Session(stage.engine) as session:
        assert _waits(session) == [None]


def test_the_pages_show_how_the_calls_went(stage: Stage, visit: Visit) -> None:
    client, notice = visit("teacher"), _alert(stage)
    stage.deliver()
    assert "发出 10 分钟后还没有确认的家庭" in _page(client, f"/notices/{notice}/confirmed?lang=zh")
    stage.acknowledge("english", notice)
    _ring(stage, notice, WAIT)
    _deliver(stage)
    _end(stage, "guardian", "busy")
    page = _page(client, f"/notices/{notice}/confirmed?lang=zh")
    assert re.search(r"<b>1</b><span>没有接听", page)
    listed = _page(client, f"/notices/{notice}/calls?lang=zh")
    assert "自动电话：没有接听，占线" in listed
    _ring(stage, notice, WAIT + 5)
    _deliver(stage)
    listed = _page(client, f"/notices/{notice}/calls?lang=zh")
    assert "自动电话：已接听，没有按 1，打过 2 次" in listed
    _press(stage, "guardian")
    assert re.search(
        r"<b>1</b><span>按 1 确认", _page(client, f"/notices/{notice}/confirmed?lang=zh")
    )
    assert "电话按 1 " in _page(client, f"/notices/{notice}?lang=zh")
    assert "pressed 1 " in _page(client, f"/notices/{notice}?lang=en")


def test_the_trace_says_what_became_of_a_call_and_why(stage: Stage, visit: Visit) -> None:
    notice, client = _alert(stage), visit("district_admin")
    stage.deliver()
    _ring(stage, notice, WAIT)
    stage.acknowledge("english", notice)
    _deliver(stage)
    by_role = dict(zip(_called(stage), _calls(stage), strict=True))
    spared = _page(client, f"/admin/messages/{by_role['english'].id}?lang=zh")
    assert "没有拨打" in spared and "打电话前家里已经有人知道" in spared
    heard = _page(client, f"/admin/messages/{by_role['guardian'].id}?lang=zh")
    assert "已接听" in heard and "紧急通知（自动电话）" in heard and "138****8001" in heard
    # what was said stands nowhere
    assert "暴雨" not in heard
    story = _page(client, f"/admin/messages/of/{stage.world.people['english']}?lang=en")
    assert "Not called" in story and "somebody in the family knew" in story


def test_the_simulator_rings_and_its_key_confirms(stage: Stage, visit: Visit) -> None:
    notice, client = _calling(stage), visit("nobody")
    page = _page(client, "/simulator?lang=zh")
    address = f"/simulator/calls/{_attempt(stage, 'guardian')}"
    assert f'action="{address}/1"' in page and "来电" in page
    again = client.post(f"{address}/2", follow_redirects=True).get_data(as_text=True)
    assert "电话里说：您好" in again
    assert _row(stage, "guardian", notice).confirmed_at is None
    done = client.post(f"{address}/1", follow_redirects=True).get_data(as_text=True)
    assert by_phone.THANKS.zh in done
    assert _row(stage, "guardian", notice).by_call
    assert client.post(f"/simulator/calls/{uuid4()}/1").status_code == 404


# -- a key ----------------------------------------------------------------------------------------


def _calling(stage: Stage) -> int:
    notice = _alert(stage)
    stage.deliver()
    _ring(stage, notice, WAIT)
    _deliver(stage)
    return notice


def test_pressing_1_confirms_as_the_code_does(stage: Stage) -> None:
    notice = _calling(stage)
    with Session(stage.engine) as session:
        before = alerts.confirmed_by_place(session, session.get_one(Notice, notice), TODAY)
    reply = _press(stage, "guardian")
    assert reply is not None and not reply.again and reply.says == by_phone.THANKS.zh
    row = _row(stage, "guardian", notice)
    assert row.confirmed_at == clock.now() and row.read_at == row.confirmed_at and row.by_call
    with Session(stage.engine) as session:
        after = alerts.confirmed_by_place(session, session.get_one(Notice, notice), TODAY)
        listed = calls.calls_of(session, stage.actor("teacher"), notice, TODAY)
        counts = by_phone.calls_of(session, session.get_one(Notice, notice))
        audited = session.scalars(
            select(AuditEntry).where(
                AuditEntry.table_name == "notice_recipient", AuditEntry.row_id == row.id
            )
        ).all()
    # two children of hers
    assert after[0].known - before[0].known == 2
    assert {line.child for line in listed.lines} == {"李想"}
    assert (counts.phones, counts.taken, counts.pressed) == (3, 3, 1)
    assert [line.after["by_call"] for line in audited if line.after] == [True]


def test_pressing_1_twice_does_nothing_twice(stage: Stage) -> None:
    notice = _calling(stage)
    _press(stage, "guardian")
    first = _row(stage, "guardian", notice).confirmed_at
    clock.travel_to(clock.now() + timedelta(minutes=1))
    assert _press(stage, "guardian") is not None
    assert _row(stage, "guardian", notice).confirmed_at == first


def test_of_two_presses_at_once_the_first_counts(stage: Stage) -> None:
    """Red without the lock on the row: the second would have read it before the first was written."""
    notice = _calling(stage)
    with ThreadPoolExecutor(1) as pool:
        with Session(stage.engine) as session, begin(session, SYSTEM) as uow:
            ringing.confirm_by_key(
                uow,
                notice_id=notice,
                guardian_id=stage.world.people["guardian"],
                today=TODAY,
            )
            session.flush()
            first = uow.now
            clock.travel_to(first + timedelta(minutes=1))
            second = pool.submit(_press, stage, "guardian")
            _until_somebody_waits(stage)
        reply = second.result(timeout=30)
    assert reply is not None and reply.says == by_phone.THANKS.zh
    assert _row(stage, "guardian", notice).confirmed_at == first


def _until_somebody_waits(stage: Stage) -> None:
    for _ in range(200):
        with stage.engine.connect() as connection:
            if connection.scalar(
                text(
                    "select count(*) from pg_stat_activity"
                    " where wait_event_type = 'Lock' and datname = current_database()"
                )
            ):
                return
        time.sleep(0.05)
    raise AssertionError("nobody waits")


def test_who_has_confirmed_by_the_code_is_not_said_to_have_by_the_call(stage: Stage) -> None:
    notice = _calling(stage)
    stage.acknowledge("guardian", notice)
    _press(stage, "guardian")
    assert not _row(stage, "guardian", notice).by_call


def test_pressing_2_says_it_again_and_another_key_too(stage: Stage) -> None:
    notice = _calling(stage)
    again, odd = _press(stage, "guardian", "2"), _press(stage, "english", "9")
    assert again is not None and again.again and "明天停课" in again.says
    assert odd is not None and odd.again and odd.says.startswith(by_phone.OTHER_KEY.en)
    assert _row(stage, "guardian", notice).confirmed_at is None


def test_who_may_not_be_told_any_more_confirms_nothing(stage: Stage) -> None:
    notice = _calling(stage)
    with stage.engine.begin() as connection:
        connection.execute(
            update(Guardianship)
            .where(Guardianship.guardian_id == stage.world.people["guardian"])
            .values(no_disclosure=True)
        )
    reply = _press(stage, "guardian")
    assert reply is not None and reply.says == by_phone.NOT_YOURS.zh
    assert _row(stage, "guardian", notice).confirmed_at is None


def test_a_key_in_another_call_is_nobodys(stage: Stage) -> None:
    _calling(stage)
    attempt = _attempt(stage, "guardian")
    for given, provider in ((uuid4(), None), (attempt, "CA-of-somebody-else")):
        reply = _system(
            stage,
            lambda uow, given=given, provider=provider: by_phone.pressed(  # type: ignore[misc]
                uow, attempt_id=given, provider_id=provider, key="1", today=TODAY
            ),
        )
        assert reply is None


def test_a_call_is_no_text_of_the_notice(stage: Stage) -> None:
    notice = _calling(stage)
    with Session(stage.engine) as session:
        assert set(outbox.tally(session, "notice", notice).values()) == {3}
        assert len(outbox.statuses(session, "notice", notice)) == 3
