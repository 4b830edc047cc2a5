"""What erases itself, by the clock's own tick and with the clock moved."""

from __future__ import annotations

import pytest
from sqlalchemy.orm import Session

from coordination.domain.care import cards, leading
from coordination.ground import clock
from coordination.reactions import reminders
from coordination.worker import TICKS, Beat
from tests.build.cards import let_collect, write
from tests.build.outing import DAY, FRIDAY, ZONE, Outing


@pytest.fixture(autouse=True)
def _zone() -> None:
    reminders.use_zone(ZONE)


def night(stage: Outing) -> None:
    (tick,) = [t for t in TICKS if t.name == "erase health cards"]
    tick.run(Beat(stage.engine, None, clock.now()))  # type: ignore[arg-type]


def left(stage: Outing, table: str) -> int:
    ((count,),) = stage.sql(f"select count(*) from {table}")
    return int(str(count))


def test_a_card_nobody_confirms_is_erased_after_thirteen_months(stage: Outing) -> None:
    write(stage)
    clock.travel_to(clock.now() + 395 * DAY)
    night(stage)
    assert left(stage, "health_card") == 1
    clock.travel_to(clock.now() + DAY)
    night(stage)
    assert left(stage, "health_card") == 0
    ((before, reason),) = stage.sql(
        "select before::text, reason from audit_entry where action = 'erase'"
    )
    assert reason == "not_confirmed"
    assert "MARKER" not in str(before)


def test_confirming_in_between_keeps_it(stage: Outing) -> None:
    write(stage)
    child = stage.world.people["child"]
    clock.travel_to(clock.now() + 300 * DAY)
    stage.act(
        "guardian",
        lambda uow: cards.confirm(uow, child_id=child, version=1, today=clock.today(ZONE)),
    )
    clock.travel_to(clock.now() + 300 * DAY)
    night(stage)
    assert left(stage, "health_card") == 1


@pytest.mark.parametrize(
    ("change", "permits"),
    [
        ("status = 'left'", 0),
        ("school_id = :other", 1),  # who may collect is about the child, not its school
        ("school_id = null", 1),
    ],
)
def test_who_leaves_the_school_leaves_no_card_behind(
    stage: Outing, change: str, permits: int
) -> None:
    write(stage)
    let_collect(stage)
    write(stage, "friend_mother", "friend")
    stage.sql(
        f"update person set {change} where id = :c",
        c=stage.world.people["child"],
        **({"other": stage.world.things["school_b"]} if ":other" in change else {}),
    )
    night(stage)
    assert stage.sql("select child_id from health_card") == [(stage.world.people["friend"],)]
    assert left(stage, "pickup_permit") == permits


def test_a_collector_is_erased_the_day_after_the_last(stage: Outing) -> None:
    let_collect(stage, days=3)
    clock.travel_to(clock.now() + 3 * DAY)
    night(stage)
    assert left(stage, "pickup_permit") == 1
    clock.travel_to(clock.now() + DAY)
    night(stage)
    assert left(stage, "pickup_permit") == 0


def test_looks_are_kept_as_long_as_a_card_may_be_asked_about(stage: Outing, trip: int) -> None:
    write(stage)
    clock.travel_to(FRIDAY)
    stage.act(
        "teacher",
        lambda uow: leading.open_card(
            uow, session_id=trip, child_id=stage.world.people["child"], today=clock.today(ZONE)
        ),
    )
    clock.travel_to(FRIDAY + 395 * DAY)
    night(stage)
    assert left(stage, "card_look") == 1
    clock.travel_to(FRIDAY + 396 * DAY)
    night(stage)
    assert left(stage, "card_look") == 0


def test_a_night_with_nothing_to_do_writes_nothing(stage: Outing) -> None:
    write(stage)
    with Session(stage.engine):
        before = left(stage, "audit_entry")
        night(stage)
        assert left(stage, "audit_entry") == before
