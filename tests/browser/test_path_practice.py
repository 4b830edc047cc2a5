"""A day at the practice base: published, signed up, agreed or refused, helped, reminded, counted."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Page, expect

from coordination.ground import clock
from coordination.seed.demo import ZONE
from tests.browser.conftest import phone_owner

if TYPE_CHECKING:
    from tests.browser.conftest import District

Visitor = Callable[..., Page]
Staff = Callable[..., Page]
Check = Callable[[Page], None]
CODE = re.compile(r"[0-9A-Z]{5}-[0-9A-Z]{5}")


# a child is in one place at a time: every test takes a day of its own
DAYS = count(20)


def _publish(page: Page, title: str, places: int, ahead: int | None = None) -> str:
    """An activity with one session some weeks from now; its address."""
    page.goto("/activities/")
    page.get_by_role("link", name="策划活动").click()
    page.fill("#title_zh", title)
    page.fill("#title_en", "Straw weaving")
    page.select_option("#base_id", label="绿谷劳动实践基地")
    for grade in ("3 年级", "4 年级", "5 年级"):
        page.locator("label.chip", has_text=grade).click()
    page.get_by_role("button", name="保存，下一步添加场次").click()
    day = clock.today(ZONE) + timedelta(days=ahead or next(DAYS))
    page.fill("#day", day.isoformat())
    page.fill("#starts", "08:30")
    page.fill("#ends", "15:30")
    page.fill("#returns", "16:30")
    page.fill("#capacity", str(places))
    page.fill("#meeting_zh", "学校南门")
    page.fill("#meeting_en", "South gate")
    page.fill("#signup_until", (day - timedelta(days=4)).isoformat())
    page.fill("#helpers", "2")
    page.locator("main button[type=submit]").last.click()
    expect(page.locator("h1")).to_have_text(title)
    return page.url


def _enrol(page: Page, session: str) -> None:
    page.goto(session)
    page.get_by_role("link", name="为班级报名").click()
    page.get_by_role("button", name="报名并征求家长同意").click()
    expect(page.locator("h1")).not_to_have_text("为班级报名")


@pytest.mark.parametrize("width", ["phone", "desktop"])
def test_a_class_is_signed_up_in_under_a_minute(
    staff: Staff, district: District, check_page: Check, width: str
) -> None:
    coordinator = staff("coordinator", width)
    session = _publish(coordinator, f"草编 {width}", 60)
    check_page(coordinator)
    teacher = staff("lijing", width)
    begun = time.monotonic()
    _enrol(teacher, session)
    assert time.monotonic() - begun < 60
    teacher.goto(session)
    expect(teacher.locator("main")).to_contain_text("36 / 60")
    check_page(teacher)
    # the base learns numbers, no name
    base = staff("greenvalley", width)
    base.goto(session)
    assert "王小雨" not in base.locator("body").inner_text()
    check_page(base)


def test_who_finds_no_place_waits_and_is_told_so(
    staff: Staff, district: District, check_page: Check
) -> None:
    session = _publish(staff("coordinator"), "木工", 40)
    _enrol(staff("lijing"), session)
    second = staff("wanghao", "phone")
    _enrol(second, session)
    second.goto(session)
    # 36 have a place, four of the 32 follow, 28 wait
    expect(second.locator("main")).to_contain_text("40 / 40")
    expect(second.locator(".counters")).to_contain_text("28候补")
    check_page(second)


@pytest.mark.parametrize("scripts", [True, False])
def test_one_guardian_agrees_and_another_refuses_without_a_password(
    staff: Staff, visitor: Visitor, district: District, check_page: Check, *, scripts: bool
) -> None:
    session = _publish(staff("coordinator"), f"采摘 {scripts}", 60)
    teacher = staff("lijing")
    _enrol(teacher, session)
    district.deliver()
    for child, button, done in (
        ("王小雨", "同意参加", "同意"),
        ("欧阳珺", "不参加", "不同意"),
    ):
        page = visitor("phone", scripts=scripts)
        texts = phone_owner(district, child).texts(page)
        code = re.findall(rf"采摘 {scripts}.*?({CODE.pattern})", texts, re.DOTALL)[-1]
        page.goto("/")
        page.fill("#code", code)
        page.locator("main button[type=submit]").first.click()
        expect(page.locator("h1")).to_have_text(f"采摘 {scripts}")
        if scripts:
            check_page(page)
        page.get_by_label("监护人姓名").first.fill("家长")
        page.get_by_role("button", name=button).first.click()
        expect(page.locator(".panel-done").first).to_contain_text(done)
        if scripts:
            check_page(page)
    teacher.goto(session)
    expect(teacher.locator(".counters")).to_contain_text("1已同意")
    expect(teacher.locator(".counters")).to_contain_text("1不同意")
    check_page(teacher)


def test_a_parent_takes_a_shift(
    staff: Staff, parent: Callable[..., Page], district: District, check_page: Check
) -> None:
    session = _publish(staff("coordinator"), "插秧", 60)
    _enrol(staff("lijing"), session)
    page = parent("王小雨")
    page.goto("/shifts/")
    check_page(page)
    page.locator(".card", has_text="插秧").get_by_role("button", name="我来参加").click()
    expect(page.locator(".card", has_text="插秧")).to_contain_text("您已报名")
    page.goto("/family")
    expect(page.locator("main")).to_contain_text("插秧")
    check_page(page)


def test_the_roll_is_called_on_the_day(staff: Staff, district: District, check_page: Check) -> None:
    session = _publish(staff("coordinator"), "磨豆腐", 60, ahead=60)
    _enrol(staff("lijing"), session)
    day = clock.today(ZONE) + timedelta(days=60)
    clock.travel_to(datetime(day.year, day.month, day.day, 8, 40, tzinfo=ZONE))
    teacher = staff("lijing", "phone")
    teacher.goto(session + "/attendance")
    check_page(teacher)
    rows = teacher.locator("fieldset.field")
    expect(rows).to_have_count(36)
    for number in range(36):
        rows.nth(number).locator("label.chip").nth(1 if number == 7 else 0).click()
    teacher.get_by_role("button", name="保存考勤").click()
    expect(teacher.locator(".flash").first).to_contain_text("36")
    marks = district.column(
        "select a.status from attendance a join enrolment e on e.id = a.enrolment_id"
        " where e.session_id = (select max(id) from practice_session)"
    )
    assert len(marks) == 36
    assert len(set(marks)) == 2
