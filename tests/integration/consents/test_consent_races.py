"""Answers that meet: two guardians at once, a double click, an answer while the session moves."""

from __future__ import annotations

import time
from collections.abc import Collection
from functools import partial
from threading import Event

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from coordination.domain.consents import services as consents
from coordination.domain.consents.models import ConsentAsk
from coordination.ground.uow import UnitOfWork
from coordination.reactions import on_practice
from tests.build.outing import DAY, FRIDAY, Outing, all_at_once, meet

PAUSE = 0.3


@pytest.fixture
def asked(stage: Outing) -> int:
    """A session for which class 3(2) is signed up."""
    session = stage.plan()
    stage.enrol(session)
    return session


@pytest.fixture
def slow_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between a guardian's answer and what it amounts to, another one answers."""
    sum_up = consents.state_for

    def slowly(session: Session, request_id: int, child_ids: Collection[int]) -> dict[int, str]:
        time.sleep(PAUSE)
        return sum_up(session, request_id, child_ids)

    monkeypatch.setattr(consents, "state_for", slowly)


def parents_disagree(stage: Outing, session_id: int) -> list[str]:
    return all_at_once(
        partial(stage.answer, session_id, "friend_mother", "friend", "given"),
        partial(stage.answer, session_id, "friend_father", "friend", "refused"),
    )


@pytest.mark.usefixtures("slow_sum")
def test_parents_who_disagree_at_once_are_seen_to_disagree(stage: Outing, asked: int) -> None:
    assert parents_disagree(stage, asked) == ["ok", "ok"]
    ((answers,),) = stage.sql("select count(*) from consent_answer")
    assert answers == 2
    # whoever came first: the child is not cleared, and no two words contradict each other
    assert stage.states(asked)["friend"] in ("enrolled", "refused")
    held = sum(s in ("enrolled", "cleared") for s in stage.states(asked).values())
    assert stage.session(asked).taken == held


def test_without_the_lock_neither_hears_the_other(
    stage: Outing, asked: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    def unlocked(uow: UnitOfWork, *, request_id: int, child_id: int) -> ConsentAsk | None:
        return uow.session.scalar(
            select(ConsentAsk).where(
                ConsentAsk.request_id == request_id, ConsentAsk.child_id == child_id
            )
        )

    sum_up = consents.state_for

    def listen(session: Session, request_id: int, child_ids: Collection[int]) -> dict[int, str]:
        meet()  # both have answered and neither has committed
        found = sum_up(session, request_id, child_ids)
        meet()  # and so it stays until both have looked
        said.extend(found.values())
        return found

    monkeypatch.setattr(consents, "lock_ask", unlocked)
    monkeypatch.setattr(consents, "state_for", listen)
    parents_disagree(stage, asked)
    assert sorted(said) == ["given", "refused"]  # nobody was told that they disagree


@pytest.mark.usefixtures("slow_sum")
def test_with_the_lock_the_second_hears_the_first(
    stage: Outing, asked: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    sum_up = consents.state_for

    def listen(session: Session, request_id: int, child_ids: Collection[int]) -> dict[int, str]:
        found = sum_up(session, request_id, child_ids)
        said.extend(found.values())
        return found

    monkeypatch.setattr(consents, "state_for", listen)
    parents_disagree(stage, asked)
    assert "conflict" in said


def test_a_double_click_on_no_frees_one_place(stage: Outing, asked: int) -> None:
    press = partial(stage.answer, asked, "friend_mother", "friend", "refused")
    assert all_at_once(press, press, press) == ["ok", "ok", "ok"]
    assert stage.states(asked)["friend"] == "refused"
    assert stage.session(asked).taken == 3


def answer_while_it_moves(
    stage: Outing, session_id: int, monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """The family's yes has passed all checks when the coordinator moves the session."""
    checked, moved = Event(), Event()
    sum_up = consents.state_for

    def wait_for_the_move(
        session: Session, request_id: int, child_ids: Collection[int]
    ) -> dict[int, str]:
        checked.set()
        moved.wait(10)
        return sum_up(session, request_id, child_ids)

    def move() -> None:
        checked.wait(10)
        monkeypatch.setattr(consents, "state_for", sum_up)
        stage.move(session_id, FRIDAY + DAY)
        moved.set()

    request = stage.request_of(session_id)
    monkeypatch.setattr(consents, "state_for", wait_for_the_move)
    return all_at_once(
        partial(stage.answer, session_id, "english", "reader", request_id=request), move
    )


def test_a_yes_that_meets_a_move_does_not_count_for_the_new_day(
    stage: Outing, asked: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert answer_while_it_moves(stage, asked, monkeypatch) == ["consent_replaced", "ok"]
    assert stage.states(asked)["reader"] == "enrolled"
    assert stage.sql("select * from consent_answer") == []


def test_without_the_second_look_a_child_is_cleared_for_a_day_nobody_agreed_to(
    stage: Outing, asked: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Blind:
        """The consents as the reaction knows them, without the second look."""

        def __getattr__(self, name: str) -> object:
            if name == "refuse_replaced":
                return lambda uow, request_id: None
            return getattr(consents, name)

    monkeypatch.setattr(on_practice, "consents", Blind())
    assert answer_while_it_moves(stage, asked, monkeypatch) == ["ok", "ok"]
    assert stage.session(asked).starts_at == FRIDAY + DAY
    assert stage.states(asked)["reader"] == "cleared"
