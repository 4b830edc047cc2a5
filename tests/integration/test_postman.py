"""The worker delivers everything that is due, whatever has to be set aside on the way."""

from __future__ import annotations

import threading
from collections import Counter

from sqlalchemy import text

from coordination.authz.actions import Action
from coordination.ground.uow import UnitOfWork
from coordination.reactions.carriers import Carriers
from coordination.reactions.notices import tell
from coordination.settings import load
from coordination.worker import Postman, drain
from notifications.channels.base import Channel
from notifications.pump import CONCURRENCY
from notifications.values import Answer, Attempt, Doubt, Sent
from tests.build.outing import Outing, outing
from tests.unit.notifications.making import Provider


def write(stage: Outing, count: int, *keys: str) -> None:
    def use(uow: UnitOfWork) -> None:
        uow.authorize(Action.SYSTEM_RUN)
        for number in range(count):
            tell(
                uow,
                "session_cancelled",
                [stage.world.people[key] for key in keys],
                {"activity": "x", "when": "9:00", "reason": "z"},
                subject=("shift", 1),
                version=str(number),
                message_class="urgent",  # a day's limit would hold all but a few
            )

    stage.system(use)


def by(provider: Provider) -> Carriers:
    named: dict[str, Channel] = {provider.name: provider}
    return Carriers(named, {"sms": (provider.name,)}, named)


def states(stage: Outing) -> Counter[str]:
    with stage.engine.connect() as connection:
        return Counter(connection.scalars(text("select state from outbox_message")))


def test_a_batch_with_somebody_without_a_phone_is_not_the_last_one(fresh_url: str) -> None:
    with outing(fresh_url) as stage:
        write(stage, CONCURRENCY + 20, "guardian", "volunteer")  # the volunteer has no phone
        drain(stage.engine, load({"DATABASE_URL": stage.url}))
        assert states(stage) == {"delivered": CONCURRENCY + 20, "suppressed": CONCURRENCY + 20}


def test_a_whole_batch_without_a_phone_is_not_the_last_one_either(fresh_url: str) -> None:
    with outing(fresh_url) as stage:
        write(stage, CONCURRENCY + 20, "volunteer")
        write(stage, 5, "guardian")
        drain(stage.engine, load({"DATABASE_URL": stage.url}))
        assert states(stage) == {"delivered": 5, "suppressed": CONCURRENCY + 20}


def test_a_halted_channel_ends_the_round(fresh_url: str) -> None:
    with outing(fresh_url) as stage:
        write(stage, 5, "guardian")
        stage.sql(
            "insert into delivery_circuit (channel, reason, opened_at, open_until)"
            " values ('console', 'account', now(), now() + interval '1000 days')"
        )
        drain(stage.engine, load({"DATABASE_URL": stage.url}))  # returns
        assert set(states(stage)) == {"queued"}


def test_doubt_is_settled_while_the_rest_of_a_long_queue_is_still_being_sent(
    fresh_url: str,
) -> None:
    provider, sending, go_on = Provider(), threading.Event(), threading.Event()

    def taken_without_saying_so(attempt: Attempt) -> Answer:
        provider.take(attempt)
        return Doubt("read_timeout")

    def slow(_attempt: Attempt) -> Answer:
        sending.set()
        go_on.wait(60)
        return Sent("late", 1)

    with outing(fresh_url) as stage:
        postman = Postman(stage.engine, load({"DATABASE_URL": stage.url}), by(provider))
        try:
            provider.answer = taken_without_saying_so
            write(stage, 1, "guardian")
            postman.deliver()
            assert states(stage) == {"unknown": 1}
            stage.sql("update delivery_attempt set next_check_at = intent_at")
            stage.sql("update outbox_message set dedupe_key = 'the first'")
            provider.answer = slow
            write(stage, 1, "guardian")
            queue = threading.Thread(target=postman.deliver)
            queue.start()
            assert sending.wait(30)
            meanwhile = threading.Thread(target=postman.deliver)
            meanwhile.start()
            meanwhile.join(30)
            assert states(stage) == {"accepted": 1, "sending": 1}
        finally:
            go_on.set()
        queue.join()
        meanwhile.join()
        postman.close()
        assert states(stage) == {"accepted": 2}
