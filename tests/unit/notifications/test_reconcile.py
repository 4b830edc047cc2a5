"""Doubt: asked about, settled by proof, never by sending again at once."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, event

from notifications import clock
from notifications.claiming import claim
from notifications.pump import deliver_batch
from notifications.reconciling import reconcile
from notifications.retry import CHECKS, MAX_RESENDS_AFTER_DOUBT
from notifications.values import Answer, Attempt, Doubt, Finding, Skip
from notifications.workers import Worker
from tests.unit.notifications.making import (
    Phones,
    Provider,
    attempts_of,
    make_outgoing,
    message_of,
    put,
)

ASKED = (*CHECKS, timedelta(minutes=30))


def _in_doubt(
    engine: Engine, worker: Worker, phones: Phones, provider: Provider, **changes: Any
) -> tuple[int, datetime]:
    [message_id] = put(engine, make_outgoing(**changes))
    now = clock.now()
    deliver_batch(engine, {"sms": provider}, phones, worker.id, now=now)
    assert message_of(engine, message_id).state == "unknown"
    return message_id, now


def _taken_then_lost(provider: Provider) -> None:
    def answer(attempt: Attempt) -> Answer:
        provider.take(attempt)
        return Doubt("read_timeout")

    provider.answer = answer


def test_a_message_the_provider_has_is_accepted_without_a_second_call(
    engine: Engine, worker: Worker, phones: Phones
) -> None:
    provider = Provider()
    _taken_then_lost(provider)
    message_id, now = _in_doubt(engine, worker, phones, provider)
    early = reconcile(engine, {"sms": provider}, phones, now=now + timedelta(seconds=60))
    assert (early.found, early.waiting) == (0, 0)
    later = reconcile(engine, {"sms": provider}, phones, now=now + CHECKS[0])
    assert later.found == 1
    assert message_of(engine, message_id).state == "accepted"
    assert len(provider.calls) == 1


def test_three_absences_allow_one_more_sending(
    engine: Engine, worker: Worker, phones: Phones
) -> None:
    provider = Provider(answer=lambda _: Doubt("read_timeout"))
    message_id, now = _in_doubt(engine, worker, phones, provider)
    resent = [
        reconcile(engine, {"sms": provider}, phones, now=now + wait).resent for wait in CHECKS
    ]
    assert resent == [0, 0, 1]
    provider.answer = None
    deliver_batch(engine, {"sms": provider}, phones, worker.id, now=now + ASKED[-1])
    assert message_of(engine, message_id).state == "accepted"
    assert [a.state for a in attempts_of(engine, message_id)] == ["not_taken", "accepted"]


def test_doubt_again_and_again_goes_to_a_person(
    engine: Engine, worker: Worker, phones: Phones
) -> None:
    provider = Provider(answer=lambda _: Doubt("read_timeout"))
    message_id, now = _in_doubt(engine, worker, phones, provider)
    for _ in range(MAX_RESENDS_AFTER_DOUBT + 1):
        for wait in ASKED:
            reconcile(engine, {"sms": provider}, phones, now=now + wait)
        now += ASKED[-1]
        deliver_batch(engine, {"sms": provider}, phones, worker.id, now=now)
    message = message_of(engine, message_id)
    assert (message.state, message.reason_code) == ("needs_human", "doubt_again_and_again")
    assert len(provider.calls) == MAX_RESENDS_AFTER_DOUBT + 1


def test_the_provider_is_asked_about_several_messages_at_once(
    engine: Engine, worker: Worker, phones: Phones
) -> None:
    provider = Provider(answer=lambda _: Doubt("read_timeout"))
    put(engine, *(make_outgoing(n) for n in range(1, 5)))
    now = clock.now()
    deliver_batch(engine, {"sms": provider}, phones, worker.id, now=now)
    together = threading.Barrier(4)

    class Meeting(Provider):
        def find(self, attempt: Attempt, known: frozenset[str], /) -> Finding:
            together.wait(30)
            return super().find(attempt, known)

    meeting = Meeting()
    meeting.take(provider.calls[0])
    done = reconcile(engine, {"sms": meeting}, phones, now=now + CHECKS[0])
    assert (done.seen, done.found, done.waiting) == (4, 1, 3)
    assert not together.broken


def test_questions_cost_no_more_statements_when_there_are_many(
    engine: Engine, worker: Worker, phones: Phones
) -> None:
    provider = Provider(answer=lambda _: Doubt("read_timeout"), finding=Doubt("http_503"))
    told: list[str] = []

    def count(*given: Any) -> None:
        told.append(given[2])

    event.listen(engine, "before_cursor_execute", count)
    try:
        costs = []
        for few in (range(1, 3), range(3, 13)):
            put(engine, *(make_outgoing(n) for n in few))
            now = clock.now()
            deliver_batch(engine, {"sms": provider}, phones, worker.id, now=now)
            told.clear()
            done = reconcile(engine, {"sms": provider}, phones, now=now + CHECKS[0])
            assert done.seen == len(few)
            costs.append(len(told))
    finally:
        event.remove(engine, "before_cursor_execute", count)
    assert costs[0] == costs[1]


@pytest.mark.parametrize("message_class", ["sign", "info"])
def test_a_provider_that_cannot_be_asked_never_leads_to_sending_again(
    engine: Engine, worker: Worker, phones: Phones, message_class: str
) -> None:
    provider = Provider(answer=lambda _: Doubt("reset"), finding=Doubt("http_503"))
    message_id, now = _in_doubt(engine, worker, phones, provider, message_class=message_class)
    for minutes in (2, 5, 15, 30, 61):
        reconcile(engine, {"sms": provider}, phones, now=now + timedelta(minutes=minutes))
    assert message_of(engine, message_id).state == "unknown"  # silent for 59 minutes
    reconcile(engine, {"sms": provider}, phones, now=now + timedelta(minutes=63))
    assert message_of(engine, message_id).state == "needs_human"
    # and it is asked again, the less often the longer the provider is silent
    provider.finding = None
    provider.take(provider.calls[0])
    reconcile(engine, {"sms": provider}, phones, now=now + timedelta(minutes=70))
    assert message_of(engine, message_id).state == "needs_human"
    reconcile(engine, {"sms": provider}, phones, now=now + timedelta(minutes=74))
    assert message_of(engine, message_id).state == "accepted"
    assert len(provider.calls) == 1


def test_one_unanswered_question_about_an_old_doubt_is_no_silence(
    engine: Engine, worker: Worker, phones: Phones
) -> None:
    """Behind a long queue the first question may come after hours."""
    provider = Provider(answer=lambda _: Doubt("reset"), finding=Doubt("http_503"))
    message_id, now = _in_doubt(engine, worker, phones, provider)
    reconcile(engine, {"sms": provider}, phones, now=now + timedelta(hours=3))
    assert message_of(engine, message_id).state == "unknown"
    # an answer ends the silence, though it settles nothing
    provider.finding = None
    reconcile(engine, {"sms": provider}, phones, now=now + timedelta(hours=3, minutes=2))
    provider.finding = Doubt("http_503")
    reconcile(engine, {"sms": provider}, phones, now=now + timedelta(hours=4, minutes=10))
    assert message_of(engine, message_id).state == "unknown"
    reconcile(engine, {"sms": provider}, phones, now=now + timedelta(hours=5, minutes=11))
    assert message_of(engine, message_id).state == "needs_human"


def test_a_message_too_late_to_repeat_expires(
    engine: Engine, worker: Worker, phones: Phones
) -> None:
    provider = Provider(answer=lambda _: Doubt("reset"))
    message_id, now = _in_doubt(
        engine, worker, phones, provider, valid_until=clock.now() + timedelta(minutes=10)
    )
    for wait in CHECKS:
        reconcile(engine, {"sms": provider}, phones, now=now + wait)
    assert message_of(engine, message_id).state == "expired"


def test_a_changed_number_cannot_prove_absence(
    engine: Engine, worker: Worker, phones: Phones
) -> None:
    provider = Provider()
    _taken_then_lost(provider)
    message_id, now = _in_doubt(engine, worker, phones, provider)
    phones.numbers[1] = "+8613999999999"
    for wait in (*ASKED, timedelta(hours=2)):
        reconcile(engine, {"sms": provider}, phones, now=now + wait)
    assert message_of(engine, message_id).state == "needs_human"


def test_quiet_hours_put_the_question_off(engine: Engine, worker: Worker, phones: Phones) -> None:
    provider = Provider()
    _taken_then_lost(provider)
    message_id, now = _in_doubt(engine, worker, phones, provider)
    morning = now + timedelta(hours=9)
    phones.skips[1] = Skip("quiet_hours", morning)
    for wait in (*ASKED, timedelta(hours=2)):
        reconcile(engine, {"sms": provider}, phones, now=now + wait)
    assert message_of(engine, message_id).state == "unknown"
    phones.skips.clear()
    reconcile(engine, {"sms": provider}, phones, now=morning)
    assert message_of(engine, message_id).state == "accepted"


def test_one_message_at_the_provider_settles_one_of_two_doubts(
    engine: Engine, worker: Worker, phones: Phones
) -> None:
    same: dict[str, Any] = {"body": "same", "recipient_id": 1}
    ids = put(
        engine, make_outgoing(1, **same), make_outgoing(2, **(same | {"dedupe_key": "other"}))
    )
    provider = Provider(answer=lambda _: Doubt("reset"))
    now = clock.now()
    deliver_batch(engine, {"sms": provider}, phones, worker.id, now=now)
    provider.take(provider.calls[0])
    for wait in ASKED:
        reconcile(engine, {"sms": provider}, phones, now=now + wait)
    assert sorted(message_of(engine, i).state for i in ids) == ["accepted", "queued"]


def test_a_sender_that_is_alive_is_never_overtaken(engine: Engine, phones: Phones) -> None:
    [message_id] = put(engine, make_outgoing())
    provider = Provider()
    now = clock.now()
    with Worker(engine) as worker:
        claim(engine, worker.id, 10, resolver=phones, routes=["sms"], now=now)
        for hours in range(1, 5):
            reconcile(engine, {"sms": provider}, phones, now=now + timedelta(hours=hours))
        assert message_of(engine, message_id).state == "sending"
    # control: once its session is gone, the same question is settled
    reconcile(engine, {"sms": provider}, phones, now=now + timedelta(hours=6))
    assert message_of(engine, message_id).state == "unknown"
    for hours in (7, 8, 9):
        reconcile(engine, {"sms": provider}, phones, now=now + timedelta(hours=hours))
    assert message_of(engine, message_id).state == "queued"


PROCESS = """
import sys, time
from sqlalchemy import create_engine
from tests.unit.notifications.making import Phones
from notifications.claiming import claim
from notifications.workers import Worker
engine = create_engine(sys.argv[1])
worker = Worker(engine)
claim(engine, worker.id, 10, resolver=Phones(), routes=["sms"])
print("claimed", flush=True)
time.sleep(60)
"""


def test_a_killed_worker_loses_nothing_and_a_stopped_one_keeps_its_claim(
    engine: Engine, phones: Phones
) -> None:
    [message_id] = put(engine, make_outgoing())
    provider = Provider()
    url = engine.url.render_as_string(hide_password=False)
    process = subprocess.Popen(
        [sys.executable, "-c", PROCESS, url], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "claimed\n"
        process.send_signal(signal.SIGSTOP)
        at = clock.now() + timedelta(hours=1)
        reconcile(engine, {"sms": provider}, phones, now=at)
        assert message_of(engine, message_id).state == "sending"
    finally:
        process.kill()
        process.wait()
    # PostgreSQL notices the closed socket a moment later
    for _ in range(50):
        at += timedelta(minutes=20)
        reconcile(engine, {"sms": provider}, phones, now=at)
        if message_of(engine, message_id).state == "queued":
            break
        threading.Event().wait(0.05)
    with Worker(engine) as worker:
        deliver_batch(engine, {"sms": provider}, phones, worker.id, now=at)
    assert message_of(engine, message_id).state == "accepted"
    assert len(provider.calls) == 1
