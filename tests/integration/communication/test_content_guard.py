"""Scores, ranks and names: shown before a notice leaves, and some of it never leaves."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from coordination.domain.communication.models import Notice
from coordination.domain.people.models import Person
from coordination.ground.audit import AuditEntry
from tests.integration.communication.conftest import Stage
from tests.integration.communication.test_notice_pages import FORM, Visit


def post(client: FlaskClient, stage: Stage, step: str, body: str, **more: str) -> tuple[int, str]:
    form = {**FORM, "class_ids": str(stage.world.things["class_a"]), "body_zh": body, "step": step}
    answer = client.post("/notices/new", data={**form, **more})
    return answer.status_code, answer.get_data(as_text=True)


def name_of(stage: Stage, role: str) -> str:
    with Session(stage.engine) as session:
        return session.get_one(Person, stage.world.people[role]).name


def notices(stage: Stage) -> list[Notice]:
    with Session(stage.engine) as session:
        return list(session.scalars(select(Notice).order_by(Notice.id)))


def test_a_ranking_is_shown_and_leaves_only_when_looked_at(stage: Stage, visit: Visit) -> None:
    client, known = visit("teacher"), len(notices(stage))
    status, page = post(client, stage, "check", "第3名的同学周一来领奖状。")
    assert status == 200
    assert "“第3名的同学周一来领奖状。”像是排名" in page
    assert 'name="looked_at" value="rank"' in page
    status, page = post(client, stage, "send", "第3名的同学周一来领奖状。")
    assert status == 422
    assert "请逐条核对提示的句子" in page
    assert "第3名的同学周一来领奖状。" in page  # nothing typed is lost
    assert len(notices(stage)) == known
    status, _ = post(client, stage, "send", "第3名的同学周一来领奖状。", looked_at="rank")
    assert status == 303
    sent = notices(stage)[-1]
    assert sent.looked_at == ["rank"]
    with Session(stage.engine) as session:
        line = session.scalars(
            select(AuditEntry).where(
                AuditEntry.table_name == "notice", AuditEntry.row_id == sent.id
            )
        ).first()
        assert line is not None
        assert line.after["looked_at"] == ["rank"]


def test_a_tick_for_one_doubt_is_none_for_another(stage: Stage, visit: Visit) -> None:
    client, known = visit("teacher"), len(notices(stage))
    status, page = post(client, stage, "send", "请为我校投票。", looked_at="rank")
    assert status == 422
    assert "像是拉票" in page
    assert len(notices(stage)) == known


def test_a_child_is_not_named_beside_a_score(stage: Stage, visit: Visit) -> None:
    client, known = visit("teacher"), len(notices(stage))
    said = f"{name_of(stage, 'child')} 95分。"
    for step in ("check", "send"):
        status, page = post(client, stage, step, said, looked_at="name score name_and_more")
        assert status == 422
        assert "不能群发" in page
        assert said in page
    assert len(notices(stage)) == known


@pytest.mark.parametrize(("role", "named"), [("child", True), ("child_b", False)])
def test_only_names_of_those_who_are_written_to_count(
    stage: Stage, visit: Visit, role: str, *, named: bool
) -> None:
    name = name_of(stage, role)
    if not named:
        assert name != name_of(stage, "child")
    _, page = post(visit("teacher"), stage, "check", f"请{name}带伞。")
    assert ("其他家庭也会看到" in page) is named


def test_names_are_found_in_a_notice_to_a_whole_school(stage: Stage, visit: Visit) -> None:
    form = {
        **FORM,
        "org_id": str(stage.world.things["school_a"]),
        "body_zh": f"请{name_of(stage, 'child')}带伞。",
        "step": "check",
    }
    page = visit("school_admin").post("/notices/new", data=form).get_data(as_text=True)
    assert "其他家庭也会看到" in page


def test_an_everyday_notice_is_not_held_up(stage: Stage, visit: Visit) -> None:
    status, page = post(visit("teacher"), stage, "check", "周五八点校门口集合。")
    assert (status, "发送前请看一看" in page) == (200, False)
