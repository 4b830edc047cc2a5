"""What follows from a booking: who is told what, and in whose calendar it stands."""

from __future__ import annotations

from datetime import timedelta

import pytest
from icalendar import Event
from sqlalchemy import text, update
from sqlalchemy.orm import Session

from coordination.authz.actor import SYSTEM
from coordination.domain.agenda.models import CalendarEntry, FeedToken
from coordination.domain.bookings import services
from coordination.domain.bookings.models import Resource
from coordination.domain.bookings.values import SlotClash
from coordination.ground import clock, crypto
from coordination.ground.errors import Conflict, Invalid, SlotTaken, Stale
from coordination.reactions.work import begin
from tests.build.calendars import entries_of
from tests.integration.bookings.conftest import FRIDAY, HOUR, NOW, ZONE, Stage

LATER = FRIDAY + timedelta(days=7)


def told(stage: Stage, key: str) -> dict[str, str]:
    """Role -> text of the newest message of a kind."""
    roles = {i: role for role, i in stage.world.people.items()}
    with Session(stage.engine) as session:
        rows = session.execute(
            text(
                "select recipient_id, body from outbox_message where template_key = :k order by id"
            ),
            {"k": key},
        )
        return {roles[person]: body for person, body in rows}


def clear(stage: Stage) -> None:
    with stage.engine.begin() as connection:
        connection.execute(text("truncate outbox_message cascade"))


def approve(stage: Stage, booking: int) -> None:
    stage.act("partner", lambda uow: services.approve(uow, booking_id=booking))


def move(stage: Stage, booking: int, role: str = "partner", start=LATER) -> None:  # type: ignore[no-untyped-def]
    stage.act(
        role,
        lambda uow: services.move_booking(
            uow, booking_id=booking, starts_at=start, ends_at=start + 2 * HOUR, zone=ZONE
        ),
    )


def feed(stage: Stage, owner: str, scope: str, scope_id: int | None = None) -> list[Event]:
    secret = crypto.new_token()
    with Session(stage.engine) as session:
        session.add(
            FeedToken(
                owner_id=stage.world.people[owner],
                scope=scope,
                scope_id=scope_id,
                name="f",
                language="zh",
                token_hash=crypto.token_hash(secret),
            )
        )
        session.commit()
        return entries_of(session, secret)[1]


def test_a_request_is_told_to_the_owner_alone_with_counts_and_no_name(stage: Stage) -> None:
    stage.request()
    found = told(stage, "booking_requested")
    assert set(found) == {"partner"}
    assert "32" in found["partner"]
    assert "12月4日（周五）14:00–16:00" in found["partner"]
    assert "王小雨" not in found["partner"]
    assert "王敏" not in found["partner"]
    assert feed(stage, "guardian", "family") == []


def test_an_approval_reaches_the_teacher_and_every_calendar(stage: Stage) -> None:
    booking = stage.request()
    approve(stage, booking)
    assert set(told(stage, "booking_confirmed")) == {"teacher"}
    for owner, scope, scope_id in (
        ("guardian", "family", None),
        ("teacher", "class", stage.world.things["class_a"]),
        ("partner", "resource", stage.resource_id),
    ):
        (entry,) = feed(stage, owner, scope, scope_id)
        assert entry["status"] == "CONFIRMED", owner
    for stranger in ("restricted", "former", "guardian_b"):
        assert feed(stage, stranger, "family") == []


def test_an_entry_says_where_the_venue_is_if_that_is_known(stage: Stage) -> None:
    venue = update(Resource).where(Resource.id == stage.resource_id)
    with stage.engine.begin() as connection:
        connection.execute(venue.values(lat=22.75, lng=113.93))
    booking = stage.request()
    approve(stage, booking)
    (entry,) = feed(stage, "guardian", "family")
    assert entry["geo"].to_ical() == "22.75;113.93"
    with stage.engine.begin() as connection:
        connection.execute(venue.values(lat=None))
    move(stage, booking)
    (entry,) = feed(stage, "guardian", "family")
    assert "geo" not in entry


def test_a_decline_tells_the_teacher_why(stage: Stage) -> None:
    booking = stage.request()
    stage.act("partner", lambda uow: services.decline(uow, booking_id=booking, code="staff"))
    found = told(stage, "booking_declined")
    assert set(found) == {"teacher"}
    assert "人手不足" in found["teacher"]
    (entry,) = feed(stage, "partner", "resource", stage.resource_id)
    assert entry["status"] == "CANCELLED"


def test_an_owner_who_cancels_tells_teacher_and_families(stage: Stage) -> None:
    booking = stage.request()
    approve(stage, booking)
    stage.act(
        "partner", lambda uow: services.cancel_by_partner(uow, booking_id=booking, code="weather")
    )
    assert set(told(stage, "booking_cancelled")) == {"teacher"}
    assert set(told(stage, "booking_cancelled_family")) == {"guardian"}
    (entry,) = feed(stage, "guardian", "family")
    assert entry["status"] == "CANCELLED"


def test_a_withdrawn_request_is_no_news_to_families_a_withdrawn_booking_is(stage: Stage) -> None:
    first = stage.request(key="1")
    stage.act("teacher", lambda uow: services.withdraw(uow, booking_id=first))
    assert set(told(stage, "booking_withdrawn")) == {"partner"}
    assert told(stage, "booking_cancelled_family") == {}
    second = stage.request(key="2")
    approve(stage, second)
    stage.act("school_admin", lambda uow: services.withdraw(uow, booking_id=second))
    assert set(told(stage, "booking_withdrawn")) == {"partner", "teacher"}
    assert set(told(stage, "booking_cancelled_family")) == {"guardian"}


def test_a_move_keeps_the_uid_raises_sequence_and_tells_exactly_those_affected(
    stage: Stage,
) -> None:
    booking = stage.request()
    approve(stage, booking)
    clear(stage)
    (before,) = feed(stage, "guardian", "family")
    clock.travel_to(NOW + timedelta(hours=1))
    move(stage, booking)
    (after,) = feed(stage, "guardian", "family")
    assert (after["uid"], after["sequence"]) == (before["uid"], before["sequence"] + 1)
    assert after["dtstart"].dt == LATER
    found = told(stage, "booking_moved")
    assert set(found) == {"teacher", "partner", "guardian"}
    assert "12月11日（周五）14:00–16:00" in found["guardian"]


def test_a_move_back_is_news_too(stage: Stage) -> None:
    booking = stage.request()
    approve(stage, booking)
    for hour, start in enumerate((LATER, FRIDAY, LATER)):
        clock.travel_to(NOW + timedelta(hours=hour + 1))
        clear(stage)
        move(stage, booking, start=start)
        assert set(told(stage, "booking_moved")) == {"teacher", "partner", "guardian"}


def test_moving_an_unanswered_request_leaves_families_alone(stage: Stage) -> None:
    booking = stage.request()
    move(stage, booking, "teacher")
    assert set(told(stage, "booking_moved")) == {"teacher", "partner"}
    assert stage.booking(booking).state == "tentative"


def test_a_refused_move_keeps_the_old_time_and_tells_nobody(stage: Stage) -> None:
    booking = stage.request()
    approve(stage, booking)
    stage.request(LATER, key="in the way")
    clear(stage)
    with pytest.raises(SlotClash) as refused:
        move(stage, booking, start=LATER + HOUR)
    assert [s.starts_at for s in refused.value.clashes] == [LATER]
    with pytest.raises(Invalid):
        move(stage, booking, start=NOW - HOUR)
    (row,) = stage.times(booking)
    assert (row.starts_at, row.status) == (FRIDAY, "confirmed")
    assert told(stage, "booking_moved") == {}
    with pytest.raises(SlotTaken):
        stage.request(FRIDAY, key="still taken")


def test_a_move_may_overlap_its_own_old_time(stage: Stage) -> None:
    series = stage.request(weeks=3)
    move(stage, series, "teacher", FRIDAY + HOUR)
    move(stage, series, "teacher", FRIDAY + timedelta(weeks=1))  # onto its own second week
    assert [t.starts_at for t in stage.times(series)] == [
        FRIDAY + timedelta(weeks=n) for n in (1, 2, 3)
    ]
    stage.request(FRIDAY, key="free again")


def test_a_school_does_not_move_what_the_owner_approved(stage: Stage) -> None:
    booking = stage.request()
    approve(stage, booking)
    with pytest.raises(Conflict) as refused:
        move(stage, booking, "teacher")
    assert refused.value.code == "approved"
    with Session(stage.engine) as session:
        session.execute(update(Resource).values(approval_mode="direct"))
        session.commit()
    move(stage, booking, "teacher")


def test_holds_run_out_free_the_slot_and_tell_the_teacher(stage: Stage) -> None:
    booking = stage.request()
    clock.travel_to(NOW + timedelta(days=3, minutes=1))
    with pytest.raises(Stale):
        approve(stage, booking)
    for expected in (1, 0):
        with Session(stage.engine) as session, begin(session, SYSTEM) as uow:
            assert services.expire_holds(uow) == expected
    assert stage.booking(booking).state == "expired"
    assert set(told(stage, "booking_expired")) == {"teacher"}
    stage.request(key="again")


def test_a_series_stands_in_the_calendar_once_a_week(stage: Stage) -> None:
    booking = stage.request(weeks=3)
    approve(stage, booking)
    entries = feed(stage, "guardian", "family")
    assert [e["dtstart"].dt for e in entries] == [FRIDAY + timedelta(weeks=n) for n in range(3)]
    assert "每周共3次" in told(stage, "booking_confirmed")["teacher"]
    with Session(stage.engine) as session:
        assert session.query(CalendarEntry).count() == 3
