"""A running site and a real Chromium: phone and desktop, both languages, no script left out.

`site` is the address of a server on the migrated test database (`pg_url`), `visitor` opens pages as
a fresh person. Without Chromium the tests fail and say what is missing: they are never skipped.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from axe_playwright_python.sync_playwright import Axe
from flask import Flask
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from sqlalchemy import Engine
from werkzeug.serving import make_server

from coordination.app import create_app
from coordination.settings import load

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


Visitor = Callable[..., Page]


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
