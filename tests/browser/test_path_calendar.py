"""A family's calendar: subscribed on a phone, right after a move and after a cancellation."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from urllib.request import Request, urlopen

import pytest
from icalendar import Calendar, Component
from playwright.sync_api import Page, expect
from sqlalchemy.orm import Session

from coordination.domain.people.actors import actor_of
from coordination.domain.practice import services as practice
from coordination.ground import clock
from coordination.reactions.work import begin

if TYPE_CHECKING:
    from tests.browser.conftest import District

Staff = Callable[..., Page]
Check = Callable[[Page], None]
PHONES_OF_CLASS = """
select distinct encode(t.value_index, 'hex') from contact_point t
join guardianship g on g.guardian_id = t.person_id and not g.no_disclosure
join class_member m on m.person_id = g.child_id
join class_group c on c.id = m.class_id and c.source_id = 'GMSY-3-2'
"""
SUBSCRIBE = re.compile("订阅|Subscribe")


def _feed(address: str) -> tuple[str, list[Component]]:
    """ETag and entries, fetched as a calendar program does."""
    with urlopen(Request(address, headers={"User-Agent": "iOS/17 dataaccessd/1.0"})) as answer:
        return answer.headers["ETag"], Calendar.from_ical(answer.read()).walk("VEVENT")


def _address(page: Page) -> str:
    """The secret address that the subscribe page shows."""
    shown = page.locator("input[readonly]").first.input_value()
    return re.sub(r"^webcals?:", "http:", shown)


def _enrol(district: District) -> int:
    """Class 3(2) goes to the first session at the practice base; its id."""
    teacher = district.scalar("select person_id from account where login = 'lijing'")
    held = district.scalar("select id from practice_session order by id limit 1")
    with Session(district.engine) as session:
        actor = actor_of(session, teacher, clock.now().date())
    (class_id,) = actor.class_ids
    with Session(district.engine) as session, begin(session, actor) as uow:
        practice.enrol_class(uow, session_id=held, class_id=class_id, adults=3, needs="")
    return int(held)


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_subscribe_page_offers_every_way(
    parent: Callable[..., Page], check_page: Check, language: str
) -> None:
    page = parent("王小雨" if language == "zh" else "阿依古丽·买买提", language=language)
    page.goto("/calendars")
    check_page(page)
    page.get_by_role("button", name=SUBSCRIBE).first.click()
    expect(page.locator("main")).to_contain_text("Google")
    links = " ".join(a.get_attribute("href") or "" for a in page.locator("main a").all())
    for part in ("webcal", "calendar.google.com", "outlook"):
        assert part in links
    assert page.locator("main svg, main img").count() >= 1  # the QR code
    check_page(page)


def test_a_move_and_a_cancellation_reach_the_calendar_and_the_phone(
    staff: Staff, parent: Callable[..., Page], district: District, check_page: Check
) -> None:
    held = _enrol(district)
    district.deliver()
    family = parent("王小雨")
    family.goto("/calendars")
    family.get_by_role("button", name=SUBSCRIBE).first.click()
    address = _address(family)
    tag, entries = _feed(address)
    (entry,) = [e for e in entries if "冬季蔬菜" in e["SUMMARY"]]

    coordinator = staff("coordinator", "phone")
    coordinator.goto(f"/activities/sessions/{held}/move")
    check_page(coordinator)
    starts: datetime = entry["DTSTART"].dt
    later = starts + timedelta(minutes=30)
    texts = district.scalar("select count(*) from outbox_message")
    coordinator.fill("#starts", f"{later:%H:%M}")
    coordinator.get_by_role("button", name="改期并通知").click()
    expect(coordinator.locator(".flash").first).to_be_visible()
    new_tag, entries = _feed(address)
    (moved,) = [e for e in entries if e["UID"] == entry["UID"]]
    assert moved["SEQUENCE"] > entry.get("SEQUENCE", 0)
    assert moved["DTSTART"].dt == later
    assert new_tag != tag
    # every phone of the class once, and nobody else's
    told = district.column(
        "select household_key from outbox_message where template_key = 'session_moved'"
        " and household_key not like 'person-%'"
    )
    assert sorted(told) == sorted(district.column(PHONES_OF_CLASS))
    assert district.scalar("select count(*) from outbox_message") > texts

    coordinator.goto(f"/activities/sessions/{held}/cancel")
    coordinator.select_option("#code", "weather")
    coordinator.fill("#note_zh", "暴雨橙色预警")
    coordinator.locator("main button[type=submit]").last.click()
    _, entries = _feed(address)
    (cancelled,) = [e for e in entries if e["UID"] == entry["UID"]]
    assert cancelled["STATUS"] == "CANCELLED"
    assert cancelled["SEQUENCE"] > moved["SEQUENCE"]


def test_an_address_that_was_withdrawn_answers_like_one_that_never_was(
    parent: Callable[..., Page], check_page: Check
) -> None:
    page = parent("欧阳珺")
    page.goto("/calendars")
    page.get_by_role("button", name=SUBSCRIBE).first.click()
    address = _address(page)
    assert page.request.get(address).status == 200
    page.goto("/calendars")
    check_page(page)
    page.get_by_role("button", name="停用").first.click()
    withdrawn = page.request.get(address)
    never = page.request.get(re.sub(r"/c/.*", "/c/" + "x" * 43 + ".ics", address))
    assert (
        (withdrawn.status, withdrawn.text()) == (never.status, never.text()) == (404, never.text())
    )
