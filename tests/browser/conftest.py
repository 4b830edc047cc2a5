"""A running site and a real Chromium: phone and desktop, both languages, no script left out.

`site` is the address of a server on the migrated test database (`pg_url`), `visitor` opens pages as
a fresh person. Without Chromium the tests fail and say what is missing: they are never skipped.
"""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from flask import Flask
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session
from werkzeug.serving import make_server

from coordination.app import create_app
from coordination.authz.actor import SYSTEM
from coordination.domain.communication.notices.rounds import open_rounds, write_stretch
from coordination.domain.people.contacts import phones_of
from coordination.ground import clock
from coordination.reactions import notices
from coordination.reactions.work import begin
from coordination.seed.demo import PASSWORD, load_demo
from coordination.settings import load
from coordination.worker import drain

WIDTHS = {"phone": 375, "desktop": 1280}
_NAMES = ("chromium", "chromium-browser", "google-chrome")


# per module: while Playwright runs, its thread has an event loop and other tests could start none
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium."""
    path = next((found for name in _NAMES if (found := shutil.which(name))), None)
    if path is None:
        pytest.fail("Chromium is missing; on Debian: apt-get install chromium fonts-noto-cjk")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@dataclass(frozen=True, slots=True)
class Site:
    """A served application."""

    url: str
    app: Flask


@pytest.fixture(scope="module")
def site(pg_url: str, engine: Engine) -> Iterator[Site]:
    """The application served from a thread; its own address is its PUBLIC_URL."""
    before = notices.route()  # making the application sets it for the process
    server = make_server("127.0.0.1", 0, Flask("not yet"), threaded=True)
    url = f"http://127.0.0.1:{server.server_port}"
    app = create_app(
        load(
            {
                "DATABASE_URL": pg_url,
                "PUBLIC_URL": url,
                "SMS_CHANNEL": "console",
                "FIELD_KEY": "a field key for tests only",
            }
        )
    )
    server.app = app
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield Site(url, app)
    server.shutdown()
    thread.join()
    notices.use_route(before.public_url, links_allowed=before.links_allowed)


Visitor = Callable[..., Page]


@dataclass(frozen=True, slots=True)
class District:
    """The demo district behind the site, and what a person would do by telephone."""

    site: Site
    engine: Engine

    def deliver(self) -> None:
        """Let the clock and the worker do what is due now."""
        settings = self.site.app.config["SETTINGS"]
        with Session(self.engine) as session:
            rounds = open_rounds(session)
        for number in rounds:
            more = True
            while more:
                with Session(self.engine) as session, begin(session, SYSTEM) as uow:
                    more = write_stretch(uow, round_id=number)
        drain(self.engine, settings)

    def column(self, query: str) -> list[Any]:
        """One column out of the database."""
        with self.engine.connect() as connection:
            return list(connection.scalars(text(query)))

    def scalar(self, query: str, **values: object) -> Any:
        """One value out of the database."""
        with self.engine.connect() as connection:
            return connection.scalar(text(query), values)


@pytest.fixture(scope="module")
def district(site: Site, engine: Engine) -> District:
    """The demo district, loaded into the site's database."""
    with Session(engine) as session, session.begin():
        load_demo(session, clock.now())
    return District(site, engine)


@pytest.fixture
def staff(visitor: Visitor, district: District) -> Callable[..., Page]:
    """`staff("lijing", width="phone")` is a page of somebody who has signed in by password."""

    def come(login: str, width: str = "desktop", language: str = "zh", **more: bool) -> Page:
        page = visitor(width, language, **more)
        page.goto("/sign-in")
        page.fill("#login", login)
        page.fill("#password", PASSWORD)
        page.locator("main button[type=submit]").last.click()
        page.wait_for_url(lambda address: "/sign-in" not in address)
        return page

    return come


@pytest.fixture
def parent(visitor: Visitor, district: District) -> Callable[..., Page]:
    """`parent("王小雨")` is a page of that child's first guardian, signed in by phone and code."""

    def come(child: str, width: str = "phone", language: str = "zh", **more: bool) -> Page:
        owner = phone_owner(district, child)
        page = visitor(width, language, **more)
        page.goto("/sign-in/phone")
        with Session(district.engine) as session:
            page.fill("#phone", phones_of(session, [owner.id])[owner.id].removeprefix("+86"))
        page.locator("main button[type=submit]").last.click()
        district.deliver()
        page.fill("#code", last_code(visitor(), owner))
        page.locator("main button[type=submit]").last.click()
        page.wait_for_url(lambda address: "/sign-in" not in address)
        return page

    return come


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose phone it is; names are not unique, masks of the demo district are."""

    id: int
    name: str
    mask: str

    def texts(self, page: Page) -> str:
        """What the simulator shows on this phone."""
        page.goto("/simulator?name=" + self.name)
        return page.locator(".phone", has_text=self.mask).first.inner_text()


def phone_owner(district: District, child: str) -> Owner:
    """A child's first guardian who has a phone."""
    with district.engine.connect() as connection:
        row = connection.execute(
            text(
                "select p.id, p.name, t.mask from guardianship g join person c on c.id = g.child_id"
                " join person p on p.id = g.guardian_id"
                " join contact_point t on t.person_id = p.id and t.kind = 'phone'"
                " where c.name = :child and not g.no_disclosure"
                " order by g.contact_order, p.id limit 1"
            ),
            {"child": child},
        ).one()
    return Owner(row.id, row.name, row.mask)


def last_code(page: Page, owner: Owner) -> str:
    """The newest sign-in code on somebody's phone, read off the simulator."""
    return str(re.findall(r"(?<!\d)\d{6}(?!\d)", owner.texts(page))[-1])


@pytest.fixture
def visitor(chromium: Browser, site: Site) -> Iterator[Visitor]:
    """`visitor(width="phone", language="zh")` is a page of a person without any cookie."""
    contexts: list[BrowserContext] = []

    def come(width: str = "desktop", language: str = "zh", *, scripts: bool = True) -> Page:
        context = chromium.new_context(
            base_url=site.url,
            viewport={"width": WIDTHS[width], "height": 800},
            locale="zh-CN" if language == "zh" else "en-GB",
            java_script_enabled=scripts,
            has_touch=width == "phone",
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        return page

    yield come
    for context in contexts:
        context.close()


def refuse_poor_page(page: Page) -> None:
    """Fail on serious accessibility findings and on sideways scrolling."""
    found = Axe().run(page).response["violations"]
    serious = [
        (v["id"], [n["html"][:120] for n in v["nodes"]])
        for v in found
        if v["impact"] in {"serious", "critical"}
    ]
    assert serious == [], f"{page.url}: {serious}"
    wider = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert wider <= 0, f"{page.url} is {wider} px too wide"


@pytest.fixture
def check_page() -> Callable[[Page], None]:
    """Axe and width check for a page as it stands."""
    return refuse_poor_page
