"""What the district administration can look up, and what it never sees."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from tests.integration.communication.conftest import Stage

Visit = Callable[[str], FlaskClient]


def test_the_story_of_a_person_says_what_was_sent_and_why_not(stage: Stage, visit: Visit) -> None:
    stage.send()
    stage.settle("english", "failed", "21211")
    admin = visit("district_admin")
    people = stage.world.people
    english = admin.get(f"/admin/messages/of/{people['english']}").get_data(as_text=True)
    assert "号码无效" in english
    no_phone = admin.get(f"/admin/messages/of/{people['no_phone']}").get_data(as_text=True)
    assert "没有登记手机号" in no_phone
    father = admin.get(f"/admin/messages/of/{people['friend_father']}").get_data(as_text=True)
    mother = admin.get(f"/admin/messages/of/{people['friend_mother']}").get_data(as_text=True)
    assert ("共用手机" in father) != ("共用手机" in mother)
    restricted = admin.get(f"/admin/messages/of/{people['restricted']}").get_data(as_text=True)
    assert "不得透露" in restricted
    former = admin.get(f"/admin/messages/of/{people['former']}").get_data(as_text=True)
    assert "监护关系已结束" in former


def test_a_message_is_followed_step_by_step_without_its_text(stage: Stage, visit: Visit) -> None:
    notice = stage.send()
    message = stage.messages(notice)[0]
    code = re.search(r"[0-9A-Z]{5}-[0-9A-Z]{5}", message.body or "")
    assert code
    page = visit("data_officer").get(f"/admin/messages/{message.id}?lang=en").get_data(as_text=True)
    assert "Queued" in page
    assert code.group(0) not in page
    assert code.group(0).replace("-", "") not in page


def test_people_are_found_by_name_and_shown_masked(stage: Stage, visit: Visit) -> None:
    page = visit("district_admin").get("/admin/messages?name=王").get_data(as_text=True)
    assert "王*" in page
    assert "王敏" not in page
    assert "138****8001" in page
    assert "王小雨" not in page  # children are not looked up here


def test_the_audit_trail_can_be_filtered_and_is_masked(stage: Stage, visit: Visit) -> None:
    notice = stage.send()
    admin = visit("district_admin")
    page = admin.get(f"/admin/audit?table=notice&row={notice}").get_data(as_text=True)
    assert "李静" in page
    assert "title_zh" in page
    with stage.engine.connect() as connection:
        key = connection.exec_driver_sql(
            "select draft_key from notice where id = %s", (notice,)
        ).scalar_one()
    assert "draft_key" in page
    assert key not in page


def test_odd_filters_are_no_error(stage: Stage, visit: Visit) -> None:
    admin = visit("district_admin")
    for path in (
        "/admin/audit?row=٣&person=x&page=-1",
        "/admin/audit?table=%00x",
        "/admin/messages?name=%25_",
        "/admin/messages?name=" + "9" * 40,
        "/admin/messages/of/999999",
        "/admin/messages/999999",
    ):
        assert admin.get(path).status_code in (200, 404), path


@pytest.mark.parametrize(
    "role",
    ["anonymous", "guardian", "teacher", "school_admin", "coordinator", "partner", "volunteer"],
)
def test_nobody_else_gets_in(stage: Stage, visit: Visit, role: str) -> None:
    client = visit(role)
    for path in ("/admin/", "/admin/audit", "/admin/messages", "/admin/messages/of/1"):
        assert client.get(path).status_code in (302, 403), path


def test_looking_up_changes_nothing(stage: Stage, visit: Visit) -> None:
    notice = stage.send()
    message = stage.messages(notice)[0].id
    before = stage.fingerprint()
    for path in (
        "/admin/",
        "/admin/audit",
        "/admin/messages?name=王",
        f"/admin/messages/{message}",
    ):
        assert visit("district_admin").get(path).status_code == 200, path
    assert stage.fingerprint() == before
