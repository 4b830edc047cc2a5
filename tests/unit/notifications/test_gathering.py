"""Several messages to one recipient become one: nobody told twice, nothing lost, whoever claims."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from notifications import gathering, outbox
from notifications.claiming import claim
from notifications.models import MergedMessage, OutboxMessage
from notifications.progress import progress
from notifications.pump import deliver_batch
from notifications.values import Outgoing, Pending, Skip
from notifications.workers import Worker
from tests.unit.notifications.making import (
    NOON,
    Phones,
    Provider,
    make_outgoing,
    message_of,
    put,
    states_of,
)


@pytest.fixture(autouse=True)
def _at_noon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("notifications.clock._read", lambda: NOON)


@dataclass
class Together(Phones):
    """Phones whose owner would rather have one message than several."""

    wanted: bool = True
    # what happens while a worker is merging
    meanwhile: Callable[[], None] = lambda: None
    seen: list[list[int]] = field(default_factory=list)

    def may_gather(self, template_key: str, message_class: str) -> bool:
        return template_key == "notice_sent" and message_class in ("info", "confirm")

    def gather(
        self, conn: Connection, families: Sequence[Sequence[Pending]]
    ) -> Sequence[Outgoing | None]:
        self.seen += [[m.id for m in family] for family in families]
        self.meanwhile()
        return [self._one(family) if self.wanted else None for family in families]

    def _one(self, family: Sequence[Pending]) -> Outgoing:
        return make_outgoing(
            family[0].recipient_id,
            template_key="several",
            subject_type="several",
            subject_id=family[0].id,
            body="+".join(str(m.id) for m in family),
            dedupe_key=f"several:{family[0].id}:{len(family)}",
        )


@pytest.fixture
def phones() -> Together:
    return Together()


def put_notices(
    engine: Engine, subjects: Collection[int], recipient: int = 1, **changes: Any
) -> list[int]:
    ids = put(
        engine,
        *(
            make_outgoing(
                recipient,
                **{
                    "subject_id": n,
                    "dedupe_key": f"n{n}:{recipient}",
                    "body": f"notice {n}",
                    "not_before": NOON,
                    **changes,
                },
            )
            for n in subjects
        ),
    )
    return ids[-len(subjects) :]


def deliver(
    engine: Engine, phones: Phones, worker: Worker, provider: Provider, limit: int = 100
) -> None:
    for _ in range(20):
        if not deliver_batch(
            engine, {"sms": provider}, phones, worker.id, now=NOON, limit=limit
        ).seen:
            return


def hold(engine: Engine) -> None:
    """As quiet hours leave them, due now."""
    with engine.begin() as connection:
        connection.execute(
            text("update outbox_message set state = 'held', reason_code = 'quiet_hours'")
        )


def bodies(provider: Provider) -> list[str]:
    return sorted(a.body for a in provider.taken.values())


def test_two_notices_that_are_due_at_once_are_one_message(
    engine: Engine, worker: Worker, phones: Together
) -> None:
    first, second = put_notices(engine, (1, 2))
    alone = put_notices(engine, (1,), recipient=2)
    provider = Provider()
    deliver(engine, phones, worker, provider)
    assert bodies(provider) == sorted([f"{first}+{second}", "notice 1"])
    assert [message_of(engine, i).state for i in (first, second, *alone)] == [
        "merged",
        "merged",
        "accepted",
    ]
    assert message_of(engine, first).reason_code == "merged"
    with Session(engine) as session:
        one = outbox.merged_into(session, first)
        assert one is not None
        assert one == outbox.merged_into(session, second)
        assert outbox.merged_from(session, one) == [first, second]
        assert outbox.trace(session, first)[-1].reason == "merged"


def test_what_was_held_is_gathered_from_wherever_it_stands_in_the_queue(
    engine: Engine, worker: Worker, phones: Together
) -> None:
    for notice in (1, 2, 3):
        for recipient in range(1, 11):
            put_notices(engine, (notice,), recipient)
    hold(engine)
    provider = Provider()
    deliver(engine, phones, worker, provider, limit=10)
    assert len(provider.calls) == 10
    told = sorted(int(n) for body in bodies(provider) for n in body.split("+"))
    assert len(told) == len(set(told)) == 30


def test_the_receipt_of_the_one_counts_for_all(
    engine: Engine, worker: Worker, phones: Together
) -> None:
    put_notices(engine, (1, 2))
    deliver(engine, phones, worker, Provider())
    with engine.begin() as connection:
        connection.execute(
            text("update outbox_message set state = 'delivered' where template_key = 'several'")
        )
    with Session(engine) as session:
        for notice in (1, 2):
            assert outbox.tally(session, "notice", notice) == {"delivered": 1}
            assert progress(session, "notice", notice, NOON).states == {"delivered": 1}
            standing = session.execute(select(outbox.newest("notice", notice))).one()
            assert (standing.state, standing.reason_code) == ("delivered", "merged")
        assert outbox.standing(session, "notice", [1, 2]) == {
            1: {"delivered": 1},
            2: {"delivered": 1},
        }


@pytest.mark.parametrize(
    "changes",
    [
        {"message_class": "urgent"},
        {"message_class": "sign"},
        {"message_class": "otp", "template_key": "code"},
        {"template_key": "consent"},
        {"valid_until": NOON + timedelta(hours=1)},
        {"language": "en"},
    ],
)
def test_what_may_not_wait_or_holds_a_code_of_its_own_goes_alone(
    engine: Engine, worker: Worker, phones: Together, changes: dict[str, Any]
) -> None:
    put_notices(engine, (1,))
    put_notices(engine, (2,), **changes)
    provider = Provider()
    deliver(engine, phones, worker, provider)
    assert bodies(provider) == ["notice 1", "notice 2"]


def test_a_notice_and_its_own_reminder_are_not_two_notices(
    engine: Engine, worker: Worker, phones: Together
) -> None:
    put_notices(engine, (1,))
    put_notices(engine, (1,), dedupe_key="nudge", body="reminder")
    provider = Provider()
    deliver(engine, phones, worker, provider)
    assert bodies(provider) == ["notice 1", "reminder"]


def test_whoever_may_not_have_one_of_them_has_the_others_as_they_are(
    engine: Engine, worker: Worker, phones: Together
) -> None:
    put_notices(engine, (1, 2))
    phones.skips[1] = Skip("opted_out")
    provider = Provider()
    deliver(engine, phones, worker, provider)
    assert states_of(engine) == ["suppressed", "suppressed"]


def test_what_cannot_be_said_in_one_goes_as_before(
    engine: Engine, worker: Worker, phones: Together
) -> None:
    put_notices(engine, (1, 2))
    phones.wanted = False
    provider = Provider()
    deliver(engine, phones, worker, provider)
    assert bodies(provider) == ["notice 1", "notice 2"]


def test_a_message_that_was_tried_before_is_not_merged(
    engine: Engine, worker: Worker, phones: Together
) -> None:
    put_notices(engine, (1, 2))
    with engine.begin() as connection:
        connection.execute(text("update outbox_message set tries = 1 where subject_id = 1"))
    provider = Provider()
    deliver(engine, phones, worker, provider)
    assert bodies(provider) == ["notice 1", "notice 2"]


# -- the race -------------------------------------------------------------------------------------


def _two_workers(engine: Engine, phones: Together, provider: Provider) -> None:
    """While one worker merges what it claimed with what stands behind, another one claims."""
    first, second = put_notices(engine, (1, 2))
    hold(engine)
    with Worker(engine) as one, Worker(engine) as other:

        def claim_too() -> None:
            phones.meanwhile = lambda: None
            # this one merges nothing, so that it never waits for the first
            for claimed in claim(engine, other.id, 10, resolver=Phones(), routes=["sms"], now=NOON):
                provider.send(claimed.attempt)

        phones.meanwhile = claim_too
        deliver(engine, phones, one, provider, limit=1)
    assert phones.seen[0] == [first, second]


def _times_told(provider: Provider) -> dict[str, int]:
    said = [part for body in bodies(provider) for part in body.replace("notice ", "#").split("+")]
    return {part: said.count(part) for part in said}


def test_two_workers_at_one_family_tell_it_once(engine: Engine, phones: Together) -> None:
    provider = Provider()
    _two_workers(engine, phones, provider)
    assert len(provider.calls) == 1
    assert states_of(engine) == ["merged", "merged", "accepted"]


def test_without_the_lock_two_workers_tell_it_twice(
    engine: Engine, phones: Together, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked = gathering._others
    monkeypatch.setattr(gathering, "_others", lambda *given: _bare(locked(*given)))
    provider = Provider()
    _two_workers(engine, phones, provider)
    assert len(provider.calls) == 2, "the second notice went alone and in the one for both"


def _bare(query: Any) -> Any:
    query = query._clone()
    query._for_update_arg = None
    return query


def test_a_message_goes_into_one_other_only(engine: Engine, session: Session) -> None:
    first, one, two = put_notices(engine, (1, 2, 3))
    session.add_all([MergedMessage(message_id=first, into_id=n, at=NOON) for n in (one, two)])
    with pytest.raises(IntegrityError):
        session.flush()


# -- withdrawn while it waits ---------------------------------------------------------------------


def test_a_notice_that_is_withdrawn_leaves_the_others_to_go(
    engine: Engine, worker: Worker, phones: Together
) -> None:
    first, second, third = put_notices(engine, (1, 2, 3))
    provider = Provider()
    # merged, but not sent yet
    assert claim(engine, worker.id, 10, resolver=phones, routes=["sms"], now=NOON) == []
    with Session(engine) as session:
        assert outbox.waiting_count(session, "notice", 2) == 1
        assert outbox.cancel(session, "notice", 2) == 1
        session.commit()
    deliver(engine, phones, worker, provider)
    assert bodies(provider) == [f"{first}+{third}"]
    assert [message_of(engine, i).state for i in (first, second, third)] == [
        "merged",
        "cancelled",
        "merged",
    ]
    with Session(engine) as session:
        parted = session.scalars(
            select(OutboxMessage.state).where(OutboxMessage.reason_code == "parted")
        ).all()
    assert parted == ["cancelled"]


def test_what_has_left_is_not_parted(engine: Engine, worker: Worker, phones: Together) -> None:
    first, _ = put_notices(engine, (1, 2))
    deliver(engine, phones, worker, Provider())
    with Session(engine) as session:
        assert outbox.cancel(session, "notice", 1) == 0
        session.commit()
    assert message_of(engine, first).state == "merged"
