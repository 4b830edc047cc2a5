"""A draft on the writer's own phone: what a family would get, marked, once per press, counted nowhere."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from coordination.domain.people import contacts
from coordination.reactions.on_communication import MOST_TESTS
from notifications.models import OutboxMessage
from tests.integration.communication.conftest import Stage

Visit = Callable[[str], FlaskClient]
FORM = {
    "title_zh": "秋游通知",
    "title_en": "Autumn outing",
    "body_zh": "周五八点校门口集合。",
    "body_en": "Friday at eight.",
    "level": "confirm",
}


@pytest.fixture
def phone(stage: Stage) -> str:
    with Session(stage.engine) as session, session.begin():
        contacts.set_phone(session, stage.world.people["teacher"], "13800138099")
    return "+8613800138099"


def form_of(stage: Stage, step: str, **more: str) -> dict[str, str]:
    return {**FORM, "class_ids": str(stage.world.things["class_a"]), "step": step, **more}


def key_on(page: str) -> str:
    found = re.search(r'name="test_key"[^>]* value="([^"]+)"', page)
    assert found, page
    return found[1]


def texts(stage: Stage) -> list[OutboxMessage]:
    with Session(stage.engine, expire_on_commit=False) as session:
        return list(session.scalars(select(OutboxMessage).order_by(OutboxMessage.id)))


def press(stage: Stage, client: FlaskClient, key: str, **more: str) -> str:
    answer = client.post("/notices/new?lang=zh", data=form_of(stage, "test", test_key=key, **more))
    return answer.get_data(as_text=True)


def test_the_writer_alone_gets_what_a_family_would_once_per_press(
    stage: Stage, visit: Visit, phone: str
) -> None:
    before = stage.fingerprint()
    client = visit("teacher")
    page = client.post("/notices/new", data=form_of(stage, "check")).get_data(as_text=True)
    first = key_on(page)
    page = press(stage, client, first)
    assert "已发到您自己的手机" in page and "发送给 5 位家长" in page
    press(stage, client, first)  # a double click
    (text,) = texts(stage)
    assert text.recipient_id == stage.world.people["teacher"]
    assert text.template_key == "notice" and "测试：秋游通知。打开" in (text.body or "")
    second = key_on(page)
    assert second != first
    press(stage, client, second)
    assert len(texts(stage)) == 2
    after = stage.fingerprint()
    changed = {name for name in after if after[name] != before[name]}
    assert changed <= {"outbox_message", "account_session"}


def test_a_family_gets_the_same_text_but_for_the_mark(
    stage: Stage, visit: Visit, phone: str
) -> None:
    press(stage, visit("teacher"), "k1")
    (tried,) = texts(stage)
    visit("teacher").post("/notices/new", data=form_of(stage, "send", draft_key="d1"))
    mine = stage.world.people["guardian"]
    (sent,) = [m for m in texts(stage) if m.recipient_id == mine]

    def plain(message: OutboxMessage, children: str) -> str:
        body = re.sub(r"[0-9A-Z]{5}-[0-9A-Z]{5}", "CODE", message.body or "")
        return body.replace(f"】{children}：", "】：")

    names = re.search("】(.*?)：", sent.body or "")
    assert names and plain(tried, "测试") == plain(sent, names[1])


def test_who_has_no_phone_is_told_so(stage: Stage, visit: Visit) -> None:
    page = press(stage, visit("teacher"), "k1")
    assert "没有登记能收短信的手机号" in page and texts(stage) == []


@pytest.mark.parametrize(
    "more", [{"title_zh": ""}, {"title_zh": "请缴费"}, {"class_ids": "999999"}]
)
def test_what_could_not_be_sent_is_not_tried_either(
    stage: Stage, visit: Visit, phone: str, more: dict[str, str]
) -> None:
    press(stage, visit("teacher"), "k1", **more)
    assert texts(stage) == []


def test_another_class_is_out_of_reach(stage: Stage, visit: Visit, phone: str) -> None:
    theirs = str(stage.world.things["class_b"])
    press(stage, visit("teacher"), "k1", class_ids=theirs)
    assert texts(stage) == []


def test_tests_are_limited_and_a_repeated_press_is_no_other_one(
    stage: Stage, visit: Visit, phone: str
) -> None:
    client = visit("teacher")
    for number in range(MOST_TESTS):
        press(stage, client, f"k{number}")
    assert f"一小时内最多试发 {MOST_TESTS} 次" in press(stage, client, "more")
    assert "已发到您自己的手机" in press(stage, client, "k0")
    assert len(texts(stage)) == MOST_TESTS
