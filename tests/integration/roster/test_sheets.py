"""Our one-sheet template, as offices fill it in."""

from __future__ import annotations

import io
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
import xlsxwriter
from sqlalchemy import select
from sqlalchemy.orm import Session

from coordination.domain.people.contacts import phones_of
from coordination.domain.people.models import ContactPoint, Guardianship, Person
from coordination.domain.people.roster import queries, template
from coordination.ground.errors import Invalid
from tests.build.roster import Office, as_csv

HEAD = [
    "学校", "学校代码", "班级", "年级", "学号", "学生姓名", "出生年月", "状态",
    "监护人1姓名", "监护人1关系", "监护人1手机", "监护人2姓名", "监护人2关系", "监护人2手机",
]  # fmt: skip


def child(
    number: str, name: str, *guardians: str, group: str = "三（2）班", status: str = ""
) -> list[str]:
    """A line of the template."""
    line = ["光明实验小学", "GMSY", group, "三年级", number, name, "2017-09", status, *guardians]
    return line + [""] * (len(HEAD) - len(line))


WANG = child("26001", "王小雨", "王敏", "母亲", "13800138001", "王建国", "父亲", "13800138002")
ZHANG = child("26002", "张珺", "张伟", "父亲", "13800138003")


def written(where: Path, *lines: list[str], encoding: str = "utf-8") -> Path:
    """The lines as a csv file."""
    where.write_bytes(as_csv([HEAD, *lines]).encode(encoding))
    return where


def workbook(where: Path, *lines: list[object]) -> Path:
    """The lines as a workbook, numbers as numbers."""
    out = io.BytesIO()
    with xlsxwriter.Workbook(out) as book:
        sheet = book.add_worksheet()
        for row, line in enumerate([HEAD, *lines]):
            sheet.write_row(row, 0, line)
    where.write_bytes(out.getvalue())
    return where


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "utf-16"])
@pytest.mark.parametrize("name", ["roster.csv", "roster.xlsx", "名册.txt"])
def test_a_csv_reads_in_any_encoding_under_any_name(
    office: Office, tmp_path: Path, encoding: str, name: str
) -> None:
    batch = office.load(written(tmp_path / "x", WANG, ZHANG, encoding=encoding), name)
    assert office.refusals(batch) == set()
    assert office.counts(batch) == {
        "school": (1, 0, 0, 0, 0),
        "class": (1, 0, 0, 0, 0),
        "student": (2, 0, 0, 0, 0),
        "adult": (3, 0, 0, 0, 0),
        "contact": (3, 0, 0, 0, 0),
        "member": (2, 0, 0, 0, 0),
        "kin": (3, 0, 0, 0, 0),
    }
    assert office.guardians("GMSY:26001") == {"王敏": "mother", "王建国": "father"}


def test_a_workbook_with_numbers_as_numbers_reads_like_text(office: Office, tmp_path: Path) -> None:
    line: list[object] = [*WANG]
    line[4], line[10], line[13] = 26001, 13800138001, 13800138002.0
    line[6] = "2017-09"
    office.load(workbook(tmp_path / "roster.csv", line))
    before = office.hashed(physical=True)
    batch = office.preview(written(tmp_path / "x.csv", WANG))
    assert office.apply(batch) == 0
    assert office.hashed(physical=True) == before


def test_an_unchanged_sheet_writes_no_row(office: Office, tmp_path: Path) -> None:
    office.load(written(tmp_path / "x.csv", WANG, ZHANG))
    before = office.hashed(physical=True)
    assert office.apply(office.preview(written(tmp_path / "x.csv", ZHANG, WANG))) == 0
    assert office.hashed(physical=True) == before


def test_full_width_digits_and_two_phones_in_a_cell_are_understood(
    office: Office, tmp_path: Path
) -> None:
    line = child("２６００１", "王小雨", "王敏", "母亲", "１３８００１３８００１／139 0013 9001")
    batch = office.load(written(tmp_path / "x.csv", line))
    assert office.refusals(batch) == set()
    assert office.person("GMSY:26001").name == "王小雨"
    with Session(office.engine) as session:
        mother = session.scalars(select(Person.id).where(Person.name == "王敏")).one()
        assert len(session.scalars(select(ContactPoint.id)).all()) == 2
        # texts go to the first number of the cell
        assert phones_of(session, [mother]) == {mother: "+8613800138001"}


def test_siblings_share_their_parents(office: Office, tmp_path: Path) -> None:
    sister = child("26003", "王小雪", "王敏", "妈妈", "13800138001", group="一（1）班")
    office.load(written(tmp_path / "x.csv", WANG, sister))
    with Session(office.engine) as session:
        mothers = session.scalars(select(Person).where(Person.name == "王敏")).all()
        assert len(mothers) == 1
        children = session.scalars(
            select(Guardianship.child_id).where(Guardianship.guardian_id == mothers[0].id)
        ).all()
    assert len(children) == 2


def test_people_who_were_here_before_are_found_by_class_name_and_phone(
    office: Office, tmp_path: Path
) -> None:
    office.load(written(tmp_path / "x.csv", WANG, ZHANG))
    with Session(office.engine) as session:
        for person in session.scalars(select(Person)):
            person.source_id = None
        session.commit()
    batch = office.load(written(tmp_path / "x.csv", WANG, ZHANG))
    counts = office.counts(batch)
    assert counts["student"] == (0, 2, 0, 0, 0)
    assert counts["adult"] == (0, 0, 0, 3, 0)
    assert counts["kin"] == (0, 0, 0, 3, 0)
    assert office.person("GMSY:26001").name == "王小雨"


def test_two_new_children_of_one_name_are_not_taken_for_the_one_who_was_here(
    office: Office, tmp_path: Path
) -> None:
    office.load(written(tmp_path / "x.csv", WANG))
    with Session(office.engine) as session:
        for person in session.scalars(select(Person)):
            person.source_id = None
        session.commit()
    twin = child("26009", "王小雨")
    batch = office.load(written(tmp_path / "x.csv", WANG, twin))
    assert office.counts(batch)["student"] == (2, 0, 0, 0, 0)


def test_a_new_phone_of_a_guardian_replaces_the_old_one(office: Office, tmp_path: Path) -> None:
    office.load(written(tmp_path / "x.csv", WANG))
    line = [*WANG]
    line[10] = "13900139001"
    batch = office.load(written(tmp_path / "x.csv", line))
    assert office.counts(batch)["adult"] == (0, 0, 0, 2, 0)
    assert office.counts(batch)["contact"] == (1, 0, 1, 1, 0)
    assert office.guardians("GMSY:26001") == {"王敏": "mother", "王建国": "father"}


def test_a_child_in_another_class_has_moved(office: Office, tmp_path: Path) -> None:
    office.load(written(tmp_path / "x.csv", WANG, ZHANG))
    moved = [*WANG]
    moved[2] = "三（3）班"
    batch = office.load(written(tmp_path / "x.csv", moved))
    assert office.counts(batch)["member"] == (1, 0, 1, 0, 0)
    assert office.classes("GMSY:26001") == {"三（3）班"}
    assert office.classes("GMSY:26002") == {"三（2）班"}


def test_a_child_marked_as_left_leaves(office: Office, tmp_path: Path) -> None:
    office.load(written(tmp_path / "x.csv", WANG, ZHANG))
    before = office.hashed()
    left = [*ZHANG]
    left[7] = "转出"
    batch = office.load(written(tmp_path / "x.csv", left))
    assert office.counts(batch)["student"] == (0, 0, 1, 0, 0)
    assert office.classes("GMSY:26002") == set()
    assert office.classes("GMSY:26001") == {"三（2）班"}
    office.undo(batch)
    assert office.hashed() == before


def test_each_bad_cell_is_refused_by_line_and_column_and_the_rest_is_taken(
    office: Office, tmp_path: Path
) -> None:
    lines = [
        child("26001", "王小雨", "王敏", "母亲", "1380013800"),
        child("26002", "张珺", "张伟", "邻居", "13800138003"),
        child("26003", ""),
        child("26004", "林梅", status="飞走了"),
        child("26005", "李" * 121),
        child("26006", "赵喆", "", "", "13800138009"),
        child("26001", "王小雨"),
    ]
    batch = office.load(written(tmp_path / "x.csv", *lines), "x.csv")
    assert office.refusals(batch) == {
        ("x.csv", 2, "监护人1手机", "phone"),
        ("x.csv", 3, "监护人1关系", "unknown_relation"),
        ("x.csv", 4, "学生姓名", "empty"),
        ("x.csv", 5, "状态", "status"),
        ("x.csv", 6, "学生姓名", "too_long"),
        ("x.csv", 7, "监护人1姓名", "empty"),
        ("x.csv", 8, "学号", "duplicate"),
    }
    assert office.counts(batch)["student"][0] == 3
    assert office.guardians("GMSY:26001") == {"王敏": "mother"}


def test_a_refusal_never_shows_a_whole_number(office: Office, tmp_path: Path) -> None:
    line = child("26001", "王小雨", "王敏", "母亲", "12345678901")
    batch = office.preview(written(tmp_path / "x.csv", line))
    with Session(office.engine) as session:
        (refusal,) = queries.refusals_page(session, batch).lines
    assert "123…01" in refusal.reason.zh
    assert "12345678901" not in refusal.reason.zh + refusal.reason.en


def test_a_slip_in_a_header_takes_nothing_and_names_the_right_header(
    office: Office, tmp_path: Path
) -> None:
    path = tmp_path / "x.csv"
    path.write_text(as_csv([[*HEAD], WANG]).replace("学生姓名", "学生性名"))
    batch = office.preview(path, "x.csv")
    assert office.counts(batch) == {}
    assert office.refusals(batch) == {("x.csv", 1, "学生性名", "header_typo")}


def test_an_unknown_school_without_code_is_refused_and_a_known_one_is_found_by_name(
    office: Office, tmp_path: Path
) -> None:
    line = [*WANG]
    line[1] = ""
    batch = office.preview(written(tmp_path / "x.csv", line))
    assert {code for *_, code in office.refusals(batch)} == {"unknown_school"}
    office.load(written(tmp_path / "x.csv", WANG))
    assert office.apply(office.preview(written(tmp_path / "x.csv", line))) == 0


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_template_can_be_handed_in_as_it_is(
    office: Office, tmp_path: Path, language: str
) -> None:
    office.load(written(tmp_path / "x.csv", WANG))
    path = tmp_path / "template.xlsx"
    path.write_bytes(template.workbook(language, datetime(2026, 9, 1, tzinfo=UTC)))
    batch = office.preview(path)
    # the English example names a school that is not here
    unknown = {("template.xlsx", n, "学校", "unknown_school") for n in (2, 3)}
    assert office.refusals(batch) == (unknown if language == "en" else set())


def test_a_cell_that_looks_like_a_formula_stays_text(office: Office, tmp_path: Path) -> None:
    line = child("26001", '=HYPERLINK("http://example.org","王")', "王敏", "母亲", "13800138001")
    office.load(written(tmp_path / "x.csv", line))
    assert office.person("GMSY:26001").name.startswith("=HYPERLINK")


def test_a_bomb_is_refused_before_it_is_unpacked(office: Office, tmp_path: Path) -> None:
    path = tmp_path / "bomb.xlsx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", b"<workbook/>")
        archive.writestr("xl/worksheets/sheet1.xml", b"0" * (60 * 1024 * 1024))
    with pytest.raises(Invalid):
        office.preview(path)
