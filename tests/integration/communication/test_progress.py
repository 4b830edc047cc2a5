"""How a notice goes out can be watched and stopped; what was stopped never leaves again."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from zoneinfo import ZoneInfo

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine, create_engine, event, select, text
from sqlalchemy.orm import Session

from coordination.domain.communication.models import Notice
from coordination.domain.communication.notices import services
from coordination.ground import clock
from coordination.ground.audit import AuditEntry
from coordination.reactions import deliveries
from notifications.channels.twilio_sms import TwilioSettings, TwilioSms
from notifications.progress import Progress, progress
from notifications.pump import Pump, deliver_batch
from notifications.states import State
from notifications.workers import Worker
from tests.integration.communication.conftest import Stage
from tests.standin.twilio import ACCOUNT, TOKEN, Standin

Visit = Callable[[str], FlaskClient]
ZONE = ZoneInfo("Asia/Shanghai")
FAMILIES = 20_000


def _channel(provider: Standin) -> TwilioSms:
    return TwilioSms(
        TwilioSettings(
            account_sid=ACCOUNT,
            auth_token=TOKEN,
            from_number="+15005550006",
            api_base=provider.base,
        )
    )


def _many_families(engine: Engine, notice_id: int, number: int) -> None:
    """Families by the thousand, each with a guardian of its own and a text that waits."""
    with engine.begin() as connection:
        connection.execute(
            text(
                """
                with made as (
                    insert into person (name, pinyin) select '家长' || g, 'g' || g
                    from generate_series(1, :n) g returning id
                ), phone as (
                    insert into contact_point (person_id, kind, value_enc, value_index, mask)
                    select m.id, 'phone', c.value_enc, decode(md5(m.id::text), 'hex'), c.mask
                    from made m, (select * from contact_point where kind = 'phone' limit 1) c
                ), listed as (
                    insert into notice_recipient
                        (notice_id, guardian_id, child_ids, household_key, language, told_via_id)
                    select :notice, m.id, '{}', 'h' || m.id, 'zh', m.id from made m
                )
                insert into outbox_message (dedupe_key, recipient_id, household_key, template_key,
                    language, body, body_hash, message_class, priority, channel, subject_type,
                    subject_id, next_at)
                select 'many:' || m.id, m.id, 'h' || m.id, 'notice', 'zh', '停课', 'hash', 'confirm',
                    2, 'sms', 'notice', :notice, now() from made m
                """
            ),
            {"n": number, "notice": notice_id},
        )
        connection.execute(text("analyze outbox_message, notice_recipient, person"))


@contextmanager
def _statements() -> Iterator[list[str]]:
    seen: list[str] = []

    def listen(_c: object, _cur: object, statement: str, *_more: object) -> None:
        seen.append(statement)

    event.listen(Engine, "before_cursor_execute", listen)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", listen)


def _progress(stage: Stage, notice_id: int) -> Progress:
    with Session(stage.engine) as session:
        return progress(session, "notice", notice_id, clock.now())


def test_the_page_tells_pace_and_time_left_and_keeps_itself_fresh(
    stage: Stage, visit: Visit
) -> None:
    notice = stage.send()
    before = visit("teacher").get(f"/notices/{notice}/progress").get_data(as_text=True)
    assert "还没有开始发出" in before
    assert '<noscript><meta http-equiv="refresh" content="5"></noscript>' in before
    with Standin() as provider, Worker(stage.engine) as worker:
        resolver = deliveries.Resolver(ZONE)
        deliver_batch(stage.engine, {"sms": _channel(provider)}, resolver, worker.id, limit=1)
    found = _progress(stage, notice)
    assert found.states == {State.ACCEPTED: 1, State.QUEUED: 2}
    assert found.lately == 1
    assert found.minutes_for() is not None
    page = visit("teacher").get(f"/notices/{notice}/progress").get_data(as_text=True)
    assert re.search(r"每分钟 [1-9]\d* 条", page)
    assert "停止发送" in page
    english = visit("teacher").get(f"/notices/{notice}/progress?lang=en").get_data(as_text=True)
    assert "Time left" in english
    assert "Stop sending" in english


def test_twenty_thousand_families_cost_as_many_statements_as_three(
    stage: Stage, visit: Visit
) -> None:
    notice = stage.send()
    client = visit("teacher")
    path = f"/notices/{notice}/progress"
    client.get(path)
    with _statements() as few:
        client.get(path)
    _many_families(stage.engine, notice, FAMILIES)
    with _statements() as many:
        page = client.get(path).get_data(as_text=True)
    assert str(FAMILIES + 3) in page
    assert len(many) == len(few)
    assert len(page) < 20_000, "nobody is listed"


def test_stopping_asks_once_more_and_leaves_a_line_in_the_audit_trail(
    stage: Stage, visit: Visit
) -> None:
    notice, client = stage.send(), visit("teacher")
    before = stage.fingerprint()
    asked = client.get(f"/notices/{notice}/stop").get_data(as_text=True)
    assert "还有 3 条短信没有发出" in asked
    assert stage.fingerprint() == before, "asking changes nothing"
    done = client.post(f"/notices/{notice}/stop", follow_redirects=True).get_data(as_text=True)
    assert "3 条短信没有发出" in done
    assert _progress(stage, notice).states == {State.CANCELLED: 3}
    with Session(stage.engine) as session:
        line = session.scalars(
            select(AuditEntry).where(
                AuditEntry.table_name == "notice",
                AuditEntry.row_id == notice,
                AuditEntry.action == "change",
            )
        ).one()
    assert line.actor_id == stage.world.people["teacher"]
    assert line.after == {"state": "cancelled"}


@pytest.mark.parametrize("role", ["teacher_b", "school_admin_b", "district_admin"])
def test_strangers_neither_watch_nor_stop(stage: Stage, visit: Visit, role: str) -> None:
    notice = stage.send()
    client = visit(role)
    assert client.get(f"/notices/{notice}/progress").status_code == 404
    assert client.get(f"/notices/{notice}/stop").status_code == 404
    assert client.post(f"/notices/{notice}/stop").status_code == 403
    assert _progress(stage, notice).states == {State.QUEUED: 3}


def test_stopping_twenty_thousand_lets_go_only_what_is_already_in_hand(
    stage: Stage, visit: Visit
) -> None:
    """Once the press is answered, no more leaves than the sender held at that moment."""
    notice = stage.send()
    _many_families(stage.engine, notice, FAMILIES)
    engine = create_engine(stage.url, pool_size=10)
    with Standin(latency=0.05) as provider, Worker(engine) as worker:
        pump = Pump(
            engine,
            {"sms": _channel(provider)},
            deliveries.Resolver(ZONE),
            lambda: worker.id,
            concurrency=32,
        )
        sending = threading.Thread(target=pump.run)
        sending.start()
        until = time.monotonic() + 20
        while len(provider.taken) < 200 and time.monotonic() < until:
            time.sleep(0.05)
        assert len(provider.taken) >= 200
        assert visit("teacher").post(f"/notices/{notice}/stop").status_code == 303
        # in this order: what leaves between the two looks was in hand at the first
        in_hand = _progress(stage, notice).states.get(State.SENDING, 0)
        taken = len(provider.taken)
        sending.join(timeout=120)
        assert not sending.is_alive()
        pump.close()
        assert len(provider.taken) - taken <= in_hand
        assert in_hand < FAMILIES / 20, "it holds a few seconds' worth, not the whole notice"
    engine.dispose()
    found = _progress(stage, notice)
    assert found.states[State.CANCELLED] > FAMILIES / 2
    assert found.states[State.CANCELLED] + found.states[State.ACCEPTED] == FAMILIES + 3


@pytest.mark.parametrize("guarded", [True, False])
def test_a_text_under_way_when_stopped_and_then_refused_is_not_tried_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, *, guarded: bool
) -> None:
    """Without the look at the notice (negative control) it leaves after the stop."""
    if not guarded:
        monkeypatch.setattr(deliveries, "_stopped", lambda *_: set())
    notice = stage.send()
    with Standin() as provider, Worker(stage.engine) as worker:
        provider.plan = ["429"] * 3
        channels, resolver = {"sms": _channel(provider)}, deliveries.Resolver(ZONE)
        stopped = threading.Event()

        class Slow(TwilioSms):
            """The press comes while the provider is being asked."""

            async def asend(self, attempt):  # type: ignore[no-untyped-def]
                if not stopped.is_set():
                    stopped.set()
                    stage.act("teacher", lambda uow: services.stop_notice(uow, notice_id=notice))
                return await super().asend(attempt)

        slow = Slow(channels["sms"]._settings)
        deliver_batch(stage.engine, {"sms": slow}, resolver, worker.id)
        assert _progress(stage, notice).states == {State.QUEUED: 3}, "refused: back in the queue"
        with stage.engine.begin() as connection:
            connection.execute(text("update outbox_message set next_at = now()"))
        deliver_batch(stage.engine, channels, resolver, worker.id)
        with Session(stage.engine) as session:
            assert session.get_one(Notice, notice).state == "cancelled"
        assert bool(provider.taken) is not guarded
