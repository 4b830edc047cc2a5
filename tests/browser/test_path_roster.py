"""The roster: a file is handed in, read as a preview, written and taken back; classes and roles."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Page, expect

if TYPE_CHECKING:
    from tests.browser.conftest import District

Staff = Callable[..., Page]
Check = Callable[[Page], None]

ROSTER = """学校,班级,学号,学生姓名,监护人1姓名,监护人1关系,监护人1手机
光明实验小学,五（8）班,80{n}1,岳灵珊,岳不群,父亲,1380077{n}001
光明实验小学,五（8）班,,令狐冲,岳不群,监护人,1380077{n}001
"""


@pytest.fixture
def roster(tmp_path: Path) -> Callable[[int], Path]:
    """Writes a roster for one test."""

    def write(number: int) -> Path:
        path = tmp_path / f"五年级{number}.csv"
        path.write_text(ROSTER.format(n=number), encoding="gb18030")
        return path

    return write


def _children(district: District, number: int) -> int:
    return int(
        district.scalar(
            "select count(*) from person where is_student and source_id like :s", s=f"%:80{number}1"
        )
    )


@pytest.mark.parametrize(
    ("number", "width", "scripts"),
    [(10, "phone", True), (11, "desktop", True), (12, "phone", False)],
)
def test_a_roster_is_previewed_applied_and_undone(
    staff: Staff,
    district: District,
    roster: Callable[[int], Path],
    check_page: Check,
    number: int,
    width: str,
    *,
    scripts: bool,
) -> None:
    office = staff("admin", width, scripts=scripts)
    check = check_page if scripts else lambda _: None
    office.goto("/people/")
    office.get_by_role("link", name="导入名册").click()
    check(office)
    office.set_input_files("#roster", roster(number))
    office.get_by_role("button", name="上传并预览").click()
    expect(office.locator("main")).to_contain_text("待确认")
    expect(office.locator("main")).to_contain_text("“学号”不能为空")
    check(office)
    office.get_by_role("link", name="新增").click()
    expect(office.locator("#lines")).to_contain_text("岳灵珊")
    assert _children(district, number) == 0
    office.get_by_role("button", name="写入").click()
    expect(office.locator(".flash").first).to_contain_text("已写入")
    assert _children(district, number) == 1
    check(office)
    office.get_by_text("撤销这次导入").click()
    office.get_by_role("button", name="撤销导入").click()
    expect(office.locator("main")).to_contain_text("已撤销")
    assert _children(district, number) == 0
    office.goto("/people/imports")
    expect(office.locator("main")).to_contain_text(f"五年级{number}.csv")
    check(office)


@pytest.mark.parametrize("width", ["phone", "desktop"])
@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_pages_of_the_roster_are_accessible(
    staff: Staff, check_page: Check, width: str, language: str
) -> None:
    pages = {
        "liufang": (
            "/people/",
            "/people/classes/2",
            "/people/children?name=wang",
            "/people/organisations",
            "/people/organisations/2",
            "/people/organisations/2/grant",
            "/people/roles/3/end",
            "/people/guardianships/1/limit",
        ),
        "admin": ("/people/", "/people/schools/2", "/people/import", "/people/imports"),
    }
    for login, paths in pages.items():
        page = staff(login, width, language)
        for path in paths:
            answer = page.goto(path)
            assert answer is not None and answer.status == 200, path
            check_page(page)


def test_a_custody_limit_closes_the_family_page_at_once(
    staff: Staff, parent: Callable[..., Page], district: District, check_page: Check
) -> None:
    child = "欧阳珺"
    family = parent(child)
    family.goto("/family")
    expect(family.locator("main")).to_contain_text(child)
    office = staff("liufang", "phone")
    office.goto(f"/people/children?name={child}")
    office.get_by_role("link", name="限制知情").first.click()
    office.get_by_role("button", name="设为不得告知").click()
    expect(office.locator("#error-summary")).to_be_focused()
    office.fill("#reason", "法院裁定（2026）12 号")
    office.get_by_role("button", name="设为不得告知").click()
    expect(office.locator("main")).to_contain_text("不得告知")
    check_page(office)
    answer = family.goto("/family")
    assert answer is not None
    assert child not in family.locator("main").inner_text()
    assert district.scalar("select count(*) from guardianship where limit_reason is not null") == 1
