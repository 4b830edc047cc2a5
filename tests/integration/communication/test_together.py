"""Several notices to one family that wait for the morning become one text, which opens all of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from coordination.domain.communication.models import Notice, WordingApproval
from coordination.domain.communication.notices import queries, services
from coordination.ground import clock
from coordination.ground.text import Text
from coordination.reactions import carriers, catalogue
from coordination.settings import Settings
from notifications.models import OutboxMessage
from tests.integration.communication.conftest import BODY, Stage

Visit = Callable[[str], FlaskClient]
ZONE = ZoneInfo("Asia/Shanghai")
NOON = datetime(2026, 11, 25, 12, 0, tzinfo=ZONE)
EVENING = datetime(2026, 11, 25, 22, 0, tzinfo=ZONE)
MORNING = datetime(2026, 11, 26, 7, 30, tzinfo=ZONE)
TITLES = (
    Text("家长会改期", "Parents' meeting moved"),
    Text("明天带水杯", "Bring a bottle"),
    Text("秋游回执", "Outing reply"),
)


@pytest.fixture(autouse=True)
def _quiet(stage: Stage) -> None:
    clock.travel_to(NOON)
    stage.keep_nights_quiet()


def _evening(stage: Stage, count: int = 3) -> list[int]:
    """Notices that were sent in quiet hours, each looked at once by a worker."""
    sent = []
    for number in range(count):
        clock.travel_to(EVENING + timedelta(minutes=10 * number))
        sent.append(stage.send(key=f"evening-{number}", title=TITLES[number], level="info"))
        stage.deliver()
    return sent


def _texts(stage: Stage, role: str) -> list[OutboxMessage]:
    with Session(stage.engine, expire_on_commit=False) as session:
        return list(
            session.scalars(
                select(OutboxMessage)
                .where(OutboxMessage.recipient_id == stage.world.people[role])
                .order_by(OutboxMessage.id)
            )
        )


def _phone(stage: Stage, role: str) -> list[str]:
    """What came to a phone."""
    return [m.body or "" for m in _texts(stage, role) if m.state in ("accepted", "delivered")]


def _code(body: str) -> str:
    found = re.search(r"\b([0-9A-Z]{5})-([0-9A-Z]{5})\b", body)
    assert found, body
    return found.group(1) + found.group(2)


def test_a_family_wakes_up_to_one_text_and_each_notice_keeps_its_way(
    stage: Stage, visit: Visit
) -> None:
    sent = _evening(stage)
    assert _phone(stage, "guardian") == []
    clock.travel_to(MORNING)
    stage.deliver()
    [body] = _phone(stage, "guardian")
    assert "“家长会改期”等 3 条通知" in body
    [english] = _phone(stage, "english")
    assert "3 notices for you" in english
    with Session(stage.engine) as session:
        for number in sent:
            notice = session.get_one(Notice, number)
            counts = queries.funnel(session, notice, clock.now())
            assert (counts.queued, counts.delivered + counts.sent) == (0, 4)
    page = visit("teacher").get(f"/notices/{sent[1]}").get_data(as_text=True)
    assert "与其他通知合并为一条短信" in page
    merged = _texts(stage, "guardian")[1]
    clock.travel_to(NOON)  # the session of the office is of noon
    admin = visit("district_admin")
    way = admin.get(f"/admin/messages/{merged.id}").get_data(as_text=True)
    assert "已合并" in way
    assert "并入了另一条短信" in way
    one = re.search(r'/admin/messages/(\d+)">消息', way)
    assert one is not None
    back = admin.get(f"/admin/messages/{one.group(1)}").get_data(as_text=True)
    assert "这一条合并了" in back
    assert f"消息 {merged.id}<" in back


def test_the_code_of_the_one_text_opens_all_of_them(stage: Stage, visit: Visit) -> None:
    sent = [
        *_evening(stage, 2),
        stage.send(key="evening-3", title=TITLES[2], level="confirm"),
    ]
    clock.travel_to(MORNING)
    stage.deliver()
    code = _code(_phone(stage, "guardian")[0])
    nobody = visit("anonymous")
    page = nobody.get(f"/a/{code}", follow_redirects=True).get_data(as_text=True)
    before = stage.fingerprint()
    assert all(title.zh in page for title in TITLES)
    assert "待确认" in page
    path = f"/notices/together/{code}/{sent[2]}"
    assert BODY.zh in nobody.get(path).get_data(as_text=True)
    assert stage.fingerprint() == before
    assert nobody.post(path, data={"answer": "confirm"}).headers["Location"] == path
    assert "已确认收到" in nobody.get(path).get_data(as_text=True)
    assert "已确认" in nobody.get(f"/notices/together/{code}").get_data(as_text=True)
    # its own code still opens each, and the one for all opens nothing else
    own = _code(stage.messages(sent[0])[0].body or "")
    assert nobody.get(f"/notices/open/{own}").status_code == 200
    assert nobody.get(f"/notices/together/{own}").status_code == 404
    assert nobody.get(f"/notices/open/{code}").status_code == 404
    foreign = stage.send(key="noon", title=Text("别的通知", "Something else"))
    assert nobody.get(f"/notices/together/{code}/{foreign}").status_code == 404


def test_what_is_urgent_goes_alone_and_at_once(stage: Stage) -> None:
    _evening(stage, 2)
    closed = Text("明天停课", "No school tomorrow")
    stage.send(key="urgent", title=closed, urgent_reason="台风停课")
    stage.deliver()
    [body] = _phone(stage, "guardian")
    assert "明天停课" in body
    clock.travel_to(MORNING)
    stage.deliver()
    assert len(_phone(stage, "guardian")) == 2


def test_a_notice_withdrawn_in_the_night_is_not_told_of(stage: Stage, visit: Visit) -> None:
    sent = _evening(stage)
    stage.act("teacher", lambda uow: services.stop_notice(uow, notice_id=sent[0]))
    clock.travel_to(MORNING)
    stage.deliver()
    [body] = _phone(stage, "guardian")
    assert "“明天带水杯”等 2 条通知" in body
    page = visit("anonymous").get(f"/notices/together/{_code(body)}").get_data(as_text=True)
    assert "家长会改期" not in page


def test_a_guardian_who_may_not_have_them_any_more_gets_nothing(stage: Stage, visit: Visit) -> None:
    _evening(stage)
    clock.travel_to(MORNING)
    stage.deliver()
    code = _code(_phone(stage, "english")[0])
    with stage.engine.begin() as connection:
        connection.execute(
            text("update guardianship set no_disclosure = true where guardian_id = :g"),
            {"g": stage.world.people["english"]},
        )
        # as after a refusal: it comes to a claim once more
        connection.execute(
            text(
                "update outbox_message set state = 'queued', next_at = :at"
                " where template_key = 'notices_together'"
            ),
            {"at": MORNING},
        )
    stage.deliver()
    states = {m.template_key: (m.state, m.reason_code) for m in _texts(stage, "english")}
    assert states["notices_together"] == ("suppressed", "no_longer_concerned")
    assert _phone(stage, "guardian") != []
    assert visit("anonymous").get(f"/notices/together/{code}").status_code == 404


def test_a_gateway_of_templates_that_does_not_know_it_is_not_asked_to_say_it(stage: Stage) -> None:
    assert carriers.languages_of(Settings(), stage.engine, "notices_together")() == {"zh", "en"}
    with_aliyun = replace(Settings(), sms_channel="aliyun")
    able = carriers.languages_of(with_aliyun, stage.engine, "notices_together")
    assert able() == frozenset()
    version = catalogue.version_of(
        "notices_together", "zh", catalogue.site_of(with_aliyun.public_url)
    )
    with Session(stage.engine) as session:
        session.add(
            WordingApproval(
                org_id=stage.world.things["district"],
                key="notices_together",
                language="zh",
                template_id="SMS_1",
                state="approved",
                version=version,
            )
        )
        session.commit()
    clock.travel_to(clock.now() + timedelta(minutes=1))  # in force without a restart
    assert able() == {"zh"}
