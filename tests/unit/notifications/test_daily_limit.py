"""So many routine messages to one address a day; the rest wait, whoever claims them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

import pytest
from sqlalchemy import Connection, Engine, text

from notifications import claiming
from notifications.channels.base import Channel
from notifications.pump import deliver_batch
from notifications.values import DayLimit, Refused
from notifications.workers import Worker
from tests.build.outing import all_at_once, meet
from tests.unit.notifications.making import (
    NOON,
    Phones,
    Provider,
    make_outgoing,
    message_of,
    phone_of,
    put,
    states_of,
)

MIDNIGHT = NOON - timedelta(hours=12)
MORNING = NOON + timedelta(hours=19, minutes=30)


@pytest.fixture
def phones() -> Phones:
    return Phones(limit=DayLimit(2, MIDNIGHT, MORNING))


def put_some(engine: Engine, count: int, first: int = 0, **changes: object) -> list[int]:
    """Messages to one phone, due at noon."""
    return put(
        engine,
        *(
            replace(
                make_outgoing(1, dedupe_key=f"k{n}", not_before=NOON),
                **changes,  # type: ignore[arg-type]
            )
            for n in range(first, first + count)
        ),
    )


@pytest.fixture(autouse=True)
def _at_noon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("notifications.clock._read", lambda: NOON)


def deliver(
    engine: Engine, phones: Phones, worker: Worker, now: datetime = NOON, **channels: Channel
) -> int:
    ways = channels or {"sms": Provider()}
    return deliver_batch(engine, ways, phones, worker.id, now=now).claimed


def test_what_is_beyond_the_day_waits_until_the_morning(
    engine: Engine, worker: Worker, phones: Phones
) -> None:
    ids = put_some(engine, 3)
    assert deliver(engine, phones, worker) == 2
    held = message_of(engine, ids[2])
    assert (held.state, held.reason_code, held.next_at) == ("held", "daily_cap", MORNING)


def test_a_later_claim_of_the_same_day_finds_the_day_used_up(
    engine: Engine, worker: Worker, phones: Phones
) -> None:
    put_some(engine, 2)
    deliver(engine, phones, worker)
    put_some(engine, 1, first=2)
    assert deliver(engine, phones, worker, NOON + timedelta(hours=6)) == 0
    assert states_of(engine) == ["accepted", "accepted", "held"]


def test_in_the_morning_what_waited_leaves(engine: Engine, worker: Worker, phones: Phones) -> None:
    put_some(engine, 3)
    deliver(engine, phones, worker)
    phones.limit = DayLimit(2, MIDNIGHT + timedelta(days=1), MORNING + timedelta(days=1))
    assert deliver(engine, phones, worker, MORNING) == 1
    assert states_of(engine) == ["accepted"] * 3


@pytest.mark.parametrize("kind", ["otp", "urgent"])
def test_what_is_wanted_now_neither_waits_nor_uses_the_day_up(
    engine: Engine, worker: Worker, phones: Phones, kind: str
) -> None:
    put_some(engine, 4, message_class=kind)
    assert deliver(engine, phones, worker) == 4
    put_some(engine, 2, first=4)
    assert deliver(engine, phones, worker) == 2


def test_two_people_with_one_phone_share_its_day(
    engine: Engine, worker: Worker, phones: Phones
) -> None:
    phones.numbers[2] = phone_of(1)
    put_some(engine, 2)
    put_some(engine, 1, first=2, recipient_id=2)
    assert deliver(engine, phones, worker) == 2


def test_another_phone_has_its_own_day(engine: Engine, worker: Worker, phones: Phones) -> None:
    put_some(engine, 2)
    put_some(engine, 2, first=2, recipient_id=2)
    assert deliver(engine, phones, worker) == 4


def test_a_text_that_the_provider_refused_was_none(
    engine: Engine, worker: Worker, phones: Phones
) -> None:
    put_some(engine, 2)
    deliver(engine, phones, worker, sms=Provider(answer=lambda _: Refused("1", "no", True)))
    put_some(engine, 2, first=2)
    assert deliver(engine, phones, worker) == 2
    assert states_of(engine) == ["failed", "failed", "accepted", "accepted"]


def test_what_would_be_too_late_in_the_morning_goes_all_the_same(
    engine: Engine, worker: Worker, phones: Phones
) -> None:
    put_some(engine, 2)
    put_some(engine, 1, first=2, valid_until=MORNING)
    put_some(engine, 1, first=3, valid_until=MORNING + timedelta(minutes=1))
    deliver(engine, phones, worker)
    assert states_of(engine) == ["accepted", "accepted", "accepted", "held"]


def test_without_a_limit_no_key_of_an_address_is_looked_up(
    engine: Engine, worker: Worker, phones: Phones, monkeypatch: pytest.MonkeyPatch
) -> None:
    phones.limit = None
    monkeypatch.delattr(claiming, "_used")
    put_some(engine, 9)
    assert deliver(engine, phones, worker) == 9


# -- two workers at one phone ---------------------------------------------------------------------


def _race(engine: Engine, phones: Phones, monkeypatch: pytest.MonkeyPatch) -> int:
    """Two workers claim four messages to one phone, two each; how many were claimed."""
    ids = put_some(engine, 4)
    used = claiming._used

    def looked(connection: Connection, keys: Collection[str], since: datetime) -> dict[str, int]:
        found = used(connection, keys, since)
        meet()  # both have counted and neither has committed
        return found

    monkeypatch.setattr(claiming, "_used", looked)
    with Worker(engine) as one, Worker(engine) as two:
        claimed: list[int] = []

        def claim(worker: Worker, mine: list[int]) -> None:
            claimed.append(
                len(
                    claiming.claim(
                        engine, worker.id, 9, resolver=phones, routes=("sms",), ids=mine, now=NOON
                    )
                )
            )

        assert all_at_once(partial(claim, one, ids[:2]), partial(claim, two, ids[2:])) == ["ok"] * 2
    return sum(claimed)


def test_two_workers_at_one_phone_never_exceed_its_day(
    engine: Engine, phones: Phones, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _race(engine, phones, monkeypatch) == 2


def test_without_the_lock_of_the_address_the_same_race_exceeds_it(
    engine: Engine, phones: Phones, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claiming, "_lock_addresses", lambda _connection, _keys: None)
    assert _race(engine, phones, monkeypatch) == 4


def test_two_workers_at_the_same_phones_never_wait_for_each_other(
    engine: Engine, phones: Phones, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has one message to every phone, in opposite orders."""
    people = range(1, 40)
    one = put(engine, *(make_outgoing(n, dedupe_key=f"a{n}", not_before=NOON) for n in people))
    both = put(
        engine, *(make_outgoing(n, dedupe_key=f"b{n}", not_before=NOON) for n in reversed(people))
    )
    two = [i for i in both if i not in one]
    lock = claiming._lock_addresses

    def together(connection: Connection, keys: Collection[str]) -> None:
        meet()
        lock(connection, keys)

    monkeypatch.setattr(claiming, "_lock_addresses", together)
    with Worker(engine) as first, Worker(engine) as second:
        found = all_at_once(
            *(
                partial(
                    claiming.claim,
                    engine,
                    worker.id,
                    99,
                    resolver=phones,
                    routes=("sms",),
                    ids=mine,
                    now=NOON,
                )
                for worker, mine in ((first, one), (second, two))
            )
        )
    assert found == ["ok", "ok"]
    with engine.connect() as connection:
        assert connection.scalar(text("select count(*) from delivery_attempt")) == 2 * len(people)
