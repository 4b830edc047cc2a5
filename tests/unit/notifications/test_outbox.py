"""Writing and reading the outbox: once per key, in the caller's transaction, one statement."""

from __future__ import annotations

import json
import threading
from datetime import timedelta

import pytest
from sqlalchemy import BigInteger, Engine, Text, cast, column, event, func, literal, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session

from notifications import clock, erasure, outbox
from notifications.broadcast import expand
from notifications.channels.console import ConsoleChannel
from notifications.models import OutboxMessage, SimulatedMessage
from notifications.pump import deliver_batch
from notifications.values import Broadcast
from notifications.workers import Worker
from tests.unit.notifications.making import (
    Phones,
    Provider,
    make_outgoing,
    message_of,
    put,
    states_of,
)


def test_a_handler_that_runs_twice_writes_once(session: Session) -> None:
    assert outbox.enqueue(session, [make_outgoing(1), make_outgoing(2)]) == 2
    assert outbox.enqueue(session, [make_outgoing(2), make_outgoing(3)]) == 1
    session.commit()
    assert outbox.tally(session, "notice", 1) == {"queued": 3}


def test_nothing_is_left_after_a_rollback(session: Session) -> None:
    outbox.enqueue(session, [make_outgoing(1)])
    session.rollback()
    assert outbox.statuses(session, "notice", 1) == []


def test_many_messages_fit_into_one_call(session: Session) -> None:
    assert outbox.enqueue(session, [make_outgoing(n) for n in range(4500)]) == 4500


def test_two_transactions_with_one_key_write_once_and_need_the_index(engine: Engine) -> None:
    start = threading.Barrier(2)
    written: list[int] = []

    def write() -> None:
        with Session(engine) as session:
            start.wait()
            written.append(outbox.enqueue(session, [make_outgoing(1)]))
            session.commit()

    threads = [threading.Thread(target=write) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(written) == [0, 1]
    # control: an insert that does not go through the key is stopped by the index alone
    copy = (
        "insert into outbox_message (dedupe_key, recipient_id, template_key, language, body_hash,"
        " message_class, priority, channel, subject_type, subject_id, next_at)"
        " select dedupe_key, recipient_id, template_key, language, body_hash, message_class,"
        " priority, channel, subject_type, subject_id, next_at from outbox_message"
    )
    with engine.connect() as connection:
        with pytest.raises(IntegrityError, match="uq_outbox_message_dedupe_key"):
            connection.execute(text(copy))
        connection.rollback()
        connection.execute(text("drop index uq_outbox_message_dedupe_key"))
        connection.execute(text(copy))
        assert connection.execute(select(func.count(OutboxMessage.id))).scalar_one() == 2
        connection.rollback()


NOTICE = Broadcast(
    key="notice:7:v1",
    template_key="notice_sent",
    message_class="info",
    subject_type="notice",
    subject_id=7,
)


def _recipients(households: int, guardians: int):  # type: ignore[no-untyped-def]
    numbers = select(func.generate_series(1, households * guardians).label("n")).subquery()
    return select(
        cast(numbers.c.n, BigInteger).label("recipient_id"),
        func.concat("phone", numbers.c.n % households).label("household_key"),
        literal("zh", Text).label("language"),
        cast(literal(json.dumps({"school": "育才小学"})), JSONB).label("params"),
        func.concat("育才小学:通知 ", numbers.c.n).label("body"),
    )


def test_a_broadcast_reaches_each_household_once_by_one_statement(
    engine: Engine, session: Session
) -> None:
    session.connection()
    statements: list[str] = []
    event.listen(
        engine, "before_cursor_execute", lambda c, cur, sql, p, ctx, m: statements.append(sql)
    )
    assert expand(session, NOTICE, _recipients(500, 3)) == 500
    session.commit()
    assert sum("outbox_message" in sql for sql in statements) == 1
    # household n holds n, n + 500, n + 1000: the smallest is written to
    told = session.scalars(select(OutboxMessage.recipient_id)).all()
    assert sorted(told) == list(range(1, 501))


def test_a_broadcast_expanded_twice_writes_once(session: Session) -> None:
    assert expand(session, NOTICE, _recipients(10, 1)) == 10
    assert expand(session, NOTICE, _recipients(12, 1)) == 2
    assert outbox.tally(session, "notice", 7) == {"queued": 12}


def test_two_expansions_at_once_write_once(engine: Engine, session: Session) -> None:
    assert expand(session, NOTICE, _recipients(10, 1)) == 10
    late: list[int] = []

    def second() -> None:
        with Session(engine) as other, other.begin():
            late.append(expand(other, NOTICE, _recipients(12, 1)))

    waiting = threading.Thread(target=second)
    waiting.start()
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as look:
        while not look.scalar(text("select exists (select from pg_locks where not granted)")):
            assert waiting.is_alive()
    session.commit()
    waiting.join()
    assert late == [2]
    assert outbox.tally(session, "notice", 7) == {"queued": 12}


def test_the_hash_of_a_broadcast_is_that_of_a_single_message(session: Session) -> None:
    expand(session, NOTICE, _recipients(1, 1))
    row = session.scalars(select(OutboxMessage)).one()
    assert row.body is not None
    assert row.body_hash == outbox.body_hash(row.body)
    assert row.params == {"school": "育才小学"}


def test_people_without_a_household_are_each_written_to(session: Session) -> None:
    recipients = select(
        cast(column("n"), BigInteger).label("recipient_id"),
        literal(None, Text).label("household_key"),
        literal("en", Text).label("language"),
        cast(literal("{}"), JSONB).label("params"),
        literal("School closes at noon.", Text).label("body"),
    ).select_from(func.generate_series(1, 4).alias("n"))
    assert expand(session, NOTICE, recipients) == 4


def test_the_console_channel_delivers_into_the_simulator(
    engine: Engine, worker: Worker, phones: Phones, caplog: pytest.LogCaptureFixture
) -> None:
    put(engine, make_outgoing())
    with caplog.at_level("INFO"):
        deliver_batch(engine, {"sms": ConsoleChannel(engine)}, phones, worker.id)
    with Session(engine) as session:
        shown = session.scalars(select(SimulatedMessage)).one()
    assert (shown.recipient_id, shown.body) == (1, "光明实验小学:明天放假。1")
    assert shown.address_mask == "138****0001"
    assert "138****0001" in caplog.text
    assert "13800000001" not in caplog.text
    assert "放假" not in caplog.text


def test_old_texts_are_erased_and_their_hash_is_kept(
    engine: Engine, worker: Worker, phones: Phones
) -> None:
    old, waiting = put(
        engine, make_outgoing(1), make_outgoing(2, not_before=clock.now() + timedelta(days=90))
    )
    deliver_batch(engine, {"sms": Provider()}, phones, worker.id)
    with Session(engine) as session:
        now = clock.now() + timedelta(days=31)
        assert erasure.erase_bodies(session, older_than_days=40, now=now) == 0
        assert erasure.erase_bodies(session, older_than_days=30, now=now) == 1
        session.commit()
    erased = message_of(engine, old)
    assert (erased.body, erased.params) == (None, {})
    assert erased.body_hash == outbox.body_hash("光明实验小学:明天放假。1")
    # what still has to be sent keeps its text
    assert message_of(engine, waiting).body is not None
    assert states_of(engine) == ["accepted", "queued"]


def _erase(engine: Engine, days: int, **limits: int) -> int:
    """As the clock does it so many days from now, for texts of more than thirty days."""
    with Session(engine) as session, session.begin():
        now = clock.now() + timedelta(days=days)
        return erasure.erase_bodies(session, older_than_days=30, now=now, **limits)


def test_a_text_that_left_late_is_erased_after_those_behind_it(
    engine: Engine, worker: Worker, phones: Phones
) -> None:
    late, *_ = put(
        engine,
        make_outgoing(1, not_before=clock.now() + timedelta(days=90)),
        *(make_outgoing(n) for n in range(2, 5)),
    )
    deliver_batch(engine, {"sms": Provider()}, phones, worker.id)
    assert [_erase(engine, 31), _erase(engine, 31)] == [3, 0]
    with engine.begin() as connection:
        connection.execute(
            text("update outbox_message set state = 'delivered' where id = :id"), {"id": late}
        )
    assert [_erase(engine, 31), _erase(engine, 31)] == [1, 0]
    assert message_of(engine, late).body is None


def test_many_are_erased_a_part_at_a_time_and_new_ones_are_left(
    engine: Engine, worker: Worker, phones: Phones, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasure, "CHUNK", 3)
    ids = put(engine, *(make_outgoing(n) for n in range(1, 12)))
    deliver_batch(engine, {"sms": Provider()}, phones, worker.id)
    with engine.begin() as connection:
        connection.execute(
            text(
                "update outbox_message set created_at = created_at + interval '9 d' where id > :i"
            ),
            {"i": ids[7]},
        )
    assert [_erase(engine, 31, limit=4), _erase(engine, 31, limit=4)] == [6, 2]
    assert [message_of(engine, i).body is None for i in ids] == [True] * 8 + [False] * 3
    assert [_erase(engine, 31), _erase(engine, 40)] == [0, 3]


def test_two_who_erase_at_once_go_one_after_the_other(engine: Engine) -> None:
    put(engine, make_outgoing(1))
    with Session(engine) as first, Session(engine) as second:
        erasure.erase_bodies(first, older_than_days=30, now=clock.now())
        second.execute(text("set local lock_timeout = '200ms'"))
        with pytest.raises(OperationalError, match="lock timeout"):
            erasure.erase_bodies(second, older_than_days=30, now=clock.now())
