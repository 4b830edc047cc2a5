"""Letters on paper: a sheet for each child whose family was not reached, and the slip that comes back."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
import segno
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from coordination.blueprints.communication import calls as page_of_calls
from coordination.domain.communication.models import NoticeRecipient
from coordination.ground.audit import AuditEntry
from tests.integration.communication.conftest import BODY, TITLE, Stage

Visit = Callable[[str], FlaskClient]


def sheets(page: str) -> list[str]:
    """The sheets of a page of letters."""
    return page.split('<section class="card letter-sheet"')[1:]


def children(page: str) -> list[str]:
    """The children that the slips name, in their order."""
    return re.findall(r"<p><strong>([^<]+)</strong> · ", page)


def row_of(stage: Stage, notice: int, role: str) -> NoticeRecipient:
    with Session(stage.engine, expire_on_commit=False) as session:
        return session.scalars(
            select(NoticeRecipient).where(
                NoticeRecipient.notice_id == notice,
                NoticeRecipient.guardian_id == stage.world.people[role],
            )
        ).one()


def test_a_sheet_for_each_child_whose_family_was_not_reached(stage: Stage, visit: Visit) -> None:
    notice = stage.send()
    stage.settle("guardian", "delivered")
    for role in ("friend_mother", "friend_father", "english"):
        stage.settle(role, "failed")
    teacher = visit("teacher")
    page = teacher.get(f"/notices/{notice}/letters").text
    assert children(page) == ["李想"]
    assert TITLE.zh in page and BODY.zh in page and "家长签名" in page
    everybody = teacher.get(f"/notices/{notice}/letters?all=1").text
    assert set(children(everybody)) > {"李想", "王小宇"}
    # who answers needs no letter
    stage.acknowledge("guardian", notice)
    assert "王小宇" not in children(teacher.get(f"/notices/{notice}/letters?all=1").text)


def test_a_letter_names_the_child_and_nobody_elses_data(stage: Stage, visit: Visit) -> None:
    notice = stage.send()
    page = visit("teacher").get(f"/notices/{notice}/letters?all=1").text
    sheet = "".join(sheets(page))
    for name in ("赵兰", "李刚", "李爷爷", "王敏", "受限"):
        assert name not in sheet
    assert not re.search(r"1\d\d\*{4}\d{4}|1\d{10}", sheet)


def test_it_is_in_the_language_that_the_family_reads(stage: Stage, visit: Visit) -> None:
    notice = stage.send()
    with stage.engine.begin() as held:
        held.execute(
            update(NoticeRecipient)
            .where(
                NoticeRecipient.notice_id == notice,
                NoticeRecipient.guardian_id == stage.world.people["guardian"],
            )
            .values(language="en")
        )
    page = visit("teacher").get(f"/notices/{notice}/letters?all=1").text
    by_child = {children(sheet)[0]: sheet for sheet in sheets(page)}
    assert 'lang="en"' in by_child["王小宇"] and TITLE.en in by_child["王小宇"]
    assert BODY.zh not in by_child["王小宇"]
    # of his four guardians three read Chinese
    assert 'lang="zh-CN"' in by_child["李想"] and TITLE.zh in by_child["李想"]


def test_the_slip_leads_back_to_the_child_and_is_noted_as_paper(
    stage: Stage, visit: Visit, app: Flask
) -> None:
    notice = stage.send()
    teacher = visit("teacher")
    child = stage.world.people["child"]
    address = f"/notices/{notice}/calls?slip=1"
    made = teacher.get(f"/notices/{notice}/letters?all=1").text
    expected = segno.make(
        f"{app.config['PUBLIC_URL']}{address}#child-{child}", error="m"
    ).svg_inline(border=0, omitsize=True, svgclass=None, lineclass=None)
    assert expected in made
    page = teacher.get(address).text
    assert f'id="child-{child}"' in page and "收到签名回执" in page and "已电话告知<" not in page
    row = row_of(stage, notice, "guardian")
    answer = teacher.post(
        f"/notices/{notice}/calls/{row.id}/reached", data={"by": "letter"}, follow_redirects=True
    )
    assert "已记下：收到纸质回执。" in answer.text and "纸质回执 · " in answer.text
    row = row_of(stage, notice, "guardian")
    assert (row.by_letter, row.confirmed_at) == (True, None)
    assert row.reached_by_id == stage.world.people["teacher"]
    family = visit("guardian")
    assert "收到纸质回执" in family.get(f"/notices/mine/{notice}").text
    assert "回执已交" in family.get("/notices/inbox").text
    again = teacher.post(f"/notices/{notice}/calls/{row.id}/reached", follow_redirects=True)
    assert "已经登记过了" in again.text
    assert row_of(stage, notice, "guardian").by_letter  # what was noted first stands
    teacher.post(f"/notices/{notice}/calls/{row.id}/undo")
    row = row_of(stage, notice, "guardian")
    assert (row.reached_at, row.by_letter) == (None, False)
    with Session(stage.engine) as session:
        trail = session.scalars(
            select(AuditEntry)
            .where(AuditEntry.table_name == "notice_recipient", AuditEntry.row_id == row.id)
            .order_by(AuditEntry.id)
        ).all()
    assert [line.after["by_letter"] for line in trail if "by_letter" in line.after] == [True, False]


def test_told_by_phone_stays_told_by_phone(stage: Stage, visit: Visit) -> None:
    notice = stage.send()
    row = row_of(stage, notice, "guardian")
    page = visit("teacher").post(f"/notices/{notice}/calls/{row.id}/reached", follow_redirects=True)
    assert "已记下：电话告知。" in page.text and "纸质回执" not in page.text
    assert not row_of(stage, notice, "guardian").by_letter
    assert "已电话告知" in visit("guardian").get("/notices/inbox").text


def test_a_whole_school_is_printed_in_lots(
    stage: Stage, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_of_calls, "SHEETS", 2)
    notice, teacher = stage.send(), visit("teacher")
    everybody = children(teacher.get(f"/notices/{notice}/letters?all=1").text)
    lots = [everybody]
    while len(lots[-1]) == 2:
        address = f"/notices/{notice}/letters?all=1&page={len(lots) + 1}"
        lots.append(children(teacher.get(address).text))
        if lots[-1] == lots[-2]:  # beyond the last there is the last again
            lots.pop()
            break
    printed = [child for lot in lots for child in lot]
    assert len(printed) == len(set(printed)) >= 3
    assert children(teacher.get(f"/notices/{notice}/letters?all=1&page=x").text) == everybody


@pytest.mark.parametrize("language", ["zh", "en"])
def test_nobody_left_to_write_to(stage: Stage, visit: Visit, language: str) -> None:
    notice = stage.send()
    with stage.engine.begin() as held:
        held.execute(
            text("update notice_recipient set confirmed_at = now() where notice_id = :n"),
            {"n": notice},
        )
    page = visit("teacher").get(f"/notices/{notice}/letters?lang={language}").text
    assert ("不用写信了" if language == "zh" else "No letter to write") in page
    assert not sheets(page)
