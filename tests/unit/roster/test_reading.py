"""Finding out what was handed in: encodings, headers, archives."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from coordination.domain.people.roster.files import Part, encoding_of, lines_of, parts_of
from coordination.domain.people.roster.headers import folded
from coordination.domain.people.roster.reading import reading
from coordination.domain.people.roster.sheet import COLUMNS
from coordination.domain.people.roster.values import Row, Staged
from coordination.ground.errors import Invalid

HEAD = "学校,班级,学号,学生姓名,监护人1姓名,监护人1手机\n"
LINE = "光明实验小学,三（2）班,26001,王小雨,王敏,13800138001\n"


def part(path: Path) -> Part:
    """The file as a part."""
    return Part(path.name, lambda: path.open("rb"))


def rows(path: Path, name: str = "roster.csv") -> list[Row]:
    """Everything that is read from the file."""
    with reading(path, name, {}) as opened:
        return list(opened.rows)


@pytest.mark.parametrize(
    ("encoding", "found"),
    [
        ("utf-8", "utf-8-sig"),
        ("utf-8-sig", "utf-8-sig"),
        ("gbk", "gb18030"),
        ("gb18030", "gb18030"),
        ("utf-16", "utf-16"),
    ],
)
def test_the_encoding_is_found_by_content(tmp_path: Path, encoding: str, found: str) -> None:
    path = tmp_path / "x.xlsx"
    path.write_bytes((HEAD + LINE).encode(encoding))
    assert encoding_of(part(path)) == found
    names = [cells[5] for table, cells in rows(path) if table is Staged.PERSON]
    assert names == ["王小雨", "王敏"]


def test_a_character_on_the_edge_of_a_chunk_does_not_turn_utf_8_into_gbk(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(b"a" * ((1 << 18) + 2) + "𠮷雨".encode() * 3)
    assert encoding_of(part(path)) == "utf-8-sig"


@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
def test_the_delimiter_is_found(tmp_path: Path, delimiter: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text((HEAD + LINE).replace(",", delimiter))
    assert sum(table is Staged.PERSON for table, _ in rows(path)) == 2


def test_line_numbers_are_those_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text('a,b\n\n1,"two\nlines"\n,\n3,4\n')
    assert [number for number, _ in lines_of(part(path))] == [1, 4, 6]


def test_bytes_of_no_encoding_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(HEAD.encode() + b"\xff\xff\xff\xff\n")
    with pytest.raises(Invalid):
        rows(path)


def test_an_open_quotation_mark_over_a_long_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(HEAD + '"' + LINE * 5000)
    with pytest.raises(Invalid):
        rows(path)


def test_an_empty_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("__MACOSX/users.csv", "x")
    with pytest.raises(Invalid):
        rows(path)


def test_folders_within_an_archive_do_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("export/Users.CSV", "x")
        archive.writestr("export\\orgs.csv", "x")
    with parts_of(path, "x.zip") as parts:
        assert [p.stem for p in parts] == ["users", "orgs"]


@pytest.mark.parametrize(
    "typed",
    ["学生姓名", " 学生姓名 ", "学生姓名*", "学生姓名（必填）", "学生\u3000姓名", "Student name"],
)
def test_a_header_may_be_decorated(typed: str) -> None:
    found, refusals = COLUMNS.read([typed], "x.csv", 1)
    assert found == {0: "name"}
    assert "学生姓名" not in {cells[2] for _, cells in refusals}


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("学生性名", "学生姓名"), ("监护人1手几", "监护人1手机"), ("Studnet name", "Student name")],
)
def test_a_slip_in_a_header_is_answered_with_the_right_one(typed: str, meant: str) -> None:
    _, refusals = COLUMNS.read(["学校", typed], "x.csv", 1)
    (slip,) = (cells for _, cells in refusals if cells[3] == "header_typo")
    assert slip[2] == typed
    assert meant in str(slip[4])
    assert meant in str(slip[5])


def test_a_missing_header_is_named_and_a_strange_one_is_none_of_ours() -> None:
    _, refusals = COLUMNS.read(
        ["学校", "班级", "学号", "学生姓名", "备注", "监护人1姓名"], "x.csv", 1
    )
    assert [(cells[2], cells[3]) for _, cells in refusals] == [("监护人1手机", "header_missing")]


def test_folding_ignores_case_width_and_signs() -> None:
    assert folded("ＳourcedId ") == folded("sourced_ID*") == "sourcedid"


def test_contact_points_leave_the_reader_encrypted(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(HEAD + LINE)
    (point,) = (cells for table, cells in rows(path) if table is Staged.CONTACT)
    assert all(b"13800138001" not in c for c in point if isinstance(c, bytes))
    assert all("13800138001" not in c for c in point if isinstance(c, str))
