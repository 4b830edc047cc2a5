"""A notice from the teacher's phone to the families' phones and back, with and without scripts."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import phone_owner

if TYPE_CHECKING:
    from tests.browser.conftest import District

Visitor = Callable[..., Page]
Staff = Callable[..., Page]
Check = Callable[[Page], None]
CODE = re.compile(r"[0-9A-Z]{5}-[0-9A-Z]{5}")


def _write(page: Page, title: str) -> None:
    page.goto("/notices/new")
    page.fill("#title_zh", title)
    page.fill("#body_zh", "请周五前把回执交给班主任。𠮷·🙂")
    page.fill("#title_en", "Reply slip")
    page.fill("#body_en", "Please hand in the slip by Friday.")


@pytest.mark.parametrize(
    ("width", "scripts"), [("phone", True), ("phone", False), ("desktop", True)]
)
def test_a_notice_is_sent_read_and_confirmed(
    staff: Staff,
    visitor: Visitor,
    district: District,
    check_page: Check,
    width: str,
    *,
    scripts: bool,
) -> None:
    title = f"回执 {width} {scripts}"
    page = staff("lijing", width, scripts=scripts)
    _write(page, title)
    # the numbers before sending: 36 children, one family without any phone
    expect(page.locator(".counters").first).to_contain_text("36")
    expect(page.locator("main")).to_contain_text("没有任何家长能收到短信的孩子")
    page.get_by_role("button", name="下一步：核对").click()
    expect(page.locator("h1")).to_have_text("核对后发送")
    if scripts:
        check_page(page)
    page.get_by_role("button", name=re.compile("发送给")).click()
    expect(page.locator("h1")).to_have_text(title)
    sent = page.url
    district.deliver()

    mother = phone_owner(district, "王小雨")
    phone = visitor("phone", "zh", scripts=scripts)
    code = CODE.findall(mother.texts(phone))[-1]
    phone.goto("/")
    phone.fill("#code", code.lower())
    phone.locator("main button[type=submit]").first.click()
    expect(phone.locator("h1")).to_have_text(title)
    if scripts:
        check_page(phone)
    phone.get_by_role("button", name="确认收到").click()
    expect(phone.locator(".panel-done")).to_contain_text("已确认收到")

    page.goto(sent)
    expect(page.locator(".counters")).to_contain_text("1已确认")
    if scripts:
        check_page(page)
    before = district.scalar("select count(*) from outbox_message")
    page.get_by_role("button", name=re.compile("只提醒未回复的")).click()
    expect(page.locator(".flash").first).to_contain_text("已提醒")
    reminded = district.scalar(
        "select count(*) from outbox_message where template_key = 'notice_nudge'"
        " and subject_id = (select max(id) from notice)"
    )
    assert reminded == district.scalar("select count(*) from outbox_message") - before
    told = district.scalar(
        "select count(*) from notice_recipient where told_via_id = guardian_id"
        " and notice_id = (select max(id) from notice)"
    )
    assert reminded == told - 1


def test_an_english_family_reads_english(
    staff: Staff, visitor: Visitor, district: District, check_page: Check
) -> None:
    # what other tests left is not to be said with it
    district.deliver()
    page = staff("lijing")
    _write(page, "英文家庭")
    page.get_by_role("button", name="下一步：核对").click()
    page.get_by_role("button", name=re.compile("发送给")).click()
    district.deliver()
    phone = visitor("phone", "en")
    text = phone_owner(district, "阿依古丽·买买提").texts(phone)
    assert "Reply slip" in text
    phone.goto("/")
    phone.fill("#code", CODE.findall(text)[-1])
    phone.locator("main button[type=submit]").first.click()
    expect(phone.locator("h1")).to_have_text("Reply slip")
    check_page(phone)
    phone.get_by_role("button", name="Confirm").click()
    expect(phone.locator(".panel-done")).to_contain_text("Confirmed")


def test_what_is_missing_is_named_and_nothing_typed_is_lost(
    staff: Staff, check_page: Check
) -> None:
    page = staff("lijing", "phone")
    _write(page, "缺英文")
    page.fill("#title_en", "")
    page.get_by_role("button", name="下一步：核对").click()
    expect(page.locator("#error-summary")).to_be_focused()
    expect(page.locator("#title_zh")).to_have_value("缺英文")
    expect(page.locator("#body_zh")).to_have_value(re.compile("𠮷·🙂"))
    check_page(page)


def test_a_school_office_watches_a_notice_to_everybody_and_stops_it(
    staff: Staff, district: District, check_page: Check
) -> None:
    page = staff("liufang", "phone")
    _write(page, "全校停课")
    page.select_option("#org_id", label="光明实验小学全体家长")
    page.get_by_role("button", name="下一步：核对").click()
    expect(page.locator("main")).to_contain_text("光明实验小学全体家长")
    page.get_by_role("button", name=re.compile("发送给")).click()
    page.get_by_role("link", name="停止发送").click()
    expect(page.locator("main")).to_contain_text("停止后不能恢复")
    check_page(page)
    page.get_by_role("button", name="停止发送").click()
    expect(page.locator("main")).to_contain_text("已停止发送")
    check_page(page)
    before = district.scalar("select count(*) from outbox_message")
    district.deliver()
    assert district.scalar("select count(*) from outbox_message") == before


def test_a_wrong_code_gets_a_plain_answer(
    visitor: Visitor, district: District, check_page: Check
) -> None:
    page = visitor("phone")
    page.goto("/")
    page.fill("#code", "00000-00000")
    page.locator("main button[type=submit]").first.click()
    expect(page.locator("main")).to_contain_text("没有找到这个短码")
    check_page(page)
