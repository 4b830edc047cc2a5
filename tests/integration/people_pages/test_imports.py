"""The roster import in a browser: preview, apply, discard, undo; nothing is lost or done twice."""

from __future__ import annotations

import hashlib
import io
from functools import partial
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from python_calamine import CalamineWorkbook
from sqlalchemy import Engine, event, func, select, text
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from coordination.domain.people.models import ClassGroup, Person, RosterBatch, RosterUpload
from coordination.domain.people.roster import first_load
from tests.build.roster import Export, as_csv
from tests.integration.people_pages.conftest import Stage

HEAD = ["学校", "学校代码", "班级", "学号", "学生姓名", "监护人1姓名", "监护人1关系", "监护人1手机"]
LINES = [
    ["向阳小学", "XY", "一（1）班", "1001", "赵一", "赵父", "父亲", "13900139001"],
    ["向阳小学", "XY", "一（1）班", "1002", "钱二", "钱母", "母亲", "13900139002"],
    ["向阳小学", "XY", "一（1）班", "", "孙三", "孙母", "母亲", "13900139003"],
]


def sheet(lines: list[list[str]] | None = None) -> bytes:
    return as_csv([HEAD, *(LINES if lines is None else lines)]).encode()


def hand_in(
    client: FlaskClient, content: bytes, name: str = "名册.csv", **more: object
) -> TestResponse:
    return client.post(
        "/people/import",
        data={"roster": (io.BytesIO(content), name), **more},
        content_type="multipart/form-data",
    )


def batch_of(answer: TestResponse) -> str:
    assert answer.status_code == 303, answer.text
    return answer.headers["Location"]


def sent_by_all(sent: list[str], *given: object) -> None:
    sent.append(str(given[2]))


def fingerprint(stage: Stage, *, but: tuple[str, ...] = ()) -> dict[str, str]:
    """A hash of every table."""
    with stage.engine.connect() as connection:
        tables = connection.scalars(
            text("select tablename from pg_tables where schemaname = 'public'")
        ).all()
        return {
            name: hashlib.sha256(
                "\n".join(
                    connection.scalars(text(f'select r::text from "{name}" r order by 1'))
                ).encode()
            ).hexdigest()
            for name in tables
            if name not in but
        }


def people(stage: Stage, name: str) -> int:
    with Session(stage.engine) as session:
        return session.scalar(select(func.count()).where(Person.name == name)) or 0


def test_a_preview_counts_names_and_refuses_and_writes_nothing(stage: Stage) -> None:
    office = stage.visit("district_admin")
    page = office.get(batch_of(hand_in(office, sheet())))
    assert people(stage, "赵一") == 0
    assert "写入 " in page.text and "放弃" in page.text
    assert "名册.csv" in page.text and "学号" in page.text and "不能为空" in page.text
    added = office.get(page.request.path + "?show=add").text
    assert "赵一" in added and "孙三" not in added
    assert "13900139001" not in page.text + added


def test_apply_writes_once_and_says_how_much(stage: Stage) -> None:
    office = stage.visit("district_admin")
    batch = batch_of(hand_in(office, sheet()))
    first = office.post(f"{batch}/apply", follow_redirects=True)
    assert first.status_code == 200 and "已写入" in first.text and "撤销导入" in first.text
    assert people(stage, "赵一") == 1
    before = fingerprint(stage, but=("account_session",))
    again = office.post(f"{batch}/apply", follow_redirects=True)
    assert "已经处理过了" in again.text
    assert fingerprint(stage, but=("account_session",)) == before


def test_the_page_itself_reads_nothing_that_stops_a_first_import(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(first_load, "_worth_it", lambda session, new: True)
    sent: list[str] = []
    note = partial(sent_by_all, sent)
    event.listen(Engine, "before_cursor_execute", note)
    office = stage.visit("district_admin")
    answer = office.post(f"{batch_of(hand_in(office, sheet()))}/apply", follow_redirects=True)
    event.remove(Engine, "before_cursor_execute", note)
    assert "已写入" in answer.text and people(stage, "赵一") == 1
    # whoever is signed in was looked up by this request too, and must not stand in its own way
    assert sum("drop constraint" in statement for statement in sent) == 6


def test_undo_takes_back_what_was_written(stage: Stage) -> None:
    office = stage.visit("district_admin")
    before = people(stage, "王敏")
    batch = batch_of(hand_in(office, sheet()))
    office.post(f"{batch}/apply")
    page = office.post(f"{batch}/undo", follow_redirects=True)
    assert "已撤销这次导入" in page.text and "撤销导入" not in page.text
    assert people(stage, "赵一") == 0 and people(stage, "王敏") == before
    with Session(stage.engine) as session:
        found = session.scalars(select(ClassGroup.name_zh)).all()
    assert "一（1）班" not in found
    twice = office.post(f"{batch}/undo", follow_redirects=True)
    assert "没有写入，或已经撤销" in twice.text


def uploaded(stage: Stage) -> list[str]:
    """The batches whose files are kept."""
    with Session(stage.engine) as session:
        found = session.scalars(select(RosterUpload.batch_id).distinct())
        return [f"/people/import/{number}" for number in found]


def test_discard_keeps_the_roster_and_deletes_the_file(stage: Stage) -> None:
    office = stage.visit("district_admin")
    batch = batch_of(hand_in(office, sheet()))
    assert uploaded(stage) == [batch]
    page = office.post(f"{batch}/discard", follow_redirects=True)
    assert "已放弃" in page.text and uploaded(stage) == []
    late = office.post(f"{batch}/apply", follow_redirects=True)
    assert "已经处理过了" in late.text and people(stage, "赵一") == 0


def test_a_roster_that_changed_meanwhile_is_not_written(stage: Stage) -> None:
    office = stage.visit("district_admin")
    first = batch_of(hand_in(office, sheet()))
    second = batch_of(hand_in(office, sheet()))
    office.post(f"{first}/apply")
    page = office.post(f"{second}/apply", follow_redirects=True)
    assert "请重新预览" in page.text
    assert people(stage, "赵一") == 1


def test_looking_changes_nothing(stage: Stage) -> None:
    office = stage.visit("district_admin")
    batch = batch_of(hand_in(office, sheet()))
    before = fingerprint(stage)
    for path in ("/people/import", "/people/imports", batch, f"{batch}?show=end&page=7"):
        assert office.get(path).status_code == 200
    for step in ("apply", "undo", "discard"):
        assert office.get(f"{batch}/{step}").status_code == 405
    assert fingerprint(stage) == before


def test_a_complete_export_warns_of_children_who_would_leave(stage: Stage, tmp_path: Path) -> None:
    office, export = stage.visit("district_admin"), Export()
    full = export.zip(tmp_path / "full.zip").read_bytes()
    office.post(f"{batch_of(hand_in(office, full, 'full.zip'))}/apply")
    assert people(stage, "张珺") >= 1
    export.drop("K2")
    fewer = export.zip(tmp_path / "fewer.zip").read_bytes()
    page = office.get(batch_of(hand_in(office, fewer, "fewer.zip"))).text
    assert "有 1 名学生不在文件中" in page
    same = office.get(batch_of(hand_in(office, full, "full.zip"))).text
    assert "没有要写入的内容" in same and "/apply" not in same


def test_the_list_names_every_import_with_its_state(stage: Stage) -> None:
    office = stage.visit("district_admin")
    batch = batch_of(hand_in(office, sheet(), "第一次.csv"))
    office.post(f"{batch}/apply")
    hand_in(office, sheet(), "第二次.csv")
    page = office.get("/people/imports").text
    assert "第一次.csv" in page and "第二次.csv" in page
    assert "已写入" in page and "待确认" in page and "孙立" in page


def test_the_template_opens_as_a_workbook_and_is_taken_back(stage: Stage) -> None:
    office = stage.visit("district_admin")
    for language, head in (("zh", "学校"), ("en", "School")):
        answer = office.get(f"/people/import/template.xlsx?lang={language}")
        # a server can only send what fits into one byte per character
        assert answer.headers["Content-Disposition"].encode("latin-1").startswith(b"attachment")
        book = CalamineWorkbook.from_filelike(io.BytesIO(answer.data))
        assert book.get_sheet_by_index(0).to_python()[0][0] == head
        batch = batch_of(hand_in(office, answer.data, "template.xlsx"))
        # its example school is not one of ours
        assert "找不到这所学校" in office.get(f"{batch}?lang=zh").text


@pytest.mark.parametrize(
    ("content", "name", "said"),
    [
        (b"", "", "请选择一个文件"),
        (b"", "leer.csv", "文件是空的"),
        (b"PK\x03\x04 broken", "broken.zip", "文件"),
        (
            b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\1\0" + bytes(range(256)),
            "photo.png",
            "文字编码无法识别",
        ),
    ],
)
def test_a_file_that_is_none_is_refused_with_a_reason(
    stage: Stage, content: bytes, name: str, said: str
) -> None:
    office = stage.visit("district_admin")
    answer = hand_in(office, content, name)
    assert answer.status_code == 422 and said in answer.text
    assert "error-summary" in answer.text
    with Session(stage.engine) as session:
        # the one of the world
        assert session.scalar(select(func.count()).select_from(RosterBatch)) == 1


def test_a_file_without_our_columns_is_shown_as_refused_and_cannot_be_applied(
    stage: Stage,
) -> None:
    office = stage.visit("district_admin")
    page = office.get(batch_of(hand_in(office, b"a letter, not a roster", "letter.csv"))).text
    assert "缺少必需的列" in page and "没有可以写入的行" in page and "/apply" not in page


@pytest.mark.parametrize(("language", "said"), [("zh", "10 MB"), ("en", "uploaded files 10 MB")])
def test_more_than_ten_megabytes_is_refused_before_it_is_read(
    stage: Stage, language: str, said: str
) -> None:
    class Unread(io.BytesIO):
        def read(self, *_: object) -> bytes:
            raise AssertionError("the body was read")

    office = stage.visit("district_admin")
    answer = office.post(
        f"/people/import?lang={language}",
        input_stream=Unread(bytes(11 * 1024 * 1024)),
        content_type="multipart/form-data; boundary=x",
    )
    assert answer.status_code == 413 and said in answer.text


def test_a_file_of_almost_ten_megabytes_is_taken(stage: Stage) -> None:
    lines = [
        ["向阳小学", "XY", "一（1）班", str(n), "赵" + "一" * 30, "钱" * 30, "父亲", ""]
        for n in range(1, 200)
    ]
    filler = b"\n" * (9 * 1024 * 1024)
    office = stage.visit("district_admin")
    page = office.get(batch_of(hand_in(office, sheet(lines) + filler))).text
    assert "写入" in page


def test_switching_the_language_does_not_hand_anything_in(stage: Stage) -> None:
    office = stage.visit("district_admin")
    answer = hand_in(office, sheet(), _lang="en")
    assert answer.status_code == 200 and "Import a roster" in answer.text
    with Session(stage.engine) as session:
        assert session.scalar(select(func.count()).select_from(RosterBatch)) == 1


@pytest.mark.parametrize(
    "role", ["school_admin", "teacher", "coordinator", "data_officer", "partner", "guardian"]
)
def test_only_the_district_administration_imports(stage: Stage, role: str) -> None:
    office, other = stage.visit("district_admin"), stage.visit(role)
    batch = batch_of(hand_in(office, sheet()))
    for path in ("/people/import", "/people/imports", batch, "/people/import/template.xlsx"):
        assert other.get(path).status_code == 403
    assert hand_in(other, sheet()).status_code == 403
    for step in ("apply", "undo", "discard"):
        assert other.post(f"{batch}/{step}").status_code == 403
    assert people(stage, "赵一") == 0


def test_a_batch_that_is_none_is_not_found(stage: Stage) -> None:
    office = stage.visit("district_admin")
    assert office.get("/people/import/999").status_code == 404
    for step in ("apply", "undo", "discard"):
        assert office.post(f"/people/import/999/{step}").status_code == 404
