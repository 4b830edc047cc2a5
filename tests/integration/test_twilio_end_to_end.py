"""A notice through Twilio's own SDK over real HTTP, and its signed reports back to the page.

The provider is a stand-in that speaks the Messages resource; nothing of ours is replaced.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import Session

from coordination.authz.actor import Actor
from coordination.domain.communication.models import Notice
from coordination.domain.communication.notices import queries, services
from coordination.domain.people.actors import actor_of
from coordination.ground import clock
from coordination.ground.text import Text
from coordination.reactions.work import begin
from coordination.settings import Settings
from coordination.worker import drain
from tests.build import world as worlds
from tests.build.serving import serving_site
from tests.standin.twilio import ACCOUNT, TOKEN, Standin


@dataclass(frozen=True, slots=True)
class Site:
    """A served application whose texts go to the stand-in."""

    settings: Settings
    engine: Engine
    world: worlds.World
    provider: Standin

    def teacher(self) -> Actor:
        with Session(self.engine) as session:
            return actor_of(session, self.world.people["teacher"], clock.now().date())

    def send(self) -> int:
        with Session(self.engine) as session, begin(session, self.teacher()) as uow:
            return services.send_notice(
                uow,
                draft_key="end-to-end",
                class_ids=[self.world.things["class_a"]],
                title=Text("停课通知", "School closes at noon"),
                body=Text("请十二点接孩子。", "Please collect your child at twelve."),
                level="confirm",
            ).id

    def states(self, notice_id: int) -> list[tuple[str, str | None]]:
        with Session(self.engine) as session:
            notice = session.get_one(Notice, notice_id)
            rows = session.execute(queries.progress_query(notice)).all()
            return [(x.state, x.reason) for x in queries.progress_lines(session, rows)]


@pytest.fixture
def site(fresh_url: str) -> Iterator[Site]:
    with (
        Standin() as provider,
        serving_site(
            fresh_url,
            sms_channel="twilio",
            twilio_account_sid=ACCOUNT,
            twilio_auth_token=TOKEN,
            twilio_from="+15005550006",
            twilio_api_base=provider.base,
        ) as (settings, _),
    ):
        engine = create_engine(fresh_url)
        with Session(engine) as session:
            world = worlds.build(session, clock.now())
            session.commit()
        yield Site(settings, engine, world, provider)
        engine.dispose()


def test_a_text_is_taken_once_and_its_delivery_shows_on_the_notice(site: Site) -> None:
    notice = site.send()
    drain(site.engine, site.settings)
    drain(site.engine, site.settings)
    (taken,) = site.provider.taken
    assert site.states(notice) == [("accepted", None)]
    assert site.provider.report(taken, "sent") == 204
    assert site.provider.report(taken, "delivered") == 204
    assert site.states(notice) == [("delivered", None)]


def test_a_report_with_a_wrong_signature_changes_nothing(site: Site) -> None:
    notice = site.send()
    drain(site.engine, site.settings)
    site.provider.token = "f" * 32
    assert site.provider.report(site.provider.taken[0], "delivered") == 403
    assert site.states(notice) == [("accepted", None)]


def test_reports_in_reverse_order_never_move_backwards(site: Site) -> None:
    notice = site.send()
    drain(site.engine, site.settings)
    for status in ("delivered", "sent", "queued", "delivered"):
        site.provider.report(site.provider.taken[0], status)
    assert site.states(notice) == [("delivered", None)]


def test_a_provider_that_fails_after_taking_is_never_asked_to_send_again(site: Site) -> None:
    site.provider.plan = ["500_after"]
    site.provider.list_fails = True
    notice = site.send()
    drain(site.engine, site.settings)
    drain(site.engine, site.settings)
    assert len(site.provider.taken) == 1
    assert site.states(notice)[0][0] == "unknown"
    # the report names the attempt, and settles what nobody could know
    site.provider.report(site.provider.taken[0], "delivered")
    assert site.states(notice) == [("delivered", None)]
