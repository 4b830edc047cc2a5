"""What a leader must know: a mother writes it on her phone, the teacher opens it on the day, she sees it.

Without scripts throughout, but for the roster on paper.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from coordination.domain.people.actors import actor_of
from coordination.domain.practice import services as practice
from coordination.ground import clock
from coordination.reactions.work import begin
from coordination.seed.demo import ZONE
from tests.browser.conftest import District

Person = Callable[..., Page]
CHILD = "欧阳珺"
A4_WIDE = re.compile(rb"/MediaBox \[0 0 841[.\d]* 59[45][.\d]*\]")
MEDIA = re.compile(rb"/MediaBox \[")


@pytest.fixture(scope="module")
def session_id(district: District, engine: Engine) -> int:
    """The first session of the demo district is on now, with class 3(2)."""
    held = int(district.scalar("select min(id) from practice_session"))
    teacher = int(district.scalar("select person_id from account where login = 'lijing'"))
    with Session(engine) as session:
        actor = actor_of(session, teacher, clock.today(ZONE))
        (class_id,) = actor.class_ids
        with begin(session, actor) as uow:
            practice.enrol_class(uow, session_id=held, class_id=class_id, adults=3, needs="")
    now = clock.now()
    with engine.begin() as connection:
        connection.execute(
            text(
                "update practice_session set starts_at = :a, ends_at = :b, return_at = :c"
                " where id = :id"
            ),
            {
                "a": now - timedelta(hours=1),
                "b": now + timedelta(hours=4),
                "c": now + timedelta(hours=5),
                "id": held,
            },
        )
    return held


def _to_card(page: Page) -> None:
    page.goto("/family")
    page.locator(".card", has_text=CHILD).get_by_role("link", name="健康提示卡").click()


def test_a_card_is_withdrawn_written_opened_and_seen(
    parent: Person, staff: Person, session_id: int
) -> None:
    mother = parent(CHILD, scripts=False)
    _to_card(mother)
    expect(mother.locator("main")).to_contain_text("请核对一次")
    mother.get_by_role("button", name="撤回同意并删除").click()
    expect(mother.locator("main")).to_contain_text("已撤回同意，健康提示卡已删除")
    expect(mother.locator("main")).not_to_contain_text("青霉素")

    mother.get_by_role("link", name="开始填写").click()
    assert not mother.locator("#agree").is_checked(), "nobody agrees by not looking"
    mother.get_by_role("group", name="过敏", exact=True).get_by_label("有过敏").check()
    mother.fill("#allergies_words", "腰果")
    mother.get_by_role("button", name="保存").click()
    expect(mother.locator("#error-summary")).to_contain_text("没有您的同意不能保存")
    expect(mother.locator("#allergies_words")).to_have_value("腰果")
    mother.locator("#agree").check()
    mother.get_by_role("button", name="保存").click()
    expect(mother.locator("main")).to_contain_text("腰果")
    expect(mother.locator("main")).to_contain_text("家长未填")

    teacher = staff("lijing", "phone", scripts=False)
    teacher.goto(f"/activities/sessions/{session_id}")
    teacher.get_by_role("link", name=re.compile("个有健康提示卡")).click()
    expect(teacher.locator("main")).not_to_contain_text("腰果")
    row = teacher.locator(".child", has_text=CHILD)
    expect(row).to_contain_text("有要注意的")
    row.get_by_role("button", name="打开健康卡").click()
    expect(teacher.locator("#opened")).to_contain_text("腰果")
    teacher.locator(".child", has_text=CHILD).get_by_role("button", name="代接人电话").click()
    expect(teacher.locator(".child", has_text=CHILD)).to_contain_text("138 0013 9902")

    _to_card(mother)
    for said in ("李静", "打开了健康提示卡", "查看了代接人电话"):
        expect(mother.locator("main")).to_contain_text(said)


def test_a_grandfather_is_added_and_ended(parent: Person) -> None:
    mother = parent("阿依古丽·买买提", scripts=False)
    mother.goto("/family")
    mother.get_by_role("link", name=re.compile("谁可以代接|Who may collect")).first.click()
    mother.fill("#name", "买买提·艾山")
    mother.fill("#relation", "爷爷")
    mother.fill("#phone", "138 0013 9903")
    mother.fill("#ends_on", (clock.today(ZONE) + timedelta(days=30)).isoformat())
    mother.locator("main .actions button").click()
    expect(mother.locator("main .card")).to_contain_text("138****9903")
    mother.get_by_role("button", name=re.compile("结束代接|End it")).click()
    expect(mother.locator("main .card")).to_have_count(0)


def test_the_roster_is_wide_paper_whose_head_repeats(staff: Person, session_id: int) -> None:
    teacher = staff("lijing")
    teacher.goto(f"/activities/sessions/{session_id}/roster")
    teacher.get_by_role("button", name="生成名册").click()
    expect(teacher.locator(".field-roster tbody tr")).to_have_count(36)
    teacher.emulate_media(media="print")
    expect(teacher.locator(".nav")).to_be_hidden()
    expect(teacher.locator(".roster-foot").first).to_contain_text("返校后销毁")
    head = teacher.locator(".field-roster thead")
    assert head.evaluate("e => getComputedStyle(e).display") == "table-header-group"
    paper = teacher.pdf(prefer_css_page_size=True)
    pages = len(MEDIA.findall(paper))
    assert pages > 1
    assert len(A4_WIDE.findall(paper)) == pages, "no page stands upright, and none is empty before"


@pytest.mark.parametrize("login", ["liufang", "coordinator", "greenvalley"])
def test_others_see_numbers(staff: Person, session_id: int, login: str) -> None:
    page = staff(login, "phone")
    page.goto(f"/activities/sessions/{session_id}/cards")
    expect(page.locator("main")).to_contain_text("个孩子有健康提示卡")
    expect(page.locator("main")).not_to_contain_text(CHILD)
