"""What teacher and guardian see and press."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from tests.build.world import CODE
from tests.integration.communication.conftest import Stage

Visit = Callable[[str], FlaskClient]
FORM = {
    "draft_key": "page-draft",
    "title_zh": "秋游通知",
    "title_en": "Autumn outing",
    "body_zh": "周五八点。",
    "body_en": "Friday at eight.",
    "level": "confirm",
}


def _code(stage: Stage, notice: int, role: str) -> str:
    body = next(
        m.body or "" for m in stage.messages(notice) if m.recipient_id == stage.world.people[role]
    )
    found = re.search(r"\b([0-9A-Z]{5})-([0-9A-Z]{5})\b", body)
    assert found, body
    return found.group(1) + found.group(2)


def test_the_compose_page_counts_before_anything_is_sent(stage: Stage, visit: Visit) -> None:
    before = stage.fingerprint()
    page = visit("teacher").get("/notices/new").get_data(as_text=True)
    for part in ("<b>5</b>", "<b>2</b>", "李爷爷", "UCS-2"):
        assert part in page
    assert stage.fingerprint() == before


def test_the_check_page_says_how_many_and_sends_nothing(stage: Stage, visit: Visit) -> None:
    before = stage.fingerprint()
    form = {**FORM, "class_ids": str(stage.world.things["class_a"]), "step": "check"}
    page = visit("teacher").post("/notices/new", data=form).get_data(as_text=True)
    assert "发送给 5 位家长（2 个家庭）" in page
    assert stage.fingerprint() == before


def test_a_double_click_on_send_is_one_notice(stage: Stage, visit: Visit) -> None:
    client = visit("teacher")
    form = {
        **FORM,
        "class_ids": str(stage.world.things["class_a"]),
        "due_on": "2030-01-04",
        "step": "send",
    }
    places = {client.post("/notices/new", data=form).headers["Location"] for _ in range(2)}
    assert len(places) == 1
    place = places.pop()
    page = client.get(place).get_data(as_text=True)
    assert "没有登记手机号" in page
    # while texts still leave one can only stop; once they have left, remind
    assert "停止发送" in page
    with stage.engine.begin() as connection:
        connection.exec_driver_sql("update outbox_message set state = 'accepted'")
    page = client.get(place).get_data(as_text=True)
    assert "停止发送" not in page
    assert "只提醒未回复的 3 位" in page


def test_a_refused_notice_keeps_what_was_typed(stage: Stage, visit: Visit) -> None:
    form = {**FORM, "title_en": "", "class_ids": str(stage.world.things["class_a"])}
    answer = visit("teacher").post("/notices/new", data={**form, "step": "check"})
    page = answer.get_data(as_text=True)
    assert answer.status_code == 422
    assert "秋游通知" in page
    assert "两种语言都要有" in page


def test_a_date_in_the_past_is_refused_at_its_field(stage: Stage, visit: Visit) -> None:
    form = {**FORM, "class_ids": str(stage.world.things["class_a"]), "due_on": "2020-01-01"}
    answer = visit("teacher").post("/notices/new", data={**form, "step": "send"})
    assert answer.status_code == 422
    assert "截止时间已过" in answer.get_data(as_text=True)


def test_looking_changes_nothing(stage: Stage, visit: Visit) -> None:
    notice = stage.send()
    code = _code(stage, notice, "guardian")
    before = stage.fingerprint()
    nobody = visit("anonymous")
    assert nobody.get(f"/notices/open/{code}").status_code == 200
    assert nobody.head(f"/notices/open/{code}").status_code == 200
    for role, path in (
        ("guardian", f"/notices/mine/{notice}"),
        ("guardian", "/notices/inbox"),
        ("teacher", f"/notices/{notice}"),
        ("teacher", "/notices/"),
    ):
        assert visit(role).get(path).status_code == 200, path
    assert stage.fingerprint() == before


def test_a_guardian_reads_and_confirms_by_code_without_a_password(
    stage: Stage, visit: Visit
) -> None:
    notice = stage.send()
    path = f"/notices/open/{_code(stage, notice, 'english')}"
    nobody = visit("anonymous")
    page = nobody.get(path).get_data(as_text=True)
    assert "Autumn outing" in page
    assert "李*" in page
    assert "data-read" in page
    assert nobody.post(path, data={"answer": "read"}).status_code == 303
    assert "data-read" not in nobody.get(path).get_data(as_text=True)
    assert nobody.post(path, data={"answer": "confirm"}).status_code == 303
    assert "Confirmed" in nobody.get(path).get_data(as_text=True)
    progress = visit("teacher").get(f"/notices/{notice}?show=silent").get_data(as_text=True)
    assert "Anna Smith" not in progress
    assert "王敏" in progress


def test_a_short_code_leads_to_the_notice(stage: Stage, visit: Visit) -> None:
    code = _code(stage, stage.send(), "guardian")
    answer = visit("anonymous").get(f"/a/{code[:5].lower()}-{code[5:]}")
    assert answer.headers["Location"].endswith(f"/notices/open/{code}")


def test_a_code_of_something_else_opens_no_notice(stage: Stage, visit: Visit) -> None:
    assert visit("anonymous").get(f"/notices/open/{CODE['consent']}").status_code == 404
    assert visit("anonymous").get("/notices/open/AAAAAAAAAA").status_code == 404


def test_a_code_closes_when_custody_changes(stage: Stage, visit: Visit) -> None:
    code = _code(stage, stage.send(), "english")
    with stage.engine.begin() as connection:
        connection.exec_driver_sql(
            "update guardianship set no_disclosure = true where guardian_id = %s",
            (stage.world.people["english"],),
        )
    assert visit("anonymous").get(f"/notices/open/{code}").status_code == 404
    answer = visit("anonymous").post(f"/notices/open/{code}", data={"answer": "confirm"})
    assert answer.status_code in (403, 404)


def test_the_nudge_button_reminds_and_then_says_to_wait(stage: Stage, visit: Visit) -> None:
    notice = stage.send()
    teacher = visit("teacher")
    first = teacher.post(f"/notices/{notice}/nudge", follow_redirects=True)
    assert "已提醒 3 位" in first.get_data(as_text=True)
    second = teacher.post(f"/notices/{notice}/nudge", follow_redirects=True)
    assert second.status_code == 200
    assert len(stage.messages(notice, "notice_nudge")) == 3
    called = teacher.get(f"/notices/{notice}?show=call").get_data(as_text=True)
    assert "李爷爷" in called


@pytest.mark.parametrize(
    "role",
    [
        "teacher_b",
        "school_admin_b",
        "partner",
        "guardian",
        "volunteer",
        "district_admin",
        "coordinator",
    ],
)
def test_strangers_reach_no_notice(stage: Stage, visit: Visit, role: str) -> None:
    notice = stage.send()
    assert visit(role).get(f"/notices/{notice}").status_code in (403, 404)
    assert visit(role).post(f"/notices/{notice}/nudge").status_code in (403, 404)


@pytest.mark.parametrize("role", ["restricted", "former", "guardian_b"])
def test_a_guardian_who_may_not_know_finds_nothing(stage: Stage, visit: Visit, role: str) -> None:
    notice = stage.send()
    assert visit(role).get(f"/notices/mine/{notice}").status_code in (403, 404)
    assert visit(role).post(f"/notices/mine/{notice}").status_code in (403, 404)


def test_the_list_shows_how_far_each_notice_has_come(stage: Stage, visit: Visit) -> None:
    stage.send()
    stage.settle("guardian", "delivered")
    stage.settle("english", "failed", "21211")
    page = visit("teacher").get("/notices/?lang=en").get_data(as_text=True)
    assert 'data-label="Delivered">1<' in page.replace("\n", "")
    assert "Autumn outing" in page
