"""A meeting by mail: from the sign-up through a move to the cancellation, over a real mail server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from email.message import EmailMessage
from typing import Any, cast

import pytest
from icalendar import Calendar
from sqlalchemy.orm import Session

from coordination.domain.bookings import services as bookings
from coordination.domain.people import contacts
from coordination.ground import clock
from coordination.reactions.carriers import carriers_of
from coordination.settings import Settings
from coordination.worker import Postman
from tests.build.outing import DAY, FRIDAY, HOUR, ZONE, Outing, outing
from tests.standin.mailbox import Mailbox, serving
from tests.unit.calendars.test_histories import by_ical_js

ADDRESSES = {"teacher": "li@school.example", "partner": "base@valley.example"}


@pytest.fixture
def stage(fresh_url: str) -> Iterator[Outing]:
    with outing(fresh_url) as made:
        with Session(made.engine) as session:
            for role, address in ADDRESSES.items():
                contacts.set_email(session, made.world.people[role], address)
            # a guardian's address is not written to: families are told by text
            contacts.set_email(session, made.world.people["guardian"], "wang@home.example")
            session.commit()
        yield made


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture
def post(stage: Outing, mailbox: Mailbox) -> Iterator[Any]:
    """Deliver what waits; the mails that arrived since, by address."""
    with serving(mailbox) as port:
        settings = replace(
            Settings(),
            database_url=stage.url,
            smtp_url=f"smtp://127.0.0.1:{port}",
            public_url="https://jxs.example.cn",
        )
        postman = Postman(stage.engine, settings, carriers_of(settings, stage.engine))

        def deliver() -> dict[str, EmailMessage]:
            mailbox.mails.clear()
            postman.deliver()
            return {str(mail["To"]): mail for mail in mailbox.mails}

        yield deliver
        postman.close()


def calendar_of(mail: EmailMessage) -> tuple[str, Any, bytes]:
    """METHOD, the event, and the part itself."""
    [part] = [p for p in mail.walk() if p.get_content_type() == "text/calendar"]
    content = cast(bytes, part.get_payload(decode=True))
    calendar = Calendar.from_ical(content)
    assert part.get_param("method") == calendar["method"]
    (event,) = calendar.walk("VEVENT")
    return str(calendar["method"]), event, content


def test_a_session_is_one_entry_from_invitation_to_cancellation(stage: Outing, post: Any) -> None:
    session = stage.plan()
    stage.enrol(session)
    mails = post()
    assert set(mails) == set(ADDRESSES.values())
    method, event, first = calendar_of(mails["li@school.example"])
    assert method == "REQUEST"
    assert event["uid"] == stage.entry("session", session).uid
    assert event["sequence"] == stage.entry("session", session).sequence
    assert event["attendee"] == "mailto:li@school.example"
    assert event["attendee"].params["RSVP"] == "FALSE"
    assert event["organizer"] == "mailto:no-reply@jxs.example.cn"
    assert mails["li@school.example"]["From"] == "家校社协同 <no-reply@jxs.example.cn>"
    assert event.decoded("dtstart") == FRIDAY
    text = first.decode()
    for private in ("王小雨", "138", "base@valley.example"):
        assert private not in text

    stage.enrol(session, "class_c", role="teacher_c")
    assert "li@school.example" not in post()  # nothing has changed for her

    stage.move(session, FRIDAY + DAY)
    mails = post()
    method, moved, second = calendar_of(mails["li@school.example"])
    assert (method, moved["uid"]) == ("REQUEST", event["uid"])
    assert moved["sequence"] > event["sequence"]
    assert moved.decoded("dtstart") == FRIDAY + DAY

    stage.cancel(session)
    mails = post()
    assert set(mails) == set(ADDRESSES.values())
    method, off, third = calendar_of(mails["base@valley.example"])
    assert (method, off["uid"], off["status"]) == ("CANCEL", event["uid"], "CANCELLED")
    assert off["sequence"] > moved["sequence"]
    assert str(mails["li@school.example"]["Subject"]).startswith("已取消：")
    # the second reader understands the same
    for raw, (found,) in zip(
        (first, second, third), by_ical_js([first, second, third]), strict=True
    ):
        (read,) = Calendar.from_ical(raw).walk("VEVENT")
        assert found[:3] == [str(read["uid"]), int(read["sequence"]), str(read["status"])]


def test_a_mail_that_waited_tells_the_present_time(stage: Outing, post: Any) -> None:
    session = stage.plan()
    stage.enrol(session)
    stage.move(session, FRIDAY + DAY)  # both mails still wait
    post_box = post()
    _, event, _ = calendar_of(post_box["li@school.example"])
    assert event.decoded("dtstart") == FRIDAY + DAY


def test_a_cancelled_session_withdraws_nothing_from_who_was_never_invited(
    stage: Outing, post: Any
) -> None:
    session = stage.plan()
    stage.cancel(session)
    assert post() == {}


def test_a_booking_invites_once_it_is_agreed(stage: Outing, post: Any) -> None:
    clock.travel_to(FRIDAY - 5 * DAY)
    resource = stage.world.things["resource"]
    booking = stage.act(
        "teacher",
        lambda uow: (
            bookings.request_booking(
                uow,
                resource_id=resource,
                starts_at=FRIDAY + HOUR / 2,
                ends_at=FRIDAY + 1.5 * HOUR,
                class_id=stage.world.things["class_a"],
                children=20,
                adults=2,
                purpose="拉坯",
                needs="",
                request_key="invite",
                zone=ZONE,
            ).id
        ),
    )
    assert post() == {}  # asked for, not agreed
    stage.act("partner", lambda uow: bookings.approve(uow, booking_id=booking, zone=ZONE))
    mails = post()
    assert set(mails) == set(ADDRESSES.values())
    method, event, _ = calendar_of(mails["base@valley.example"])
    assert (method, event["status"]) == ("REQUEST", "CONFIRMED")
    stage.act("teacher", lambda uow: bookings.withdraw(uow, booking_id=booking))
    mails = post()
    method, off, _ = calendar_of(mails["base@valley.example"])
    assert (method, off["uid"]) == ("CANCEL", event["uid"])
