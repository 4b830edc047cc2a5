"""Claim, send, record: each message once, and every change in between is seen."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from notifications import clock, outbox, pump, suppressions
from notifications.claiming import claim
from notifications.errors import WorkerNotAlive
from notifications.models import DeliveryAttempt
from notifications.pump import deliver_batch
from notifications.values import Answer, Attempt, Doubt, Refused, Skip
from notifications.workers import Worker
from tests.unit.notifications.making import (
    NOON,
    Phones,
    Provider,
    attempts_of,
    make_outgoing,
    message_of,
    put,
    states_of,
)


def test_a_message_is_sent_once_and_accepted(
    engine: Engine, worker: Worker, phones: Phones
) -> None:
    [message_id] = put(engine, make_outgoing())
    provider = Provider()
    for _ in range(2):
        deliver_batch(engine, {"sms": provider}, phones, worker.id)
    assert len(provider.calls) == 1
    message = message_of(engine, message_id)
    assert message.state == "accepted"
    assert message.provider_id in provider.taken
    assert message.address_mask == "138****0001"


def test_no_address_is_ever_stored(engine: Engine, worker: Worker, phones: Phones) -> None:
    put(engine, make_outgoing())
    deliver_batch(engine, {"sms": Provider()}, phones, worker.id)
    with engine.connect() as connection:
        for table in ("outbox_message", "delivery_attempt"):
            rows = connection.execute(text(f"select {table}::text from {table}")).scalars()
            assert all("13800000001" not in row for row in rows)


def test_no_transaction_is_open_while_the_provider_is_asked(
    engine: Engine, worker: Worker, phones: Phones
) -> None:
    put(engine, make_outgoing())
    seen: list[int] = []
    provider = Provider()

    def look(attempt: Attempt) -> Answer:
        with engine.connect() as connection:
            seen.append(
                connection.execute(
                    text(
                        "select count(*) from pg_stat_activity where datname = current_database()"
                        " and state like 'idle in transaction%'"
                    )
                ).scalar_one()
            )
        return provider.take(attempt)

    provider.answer = look
    deliver_batch(engine, {"sms": provider}, phones, worker.id)
    assert seen == [0]


def test_a_worker_without_its_lock_may_not_claim(engine: Engine, phones: Phones) -> None:
    put(engine, make_outgoing())
    with pytest.raises(WorkerNotAlive):
        claim(engine, 999, 10, resolver=phones, routes=["sms"])
    assert states_of(engine) == ["queued"]


def test_urgent_messages_go_first(engine: Engine, worker: Worker, phones: Phones) -> None:
    put(engine, make_outgoing(1), make_outgoing(2, message_class="urgent"))
    [first] = claim(engine, worker.id, 1, resolver=phones, routes=["sms"])
    assert first.attempt.recipient_id == 2


def test_an_opt_out_after_queueing_is_respected(
    engine: Engine, worker: Worker, phones: Phones
) -> None:
    put(engine, make_outgoing(1), make_outgoing(2), make_outgoing(3))
    phones.skips[1] = Skip("opted_out")
    with Session(engine) as session:
        suppressions.suppress(session, 2, "sms", "21610", clock.now())
        session.commit()
    provider = Provider()
    deliver_batch(engine, {"sms": provider}, phones, worker.id)
    assert states_of(engine) == ["suppressed", "suppressed", "accepted"]
    assert [call.recipient_id for call in provider.calls] == [3]


def test_quiet_hours_hold_and_do_not_lose(engine: Engine, worker: Worker, phones: Phones) -> None:
    [message_id] = put(engine, make_outgoing())
    until = clock.now() + timedelta(hours=8)
    phones.skips[1] = Skip("quiet_hours", until)
    provider = Provider()
    deliver_batch(engine, {"sms": provider}, phones, worker.id)
    message = message_of(engine, message_id)
    assert (message.state, message.next_at, message.reason_code) == ("held", until, "quiet_hours")
    phones.skips.clear()
    deliver_batch(engine, {"sms": provider}, phones, worker.id)
    assert provider.calls == []
    deliver_batch(engine, {"sms": provider}, phones, worker.id, now=until)
    assert states_of(engine) == ["accepted"]


def test_what_is_too_late_expires(engine: Engine, worker: Worker, phones: Phones) -> None:
    put(engine, make_outgoing(valid_until=clock.now() - timedelta(seconds=1)))
    provider = Provider()
    deliver_batch(engine, {"sms": provider}, phones, worker.id)
    assert states_of(engine) == ["expired"]
    assert provider.calls == []


def test_a_message_waits_for_its_time(engine: Engine, worker: Worker, phones: Phones) -> None:
    later = clock.now() + timedelta(hours=1)
    put(engine, make_outgoing(not_before=later))
    provider = Provider()
    deliver_batch(engine, {"sms": provider}, phones, worker.id)
    assert states_of(engine) == ["queued"]
    deliver_batch(engine, {"sms": provider}, phones, worker.id, now=later)
    assert states_of(engine) == ["accepted"]


def test_a_cancelled_message_is_not_sent(engine: Engine, worker: Worker, phones: Phones) -> None:
    put(engine, make_outgoing(1), make_outgoing(2, subject_id=2))
    with Session(engine) as session:
        assert outbox.cancel(session, "notice", 1) == 1
        session.commit()
    provider = Provider()
    deliver_batch(engine, {"sms": provider}, phones, worker.id)
    assert states_of(engine) == ["cancelled", "accepted"]


def test_a_definite_refusal_is_tried_again_later(
    engine: Engine, worker: Worker, phones: Phones
) -> None:
    [message_id] = put(engine, make_outgoing())
    provider = Provider(answer=lambda _: Refused("20429", "busy", False, retry_after=90))
    now = clock.now()
    deliver_batch(engine, {"sms": provider}, phones, worker.id, now=now)
    message = message_of(engine, message_id)
    assert (message.state, message.next_at) == ("queued", now + timedelta(seconds=90))
    provider.answer = None
    deliver_batch(engine, {"sms": provider}, phones, worker.id, now=message.next_at)
    assert states_of(engine) == ["accepted"]
    assert [a.state for a in attempts_of(engine, message_id)] == ["refused", "accepted"]


def test_doubt_is_not_sent_again(engine: Engine, worker: Worker, phones: Phones) -> None:
    [message_id] = put(engine, make_outgoing())
    provider = Provider(answer=lambda _: Doubt("read_timeout"))
    for hours in range(3):
        deliver_batch(
            engine,
            {"sms": provider},
            phones,
            worker.id,
            now=clock.now() + timedelta(hours=hours),
        )
    assert len(provider.calls) == 1
    assert message_of(engine, message_id).state == "unknown"


def test_a_channel_that_raises_leaves_doubt(engine: Engine, worker: Worker, phones: Phones) -> None:
    put(engine, make_outgoing())

    def explode(attempt: Attempt) -> Answer:
        raise ConnectionResetError(attempt.address.value)

    deliver_batch(engine, {"sms": Provider(answer=explode)}, phones, worker.id)
    assert states_of(engine) == ["unknown"]


def test_refused_credentials_halt_the_channel(
    engine: Engine, worker: Worker, phones: Phones
) -> None:
    put(engine, make_outgoing(1))
    provider = Provider(answer=lambda _: Refused("401", "credentials", False, halt=True))
    now = clock.now()
    deliver_batch(engine, {"sms": provider}, phones, worker.id, now=now)
    put(engine, make_outgoing(2))
    deliver_batch(engine, {"sms": provider}, phones, worker.id, now=now + timedelta(minutes=1))
    assert len(provider.calls) == 1
    assert states_of(engine) == ["queued", "queued"]


def test_the_third_bad_number_suppresses(engine: Engine, worker: Worker, phones: Phones) -> None:
    provider = Provider(answer=lambda _: Refused("21211", "bad number", True, strike=True))
    for number in range(4):
        put(engine, make_outgoing(1, dedupe_key=f"n{number}"))
        deliver_batch(engine, {"sms": provider}, phones, worker.id)
    assert states_of(engine) == ["failed", "failed", "failed", "suppressed"]


def _race(engine: Engine, phones: Phones, provider: Provider, workers: int) -> None:
    start = threading.Barrier(workers)

    def work() -> None:
        with Worker(engine) as worker:
            start.wait()
            while deliver_batch(engine, {"sms": provider}, phones, worker.id, limit=7).claimed:
                pass

    threads = [threading.Thread(target=work) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_workers_that_claim_at_once_send_each_message_once(engine: Engine, phones: Phones) -> None:
    put(engine, *(make_outgoing(n) for n in range(120)))
    provider = Provider()
    _race(engine, phones, provider, workers=4)
    told = [call.recipient_id for call in provider.calls]
    assert sorted(told) == list(range(120))
    assert set(states_of(engine)) == {"accepted"}


def test_without_the_row_lock_two_workers_would_claim_the_same(
    engine: Engine, worker: Worker
) -> None:
    """Control: reading the queue without SKIP LOCKED hands both workers the same message."""
    put(engine, make_outgoing())
    query = "select id from outbox_message where state = 'queued'"
    with engine.connect() as one, engine.connect() as two:
        assert one.execute(text(query)).all() == two.execute(text(query)).all() != []
    with engine.connect() as one, engine.connect() as two:
        locked = text(f"{query} for update skip locked")
        assert len(one.execute(locked).all()) == 1
        assert two.execute(locked).all() == []


def test_the_database_itself_refuses_a_second_open_attempt(engine: Engine) -> None:
    """And control: without the partial unique index the second one would be written."""
    [message_id] = put(engine, make_outgoing())
    add = text(
        "insert into delivery_attempt (id, message_id, worker_id, channel, intent_at,"
        " next_check_at) values (gen_random_uuid(), :m, 1, 'sms', :at, :at)"
    )
    values = {"m": message_id, "at": NOON}
    with engine.connect() as connection:
        connection.execute(add, values)
        with pytest.raises(IntegrityError, match="uq_delivery_attempt_open"):
            connection.execute(add, values)
    with engine.connect() as connection:
        connection.execute(text("drop index uq_delivery_attempt_open"))
        connection.execute(add, values)
        connection.execute(add, values)
        count = connection.execute(text("select count(*) from delivery_attempt")).scalar_one()
        assert count == 2
        connection.rollback()
    with Session(engine) as session:
        assert session.query(DeliveryAttempt).count() == 0


def test_a_database_that_is_away_for_a_moment_does_not_make_doubt(
    engine: Engine, worker: Worker, phones: Phones
) -> None:
    put(engine, make_outgoing())
    provider = Provider()

    def take_then_cut(attempt: Attempt) -> Answer:
        admin = create_engine(engine.url, isolation_level="AUTOCOMMIT")
        with admin.connect() as connection:
            connection.execute(
                text(
                    "select pg_terminate_backend(a.pid) from pg_stat_activity a"
                    " where a.datname = current_database() and a.pid <> pg_backend_pid()"
                    " and not exists (select from pg_locks l where l.pid = a.pid"
                    " and l.locktype = 'advisory')"
                )
            )
        admin.dispose()
        return provider.take(attempt)

    provider.answer = take_then_cut
    deliver_batch(engine, {"sms": provider}, phones, worker.id)
    assert states_of(engine) == ["accepted"]
    assert len(provider.calls) == 1


def test_an_old_claim_is_put_back_instead_of_sent(
    engine: Engine, worker: Worker, phones: Phones, monkeypatch: pytest.MonkeyPatch
) -> None:
    [message_id] = put(engine, make_outgoing())
    provider = Provider()
    monkeypatch.setattr(pump, "STALE_SECONDS", -1.0)
    deliver_batch(engine, {"sms": provider}, phones, worker.id)
    message = message_of(engine, message_id)
    assert (message.state, message.reason_code) == ("queued", "stale_claim")
    assert provider.calls == []


def test_a_worker_whose_session_was_cut_registers_anew(
    engine: Engine, worker: Worker, phones: Phones
) -> None:
    put(engine, make_outgoing())
    before = worker.id
    with engine.connect() as connection:
        connection.execute(
            text(
                "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory'"
                " and classid = 4242 and objid = :w"
            ),
            {"w": before},
        )
    deliver_batch(engine, {"sms": Provider()}, phones, worker.id)
    assert worker.id > before
    assert states_of(engine) == ["accepted"]
