"""Texts of notices that ended unsent are given back to their account, once; what was taken is not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, cast
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from coordination.domain.communication.notices import services
from coordination.domain.communication.texts import budgets
from coordination.ground import clock
from coordination.ground.actor import SYSTEM
from coordination.reactions import unsent_texts
from coordination.reactions.work import begin
from coordination.worker import Beat, give_back_unsent_texts
from notifications.segments import segments
from tests.build.outing import all_at_once, meet
from tests.integration.communication.conftest import Stage
from tests.integration.communication.test_budgets import account, size, tell_guardian

NOON = datetime(2026, 11, 25, 12, 0, tzinfo=ZoneInfo("Asia/Shanghai"))


@pytest.fixture(autouse=True)
def _noon() -> None:
    clock.travel_to(NOON)


def settled_at(stage: Stage) -> None:
    give_back_unsent_texts(Beat(stage.engine, cast(Any, None), clock.now()))


def sent(stage: Stage, key: str = "draft-1") -> int:
    """A notice whose texts were written now."""
    notice = stage.send(key=key)
    with stage.engine.begin() as connection:
        connection.execute(
            text("update outbox_message set created_at = :at where subject_id = :n"),
            {"at": clock.now(), "n": notice},
        )
    return notice


def cost(stage: Stage, notice: int, role: str) -> Decimal:
    (one,) = (m for m in stage.messages(notice) if m.recipient_id == stage.world.people[role])
    return budgets.cost(segments(one.body or "").count)


def attempted(stage: Stage, notice: int, role: str, state: str) -> None:
    """A try that a provider answered so."""
    (one,) = (m for m in stage.messages(notice) if m.recipient_id == stage.world.people[role])
    with stage.engine.begin() as connection:
        connection.execute(
            text(
                "insert into delivery_attempt (id, message_id, worker_id, channel, state, intent_at,"
                " next_check_at) values (:id, :m, 1, 'console', :state, :at, :at)"
            ),
            {"id": uuid4(), "m": one.id, "state": state, "at": clock.now()},
        )


@pytest.mark.parametrize("state", ["failed", "expired", "suppressed"])
def test_what_ended_unsent_is_given_back_once_however_often_the_clock_comes(
    stage: Stage, state: str
) -> None:
    notice = sent(stage)
    before = account(stage).used
    stage.settle("guardian", state)
    for _ in range(3):
        settled_at(stage)
        assert before - account(stage).used == cost(stage, notice, "guardian") > 0


@pytest.mark.parametrize("tried", ["refused", "not_taken"])
def test_a_try_that_no_provider_took_costs_nothing(stage: Stage, tried: str) -> None:
    notice = sent(stage)
    before = account(stage).used
    attempted(stage, notice, "guardian", tried)
    stage.settle("guardian", "failed")
    settled_at(stage)
    assert before - account(stage).used == cost(stage, notice, "guardian")


@pytest.mark.parametrize(
    ("state", "tried"),
    [
        # a provider took it, and said later that it did not arrive
        ("failed", "failed"),
        ("undelivered", "undelivered"),
        # taken by a first try that stood in doubt, whatever came of the second
        ("failed", "accepted"),
        # nobody knows yet
        ("expired", "unknown"),
        ("failed", "intent"),
    ],
)
def test_what_a_provider_took_or_may_have_taken_stays_counted(
    stage: Stage, state: str, tried: str
) -> None:
    notice = sent(stage)
    before = account(stage).used
    attempted(stage, notice, "guardian", tried)
    stage.settle("guardian", state)
    settled_at(stage)
    assert account(stage).used == before


def test_what_waits_or_is_under_way_stays_counted(stage: Stage) -> None:
    sent(stage)
    before = account(stage).used
    for state in ("queued", "held", "sending", "accepted", "delivered", "unknown", "needs_human"):
        stage.settle("guardian", state)
        settled_at(stage)
    assert account(stage).used == before


def test_a_doubt_that_is_settled_later_is_given_back_then(stage: Stage) -> None:
    notice = sent(stage)
    before = account(stage).used
    attempted(stage, notice, "guardian", "unknown")
    stage.settle("guardian", "expired")
    settled_at(stage)
    assert account(stage).used == before
    clock.travel_to(NOON + timedelta(days=3))
    with stage.engine.begin() as connection:
        connection.execute(text("update delivery_attempt set state = 'not_taken'"))
    settled_at(stage)
    assert before - account(stage, at=NOON).used == cost(stage, notice, "guardian")


@pytest.mark.parametrize("stop_first", [True, False])
def test_a_stop_and_the_clock_give_back_each_text_once(stage: Stage, stop_first: bool) -> None:
    notice = sent(stage)
    stage.settle("guardian", "failed")
    steps: list[Callable[[], object]] = [
        lambda: stage.act("teacher", lambda uow: services.stop_notice(uow, notice_id=notice)),
        lambda: settled_at(stage),
    ]
    for step in steps if stop_first else reversed(steps):
        step()
    assert account(stage).used == 0
    settled_at(stage)
    assert account(stage).used == 0


def test_it_goes_back_to_the_month_it_was_written_in(stage: Stage) -> None:
    notice = sent(stage)
    first = account(stage).used
    december = NOON + timedelta(days=10)
    clock.travel_to(december)
    stage.nudge(notice)
    with stage.engine.begin() as connection:
        connection.execute(
            text("update outbox_message set created_at = :at where template_key = 'notice_nudge'"),
            {"at": december},
        )
        connection.execute(
            text(
                "update outbox_message set state = 'failed'"
                " where template_key = 'notice' and recipient_id = :g and subject_id = :n"
            ),
            {"g": stage.world.people["guardian"], "n": notice},
        )
    settled_at(stage)
    assert first - account(stage, at=NOON).used == cost(stage, notice, "guardian")
    assert account(stage).used == size(stage, notice, "notice_nudge")


def test_only_the_account_of_the_notice_gets_it_back(stage: Stage) -> None:
    sent(stage)
    stage.settle("guardian", "failed")
    settled_at(stage)
    assert account(stage, "school_b").used == 0


def test_texts_about_other_things_stay_counted(stage: Stage) -> None:
    tell_guardian(stage, "session", stage.world.things["school_a"])
    before = account(stage).used
    stage.settle("guardian", "failed")
    settled_at(stage)
    assert account(stage).used == before > 0


def test_many_are_given_back_a_lot_at_a_time(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unsent_texts, "AT_ONCE", 1)
    sent(stage)
    for role in ("guardian", "friend_mother", "english"):
        stage.settle(role, "suppressed")
    settled_at(stage)
    assert account(stage).used == 0


def test_a_clock_that_dies_before_it_commits_gives_back_nothing_and_the_next_all(
    stage: Stage,
) -> None:
    notice = sent(stage)
    before = account(stage).used
    stage.settle("guardian", "failed")

    def dying() -> None:
        with Session(stage.engine) as session, begin(session, SYSTEM) as uow:
            unsent_texts.give_back(uow)
            raise RuntimeError("switched off")

    with pytest.raises(RuntimeError, match="switched off"):
        dying()
    assert account(stage).used == before
    settled_at(stage)
    assert before - account(stage).used == cost(stage, notice, "guardian")


# -- two clocks -----------------------------------------------------------------------------------


def _two_clocks(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> tuple[Decimal, Decimal]:
    """Both come for the same text before either commits; what was given back, and what it had cost."""
    notice = sent(stage)
    before = account(stage).used
    stage.settle("guardian", "failed")
    give_back = budgets.give_back

    def met(*given: Any, **more: Any) -> None:
        meet()
        give_back(*given, **more)

    monkeypatch.setattr(budgets, "give_back", met)
    all_at_once(lambda: settled_at(stage), lambda: settled_at(stage))
    return before - account(stage).used, cost(stage, notice, "guardian")


def test_two_clocks_at_one_moment_give_back_once(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    back, had_cost = _two_clocks(stage, monkeypatch)
    assert back == had_cost


def test_without_the_key_both_give_back(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    with stage.engine.begin() as connection:
        connection.execute(text("alter table text_returned drop constraint pk_text_returned"))
    back, had_cost = _two_clocks(stage, monkeypatch)
    assert back == 2 * had_cost
