"""Receipts in any order and number: a state moves forwards only."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from notifications import clock, outbox
from notifications.claiming import claim
from notifications.pump import deliver_batch
from notifications.receipts import apply_status
from notifications.reconciling import reconcile
from notifications.recording import record
from notifications.retry import CHECKS
from notifications.values import Claimed, Doubt, Sent
from notifications.workers import Worker
from tests.unit.notifications.making import (
    NOON,
    Phones,
    Provider,
    attempts_of,
    make_outgoing,
    message_of,
    put,
)


def _report(engine: Engine, claimed: Claimed, statuses: Sequence[str]) -> list[bool]:
    with Session(engine) as session:
        moved = [
            apply_status(
                session,
                attempt_id=claimed.attempt.id,
                provider_id="SM1",
                status=status,
                error_code=None,
                at=NOON,
            )
            for status in statuses
        ]
        session.commit()
        return moved


def _claimed(engine: Engine, worker: Worker, phones: Phones) -> Claimed:
    put(engine, make_outgoing())
    [claimed] = claim(engine, worker.id, 1, resolver=phones, routes=["sms"])
    return claimed


@pytest.mark.parametrize("order", list(permutations(["queued", "sent", "delivered"])))
def test_any_order_ends_delivered(
    engine: Engine, worker: Worker, phones: Phones, order: tuple[str, ...]
) -> None:
    claimed = _claimed(engine, worker, phones)
    record(engine, claimed, Sent("SM1"))
    _report(engine, claimed, order)
    assert message_of(engine, claimed.attempt.message_id).state == "delivered"


def test_a_receipt_before_the_answer_is_recorded_is_kept(
    engine: Engine, worker: Worker, phones: Phones
) -> None:
    claimed = _claimed(engine, worker, phones)
    assert _report(engine, claimed, ["delivered"]) == [True]
    record(engine, claimed, Sent("SM1"))
    message = message_of(engine, claimed.attempt.message_id)
    assert (message.state, message.provider_id) == ("delivered", "SM1")


def test_a_receipt_repeated_moves_nothing(engine: Engine, worker: Worker, phones: Phones) -> None:
    claimed = _claimed(engine, worker, phones)
    record(engine, claimed, Sent("SM1"))
    assert _report(engine, claimed, ["delivered", "delivered", "sent", "failed"]) == [
        True,
        False,
        False,
        False,
    ]
    assert message_of(engine, claimed.attempt.message_id).state == "delivered"


def test_a_receipt_settles_doubt(engine: Engine, worker: Worker, phones: Phones) -> None:
    claimed = _claimed(engine, worker, phones)
    record(engine, claimed, Doubt("read_timeout"))
    _report(engine, claimed, ["sent"])
    assert message_of(engine, claimed.attempt.message_id).state == "accepted"


def test_a_late_receipt_stops_the_second_sending(
    engine: Engine, worker: Worker, phones: Phones
) -> None:
    claimed = _claimed(engine, worker, phones)
    record(engine, claimed, Doubt("read_timeout"))
    provider = Provider()
    now = claimed.attempt.intent_at
    for wait in CHECKS:
        reconcile(engine, {"sms": provider}, phones, now=now + wait)
    assert message_of(engine, claimed.attempt.message_id).state == "queued"
    _report(engine, claimed, ["sent"])
    deliver_batch(engine, {"sms": provider}, phones, worker.id, now=now + timedelta(hours=1))
    assert provider.calls == []
    assert message_of(engine, claimed.attempt.message_id).state == "accepted"


def test_an_old_attempts_failure_does_not_fail_the_new_one(
    engine: Engine, worker: Worker, phones: Phones
) -> None:
    claimed = _claimed(engine, worker, phones)
    record(engine, claimed, Doubt("read_timeout"))
    provider = Provider()
    now = claimed.attempt.intent_at
    for wait in CHECKS:
        reconcile(engine, {"sms": provider}, phones, now=now + wait)
    deliver_batch(engine, {"sms": provider}, phones, worker.id, now=now + timedelta(hours=1))
    _report(engine, claimed, ["failed"])
    assert message_of(engine, claimed.attempt.message_id).state == "accepted"
    states = [a.state for a in attempts_of(engine, claimed.attempt.message_id)]
    assert states == ["failed", "accepted"]


def test_a_foreign_or_unknown_receipt_changes_nothing(
    engine: Engine, worker: Worker, phones: Phones
) -> None:
    claimed = _claimed(engine, worker, phones)
    record(engine, claimed, Sent("SM1"))
    with Session(engine) as session:
        common: dict[str, Any] = {"error_code": None, "at": NOON}
        assert not apply_status(session, provider_id="SM2", status="delivered", **common)
        assert not apply_status(session, provider_id="SM1", status="exploded", **common)
        assert not apply_status(session, status="delivered", **common)
        assert not apply_status(
            session,
            attempt_id=claimed.attempt.id,
            provider_id="SM2",
            status="delivered",
            **common,
        )
        session.commit()
    assert message_of(engine, claimed.attempt.message_id).state == "accepted"


def test_three_strikes_by_receipt_suppress_and_a_delivery_forgives(
    engine: Engine, worker: Worker, phones: Phones
) -> None:
    provider = Provider()

    def tell(key: str, status: str) -> str:
        message_id = put(engine, make_outgoing(1, dedupe_key=key))[-1]
        deliver_batch(engine, {"sms": provider}, phones, worker.id)
        sid = message_of(engine, message_id).provider_id
        if sid is not None:
            with Session(engine) as session:
                apply_status(
                    session,
                    provider_id=sid,
                    status=status,
                    error_code="30005",
                    at=clock.now(),
                    strike=status != "delivered",
                )
                session.commit()
        return message_of(engine, message_id).state

    told = [
        tell("a", "undelivered"),
        tell("b", "undelivered"),
        tell("c", "delivered"),
        tell("d", "undelivered"),
        tell("e", "undelivered"),
        tell("f", "undelivered"),
        tell("g", "delivered"),
    ]
    assert told == [*["undelivered"] * 2, "delivered", *["undelivered"] * 3, "suppressed"]


def test_the_trace_tells_every_step(engine: Engine, worker: Worker, phones: Phones) -> None:
    claimed = _claimed(engine, worker, phones)
    record(engine, claimed, Sent("SM1"))
    _report(engine, claimed, ["delivered"])
    with Session(engine) as session:
        lines = outbox.trace(session, claimed.attempt.message_id)
    assert [line.what for line in lines] == ["queued", "sending", "delivered"]
    assert lines[-1].provider_id == "SM1"
