"""Rules of reminders: set for one activity, carried along when it moves, and one text at the time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Page, expect
from rich.console import Console
from sqlalchemy import select
from sqlalchemy.orm import Session

from coordination.authz.actor import SYSTEM
from coordination.domain.practice import services as practice
from coordination.domain.practice.models import Activity
from coordination.ground import clock
from coordination.ground.text import Text
from coordination.reactions import reminders
from coordination.reactions.work import begin
from coordination.seed.demo import ZONE
from coordination.tour import Story
from tests.browser.conftest import phone_owner

if TYPE_CHECKING:
    from tests.browser.conftest import District

Visitor = Callable[..., Page]
Staff = Callable[..., Page]
Check = Callable[[Page], None]
HOUR = timedelta(hours=1)


def _session(district: District, title: str, days: int) -> tuple[int, int, datetime]:
    """An activity with one session that class 3(2) goes to; its ids and its start."""
    story = Story(district.engine, district.site.app.config["SETTINGS"], Console(quiet=True))
    starts = datetime.combine(clock.today(ZONE) + timedelta(days=days), time(8, 30), tzinfo=ZONE)
    with Session(district.engine) as session:
        base = session.scalars(select(Activity.base_id)).first() or 0
    with story.acting(story.staff("coordinator")) as uow:
        activity = practice.plan_activity(
            uow,
            type="labour",
            title=Text(title, "Straw weaving"),
            purpose=Text("", ""),
            bring=Text("水壶", "a bottle"),
            base_id=base,
            grades=[3],
        )
        held = practice.add_session(
            uow,
            activity_id=activity.id,
            starts_at=starts,
            ends_at=starts + 7 * HOUR,
            return_at=starts + 8 * HOUR,
            capacity=60,
            meeting_point=Text("南门", "South gate"),
            signup_until=starts - timedelta(days=4),
        )
        ids = activity.id, held.id
    teacher = story.staff("lijing")
    (class_id,) = teacher.class_ids
    with story.acting(teacher) as uow:
        practice.enrol_class(uow, session_id=ids[1], class_id=class_id, adults=2, needs="")
    district.deliver()
    return *ids, starts


def _tick(district: District, at: datetime) -> None:
    """What the clock and the worker do at this time."""
    clock.travel_to(at)
    with Session(district.engine) as session, begin(session, SYSTEM) as uow:
        reminders.send_due(uow)
    district.deliver()


def _remove_all(page: Page) -> None:
    while (button := page.get_by_role("button", name="删除")).count():
        button.first.click()
        expect(page.locator(".flash").first).to_contain_text("已删除")


@pytest.mark.parametrize(
    ("width", "scripts", "days"), [("phone", True, 30), ("phone", False, 33), ("desktop", True, 36)]
)
def test_two_hours_before_the_new_time_and_exactly_once(
    staff: Staff,
    visitor: Visitor,
    district: District,
    check_page: Check,
    width: str,
    days: int,
    *,
    scripts: bool,
) -> None:
    title = f"草编 {width} {scripts}"
    activity, session, starts = _session(district, title, days)
    page = staff("coordinator", width, scripts=scripts)
    page.goto("/activities/")
    page.locator("tr", has_text=title).get_by_role("link", name="提醒规则").click()
    expect(page.locator("h1")).to_have_text("提醒规则")
    expect(page.locator(".lede")).to_contain_text("按系统默认规则")
    expect(page.locator("tbody tr")).to_have_count(2)
    _remove_all(page)
    expect(page.locator("main")).to_contain_text("不会发送提醒")
    page.fill("#number", "2")
    page.select_option("#unit", label="小时")
    page.get_by_role("button", name="添加", exact=True).click()
    expect(page.locator(".flash").first).to_contain_text("已添加：活动开始前 2 小时。")
    expect(page.locator(".lede")).to_contain_text("自己的规则")
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.locator(".timeline")).to_contain_text("06:30")
    if scripts:
        page.get_by_text("短信内容").click()
        check_page(page)

    page.goto(f"/activities/sessions/{session}/move")
    for field, at in (("starts", "13:00"), ("ends", "16:00"), ("returns", "17:00")):
        page.fill(f"#{field}", at)
    page.get_by_role("button", name="改期并通知").click()
    expect(page.locator("main")).to_contain_text("13:00")
    expect(page.locator("main")).to_contain_text("11:00")  # the next reminder
    page.goto(f"/activities/{activity}/reminders")
    expect(page.locator(".timeline")).to_contain_text("11:00")
    district.deliver()

    owner = phone_owner(district, "王小雨")
    told = (
        "select count(*) from outbox_message m join delivery_attempt a on a.message_id = m.id"
        " join simulated_message s on s.attempt_id = a.id where m.subject_type = 'session'"
        " and m.subject_id = :session and m.template_key = 'session_reminder'"
        " and m.recipient_id = :person"
    )

    def count() -> int:
        return int(district.scalar(told, session=session, person=owner.id))

    moved = starts.replace(hour=13, minute=0)
    # not at the old time, not a minute early; and once, however often the clock ticks
    for at, expected in (
        (starts - 2 * HOUR, 0),
        (moved - 2 * HOUR - timedelta(minutes=1), 0),
        (moved - 2 * HOUR, 1),
        (moved - 2 * HOUR, 1),
        (moved - HOUR, 1),
    ):
        _tick(district, at)
        assert count() == expected, at
    phone = owner.texts(visitor("phone", scripts=scripts))
    assert "提醒：" in phone and f"参加{title}" in phone and "13:00" in phone


def test_what_cannot_be_is_refused_in_words(
    staff: Staff, district: District, check_page: Check
) -> None:
    activity, _, _ = _session(district, "编筐", 39)
    page = staff("coordinator", "phone")

    def post(number: str, unit: str, at: str, kind: str = "everybody") -> None:
        page.goto(f"/activities/{activity}/reminders")
        page.select_option("#kind", kind)
        page.fill("#number", number)
        page.select_option("#unit", unit)
        page.fill("#at", at)
        page.get_by_role("button", name="添加", exact=True).click()

    for number, unit, at, words in (
        ("61", "days", "18:00", "最多 60 天"),
        ("1", "days", "", "请填写几点发送"),
        ("5", "minutes", "", "至少 10 分钟"),
        ("-1", "hours", "", "0 或更大"),
        ("", "hours", "", "整数"),
        ("1", "days", "18:00", "已经有“活动开始前 1 天 18:00”的提醒"),
    ):
        post(number, unit, at)
        expect(page.locator(".summary")).to_contain_text(words)
        check_page(page)
    for number in range(2, 5):
        post(str(number), "hours", "", "pickup")
    # somebody whose page is older than the sixth one is told why
    late = staff("coordinator")
    late.goto(f"/activities/{activity}/reminders")
    post("5", "hours", "", "pickup")
    expect(page.locator("main")).to_contain_text("已有 6 条，达到上限")
    expect(page.locator("#number")).to_have_count(0)
    check_page(page)
    late.fill("#number", "7")
    late.get_by_role("button", name="添加", exact=True).click()
    expect(late.locator(".summary")).to_contain_text("最多 6 条")


def test_a_school_has_its_own_and_goes_back(
    staff: Staff, district: District, check_page: Check
) -> None:
    page = staff("liufang", "phone")
    page.goto("/activities/")
    page.get_by_role("link", name="本校提醒规则").click()
    expect(page.locator(".lede")).to_contain_text("光明实验小学")
    page.select_option("#kind", "answer")
    page.fill("#number", "1")
    page.fill("#at", "19:30")
    page.get_by_role("button", name="添加", exact=True).click()
    expect(page.locator("tbody")).to_contain_text("答复截止前 1 天 19:30")
    expect(page.locator("tbody")).to_contain_text("还没答复的家庭")
    check_page(page)
    page.get_by_role("button", name="恢复全区规则").click()
    expect(page.locator(".flash").first).to_contain_text("已恢复全区规则")
    expect(page.locator("tbody tr")).to_have_count(2)


def test_the_district_is_told_what_quiet_hours_do(
    staff: Staff, district: District, check_page: Check
) -> None:
    page = staff("admin")
    page.goto("/admin/quiet")
    page.fill("#quiet_from", "21:00")
    page.fill("#quiet_until", "07:00")
    page.get_by_role("button", name="保存").click()
    page.goto("/admin/")
    page.get_by_role("link", name="提醒规则").click()
    page.fill("#number", "0")
    page.fill("#at", "06:00")
    page.get_by_role("button", name="添加", exact=True).click()
    expect(page.locator("tbody")).to_contain_text("活动当天 06:00")
    expect(page.locator("tbody")).to_contain_text("在免打扰时段内，07:00 才发出")
    check_page(page)
    page.get_by_role("button", name="恢复系统默认规则").click()
    expect(page.locator("tbody tr")).to_have_count(2)
