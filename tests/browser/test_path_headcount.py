"""Forty children in the rain: taps without signal, two phones at once, back at school, families told."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Page, Route, expect

from coordination.seed.demo import PASSWORD
from tests.browser.conftest import phone_owner

if TYPE_CHECKING:
    from tests.browser.conftest import District

Staff = Callable[..., Page]
Parent = Callable[..., Page]
Check = Callable[[Page], None]

ALL = 36
# the demo has one of last week as well
TODAYS = "select id from practice_session where state <> 'open' order by starts_at desc limit 1"


@pytest.fixture
def day(district: District) -> Iterator[str]:
    """The path of today's session of 3(2), nobody counted yet."""
    held = district.scalar(TODAYS)
    group = district.scalar("select class_id from class_enrolment where session_id = :s", s=held)
    with district.engine.begin() as connection:
        for table in ("stage_mark", "stage_count", "group_leaver", "attendance"):
            connection.exec_driver_sql(f"delete from {table}")
        connection.exec_driver_sql(
            "update outbox_message set template_key = 'before', dedupe_key = 'before' || id"
            " where template_key = 'safe_return'"
        )
        connection.exec_driver_sql(
            "update enrolment set state = 'cleared' where session_id = %s and state in"
            " ('attended','absent','excused','enrolled')",
            (held,),
        )
        connection.exec_driver_sql(
            "update practice_session set state = 'closed' where id = %s", (held,)
        )
    yield f"/activities/sessions/{held}/day/{group}"


def rows(page: Page) -> list[str]:
    """The children as they stand on the page."""
    return page.locator(".count-list > li").evaluate_all("all => all.map(li => li.dataset.name)")


def tap(page: Page, *names: str) -> None:
    for name in names:
        page.locator(f".count-list > li[data-name='{name}'] label").click()
        expect(page.locator(f".count-list > li[data-name='{name}'] input")).to_be_checked()


def said(page: Page, words: str) -> None:
    expect(page.locator("[data-sync]")).to_contain_text(words, timeout=15_000)


def ready_for_no_signal(page: Page) -> None:
    """The page lies on the phone."""
    expect(page.locator("html[data-headcount-kept]")).to_be_attached(timeout=15_000)


def here(district: District) -> int:
    """Children whose newest mark says that they are here."""
    return int(
        district.scalar(
            "select count(*) from (select distinct on (enrolment_id, stage) mark from stage_mark"
            " order by enrolment_id, stage, at desc, id desc) m where mark = 'here'"
        )
    )


def test_marks_without_signal_survive_a_closed_tab(
    staff: Staff, district: District, day: str
) -> None:
    page = staff("lijing", "phone")
    page.goto(day)
    ready_for_no_signal(page)
    five = rows(page)[:5]
    page.context.set_offline(True)
    tap(page, *five)
    said(page, "5 项还没有传上去")
    expect(page.locator("[data-here]")).to_have_text("5")
    assert here(district) == 0
    page.close()

    page = page.context.new_page()
    page.goto(day)  # still no signal: the kept page, and what was tapped on it
    said(page, "5 项还没有传上去")
    expect(page.locator("[data-here]")).to_have_text("5")
    for name in five:
        expect(page.locator(f"li[data-name='{name}'] input")).to_be_checked()
    # the way in through the session leads to the same page
    page.goto(day.rsplit("/", 1)[0])
    said(page, "5 项还没有传上去")

    page.context.set_offline(False)
    page.evaluate("window.dispatchEvent(new Event('online'))")
    said(page, "全部已上传")
    assert here(district) == 5
    assert district.scalar("select count(*) from stage_mark") == 5


def test_an_answer_that_gets_lost_counts_nobody_twice(
    staff: Staff, district: District, day: str
) -> None:
    page = staff("lijing", "phone")
    page.goto(day)
    ready_for_no_signal(page)
    lost = []

    def lose(route: Route) -> None:
        # the server takes the marks, the phone never learns of it
        lost.append(route.fetch().status)
        route.abort()

    page.route("**/marks", lose)
    tap(page, *rows(page)[:3])
    said(page, "3 项还没有传上去")
    for _ in range(40):
        if here(district) == 3 and len(lost) > 1:
            break
        page.evaluate("window.dispatchEvent(new Event('online'))")
        page.wait_for_timeout(300)
    assert set(lost) == {200}
    assert len(lost) > 1
    assert here(district) == 3
    said(page, "3 项还没有传上去")
    page.unroute("**/marks")
    page.evaluate("window.dispatchEvent(new Event('online'))")
    said(page, "全部已上传")
    assert here(district) == 3
    assert district.scalar("select count(*) from stage_mark") == 3


def test_two_phones_without_signal_mark_the_same_children(
    staff: Staff, district: District, day: str
) -> None:
    teacher, head = staff("lijing", "phone"), staff("liufang", "phone")
    for page in (teacher, head):
        page.goto(day)
        ready_for_no_signal(page)
        page.context.set_offline(True)
    names = rows(teacher)
    tap(teacher, *names[:6])
    tap(head, *names[3:9])
    for page in (teacher, head):
        said(page, "6 项还没有传上去")
        page.context.set_offline(False)
        page.evaluate("window.dispatchEvent(new Event('online'))")
        said(page, "全部已上传")
    assert here(district) == 9
    expect(head.locator("[data-here]")).to_have_text("9")
    # the first phone hears of the others by itself
    expect(teacher.locator("[data-here]")).to_have_text("9", timeout=15_000)


def test_a_phone_whose_clock_is_wrong_does_not_win(
    staff: Staff, district: District, day: str
) -> None:
    """A tap of a moment ago beats an older one, though the older phone's clock is hours ahead."""
    ahead, right = staff("lijing", "phone"), staff("liufang", "phone")
    ahead.add_init_script("const now = Date.now; Date.now = () => now() + 3 * 3600 * 1000;")
    ahead.goto(day)
    ready_for_no_signal(ahead)
    ahead.context.set_offline(True)
    name = rows(ahead)[0]
    tap(ahead, name)
    right.goto(day)
    tap(right, name)
    right.wait_for_timeout(900)
    right.locator(f"li[data-name='{name}'] label").click()  # not here after all
    expect(right.locator(f"li[data-name='{name}'] input")).not_to_be_checked()
    for _ in range(40):
        if district.column("select mark from stage_mark order by id") == ["here", "away"]:
            break
        right.wait_for_timeout(300)
    ahead.context.set_offline(False)
    ahead.evaluate("window.dispatchEvent(new Event('online'))")
    said(ahead, "全部已上传")
    assert district.scalar("select count(*) from stage_mark") == 3
    assert here(district) == 0
    expect(ahead.locator(f"li[data-name='{name}'] input")).not_to_be_checked()


def test_a_wet_thumb_touches_twice_and_undo_takes_back(
    staff: Staff, district: District, day: str
) -> None:
    page = staff("lijing", "phone")
    page.goto(day)
    first, second = rows(page)[:2]
    label = page.locator(f"li[data-name='{first}'] label")
    label.dblclick()
    expect(label.locator("input")).to_be_checked()
    tap(page, second)
    page.get_by_role("button", name="撤销").click()
    expect(page.locator(f"li[data-name='{second}'] input")).not_to_be_checked()
    said(page, "全部已上传")
    assert here(district) == 1
    # once the thumb rests, whoever is missing stands first, and can be looked at alone
    expect(page.locator(".count-list > li").last).to_have_attribute("data-name", first)
    page.get_by_role("button", name="只看未到").click()
    expect(page.locator(f"li[data-name='{first}']")).to_be_hidden()
    expect(page.locator(f"li[data-name='{second}']")).to_be_visible()
    height = page.locator(f"li[data-name='{second}'] label").evaluate("e => e.offsetHeight")
    assert height >= 48


def test_without_signal_nothing_is_finished_and_the_next_stage_can_be_counted(
    staff: Staff, district: District, day: str
) -> None:
    page = staff("lijing", "phone")
    page.goto(day)
    ready_for_no_signal(page)
    page.context.set_offline(True)
    page.locator("[data-finish]").click()
    said(page, "没有信号，暂时不能完成清点")
    page.locator("[data-stage=arrive]").click()
    expect(page.locator(".count-number")).to_contain_text("到达")
    tap(page, *rows(page)[:2])
    page.locator("[data-stage=leave]").click()
    expect(page.locator("[data-here]")).to_have_text("0")
    page.locator("[data-stage=arrive]").click()
    expect(page.locator("[data-here]")).to_have_text("2")
    page.context.set_offline(False)
    page.evaluate("window.dispatchEvent(new Event('online'))")
    said(page, "全部已上传")
    assert district.column("select distinct stage from stage_mark") == ["arrive"]


def test_signing_out_leaves_nothing_on_the_phone(
    staff: Staff, district: District, day: str
) -> None:
    page = staff("lijing", "phone")
    page.goto(day)
    ready_for_no_signal(page)
    page.context.set_offline(True)
    tap(page, rows(page)[0])
    said(page, "1 项还没有传上去")
    page.route("**/marks", lambda route: route.abort())  # no luck with the marks either
    page.context.set_offline(False)
    asked: list[str] = []
    page.once("dialog", lambda dialog: (asked.append(dialog.message), dialog.dismiss()))
    page.locator("details.menu summary").click()
    page.get_by_role("button", name="退出登录").click()
    assert "1 项点名没有传上去" in asked[0]
    assert "/day/" in page.url  # she stays
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="退出登录").click()
    page.wait_for_url(lambda address: "/day/" not in address)
    assert page.evaluate("async () => (await caches.keys()).length") == 0
    assert page.evaluate("async () => (await indexedDB.databases()).length") == 0
    assert page.evaluate("localStorage.length") == 0
    page.context.set_offline(True)
    with pytest.raises(Exception, match=r"ERR_INTERNET_DISCONNECTED|503|ERR_FAILED"):
        page.goto(day)


def test_a_page_of_yesterday_is_not_shown_again(staff: Staff, district: District, day: str) -> None:
    page = staff("lijing", "phone")
    page.goto(day)
    ready_for_no_signal(page)
    page.evaluate(
        """async () => {
          const cache = await caches.open("headcount"), kept = await cache.match(location.pathname);
          const headers = new Headers(kept.headers);
          headers.set("x-kept-at", String(Date.now() - 25 * 3600 * 1000));
          await cache.put(location.pathname, new Response(await kept.blob(), { headers }));
        }"""
    )
    page.context.set_offline(True)
    page.goto(day)
    expect(page.locator("body")).to_contain_text("这一页没有存在这部手机上")
    assert rows(page) == []
    # and the next page of the product that is opened on this phone erases it
    page.context.set_offline(False)
    page.goto("/")
    page.evaluate("localStorage.setItem('headcount-kept', Date.now() - 25 * 3600 * 1000)")
    page.goto("/")
    page.wait_for_function("async () => (await caches.keys()).length === 0")


@pytest.mark.parametrize(("width", "language"), [("phone", "zh"), ("desktop", "en")])
def test_the_pages_are_fit_to_use(
    staff: Staff,
    district: District,
    day: str,
    check_page: Check,
    width: str,
    language: str,
) -> None:
    page = staff("lijing", width, language)
    page.goto(f"{day}?lang={language}")
    check_page(page)
    tap(page, rows(page)[0])
    page.locator("[data-finish]").click()
    expect(page.locator(".summary")).to_be_visible()
    check_page(page)
    page.locator(".count-links a").last.click()
    check_page(page)
    office = staff("coordinator", width, language)
    office.goto(f"{day.rsplit('/', 1)[0]}?lang={language}")
    expect(office.locator("h1")).to_have_text("Head-count" if language == "en" else "清点人数")
    assert "王小雨" not in office.locator("body").inner_text()
    check_page(office)


def test_a_whole_day_without_scripts_and_the_families_are_told(
    staff: Staff, parent: Parent, district: District, day: str, check_page: Check
) -> None:
    page = staff("lijing", "phone", scripts=False)
    page.goto(day)
    names = rows_of_form(page)
    assert len(names) == ALL
    for name in names[:-2]:
        page.locator(f".count-list > li[data-name='{name}'] input").check()
    page.locator("button[name=finish]").last.click()
    expect(page.locator(".summary")).to_contain_text(f"还差 2 人：{'、'.join(names[-2:])}")
    absent, excused = names[-2:]
    page.get_by_role("group", name=absent).locator("select").select_option("absent")
    page.get_by_role("group", name=excused).locator("select").select_option("excused")
    page.get_by_role("button", name="按以上原因完成清点").click()
    expect(page.locator("[role=status]").first).to_contain_text("出校：34 人到齐，2 人已说明原因")
    assert state(district) == "departed"
    assert sorted(set(district.column("select status from attendance"))) == ["absent", "present"]

    family = parent("王小雨")
    family.goto("/family")
    expect(family.locator("main")).to_contain_text("已出校")
    check_page(family)

    picked_up = "王小雨"
    for name, told in (("到达", "on_site"), ("上车返程", "on_site"), ("回校", "returned")):
        expect(page.locator(".count-number")).to_contain_text(name)
        if name == "上车返程":
            page.locator(f"li[data-name='{picked_up}'] .count-links a").click()
            page.get_by_label("家长提前接走").check()
            page.get_by_role("button", name="登记离队").click()
            expect(page.locator(".summary")).to_contain_text("请写明由谁接走")
            page.get_by_label("说明").fill("母亲")
            page.get_by_role("button", name="登记离队").click()
        for box in page.locator(".count-list input").all():
            box.check()
        page.locator("button[name=finish]").last.click()
        assert state(district) == told
    expect(page.locator("[role=status]").first).to_contain_text("家长会收到平安返校短信")
    district.deliver()

    told_families = district.column(
        "select distinct body from outbox_message where template_key = 'safe_return'"
        " and language = 'zh'"
    )
    assert len(told_families) == 1
    assert told_families[0].startswith("【光明实验小学】三（2）班已于")
    page = staff("lijing", "phone")
    assert "回到学校" in phone_owner(district, "司马垚").texts(page)
    # her mother had her already, and a child that was not there did not come back
    owners = {phone_owner(district, n).id for n in (picked_up, absent, excused)}
    assert not owners & set(
        district.column(
            "select recipient_id from outbox_message where template_key = 'safe_return'"
        )
    )
    family.reload()
    expect(family.locator("main")).to_contain_text("家长提前接走")


def rows_of_form(page: Page) -> list[str]:
    """The same without scripts."""
    return [str(li.get_attribute("data-name")) for li in page.locator(".count-list > li").all()]


def state(district: District) -> str:
    return str(district.scalar(f"select state from practice_session where id = ({TODAYS})"))


def test_a_sign_in_that_ran_out_loses_no_mark(
    staff: Staff, district: District, day: str, check_page: Check
) -> None:
    page = staff("lijing", "phone")
    page.goto(day)
    ready_for_no_signal(page)
    page.context.set_offline(True)
    tap(page, *rows(page)[:2])
    with district.engine.begin() as connection:
        connection.exec_driver_sql("update account_session set revoked_at = now()")
    page.context.set_offline(False)
    page.evaluate("window.dispatchEvent(new Event('online'))")
    said(page, "登录已过期，标记还在这部手机上")
    check_page(page)
    assert here(district) == 0
    # the page with the names is not shown any more to whoever has the phone
    page.goto(day)
    expect(page).to_have_url(re.compile("/sign-in"))
    page.fill("#login", "lijing")
    page.fill("#password", PASSWORD)
    page.locator("main button[type=submit]").last.click()
    said(page, "全部已上传")  # led back to where she was, and all is sent
    assert here(district) == 2


def test_a_kept_page_with_the_token_of_an_older_sign_in_still_sends(
    staff: Staff, district: District, day: str
) -> None:
    page = staff("lijing", "phone")
    page.goto(day)
    ready_for_no_signal(page)
    page.context.set_offline(True)
    page.goto(day)
    tap(page, rows(page)[0])
    page.route("**/marks", lambda route: route.abort())
    page.context.set_offline(False)
    page.context.clear_cookies()
    other = page.context.new_page()
    other.goto("/sign-in")
    other.fill("#login", "lijing")
    other.fill("#password", PASSWORD)
    other.locator("main button[type=submit]").last.click()
    other.wait_for_url(lambda address: "/sign-in" not in address)
    page.unroute("**/marks")
    page.evaluate("window.dispatchEvent(new Event('online'))")
    said(page, "全部已上传")
    assert here(district) == 1


def test_a_phone_hears_that_another_finished_the_stage_and_forgets_the_class_at_the_end(
    staff: Staff, district: District, day: str
) -> None:
    teacher, head = staff("lijing", "phone"), staff("liufang", "phone")
    teacher.goto(day)
    ready_for_no_signal(teacher)
    tap(teacher, rows(teacher)[0])  # the focus lies in the list, as it does on any phone
    for _ in range(100):
        # sent, before the other one reads who is still to be marked
        if here(district) == 1:
            break
        teacher.wait_for_timeout(100)
    for name in ("出校", "到达", "上车返程", "回校"):
        head.goto(day)
        expect(head.locator(".count-number")).to_contain_text(name)
        unseen = head.locator(".count-list > li:not(:has(input:checked))")
        tap(head, *unseen.evaluate_all("all => all.map(li => li.dataset.name)"))
        said(head, "全部已上传")
        head.locator("[data-finish]").click()
        if name != "回校":
            expect(head.locator(".count-number")).not_to_contain_text(name)
    expect(head.locator("[data-finish]")).to_have_count(0)
    # without a touch the teacher's phone shows that all are back, and keeps the page no longer
    expect(teacher.locator(".stages a.done")).to_have_count(4, timeout=30_000)
    teacher.wait_for_function(
        "async () => !await (await caches.open('headcount')).match(location.pathname)",
        timeout=20_000,
    )
