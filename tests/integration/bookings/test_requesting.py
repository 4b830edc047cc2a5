"""Requests on a real PostgreSQL: one slot, one booking, however many ask at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta

import pytest
from sqlalchemy import text, update
from sqlalchemy.orm import Session

from coordination.domain.bookings import services
from coordination.domain.bookings.models import Resource
from coordination.domain.bookings.values import SlotClash
from coordination.domain.partners.models import PartnerDocument
from coordination.ground.errors import Conflict, Forbidden, Invalid, NotFound, SlotTaken, Stale
from coordination.ground.uow import UnitOfWork
from tests.integration.bookings.conftest import FRIDAY, HOUR, NOW, ZONE, Stage


def set_resource(stage: Stage, **values: object) -> None:
    with Session(stage.engine) as session:
        session.execute(update(Resource).where(Resource.id == stage.resource_id).values(**values))
        session.commit()


def all_at_once(tries: int, ask: Callable[[int], object]) -> Counter[str]:
    def one(number: int) -> str:
        try:
            ask(number)
        except (SlotTaken, Stale) as refused:
            return type(refused).__name__
        return "ok"

    with ThreadPoolExecutor(tries) as pool:
        return Counter(pool.map(one, range(tries)))


def test_of_64_requests_for_one_slot_exactly_one_gets_it(stage: Stage) -> None:
    # an hour apart: they overlap without being equal
    found = all_at_once(
        64, lambda n: stage.request(FRIDAY + n % 2 * HOUR, key=f"racer-{n}", hours=2)
    )
    assert found == {"ok": 1, "SlotClash": 63}
    with Session(stage.engine) as session:
        assert session.scalar(text("select count(*) from booking")) == 1
        assert session.scalar(text("select count(*) from booking_occurrence")) == 1


def test_without_the_constraint_the_same_race_books_twice(stage: Stage) -> None:
    # negative control: it is the database that forbids, nothing else
    with stage.engine.begin() as connection:
        connection.execute(
            text("alter table booking_occurrence drop constraint ex_booking_occurrence_no_overlap")
        )
    found = all_at_once(16, lambda n: stage.request(FRIDAY, key=f"racer-{n}"))
    assert found["ok"] > 1


def test_a_double_click_makes_one_booking(stage: Stage) -> None:
    found = all_at_once(8, lambda n: stage.request(FRIDAY, key="one click"))
    assert found == {"ok": 8}
    with Session(stage.engine) as session:
        assert session.scalar(text("select count(*) from booking")) == 1
        told = session.scalar(text("select count(*) from outbox_message"))
        assert told == 1


def test_back_to_back_is_no_overlap(stage: Stage) -> None:
    stage.request(FRIDAY, hours=1)
    stage.request(FRIDAY + HOUR, hours=1)
    stage.request(FRIDAY - HOUR, hours=1)


def test_buffers_keep_a_distance_before_and_after(stage: Stage) -> None:
    set_resource(stage, buffer_before=30, buffer_after=60, slot_minutes=30)
    stage.request(FRIDAY, hours=1)
    with pytest.raises(SlotTaken):
        stage.request(FRIDAY + 2 * HOUR, hours=1)  # 60 after + 30 before do not fit into an hour
    stage.request(FRIDAY + 2.5 * HOUR, hours=0.5)


def test_a_refusal_names_the_clash_and_the_nearest_free_times(stage: Stage) -> None:
    stage.request(FRIDAY, hours=2)
    with pytest.raises(SlotClash) as refused:
        stage.request(FRIDAY + HOUR, hours=2, key="second")
    assert [s.starts_at for s in refused.value.clashes] == [FRIDAY]
    assert "12月4日（周五）14:00–16:00" in refused.value.message.zh
    assert "Fri 4 Dec, 14:00–16:00" in refused.value.message.en
    assert len(refused.value.free) == 3
    for slot in refused.value.free:  # what is offered can be had
        stage.request(slot.starts_at, key=str(slot))
        break


def test_a_series_is_booked_whole_or_not_at_all(stage: Stage) -> None:
    taken = FRIDAY + timedelta(weeks=2)
    stage.request(taken)
    with pytest.raises(SlotClash) as refused:
        stage.request(FRIDAY, weeks=4, key="series")
    assert [s.starts_at for s in refused.value.clashes] == [taken]
    with Session(stage.engine) as session:
        assert session.scalar(text("select count(*) from booking")) == 1
    series = stage.request(FRIDAY + 2 * HOUR, weeks=4, hours=1, key="other series")
    assert [t.starts_at for t in stage.times(series)] == [
        FRIDAY + 2 * HOUR + timedelta(weeks=n) for n in range(4)
    ]


def test_booking_the_whole_locks_its_parts_and_the_other_way_round(stage: Stage) -> None:
    with Session(stage.engine) as session:
        parts = []
        for name in ("A", "B"):
            part = Resource(
                owner_id=stage.world.things["partner_p"],
                parent_id=stage.resource_id,
                kind="space",
                title_zh=f"{name}区",
                title_en=f"Area {name}",
                capacity_max=40,
            )
            session.add(part)
            session.flush()
            parts.append(part.id)
        session.execute(
            text(
                "insert into opening_rule (resource_id, weekday, opens, closes)"
                " select unnest(cast(:parts as bigint[])), 4, '09:00', '17:00'"
            ),
            {"parts": parts},
        )
        session.commit()
    stage.request(FRIDAY, resource=parts[0])
    stage.request(FRIDAY, resource=parts[1])
    with pytest.raises(SlotTaken):
        stage.request(FRIDAY, key="whole")
    whole = stage.request(FRIDAY - 3 * HOUR, key="whole, earlier")
    assert [t.resource_id for t in stage.times(whole)] == parts
    with pytest.raises(SlotTaken):
        stage.request(FRIDAY - 3 * HOUR, resource=parts[1], key="part")


def test_a_resource_that_takes_bookings_directly_confirms_at_once(stage: Stage) -> None:
    set_resource(stage, approval_mode="direct")
    direct = stage.booking(stage.request())
    assert (direct.state, direct.hold_until) == ("confirmed", None)
    set_resource(stage, approval_mode="request")
    asked = stage.booking(stage.request(FRIDAY - 3 * HOUR))
    assert (asked.state, asked.hold_until) == ("tentative", NOW + timedelta(days=3))


def test_a_licence_that_expires_before_the_day_refuses(stage: Stage) -> None:
    def licence(day: date) -> None:
        with Session(stage.engine) as session:
            session.add(
                PartnerDocument(
                    org_id=stage.world.things["partner_p"],
                    kind="licence",
                    number=str(day),
                    expires_on=day,
                )
            )
            session.commit()

    licence(FRIDAY.date() - timedelta(days=1))
    with pytest.raises(Conflict) as refused:
        stage.request()
    assert refused.value.code == "documents_expired"
    licence(FRIDAY.date() + timedelta(days=300))  # renewed
    stage.request()


def test_strangers_may_neither_ask_nor_learn(stage: Stage) -> None:
    with pytest.raises(Forbidden):
        stage.request(role="teacher_b")
    with pytest.raises(Forbidden):
        stage.request(role="partner")
    set_resource(stage, publish_state="draft")
    with pytest.raises(NotFound):
        stage.request()


def test_bad_input_is_refused_by_field_and_nothing_is_kept(stage: Stage) -> None:
    for starts, hours in ((NOW - timedelta(days=2), 2), (FRIDAY, -1), (FRIDAY, 0), (FRIDAY, 60)):
        with pytest.raises(Invalid):
            stage.request(starts, hours=hours)
    with pytest.raises(Invalid) as refused:
        stage.request(weeks=0)
    assert "weeks" in refused.value.fields
    with Session(stage.engine) as session:
        assert session.scalar(text("select count(*) from booking")) == 0


def approve(booking: int) -> Callable[[UnitOfWork], None]:
    return lambda uow: services.approve(uow, booking_id=booking)


def test_of_two_approvers_at_once_one_is_told_that_it_is_done(stage: Stage) -> None:
    booking = stage.request()
    found = all_at_once(2, lambda n: stage.act("partner", approve(booking)))
    assert found == {"ok": 1, "Stale": 1}
    assert stage.booking(booking).state == "confirmed"


def test_approving_and_withdrawing_at_once_ends_in_one_state(stage: Stage) -> None:
    booking = stage.request()

    def either(number: int) -> None:
        if number:
            stage.act("teacher", lambda uow: services.withdraw(uow, booking_id=booking))
        else:
            stage.act("partner", approve(booking))

    all_at_once(2, either)
    state = stage.booking(booking).state
    assert {t.status for t in stage.times(booking)} == {state}


def test_declined_withdrawn_and_expired_slots_are_free_again(stage: Stage) -> None:
    first = stage.request(key="1")
    stage.act("partner", lambda uow: services.decline(uow, booking_id=first, code="staff"))
    second = stage.request(key="2")
    stage.act("teacher", lambda uow: services.withdraw(uow, booking_id=second))
    third = stage.request(key="3")
    stage.act("partner", approve(third))
    stage.act(
        "partner", lambda uow: services.cancel_by_partner(uow, booking_id=third, code="weather")
    )
    stage.request(key="4")
    assert [stage.booking(b).state for b in (first, second, third)] == [
        "declined",
        "cancelled_by_school",
        "cancelled_by_partner",
    ]


def test_only_the_owner_decides_and_a_reason_is_needed(stage: Stage) -> None:
    booking = stage.request()
    for role in ("teacher", "partner_b", "coordinator", "school_admin"):
        with pytest.raises(Forbidden):
            stage.act(role, approve(booking))
    with pytest.raises(Invalid):
        stage.act("partner", lambda uow: services.decline(uow, booking_id=booking, code="mood"))
    assert stage.booking(booking).state == "tentative"


def test_owners_close_a_time_but_not_over_a_booking(stage: Stage) -> None:
    def block(hours: float) -> Callable[[UnitOfWork], None]:
        return lambda uow: services.block_time(
            uow,
            resource_id=stage.resource_id,
            starts_at=FRIDAY,
            ends_at=FRIDAY + timedelta(hours=hours),
            reason="维护",
            zone=ZONE,
        )

    stage.act("partner", block(1))
    with pytest.raises(SlotTaken):
        stage.request(FRIDAY)
    stage.act(
        "partner",
        lambda uow: services.lift_block(
            uow, resource_id=stage.resource_id, starts_at=FRIDAY, ends_at=FRIDAY + HOUR
        ),
    )
    stage.request(FRIDAY)
    with pytest.raises(SlotClash) as refused:
        stage.act("partner", block(3))
    assert [s.starts_at for s in refused.value.clashes] == [FRIDAY]
    with pytest.raises(Invalid):
        stage.act("partner", block(0))
    with pytest.raises(Forbidden):
        stage.act("partner_b", block(1))
