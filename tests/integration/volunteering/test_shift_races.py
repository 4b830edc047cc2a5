"""Parents who press at once; and the same with the guards taken out, to see the harm."""

from __future__ import annotations

import time
from collections import Counter
from functools import partial

import pytest
from sqlalchemy.exc import IntegrityError

from coordination.domain.volunteering import services as volunteering
from coordination.domain.volunteering.models import ShiftNeed
from coordination.ground.uow import UnitOfWork
from tests.build.outing import FRIDAY, HOUR, Outing, all_at_once, meet

PAUSE = 0.2
PARENTS = ("guardian", "guardian_b", "friend_mother", "english", "volunteer", "kid_0_mother")


def slowly(uow: UnitOfWork, need_id: int) -> ShiftNeed:
    need = LOCK(uow, need_id)
    time.sleep(PAUSE)
    return need


def unlocked(uow: UnitOfWork, need_id: int) -> ShiftNeed:
    need = uow.session.get_one(ShiftNeed, need_id)
    meet()  # all have looked and none has written
    return need


LOCK = volunteering._lock


@pytest.fixture(autouse=True)
def _slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(volunteering, "_lock", slowly)


@pytest.fixture
def no_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(volunteering, "_lock", unlocked)


def places(stage: Outing, session_id: int) -> tuple[int, int]:
    """(places counted, volunteers who have one)."""
    ((filled, held),) = stage.sql(
        "select n.filled, (select count(*) from shift_assignment a where a.need_id = n.id"
        " and a.state = 'assigned') from shift_need n where n.session_id = :s",
        s=session_id,
    )
    return int(str(filled)), int(str(held))


def everybody_presses(stage: Outing, session_id: int) -> Counter[str]:
    return Counter(all_at_once(*(partial(stage.take, session_id, role) for role in PARENTS)))


def test_the_last_place_goes_to_one(stage: Outing) -> None:
    session = stage.plan(helpers=1)
    assert everybody_presses(stage, session) == {"ok": 1, "full": 5}
    assert places(stage, session) == (1, 1)
    assert len(stage.told("shift_taken")) == 1


def test_two_places_go_to_two(stage: Outing) -> None:
    session = stage.plan(helpers=2)
    assert everybody_presses(stage, session) == {"ok": 2, "full": 4}
    assert places(stage, session) == (2, 2)


@pytest.mark.usefixtures("no_lock")
def test_without_the_lock_the_check_still_refuses(stage: Outing) -> None:
    session = stage.plan(helpers=1)
    assert everybody_presses(stage, session) == {"ok": 1, "full": 5}
    assert places(stage, session) == (1, 1)


@pytest.mark.usefixtures("no_lock")
def test_without_lock_and_check_too_many_come(stage: Outing) -> None:
    stage.sql("alter table shift_need drop constraint ck_shift_need_places")
    session = stage.plan(helpers=1)
    found = everybody_presses(stage, session)
    assert found["ok"] > 1
    assert places(stage, session)[1] > 1


def test_a_double_click_is_one_place_and_one_text(stage: Outing) -> None:
    session = stage.plan(helpers=3)
    press = partial(stage.take, session, "guardian")
    assert all_at_once(press, press, press) == ["ok"] * 3
    assert places(stage, session) == (1, 1)
    assert len(stage.told("shift_taken")) == 1


@pytest.mark.usefixtures("no_lock")
def test_without_the_lock_a_double_click_breaks(stage: Outing) -> None:
    session = stage.plan(helpers=3)
    press = partial(stage.take, session, "guardian")
    try:
        found = all_at_once(press, press, press)
    except IntegrityError:
        return  # a page that says nothing
    assert found != ["ok"] * 3  # or one that speaks of another shift, where there is none


def test_taking_and_leaving_at_once_keep_the_count(stage: Outing) -> None:
    session = stage.plan(helpers=1)
    stage.take(session, "guardian")
    found = all_at_once(
        partial(stage.leave, session, "guardian"), partial(stage.take, session, "english")
    )
    assert found in (["ok", "ok"], ["ok", "full"])
    filled, held = places(stage, session)
    assert filled == held == found.count("ok") - 1


def one_parent_two_shifts(stage: Outing) -> list[str]:
    sessions = [stage.plan(helpers=1), stage.plan(FRIDAY + HOUR, helpers=1)]
    return all_at_once(*(partial(stage.take, s, "guardian") for s in sessions))


def test_one_parent_takes_one_of_two_shifts_at_one_time(stage: Outing) -> None:
    assert Counter(one_parent_two_shifts(stage)) == {"ok": 1, "shift_clash": 1}


def test_without_the_constraint_one_parent_is_in_two_places(stage: Outing) -> None:
    stage.sql(
        "alter table shift_assignment drop constraint ex_shift_assignment_one_place_at_a_time"
    )
    assert one_parent_two_shifts(stage) == ["ok", "ok"]
