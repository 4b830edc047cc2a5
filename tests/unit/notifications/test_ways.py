"""Which provider carries a message: by preference, ability, and what has failed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from notifications import clock, pump
from notifications.claiming import take
from notifications.models import DeliveryCircuit, Suppression
from notifications.pump import Pump
from notifications.receipts import apply_status
from notifications.reconciling import reconcile
from notifications.recording import open_circuit
from notifications.retry import CHECKS
from notifications.values import Address, Answer, Attempt, Doubt, Refused, Sent
from notifications.ways import Ways, choose, patience
from notifications.workers import Worker
from tests.unit.notifications.making import (
    Phones,
    Provider,
    attempts_of,
    make_outgoing,
    message_of,
    put,
    states_of,
)

ORDER = {"sms": ("first", "second")}
NO_ONE_THERE = Refused("not_connected", "not_connected", permanent=False)
SLOWER = Refused("20429", "twilio_20429", permanent=False, slower=True, retry_after=7)
ACCOUNT = Refused("20003", "twilio_20003", permanent=False, halt=True)


@pytest.mark.parametrize(
    ("shut", "faults", "bears", "chosen"),
    [
        (set(), {}, 2, "a"),
        ({"a"}, {}, 2, "b"),
        ({"a", "b"}, {}, 2, None),
        (set(), {"a": 1}, 2, "a"),
        (set(), {"a": 2}, 2, "b"),
        (set(), {"a": 1}, 1, "b"),
        ({"b"}, {"a": 5}, 2, "a"),
        # both have failed: whoever did so less, the preferred one of equals
        (set(), {"a": 3, "b": 2}, 2, "b"),
        (set(), {"a": 2, "b": 2}, 2, "a"),
    ],
)
def test_the_preferred_one_unless_it_is_shut_or_has_failed_too_often(
    shut: set[str], faults: dict[str, int], bears: int, chosen: str | None
) -> None:
    assert choose(["a", "b"], shut, faults, bears) == chosen


def test_a_code_and_a_warning_do_not_wait_for_a_second_no() -> None:
    assert patience("otp") == patience("urgent") == 1 < patience("info") == patience("sign")


class Stage:
    """Two providers in memory behind one route."""

    def __init__(self, engine: Engine, worker: Worker, phones: Phones) -> None:
        self.engine, self.worker, self.phones = engine, worker, phones
        self.first, self.second = Provider("first"), Provider("second")

    @property
    def channels(self) -> dict[str, Provider]:
        return {"first": self.first, "second": self.second}

    def run(self, **more: object) -> None:
        carrier = Pump(
            self.engine,
            self.channels,
            self.phones,
            lambda: self.worker.id,
            ways=ORDER,
            **more,  # type: ignore[arg-type]
        )
        try:
            carrier.run()
        finally:
            carrier.close()

    def make_due(self) -> None:
        with self.engine.begin() as connection:
            connection.execute(text("update outbox_message set next_at = now()"))

    def carried(self, message_id: int) -> list[tuple[str, str]]:
        return [(a.channel, a.state) for a in attempts_of(self.engine, message_id)]


@pytest.fixture
def stage(engine: Engine, worker: Worker, phones: Phones) -> Stage:
    return Stage(engine, worker, phones)


def test_wrong_credentials_cost_the_reader_no_wait(stage: Stage) -> None:
    """Without a second provider the message waits five minutes; with one it goes at once."""
    stage.first.answer = lambda _: ACCOUNT
    [one] = put(stage.engine, make_outgoing())
    stage.run()
    stage.run()  # it is due at once
    assert stage.carried(one) == [("first", "refused"), ("second", "accepted")]


@pytest.mark.parametrize("no", [NO_ONE_THERE, SLOWER])
@pytest.mark.parametrize(("kind", "calls"), [("otp", 1), ("info", 2)])
def test_a_no_of_the_provider_sends_the_message_elsewhere_when_it_has_borne_enough(
    stage: Stage, no: Refused, kind: str, calls: int
) -> None:
    stage.first.answer = lambda _: no
    [one] = put(stage.engine, make_outgoing(message_class=kind))
    stage.run()
    assert stage.carried(one)[0] == ("first", "refused")
    if calls == 2:
        # one no is not yet a reason: it waits, and the same provider is tried again
        assert stage.second.calls == []
        assert message_of(stage.engine, one).next_at > clock.now()
        stage.make_due()
        stage.run()
    stage.run()  # due at once
    assert stage.carried(one) == [*[("first", "refused")] * calls, ("second", "accepted")]


@pytest.mark.parametrize(
    "no",
    [
        Refused("21211", "twilio_21211", permanent=True, strike=True),
        Refused("21610", "twilio_21610", permanent=True, suppress=True),
        Refused("isv.BUSINESS_LIMIT_CONTROL", "the number's own limit", permanent=False),
    ],
)
def test_a_no_about_the_number_is_not_asked_of_another(stage: Stage, no: Refused) -> None:
    stage.first.answer = lambda _: no
    put(stage.engine, make_outgoing(message_class="urgent"))
    for _ in range(3):
        stage.run()
        stage.make_due()
    assert stage.second.calls == []


@pytest.mark.parametrize("kind", ["otp", "urgent", "sign", "info"])
def test_doubt_is_never_carried_elsewhere(stage: Stage, kind: str) -> None:
    stage.first.answer = lambda _: Doubt("ReadTimeout")
    [one] = put(stage.engine, make_outgoing(message_class=kind))
    with stage.engine.begin() as connection:
        connection.execute(text("update outbox_message set next_at = now() - interval '1 day'"))
    for _ in range(3):
        stage.run(late_seconds=0.0)
        stage.make_due()
    assert stage.carried(one) == [("first", "unknown")] and stage.second.calls == []


def test_opt_outs_and_strikes_count_for_the_route_whoever_carried(stage: Stage) -> None:
    with stage.engine.begin() as connection:
        open_circuit(connection, "first", "provider_failing", clock.now())
    stage.second.answer = lambda _: Refused("21610", "said STOP", permanent=True, suppress=True)
    put(stage.engine, make_outgoing())
    stage.run()
    with Session(stage.engine) as session:
        assert session.scalars(select(Suppression.channel)).all() == ["sms"]
        session.execute(text("delete from delivery_circuit"))
        session.commit()
    put(stage.engine, make_outgoing(dedupe_key="another"))
    stage.run()
    assert states_of(stage.engine) == ["suppressed"] * 2 and stage.first.calls == []


# -- who can carry it -----------------------------------------------------------------------------


class Domestic(Provider):
    """Carries only what it has a template for, and no number abroad."""

    def carries(self, attempt: Attempt) -> bool:
        return attempt.template_key != "new" and attempt.address.value.startswith("+86")


def test_what_the_first_cannot_carry_goes_by_the_second(stage: Stage) -> None:
    stage.first = Domestic("first")
    stage.phones.numbers[2] = "+85291234567"
    home, abroad = put(stage.engine, make_outgoing(1), make_outgoing(2))
    stage.run()
    assert stage.carried(home) == [("first", "accepted")]
    assert stage.carried(abroad) == [("second", "accepted")]


def test_what_the_second_cannot_carry_waits_for_the_first_and_is_not_lost(stage: Stage) -> None:
    stage.second = Domestic("second")
    now = clock.now()
    with stage.engine.begin() as connection:
        open_circuit(connection, "first", "provider_failing", now)
    fits, waits = put(stage.engine, make_outgoing(1), make_outgoing(2, template_key="new"))
    stage.run()
    assert stage.carried(fits) == [("second", "accepted")] and stage.carried(waits) == []
    message = message_of(stage.engine, waits)
    with Session(stage.engine) as session:
        until = session.scalars(select(DeliveryCircuit.open_until)).one()
    assert (message.state, message.reason_code) == ("queued", "provider_halted")
    assert message.next_at == until and message.tries == 0
    with stage.engine.begin() as connection:
        connection.execute(text("delete from delivery_circuit"))
    stage.make_due()
    stage.run()
    assert stage.carried(waits) == [("first", "accepted")]


def test_what_nobody_can_carry_is_refused_by_the_preferred_one_with_its_reason(
    stage: Stage,
) -> None:
    no = Refused("no_template", "no_template", permanent=True)
    stage.first, stage.second = Domestic("first"), Domestic("second")
    stage.first.answer = lambda _: no
    [one] = put(stage.engine, make_outgoing(template_key="new"))
    stage.run()
    assert message_of(stage.engine, one).reason_code == "no_template"
    assert stage.second.calls == []


def test_a_number_is_never_given_to_one_that_writes_to_mailboxes(stage: Stage) -> None:
    stage.second = Provider("second", kinds=frozenset({"email"}))
    stage.first.answer = lambda _: ACCOUNT
    ids = put(stage.engine, make_outgoing(1, message_class="otp"), make_outgoing(2))
    stage.run()
    stage.make_due()
    stage.run()
    assert stage.second.calls == []
    assert {message_of(stage.engine, i).state for i in ids} == {"queued"}


def test_control_without_the_look_at_the_kind_it_would_be(stage: Stage) -> None:
    mail = Provider("second", kinds=frozenset({"email"}))
    with stage.engine.begin() as connection:
        open_circuit(connection, "first", "provider_failing", clock.now())
    put(stage.engine, make_outgoing(message_class="otp"))
    batch = take(stage.engine, stage.worker.id, 1, resolver=stage.phones, ways=Ways(ORDER))
    (claimed,) = batch.claimed
    assert claimed.channel == mail.name and claimed.attempt.address.kind == "sms"


def test_able_are_all_if_none_is_so_that_one_says_why() -> None:
    ways = Ways(ORDER, lambda _name, _attempt: False)
    assert list(ways.able("sms", _attempt())) == ["first", "second"]
    able = Ways(ORDER, lambda n, _: n == "second").able("sms", _attempt())
    assert list(able) == ["second"]


def _attempt() -> Attempt:
    claimed = make_outgoing()
    return Attempt(
        id=uuid4(),
        message_id=1,
        recipient_id=1,
        address=Address("sms", "+8613800138000"),
        template_key=claimed.template_key,
        params={},
        body=claimed.body,
        language="zh",
        link=None,
        message_class="info",
        subject_type="notice",
        subject_id=1,
        intent_at=clock.now(),
        valid_until=None,
    )


# -- doubt and reports, by whoever was called -------------------------------------------------------


def _taken_by_the_second_without_saying_so(stage: Stage) -> int:
    def answer(attempt: Attempt) -> Answer:
        stage.second.take(attempt)
        return Doubt("read_timeout")

    with stage.engine.begin() as connection:
        open_circuit(connection, "first", "provider_failing", clock.now())
    stage.second.answer = answer
    [one] = put(stage.engine, make_outgoing())
    stage.run()
    with stage.engine.begin() as connection:
        connection.execute(text("delete from delivery_circuit"))
    stage.second.answer = None
    return one


def _settle(stage: Stage, asked: dict[str, Provider]) -> None:
    now = clock.now()
    for wait in CHECKS:
        reconcile(stage.engine, asked, stage.phones, now=now + wait + timedelta(seconds=1))


@pytest.mark.parametrize("ask_the_wrong_one", [False, True])
def test_doubt_is_settled_by_the_one_that_was_called(
    stage: Stage, *, ask_the_wrong_one: bool
) -> None:
    """The control asks the route's preferred provider, as if the attempt did not know its own."""
    one = _taken_by_the_second_without_saying_so(stage)
    wrong = {"first": stage.first, "second": stage.first}
    _settle(stage, wrong if ask_the_wrong_one else stage.channels)
    stage.make_due()
    stage.run()
    copies = len(stage.first.taken) + len(stage.second.taken)
    assert copies == (2 if ask_the_wrong_one else 1)
    assert message_of(stage.engine, one).state == "accepted"


def test_doubt_about_a_provider_that_is_gone_is_left_to_a_person(stage: Stage) -> None:
    one = _taken_by_the_second_without_saying_so(stage)
    now = clock.now()
    for hours in range(4):
        at = now + CHECKS[-1] + timedelta(hours=hours)
        reconcile(stage.engine, {"first": stage.first}, stage.phones, now=at)
    assert message_of(stage.engine, one).state == "needs_human"
    stage.make_due()
    stage.run()
    assert stage.first.calls == []


def test_a_report_with_the_same_id_of_another_provider_says_nothing(stage: Stage) -> None:
    stage.first.answer = stage.second.answer = lambda _: Sent("1", 1)
    [by_first] = put(stage.engine, make_outgoing(1))
    stage.run()
    with stage.engine.begin() as connection:
        open_circuit(connection, "first", "provider_failing", clock.now())
    by_second = put(stage.engine, make_outgoing(2))[-1]
    stage.run()

    def report(*channels: str) -> bool:
        with Session(stage.engine) as session, session.begin():
            return apply_status(
                session,
                provider_id="1",
                channels=channels,
                status="delivered",
                error_code=None,
                at=clock.now(),
            )

    assert not report("a third")
    assert report("first")
    assert message_of(stage.engine, by_first).state == "delivered"
    assert message_of(stage.engine, by_second).state == "accepted"


# -- a provider that does not keep up ---------------------------------------------------------------


def _late(stage: Stage, count: int, minutes: int) -> None:
    put(stage.engine, *(make_outgoing(n) for n in range(count)))
    with stage.engine.begin() as connection:
        connection.execute(
            text("update outbox_message set next_at = now() - make_interval(mins => :m)"),
            {"m": minutes},
        )


@pytest.mark.parametrize(("late_seconds", "helped"), [(0.3, True), (120.0, False)])
def test_the_second_helps_when_the_first_has_long_had_its_hands_full(
    stage: Stage, late_seconds: float, *, helped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pump, "LOOK_UP_SECONDS", 0.05)
    _late(stage, 30, 10)
    stage.run(late_seconds=late_seconds, rates={"first": 20.0})
    assert states_of(stage.engine) == ["accepted"] * 30
    assert bool(stage.second.calls) is helped
    assert stage.first.calls
    sent = [c.recipient_id for c in (*stage.first.calls, *stage.second.calls)]
    assert sorted(sent) == list(range(30))


def test_what_is_not_late_stays_with_the_first_however_busy(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pump, "LOOK_UP_SECONDS", 0.05)
    put(stage.engine, *(make_outgoing(n) for n in range(30)))
    stage.run(late_seconds=60.0, rates={"first": 20.0})
    assert len(stage.first.calls) == 30 and stage.second.calls == []


def test_help_takes_nothing_that_it_cannot_carry_and_nothing_twice(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pump, "LOOK_UP_SECONDS", 0.05)
    stage.second = Domestic("second")
    put(
        stage.engine,
        *(
            replace(make_outgoing(n), template_key="new" if n % 2 else "notice_sent")
            for n in range(30)
        ),
    )
    with stage.engine.begin() as connection:
        connection.execute(text("update outbox_message set next_at = now() - interval '1 hour'"))
    stage.run(late_seconds=0.3, rates={"first": 20.0})
    assert stage.second.calls
    assert all(c.template_key == "notice_sent" for c in stage.second.calls)
    sent = [c.recipient_id for c in (*stage.first.calls, *stage.second.calls)]
    assert sorted(sent) == list(range(30))
