"""The worker delivers everything that is due, whatever has to be set aside on the way."""

from __future__ import annotations

from collections import Counter

from sqlalchemy import text

from coordination.authz.actions import Action
from coordination.ground.uow import UnitOfWork
from coordination.reactions.notices import tell
from coordination.settings import load
from coordination.worker import drain
from notifications.pump import CONCURRENCY
from tests.build.outing import Outing, outing


def write(stage: Outing, count: int, *keys: str) -> None:
    def use(uow: UnitOfWork) -> None:
        uow.authorize(Action.SYSTEM_RUN)
        for number in range(count):
            tell(
                uow,
                "session_cancelled",
                [stage.world.people[key] for key in keys],
                {"activity": "x", "when": "y", "reason": "z"},
                subject=("shift", 1),
                version=str(number),
            )

    stage.system(use)


def states(stage: Outing) -> Counter[str]:
    with stage.engine.connect() as connection:
        return Counter(connection.scalars(text("select state from outbox_message")))


def test_a_batch_with_somebody_without_a_phone_is_not_the_last_one(fresh_url: str) -> None:
    with outing(fresh_url) as stage:
        write(stage, CONCURRENCY + 20, "guardian", "volunteer")  # the volunteer has no phone
        drain(stage.engine, load({"DATABASE_URL": stage.url}))
        assert states(stage) == {"accepted": CONCURRENCY + 20, "suppressed": CONCURRENCY + 20}


def test_a_whole_batch_without_a_phone_is_not_the_last_one_either(fresh_url: str) -> None:
    with outing(fresh_url) as stage:
        write(stage, CONCURRENCY + 20, "volunteer")
        write(stage, 5, "guardian")
        drain(stage.engine, load({"DATABASE_URL": stage.url}))
        assert states(stage) == {"accepted": 5, "suppressed": CONCURRENCY + 20}


def test_a_halted_channel_ends_the_round(fresh_url: str) -> None:
    with outing(fresh_url) as stage:
        write(stage, 5, "guardian")
        stage.sql(
            "insert into delivery_circuit (channel, reason, opened_at, open_until)"
            " values ('sms', 'account', now(), now() + interval '1000 days')"
        )
        drain(stage.engine, load({"DATABASE_URL": stage.url}))  # returns
        assert set(states(stage)) == {"queued"}
