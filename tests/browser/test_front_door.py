"""The way in, as a person walks it: front page, sign-in, language, style page."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

Visitor = Callable[..., Page]
Check = Callable[[Page], None]


@pytest.mark.parametrize("width", ["phone", "desktop"])
@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize(
    "path", ["/", "/sign-in", "/sign-in/phone", "/simulator", "/styleguide", "/nothing-here"]
)
def test_public_pages_are_accessible(
    visitor: Visitor, check_page: Check, width: str, language: str, path: str
) -> None:
    page = visitor(width, language)
    page.goto(path)
    expect(page.locator("h1")).to_be_visible()
    check_page(page)


def test_a_refused_form_moves_focus_to_what_is_wrong(visitor: Visitor, check_page: Check) -> None:
    page = visitor("phone")
    page.goto("/sign-in")
    page.get_by_role("button", name="登录").click()
    expect(page.locator("#error-summary")).to_be_focused()
    check_page(page)
    page.locator("#error-summary a").first.click()
    expect(page.locator("#login")).to_be_focused()


@pytest.mark.parametrize("scripts", [True, False])
def test_the_language_switch_keeps_the_form(visitor: Visitor, *, scripts: bool) -> None:
    page = visitor("phone", scripts=scripts)
    page.goto("/sign-in")
    page.fill("#login", "李老师")
    page.get_by_role("button", name="English").click()
    expect(page.locator("h1")).to_have_text("Staff sign-in")
    expect(page.locator("#login")).to_have_value("李老师")
    page.goto("/")
    expect(page.locator("html")).to_have_attribute("lang", "en")
