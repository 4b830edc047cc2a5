"""The import in a terminal: what it prints and how it exits."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from coordination.domain.people.models import RosterBatch, RosterUpload
from coordination.domain.people.roster.command import import_path
from coordination.ground.actor import Actor
from coordination.ground.uow import UnitOfWork
from coordination.reactions.work import begin
from tests.build.roster import Export, Office


def run(office: Office, path: Path, *, apply: bool) -> int:
    """The command on the office's database."""
    return import_path(
        office.engine.url.render_as_string(hide_password=False), path, apply=apply, begin=begin
    )


def states(office: Office) -> list[str]:
    """The states of all batches."""
    with Session(office.engine) as session:
        return list(session.scalars(select(RosterBatch.state).order_by(RosterBatch.id)))


def test_a_preview_prints_and_leaves_nothing(
    office: Office, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = office.hashed(physical=True)
    export = Export()
    export.user("P3")[7] = "1380013800"
    assert run(office, export.folder(tmp_path / "export"), apply=False) == 0
    printed = capsys.readouterr().out
    assert "OneRoster 1.1" in printed
    assert "学生 Students" in printed
    assert "users.csv:6 phone" in printed
    assert "--apply" in printed
    assert office.hashed(physical=True) == before
    assert states(office) == ["discarded"]
    with Session(office.engine) as session:
        assert session.scalars(select(RosterUpload.batch_id)).all() == []


def test_apply_writes_and_says_how_much(
    office: Office, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(office, Export().zip(tmp_path / "x.zip"), apply=True) == 0
    assert "21 rows written" in " ".join(capsys.readouterr().out.split())
    assert office.guardians("K2") == {"张伟": "relative"}
    assert states(office) == ["applied"]


def test_a_roster_of_which_nothing_can_be_taken_exits_with_1(
    office: Office, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.csv"
    path.write_text("学校,班级,学号,学生性名,监护人1姓名,监护人1手机\na,b,c,d,e,f\n")
    assert run(office, path, apply=True) == 1
    assert "学生姓名" in capsys.readouterr().out
    assert states(office) == ["discarded"]


def test_a_roster_that_became_stale_exits_with_1(
    office: Office, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    office.load(Export())
    export = Export()
    export.user("K1")[3] = "小宇"
    begun = 0

    def meanwhile(session: Session, actor: Actor) -> UnitOfWork:
        nonlocal begun
        begun += 1
        if begun == 2:  # between the preview and the apply
            with Session(office.engine) as other:
                other.execute(text("update person set name = '王宇' where source_id = 'K1'"))
                other.commit()
        return begin(session, actor)

    url = office.engine.url.render_as_string(hide_password=False)
    path = export.zip(tmp_path / "x.zip")
    assert import_path(url, path, apply=True, begin=meanwhile) == 1
    assert "preview again" in " ".join(capsys.readouterr().out.split())
    assert office.person("K1").name == "王宇"


def test_a_file_that_cannot_be_read_exits_with_2(
    office: Office, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(b"PK\x03\x04" + b"\0" * 50)
    assert run(office, path, apply=True) == 2
    assert "damaged" in capsys.readouterr().out
    assert states(office) == []
