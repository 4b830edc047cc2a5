"""The calendar as people look at it: phone and desktop, both languages, keyboard, paper, no scripts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.authz.actor import SYSTEM
from coordination.domain.agenda import services
from coordination.ground import clock
from coordination.ground.text import Text
from coordination.reactions.work import begin
from coordination.web.request import SESSION_KEY
from tests.browser.conftest import Site
from tests.build import world as worlds

Visitor = Callable[..., Page]
Check = Callable[[Page], None]
DAY = "day=2026-12-04"


@pytest.fixture(scope="module")
def world(engine: Engine) -> Iterator[worlds.World]:
    with Session(engine) as session:
        made = worlds.build(session, clock.now())
        session.commit()
    start = datetime(2026, 12, 4, 6, 0, tzinfo=UTC)
    with Session(engine) as session, begin(session, SYSTEM) as uow:
        uow.authorize(Action.SYSTEM_RUN)
        for number in range(6):
            services.put(
                uow,
                subject_type="look",
                subject_id=number,
                category="practice" if number % 2 else "booking",
                starts_at=start + timedelta(days=number // 2, hours=number % 2),
                ends_at=start + timedelta(days=number // 2, hours=2),
                summary=Text("绿谷种植体验", "Planting at Green Valley"),
                location=Text("光明路12号", "12 Guangming Road"),
                description=Text("", ""),
                audiences=[
                    ("class", made.things["class_a"]),
                    ("resource", made.things["resource"]),
                ],
                tentative=number == 3,
            )
        services.cancel(uow, subject_type="look", subject_id=2)
    yield made


def enter(page: Page, site: Site, token: str) -> Page:
    """Sign `page` in with a session that exists."""
    serializer = site.app.session_interface.get_signing_serializer(site.app)  # type: ignore[attr-defined]
    cookie = serializer.dumps({SESSION_KEY: token})
    page.context.add_cookies([{"name": "session", "value": cookie, "url": site.url}])
    return page


@pytest.mark.parametrize("width", ["phone", "desktop"])
@pytest.mark.parametrize("language", ["zh", "en"])
def test_calendar_pages_are_accessible(
    visitor: Visitor, check_page: Check, site: Site, world: worlds.World, width: str, language: str
) -> None:
    class_a, resource = world.things["class_a"], world.things["resource"]
    pages = {
        "guardian": [
            *(f"/calendars/family?view={v}&{DAY}" for v in ("month", "week", "list")),
            "/calendars",
        ],
        "teacher": [
            f"/calendars/class/{class_a}?{DAY}",
            f"/calendars/venue/{resource}?view=week&{DAY}",
            "/calendars/district?day=2026-10-01",
            "/calendars",
        ],
    }
    for role, paths in pages.items():
        page = enter(visitor(width, language), site, world.tokens[role])
        for path in paths:
            page.goto(f"{path}{'&' if '?' in path else '?'}lang={language}")
            expect(page.locator("h1")).to_be_visible()
            check_page(page)


def test_a_phone_without_scripts_gets_from_the_month_to_an_entry(
    visitor: Visitor, site: Site, world: worlds.World
) -> None:
    page = enter(visitor("phone", scripts=False), site, world.tokens["guardian"])
    page.goto(f"/calendars/family?{DAY}")
    page.locator("td a.count").first.click()
    assert urlsplit(page.url).fragment == "d-2026-12-04"
    page.locator("#d-2026-12-04 a").first.click()
    expect(page.locator("h1")).to_have_text("绿谷种植体验")
    expect(page.get_by_role("link", name="加到我的日历")).to_be_visible()


def test_the_keyboard_reaches_another_month(
    visitor: Visitor, site: Site, world: worlds.World
) -> None:
    page = enter(visitor("desktop"), site, world.tokens["guardian"])
    page.goto(f"/calendars/family?{DAY}")
    later = page.get_by_role("link", name="往后")
    for _ in range(15):
        page.keyboard.press("Tab")
        if later.evaluate("e => e === document.activeElement"):
            break
    page.keyboard.press("Enter")
    expect(page.locator("#period")).to_contain_text("2027年1月")


def test_paper_shows_the_month_and_no_buttons(
    visitor: Visitor, site: Site, world: worlds.World
) -> None:
    page = enter(visitor("phone"), site, world.tokens["guardian"])
    page.goto(f"/calendars/family?{DAY}")
    page.emulate_media(media="print")
    expect(page.locator(".in-grid a").first).to_be_visible()
    expect(page.get_by_role("link", name="往后")).to_be_hidden()
    expect(page.locator(".count").first).to_be_hidden()


def test_a_new_subscription_shows_its_address_its_code_and_the_steps(
    visitor: Visitor, check_page: Check, site: Site, world: worlds.World
) -> None:
    page = enter(visitor("phone"), site, world.tokens["guardian"])
    page.goto("/calendars")
    page.get_by_role("button", name="订阅 家庭日历").click()
    expect(page.locator("#feed-address")).to_have_value(
        re.compile(re.escape(site.url) + r"/c/[\w-]{40,}\.ics")
    )
    expect(page.locator(".qr svg")).to_be_visible()
    for name in ("苹果手机", "Google", "Outlook", "小米", "华为", "企业微信"):
        expect(page.locator("summary", has_text=name).first).to_be_visible()
    page.locator("summary", has_text="小米").click()
    expect(page.locator("details[open] .guide-steps")).to_be_visible()
    check_page(page)
