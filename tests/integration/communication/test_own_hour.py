"""A guardian's own hour: routine notices wait for it and come as one; nothing else does, nothing is lost."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from coordination.domain.communication.notices import alerts
from coordination.domain.people import hours
from coordination.ground import clock
from coordination.ground.errors import Invalid
from coordination.ground.text import Text
from tests.integration.communication.conftest import Stage

Visit = Callable[[str], FlaskClient]
ZONE = ZoneInfo("Asia/Shanghai")
DAY = datetime(2026, 11, 25, tzinfo=ZONE)
SIX = time(18, 0)
GONE = ("accepted", "delivered")


@pytest.fixture(autouse=True)
def _morning() -> None:
    clock.travel_to(DAY.replace(hour=9))


def _choose(stage: Stage, hour: time | None = SIX, role: str = "guardian") -> None:
    stage.act(role, lambda uow: hours.choose_hour(uow, hour=hour))


def _send(stage: Stage, hour: int, title: str, **more: str) -> int:
    clock.travel_to(DAY.replace(hour=hour))
    notice = stage.send(key=title, level="info", title=Text(title, title), **more)  # type: ignore[arg-type]
    stage.deliver()
    return notice


def test_two_of_a_day_wait_and_come_as_one(stage: Stage, visit: Visit) -> None:
    _choose(stage)
    first = _send(stage, 10, "带水杯")
    _send(stage, 15, "交回执")
    assert stage.phone("guardian") == []
    # others do not wait for one family's wish
    assert len(stage.phone("english")) == 2
    held = stage.texts_to("guardian")
    assert {(m.state, m.reason_code, m.next_at) for m in held} == {
        ("held", "own_hour", DAY.replace(hour=18))
    }
    page = visit("teacher").get(f"/notices/{first}").get_data(as_text=True)
    assert "1 位家长的短信等到" in page
    why = visit("district_admin").get(f"/admin/messages/{held[0].id}").get_data(as_text=True)
    assert "家长选择了这时以后再收" in why
    stage.deliver(DAY.replace(hour=18, minute=1))
    (text,) = stage.phone("guardian")
    assert "2" in text


def test_after_the_hour_it_comes_at_once(stage: Stage) -> None:
    _choose(stage)
    _send(stage, 18, "明天降温")
    assert len(stage.phone("guardian")) == 1


def test_what_waited_through_an_outage_leaves_when_it_is_over(stage: Stage) -> None:
    _choose(stage)
    _send(stage, 10, "带水杯")
    stage.deliver(DAY.replace(hour=22))
    assert len(stage.phone("guardian")) == 1


def test_urgent_ones_and_alerts_do_not_wait(stage: Stage) -> None:
    _choose(stage)
    _send(stage, 10, "马上降温", urgent_reason="寒潮马上到")
    stage.act(
        "teacher",
        lambda uow: alerts.send_alert(
            uow,
            draft_key="alert",
            alert=alerts.Alert("cancelled", "afternoon", "snow", "collect"),
            class_ids=[stage.world.things["class_a"]],
        ),
    )
    stage.deliver()
    assert len(stage.phone("guardian")) == 2


def test_a_changed_mind_lets_go_what_waits(stage: Stage) -> None:
    _choose(stage)
    _send(stage, 10, "带水杯")
    _choose(stage, None)
    stage.deliver()
    assert len(stage.phone("guardian")) == 1


def test_an_hour_that_the_district_keeps_quiet_never_comes_and_holds_nothing(stage: Stage) -> None:
    """Held until the morning by the one, until the evening by the other, it would wait for ever."""
    stage.keep_nights_quiet()
    _choose(stage)
    with Session(stage.engine) as session:
        from coordination.domain.communication.texts.quiet import policy_of

        policy = policy_of(session)
        assert policy is not None
        policy.quiet_from = time(17)
        session.commit()
    _send(stage, 10, "带水杯")
    assert len(stage.phone("guardian")) == 1


def test_the_evening_of_the_district_is_later_and_counts(stage: Stage) -> None:
    stage.keep_nights_quiet(evening=(time(9), time(19)))
    _choose(stage)
    _send(stage, 10, "带水杯")
    assert {(m.reason_code, m.next_at) for m in stage.texts_to("guardian")} == {
        ("evening", DAY.replace(hour=19))
    }
    stage.deliver(DAY.replace(hour=19) + timedelta(minutes=1))
    assert len(stage.phone("guardian")) == 1


def test_only_hours_that_are_offered(stage: Stage, visit: Visit) -> None:
    with pytest.raises(Invalid) as refused:
        _choose(stage, time(3))
    assert set(refused.value.fields) == {"hour"}
    assert visit("guardian").post("/family/hours", data={"hour": "03:00"}).status_code == 422


def test_a_guardian_chooses_on_a_page(stage: Stage, visit: Visit) -> None:
    client = visit("guardian")
    assert "收通知的时间" in client.get("/family").get_data(as_text=True)
    assert client.post("/family/hours", data={"hour": "18:00"}).status_code == 303
    page = client.get("/family/hours").get_data(as_text=True)
    assert 'value="18:00" checked' in page
    _send(stage, 10, "带水杯")
    assert stage.phone("guardian") == []
    assert client.post("/family/hours", data={"hour": ""}).status_code == 303
    stage.deliver()
    assert len(stage.phone("guardian")) == 1
    # and reads it on the web meanwhile
    assert visit("teacher").get("/family/hours").status_code in (403, 404)
