"""Many messages at a time: how many at once, how fast, by which way, and when not at all."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from notifications import clock, outbox, pump, recording
from notifications.lanes import FAILURES_TO_HALT, FIRST_CALLS
from notifications.models import DeliveryAttempt, DeliveryCircuit
from notifications.pump import Pump
from notifications.values import Answer, Attempt, Doubt, Refused, Sent
from notifications.workers import Worker, living
from tests.unit.notifications.making import Phones, Provider, make_outgoing, put, states_of


@dataclass
class Busy:
    """A provider that takes its time and counts how many ask at once."""

    seconds: float = 0.02
    name: str = "busy"
    calls: list[float] = field(default_factory=list)
    now: int = 0
    most: int = 0
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def send(self, attempt: Attempt) -> Answer:
        with self._guard:
            self.calls.append(time.monotonic())
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(self.seconds)
        with self._guard:
            self.now -= 1
        return Sent(f"SM{attempt.message_id}", 1)

    find = Provider.find


Make = Callable[..., Pump]


@pytest.fixture
def make(engine: Engine, worker: Worker, phones: Phones) -> Make:
    def build(channels: dict[str, object], **more: object) -> Pump:
        return Pump(engine, channels, phones, lambda: worker.id, **more)  # type: ignore[arg-type]

    return build


def test_everything_that_is_due_is_sent_once_with_many_at_a_time(
    engine: Engine, make: Make
) -> None:
    put(engine, *(make_outgoing(n) for n in range(300)))
    provider = Busy()
    done = make({"sms": provider}, concurrency=32).run()
    assert (done.claimed, done.accepted, len(provider.calls)) == (300, 300, 300)
    assert states_of(engine) == ["accepted"] * 300
    assert FIRST_CALLS < provider.most <= 32


def test_no_connection_is_held_while_a_provider_is_asked(
    engine: Engine, worker: Worker, make: Make
) -> None:
    put(engine, make_outgoing())
    seen: list[int] = []

    def look(_: Attempt) -> Answer:
        # the worker's proof of life is the one connection that stays
        seen.append(engine.pool.checkedout())  # type: ignore[attr-defined]
        return Sent("SM1")

    make({"sms": Provider(answer=look)}).run()
    assert seen == [1]


def test_wrong_credentials_cost_no_more_than_the_first_calls(engine: Engine, make: Make) -> None:
    put(engine, *(make_outgoing(n) for n in range(200)))

    def no(_: Attempt) -> Answer:
        time.sleep(0.05)
        return Refused("20003", "twilio_20003", permanent=False, halt=True)

    provider = Provider(answer=no)
    make({"sms": provider}).run()
    assert len(provider.calls) <= FIRST_CALLS + 2
    assert set(states_of(engine)) == {"queued"}


def test_a_failing_provider_is_left_alone(engine: Engine, make: Make) -> None:
    put(engine, *(make_outgoing(n) for n in range(200)))
    provider = Provider(answer=lambda _: Refused("not_connected", "not_connected", False))
    make({"sms": provider}).run()
    assert len(provider.calls) < FAILURES_TO_HALT + FIRST_CALLS * 2
    assert set(states_of(engine)) == {"queued"}
    with Session(engine) as session:
        assert session.scalars(select(DeliveryCircuit.reason)).one() == "provider_failing"


def test_a_provider_that_cannot_be_halted_costs_no_answer(
    engine: Engine, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database may be away just then."""
    put(engine, *(make_outgoing(n) for n in range(100)))

    def away(*_: object) -> None:
        raise OperationalError("insert", {}, Exception("away"))

    monkeypatch.setattr(pump, "open_circuit", away)
    done = make({"sms": Provider(answer=lambda _: Doubt("read_timeout"))}).run()
    assert done.claimed == done.unknown + done.refused
    assert states_of(engine).count("unknown") == done.unknown >= FAILURES_TO_HALT
    assert "sending" not in states_of(engine)


def test_while_the_first_provider_is_halted_the_second_sends(engine: Engine, make: Make) -> None:
    put(engine, *(make_outgoing(n) for n in range(100)))
    first = Provider(answer=lambda _: Refused("20003", "twilio_20003", False, halt=True))
    second = Provider()
    carrier = make({"sms": first, "sms_second": second}, ways={"sms": ("sms", "sms_second")})
    carrier.run()
    with engine.begin() as connection:
        connection.execute(text("update outbox_message set next_at = now()"))
    carrier.run()
    assert states_of(engine) == ["accepted"] * 100
    assert len(first.calls) <= FIRST_CALLS + 2 and len(second.calls) == 100
    with Session(engine) as session:
        asked = select(DeliveryAttempt.channel, DeliveryAttempt.state).distinct()
        ways = {tuple(row) for row in session.execute(asked)}
    assert ways == {("sms", "refused"), ("sms_second", "accepted")}


def test_doubt_never_goes_to_the_second_provider(engine: Engine, make: Make) -> None:
    put(engine, *(make_outgoing(n) for n in range(100)))
    first, second = Provider(answer=lambda _: Doubt("ReadTimeout")), Provider()
    carrier = make({"sms": first, "sms_second": second}, ways={"sms": ("sms", "sms_second")})
    carrier.run()
    with engine.begin() as connection:
        connection.execute(text("update outbox_message set next_at = now()"))
    carrier.run()
    # the circuit has opened, so that what the first never saw goes by the second
    assert not {c.recipient_id for c in first.calls} & {c.recipient_id for c in second.calls}
    assert len(first.calls) + len(second.calls) == 100 and second.calls
    assert states_of(engine).count("unknown") == len(first.calls)


def test_a_rate_is_shared_by_all_living_workers(engine: Engine, worker: Worker, make: Make) -> None:
    put(engine, *(make_outgoing(n) for n in range(12)))
    with Worker(engine):
        assert living(engine) == 2
        provider = Busy(seconds=0)
        began = time.monotonic()
        make({"sms": provider}, rates={"sms": 40.0}).run()
    # 11 gaps of a twentieth of a second: half of the rate is the other worker's
    assert time.monotonic() - began >= 0.5


def test_what_is_withdrawn_in_the_middle_is_not_sent(engine: Engine, make: Make) -> None:
    put(engine, *(make_outgoing(n, subject_id=7) for n in range(600)))
    provider = Busy(seconds=0.05)
    sending = threading.Thread(target=make({"sms": provider}, concurrency=16).run)
    sending.start()
    time.sleep(0.5)
    with Session(engine) as session, session.begin():
        outbox.cancel(session, "notice", 7)
    stopped = time.monotonic()
    sending.join()
    assert max(provider.calls) - stopped < 2
    states = states_of(engine)
    assert states.count("accepted") == len(provider.calls) < 600
    assert states.count("accepted") + states.count("cancelled") == 600


def test_a_worker_that_is_stopped_finishes_its_calls_and_gives_the_rest_back(
    engine: Engine, make: Make
) -> None:
    put(engine, *(make_outgoing(n) for n in range(300)))
    stop, provider = threading.Event(), Busy(seconds=0.1)
    sending = threading.Thread(target=make({"sms": provider}, concurrency=8, stop=stop).run)
    sending.start()
    time.sleep(0.3)
    stop.set()
    sending.join(3)
    assert not sending.is_alive()
    states = states_of(engine)
    assert states.count("accepted") == len(provider.calls)
    assert set(states) == {"accepted", "queued"}


@dataclass
class Stuck:
    """A channel that looks up names by a name server that hangs; the first message needs none."""

    freed: threading.Event = field(default_factory=threading.Event)
    name: str = "stuck"
    kinds: frozenset[str] = frozenset({"sms"})
    asked: int = 0

    async def asend(self, attempt: Attempt) -> Answer:
        self.asked += 1
        if self.asked > 1:
            await asyncio.to_thread(self.freed.wait, 20)
        return Sent(f"SM{attempt.message_id}", 1)

    async def aclose(self) -> None:
        self.freed.set()

    send = Provider.send
    find = Provider.find


def test_a_name_server_that_hangs_keeps_no_acceptance_from_being_written(
    engine: Engine, make: Make
) -> None:
    put(engine, *(make_outgoing(n) for n in range(100)))
    channel = Stuck()
    carrier = make({"sms": channel}, concurrency=64)
    running = threading.Thread(target=carrier.run)
    running.start()
    try:
        until = time.monotonic() + 5
        while "accepted" not in states_of(engine) and time.monotonic() < until:
            time.sleep(0.05)
        assert "accepted" in states_of(engine)
    finally:
        channel.freed.set()
        running.join()
    assert states_of(engine) == ["accepted"] * 100


def test_a_batch_that_cannot_be_recorded_is_recorded_one_by_one(
    engine: Engine, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(engine, *(make_outgoing(n) for n in range(20)))

    def fail(*_: object) -> None:
        raise OperationalError("select", {}, Exception("away"))

    monkeypatch.setattr(recording, "_record_acceptances", fail)
    make({"sms": Provider()}).run()
    assert states_of(engine) == ["accepted"] * 20


def test_a_claim_that_has_grown_old_is_not_sent(
    engine: Engine, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(engine, *(make_outgoing(n) for n in range(3)))
    monkeypatch.setattr(pump, "STALE_SECONDS", -1.0)
    provider = Provider()
    make({"sms": provider}).run(limit=10, now=clock.now())
    assert provider.calls == [] and set(states_of(engine)) == {"queued"}
