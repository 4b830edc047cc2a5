"""A school books the pottery studio: found, asked for, answered, and in everybody's calendar."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Page, expect

from coordination.ground import clock
from coordination.seed.demo import ZONE

if TYPE_CHECKING:
    from tests.browser.conftest import District

Staff = Callable[..., Page]
Check = Callable[[Page], None]


def _day(weeks: int) -> str:
    """A Wednesday some weeks from now (no public holiday falls on it before spring)."""
    today = clock.today(ZONE)
    return (today + timedelta(days=(2 - today.weekday()) % 7 + 7 * weeks)).isoformat()


def _ask(page: Page, title: str, day: str, starts: str = "14:00") -> None:
    """Search, choose and fill in."""
    page.goto(f"/venues/?people=38&day={day}")
    page.get_by_role("link", name=title, exact=True).click()
    page.get_by_role("link", name="预约", exact=True).click()
    page.fill("#day", day)
    page.fill("#starts", starts)
    page.select_option("#minutes", "120")
    page.fill("#children", "36")
    page.fill("#adults", "2")
    page.fill("#purpose", "传统工艺课：拉坯")
    page.fill("#needs", "1 名轮椅使用者")
    page.get_by_role("button", name="下一步：核对").click()


@pytest.mark.parametrize("width", ["phone", "desktop"])
def test_the_owner_is_asked_and_approves(
    staff: Staff, district: District, check_page: Check, width: str
) -> None:
    day = _day(1 if width == "phone" else 2)
    teacher = staff("lijing", width)
    _ask(teacher, "陶艺工作室", day)
    check_page(teacher)
    teacher.get_by_role("button", name="提交申请").click()
    expect(teacher.locator("main")).to_contain_text("待审批")
    check_page(teacher)
    booking = teacher.url

    owner = staff("clayhouse", width)
    owner.goto("/venues/inbox")
    expect(owner.locator("main")).to_contain_text("1 名轮椅使用者")
    # numbers and needs, no child
    assert "王小雨" not in owner.locator("main").inner_text()
    check_page(owner)
    owner.get_by_role("button", name="同意").first.click()
    teacher.goto(booking)
    expect(teacher.locator("main")).to_contain_text("已确认")
    district.deliver()
    told = district.column(
        "select distinct template_key from outbox_message where subject_type = 'booking'"
    )
    assert {"booking_requested", "booking_confirmed"} <= set(told)
    # venue, class and families: one entry, seen by each
    kinds = district.column(
        "select distinct a.kind from entry_audience a join calendar_entry e on e.id = a.entry_id"
        " where e.subject_type = 'booking_occurrence' or e.subject_type = 'booking'"
    )
    assert {"resource", "class"} <= set(kinds)


def test_a_time_that_is_taken_is_refused_with_others_that_are_free(
    staff: Staff, district: District, check_page: Check
) -> None:
    day = _day(3)
    first = staff("lijing")
    _ask(first, "陶艺工作室", day)
    first.get_by_role("button", name="提交申请").click()
    expect(first.locator("main")).to_contain_text("待审批")
    second = staff("wanghao", "phone")
    _ask(second, "陶艺工作室", day, "15:00")
    if second.get_by_role("button", name="提交申请").count():
        second.get_by_role("button", name="提交申请").click()
    expect(second.locator("#error-summary")).to_be_visible()
    # what was typed is kept, and a free time is offered
    expect(second.locator("#purpose")).to_have_value("传统工艺课：拉坯")
    assert re.search(
        r"\d{2}:\d{2}", second.locator("#error-summary, .slots, main").first.inner_text()
    )
    check_page(second)


def test_the_owner_declines_with_a_reason(
    staff: Staff, district: District, check_page: Check
) -> None:
    teacher = staff("lijing")
    _ask(teacher, "陶艺工作室", _day(4))
    teacher.get_by_role("button", name="提交申请").click()
    booking = teacher.url
    owner = staff("clayhouse", "phone")
    owner.goto(booking)
    owner.locator("summary", has_text="不同意").click()
    owner.locator("#code").select_option(index=1)
    check_page(owner)
    owner.get_by_role("button", name="告知学校").click()
    teacher.goto(booking)
    expect(teacher.locator("main")).to_contain_text(re.compile("未通过|未同意|已拒绝|婉拒"))
    expect(teacher.locator("main")).to_contain_text("原因")


def test_a_place_that_is_booked_directly_is_ours_at_once(
    staff: Staff, district: District, check_page: Check
) -> None:
    teacher = staff("lijing", "phone")
    _ask(teacher, "少儿阅览室", _day(1), "10:00")
    teacher.get_by_role("button", name="确认预订").click()
    expect(teacher.locator("main")).to_contain_text("已确认")
    check_page(teacher)
