"""Signing in: staff by password, parents by phone and one-time code."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy.orm import Session

from coordination.domain.people.contacts import phones_of
from tests.browser.conftest import last_code, phone_owner

if TYPE_CHECKING:
    from tests.browser.conftest import District

Visitor = Callable[..., Page]
Staff = Callable[..., Page]
Check = Callable[[Page], None]


def test_a_teacher_signs_in_on_a_phone_and_out_again(staff: Staff, check_page: Check) -> None:
    page = staff("lijing", "phone")
    expect(page.locator("h1")).to_have_text("今日待办")
    check_page(page)
    page.goto("/account")
    page.get_by_role("button", name="全部退出登录").click()
    page.goto("/notices/")
    assert "/sign-in" in page.url


def test_a_wrong_password_says_so_and_keeps_the_name(
    visitor: Visitor, district: District, check_page: Check
) -> None:
    page = visitor("phone")
    page.goto("/sign-in")
    page.fill("#login", "lijing")
    page.fill("#password", "not-the-password")
    page.locator("main button[type=submit]").last.click()
    expect(page.locator("#error-summary")).to_be_visible()
    expect(page.locator("#login")).to_have_value("lijing")
    expect(page.locator("#password")).to_have_value("")
    check_page(page)


@pytest.mark.parametrize("scripts", [True, False])
def test_a_parent_signs_in_with_the_code_on_the_phone(
    parent: Callable[..., Page], check_page: Check, *, scripts: bool
) -> None:
    page = parent("王小雨", scripts=scripts)
    assert page.url.endswith("/family")
    if scripts:
        check_page(page)


def test_a_wrong_code_is_refused_and_the_right_one_still_opens(
    visitor: Visitor, district: District, check_page: Check
) -> None:
    page = visitor("phone", "en")
    page.goto("/sign-in/phone")
    # the eleventh guardian or so: the tests share limits per number
    child = district.scalar(
        "select c.name from person c join guardianship g on g.child_id = c.id"
        " join contact_point t on t.person_id = g.guardian_id order by c.id desc limit 1"
    )
    owner = phone_owner(district, child)
    page.fill("#phone", _phone(district, child))
    page.locator("main button[type=submit]").last.click()
    district.deliver()
    right = last_code(visitor(), owner)
    page.fill("#code", "000000" if right != "000000" else "000001")
    page.locator("main button[type=submit]").last.click()
    expect(page.locator("#error-summary")).to_be_visible()
    check_page(page)
    page.fill("#code", right)
    page.locator("main button[type=submit]").last.click()
    page.wait_for_url("**/family")


def test_an_unknown_number_gets_the_same_answer_as_a_known_one(
    visitor: Visitor, district: District
) -> None:
    answers = []
    for phone in (_phone(district, "欧阳珺"), "13912345678"):
        page = visitor("phone")
        page.goto("/sign-in/phone")
        page.fill("#phone", phone)
        page.locator("main button[type=submit]").last.click()
        expect(page.locator("#code")).to_be_visible()
        mask = f"{phone[:3]}****{phone[-4:]}"
        answers.append(page.locator("main").inner_text().replace(mask, "a number"))
    assert answers[0] == answers[1]


def _phone(district: District, child: str) -> str:
    owner = phone_owner(district, child)
    with Session(district.engine) as session:
        return phones_of(session, [owner.id])[owner.id].removeprefix("+86")
