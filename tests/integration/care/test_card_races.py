"""Two guardians at once; and the same again without the lock, to see what it keeps from happening."""

from __future__ import annotations

from functools import partial

import pytest
from sqlalchemy import select

from coordination.domain.care import cards, standing
from coordination.domain.care.models import HealthCard
from coordination.domain.people.models import Person
from coordination.ground import clock
from coordination.ground.uow import UnitOfWork
from tests.build.cards import a_card, let_collect, write
from tests.build.outing import ZONE, Outing, all_at_once, meet


@pytest.fixture
def meeting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both have read the card before one writes it, unless a lock keeps them apart."""
    look = cards._card

    def slowly(uow: UnitOfWork, child_id: int) -> HealthCard | None:
        row = look(uow, child_id)
        meet()
        return row

    monkeypatch.setattr(cards, "_card", slowly)


@pytest.fixture
def no_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The child is read and not locked."""

    def unlocked(uow: UnitOfWork, child_id: int) -> Person:
        return uow.session.scalars(select(Person).where(Person.id == child_id)).one()

    monkeypatch.setattr(standing, "lock_child", unlocked)


def both_save(stage: Outing, version: int) -> list[str]:
    return sorted(
        all_at_once(
            partial(write, stage, "friend_mother", "friend", card=a_card("花生"), version=version),
            partial(
                write, stage, "friend_father", "friend", card=a_card("青霉素"), version=version
            ),
        )
    )


@pytest.mark.usefixtures("meeting")
@pytest.mark.parametrize("written_before", [False, True])
def test_of_two_who_save_at_once_one_is_asked_to_look(stage: Outing, written_before: bool) -> None:
    if written_before:
        write(stage, "friend_mother", "friend")
    version = 1 if written_before else 0
    assert both_save(stage, version) == ["ok", "stale"]
    assert stage.sql("select version from health_card") == [(version + 1,)]


@pytest.mark.usefixtures("meeting", "no_lock")
def test_without_the_lock_one_writes_over_the_other(stage: Outing) -> None:
    # negative control
    write(stage, "friend_mother", "friend")
    assert both_save(stage, 1) == ["ok", "ok"]


@pytest.mark.usefixtures("meeting")
def test_a_card_withdrawn_while_another_saves_is_not_there_without_consent(stage: Outing) -> None:
    write(stage, "friend_mother", "friend")

    def withdraw() -> None:
        stage.act(
            "friend_mother",
            lambda uow: cards.withdraw(
                uow,
                child_id=stage.world.people["friend"],
                language="zh",
                today=clock.today(ZONE),
            ),
        )

    save = partial(write, stage, "friend_father", "friend", card=a_card("青霉素"), version=1)
    said = all_at_once(withdraw, save)
    assert said[0] == "ok"
    assert said[1] in ("ok", "stale")
    assert stage.sql("select count(*) from health_card") == [(0,)]


def test_one_number_added_twice_at_once_is_there_once(stage: Outing) -> None:
    add = partial(let_collect, stage, "friend_mother", "friend")
    said = sorted(all_at_once(add, add))
    assert said[1] == "ok"
    assert said[0] in ("collector_known", "stale")
    assert stage.sql("select count(*) from pickup_permit") == [(1,)]


def too_many(stage: Outing) -> int:
    for n in range(4):
        let_collect(stage, "friend_mother", "friend", phone=f"1380013810{n}", name=f"亲友{n}")
    all_at_once(
        *(
            partial(let_collect, stage, role, "friend", phone=f"1380013811{n}", name=f"又一位{n}")
            for n, role in enumerate(("friend_mother", "friend_father"))
        )
    )
    ((count,),) = stage.sql("select count(*) from pickup_permit")
    return int(str(count))


def test_the_sixth_is_refused_although_both_counted_four(stage: Outing) -> None:
    assert too_many(stage) == 5


def test_without_the_lock_there_are_six(stage: Outing, monkeypatch: pytest.MonkeyPatch) -> None:
    # negative control
    def unlocked(uow: UnitOfWork, child_id: int) -> Person:
        return uow.session.scalars(select(Person).where(Person.id == child_id)).one()

    from coordination.domain.care import pickups

    count = pickups._make_room

    def slowly(uow: UnitOfWork, child_id: int, index: bytes, today: object) -> None:
        count(uow, child_id, index, today)  # type: ignore[arg-type]
        meet()

    monkeypatch.setattr(standing, "lock_child", unlocked)
    monkeypatch.setattr(pickups, "_make_room", slowly)
    assert too_many(stage) == 6
