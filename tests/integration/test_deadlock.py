"""Two transactions that wait for each other: one goes through, the other is asked to try again."""

from __future__ import annotations

from collections import Counter
from functools import partial
from threading import Barrier

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from coordination.authz.actions import Action
from coordination.ground import uow as work
from coordination.ground.uow import UnitOfWork
from tests.build.outing import Outing, all_at_once, outing


def cross(stage: Outing) -> list[str]:
    both = Barrier(2)

    def lock(first: str, second: str) -> None:
        def use(uow: UnitOfWork) -> None:
            uow.authorize(Action.SYSTEM_RUN)
            for key in (first, second):
                uow.session.execute(
                    text("select 1 from person where id = :id for update"),
                    {"id": stage.world.people[key]},
                )
                if key == first:
                    both.wait()

        stage.system(use)

    return all_at_once(partial(lock, "guardian", "child"), partial(lock, "child", "guardian"))


def test_one_goes_through_and_the_other_is_asked_to_try_again(fresh_url: str) -> None:
    with outing(fresh_url) as stage:
        assert Counter(cross(stage)) == {"ok": 1, "stale": 1}


def test_without_the_translation_it_is_an_error(
    fresh_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "translate", lambda error: None)
    with outing(fresh_url) as stage, pytest.raises(OperationalError):
        cross(stage)
