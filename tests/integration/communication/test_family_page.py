"""What a signed-in guardian finds at home."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.authz.actor import SYSTEM
from coordination.domain.agenda import services as agenda
from coordination.ground import clock
from coordination.ground.text import Text
from coordination.reactions.work import begin
from tests.integration.communication.conftest import Stage

Visit = Callable[[str], FlaskClient]


def _plan(stage: Stage, number: int, title: Text, child: str) -> None:
    start = clock.now() + timedelta(days=3)
    with Session(stage.engine) as session, begin(session, SYSTEM) as uow:
        uow.authorize(Action.SYSTEM_RUN)
        agenda.put(
            uow,
            subject_type="meeting",
            subject_id=number,
            category="meeting",
            starts_at=start,
            ends_at=start + timedelta(hours=1),
            summary=title,
            location=Text("东校区", "East campus"),
            description=Text("", ""),
            audiences=[("child", stage.world.people[child])],
        )


def test_home_shows_what_waits_and_what_is_coming_over_all_children(
    stage: Stage, visit: Visit
) -> None:
    stage.send()
    _plan(stage, 1, Text("家访", "Home visit"), "child")
    _plan(stage, 2, Text("义诊", "Health check"), "brother")
    page = visit("guardian").get("/family").get_data(as_text=True)
    for part in ("王小雨", "王小宇", "秋游通知", "请确认收到", "家访", "义诊"):
        assert part in page


def test_home_can_show_one_child(stage: Stage, visit: Visit) -> None:
    _plan(stage, 1, Text("家访", "Home visit"), "child")
    _plan(stage, 2, Text("义诊", "Health check"), "brother")
    page = visit("guardian").get(f"/family?child={stage.world.people['brother']}&lang=en")
    assert "Health check" in page.get_data(as_text=True)
    assert "Home visit" not in page.get_data(as_text=True)


def test_another_familys_child_cannot_be_chosen(stage: Stage, visit: Visit) -> None:
    _plan(stage, 1, Text("家访", "Home visit"), "friend")
    page = visit("guardian").get(f"/family?child={stage.world.people['friend']}")
    assert "家访" not in page.get_data(as_text=True)
    assert "李想" not in page.get_data(as_text=True)


def test_a_confirmed_notice_waits_no_longer(stage: Stage, visit: Visit) -> None:
    notice = stage.send()
    assert "请确认收到" in visit("guardian").get("/family").get_data(as_text=True)
    stage.acknowledge("guardian", notice)
    assert notice
    page = visit("guardian").get("/family").get_data(as_text=True)
    assert page.count("请确认收到") == 1  # the one the world came with


def test_a_restricted_guardian_has_no_family_page(stage: Stage, visit: Visit) -> None:
    stage.send()
    assert visit("restricted").get("/family").status_code == 403
