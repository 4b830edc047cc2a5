"""Why somebody did, or did not, get a message: every decision about it is read on its page."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from coordination.domain.people import contacts
from coordination.ground import clock
from notifications.models import OutboxMessage
from tests.integration.communication.conftest import Stage

Visit = Callable[[str], FlaskClient]
ZONE = ZoneInfo("Asia/Shanghai")
NOON = datetime(2026, 11, 25, 12, 0, tzinfo=ZONE)
EVENING = datetime(2026, 11, 25, 22, 0, tzinfo=ZONE)
MORNING = datetime(2026, 11, 26, 7, 30, tzinfo=ZONE)


@pytest.fixture(autouse=True)
def _noon() -> None:
    clock.travel_to(NOON)


def _message(stage: Stage, notice: int, role: str = "guardian") -> int:
    with Session(stage.engine) as session:
        return session.scalars(
            select(OutboxMessage.id).where(
                OutboxMessage.subject_id == notice,
                OutboxMessage.recipient_id == stage.world.people[role],
            )
        ).one()


def _way(stage: Stage, visit: Visit, message: int) -> dict[str, str]:
    clock.travel_to(NOON)  # the session of the office is of noon
    admin = visit("district_admin")
    return {
        lang: admin.get(f"/admin/messages/{message}?lang={lang}").get_data(as_text=True)
        for lang in ("zh", "en")
    }


def _says(way: dict[str, str], zh: str, en: str) -> None:
    assert zh in way["zh"]
    assert en in way["en"]


def test_that_it_waited_for_the_morning_is_known_when_it_has_arrived(
    stage: Stage, visit: Visit
) -> None:
    stage.keep_nights_quiet()
    clock.travel_to(EVENING)
    message = _message(stage, stage.send())
    stage.deliver()
    waiting = _way(stage, visit, message)
    clock.travel_to(MORNING)
    stage.deliver()
    arrived = _way(stage, visit, message)
    for way in (waiting, arrived):
        _says(way, "免打扰时段，稍后发出", "waits for the end of quiet hours")
        _says(way, "（等到 ", " (until ")
        assert way["zh"].count("07:30") >= 1
    assert "已送达" not in waiting["zh"]
    _says(arrived, "已送达", "Delivered")
    steps = arrived["zh"].split("<h2>经过</h2>", 1)[1]
    assert steps.index("排队中") < steps.index("等待发出") < steps.index("已送达")


def test_one_claim_writes_once_why_a_message_waits(stage: Stage) -> None:
    stage.keep_nights_quiet()
    clock.travel_to(EVENING)
    notice = stage.send()
    for _ in range(3):
        stage.deliver()
    with stage.engine.connect() as connection:
        held = connection.execute(
            text(
                "select count(*), count(distinct message_id), min(until), max(reason_code)"
                " from held_message"
            )
        ).one()
    assert tuple(held) == (len(stage.messages(notice)),) * 2 + (MORNING, "quiet_hours")


def test_who_opted_out_before_it_left_is_not_written_to_and_that_is_said(
    stage: Stage, visit: Visit
) -> None:
    message = _message(stage, stage.send())
    with Session(stage.engine) as session, session.begin():
        contacts.suppress(session, stage.world.people["guardian"], contacts.OPTED_OUT, NOON)
    stage.deliver()
    _says(_way(stage, visit, message), "已退订短信", "has opted out of texts")


def test_what_came_too_late_to_be_of_use_says_so(stage: Stage, visit: Visit) -> None:
    message = _message(stage, stage.send())
    with stage.engine.begin() as connection:
        connection.execute(
            text("update outbox_message set valid_until = :at where id = :id"),
            {"at": NOON + timedelta(hours=1), "id": message},
        )
    clock.travel_to(NOON + timedelta(hours=2))
    stage.deliver()
    way = _way(stage, visit, message)
    _says(way, "过期未发", "Expired")
    _says(way, "超过有效时间", "no longer useful when its turn came")


def test_what_nobody_knows_to_have_left_says_that_it_is_being_checked(
    stage: Stage, visit: Visit
) -> None:
    message = _message(stage, stage.send())
    stage.settle("guardian", "unknown", "ServerDisconnectedError")
    way = _way(stage, visit, message)
    _says(way, "核实中", "Being checked")
    _says(way, "连接中断，是否发出待核实", "whether it left is being checked")


def test_a_step_without_a_reason_says_nothing_of_one(stage: Stage, visit: Visit) -> None:
    message = _message(stage, stage.send())
    stage.deliver()
    for page in _way(stage, visit, message).values():
        assert "None" not in page.split("<main", 1)[1]
