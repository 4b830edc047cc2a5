"""An alert that nobody confirms: the phone rings by Twilio's own SDK over real HTTP, its signed reports
and the pressed key come back to the page.

The provider is a stand-in that speaks the Calls resource; nothing of ours is replaced.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from xml.etree import ElementTree

import pytest
from sqlalchemy import Engine, create_engine, select
from sqlalchemy.orm import Session

from coordination.authz.actor import SYSTEM
from coordination.domain.communication.models import Notice, NoticeRecipient
from coordination.domain.communication.notices import alerts
from coordination.domain.people.actors import actor_of
from coordination.ground import clock
from coordination.reactions import by_phone
from coordination.reactions.carriers import carriers_of
from coordination.reactions.deliveries import Resolver
from coordination.reactions.work import begin
from coordination.settings import Settings
from coordination.worker import drain
from notifications.models import DeliveryAttempt, OutboxMessage
from notifications.reconciling import reconcile
from tests.build import world as worlds
from tests.build.serving import serving_site
from tests.standin.twilio import ACCOUNT, TOKEN, Standin, TakenCall

ALERT = alerts.Alert("cancelled", "afternoon", "rain", "collect")


@dataclass(frozen=True, slots=True)
class Site:
    """A served application whose texts and calls go to the stand-in."""

    settings: Settings
    engine: Engine
    world: worlds.World
    provider: Standin

    def alert(self) -> int:
        with Session(self.engine) as session:
            teacher = actor_of(session, self.world.people["teacher"], clock.now().date())
        with Session(self.engine) as session, begin(session, teacher) as uow:
            return alerts.send_alert(
                uow,
                draft_key="end-to-end",
                alert=ALERT,
                class_ids=[self.world.things["class_a"]],
                call_after=10,
            ).id

    def ring(self, notice: int) -> None:
        """The minutes are over: the clock writes the calls, the worker makes them."""
        clock.travel_to(clock.now() + timedelta(minutes=11))
        with Session(self.engine) as session, begin(session, SYSTEM) as uow:
            by_phone.ring_due(uow, notice_id=notice, today=clock.now().date())
        drain(self.engine, self.settings)

    def call(self) -> tuple[str, str | None]:
        with Session(self.engine) as session:
            row = session.execute(
                select(OutboxMessage.state, OutboxMessage.reason_code).where(
                    OutboxMessage.channel == "voice"
                )
            ).one()
        return row.state, row.reason_code

    def confirmed(self, notice: int) -> int:
        with Session(self.engine) as session:
            today = clock.now().date()
            places = alerts.confirmed_by_place(session, session.get_one(Notice, notice), today)
            return sum(place.known for place in places)


@pytest.fixture
def site(fresh_url: str) -> Iterator[Site]:
    with (
        Standin() as provider,
        serving_site(
            fresh_url,
            sms_channel="twilio",
            voice_channel="twilio",
            voice_rate=0.0,
            twilio_account_sid=ACCOUNT,
            twilio_auth_token=TOKEN,
            twilio_from="+15005550006",
            twilio_voice_from="+15005550007",
            twilio_api_base=provider.base,
        ) as (settings, _),
    ):
        engine = create_engine(fresh_url)
        with Session(engine) as session:
            world = worlds.build(session, clock.now())
            session.commit()
        yield Site(settings, engine, world, provider)
        engine.dispose()
        by_phone.use_line(False)


@pytest.fixture
def rung(site: Site) -> tuple[int, TakenCall]:
    """An alert, and the call that follows it."""
    notice = site.alert()
    drain(site.engine, site.settings)
    site.ring(notice)
    (call,) = site.provider.calls
    return notice, call


def test_the_phone_rings_once_and_pressing_1_counts_at_once(
    site: Site, rung: tuple[int, TakenCall]
) -> None:
    notice, call = rung
    drain(site.engine, site.settings)
    assert site.provider.calls == [call]
    assert call.to == "+8613800138001" and call.form["From"] == "+15005550007"
    assert "今天下午停课" in call.document
    assert site.call() == ("accepted", None)
    assert site.provider.report_call(call, "in-progress") == 204
    assert site.confirmed(notice) == 0
    status, said = site.provider.press(call, "1")
    assert status == 200
    root = ElementTree.fromstring(said)
    assert [part.tag for part in root] == ["Say", "Hangup"] and root[0].text == by_phone.THANKS.zh
    assert site.confirmed(notice) == 1
    assert site.provider.report_call(call, "completed") == 204
    assert site.call() == ("delivered", None)
    # a report or a key that comes again changes nothing
    assert site.provider.report_call(call, "in-progress") == 204
    assert site.provider.press(call, "1")[0] == 200
    assert (site.call(), site.confirmed(notice)) == (("delivered", None), 1)


def test_pressing_2_says_it_again_and_asks_again(site: Site, rung: tuple[int, TakenCall]) -> None:
    notice, call = rung
    status, said = site.provider.press(call, "2")
    assert (status, said) == (200, call.document)
    assert site.confirmed(notice) == 0


@pytest.mark.parametrize(
    ("status", "extra", "stands"),
    [
        ("no-answer", [], ("undelivered", "no-answer")),
        ("busy", [], ("undelivered", "busy")),
        ("failed", [("SipResponseCode", "404")], ("failed", "call_failed")),
        ("canceled", [], ("failed", "canceled")),
    ],
)
def test_how_the_call_ended_is_kept_and_does_not_move_back(
    site: Site,
    rung: tuple[int, TakenCall],
    status: str,
    extra: list[tuple[str, str]],
    stands: tuple[str, str],
) -> None:
    notice, call = rung
    assert site.provider.report_call(call, status, extra=extra) == 204
    assert site.call() == stands
    for late in ("ringing", "completed", status):
        assert site.provider.report_call(call, late) == 204
    assert site.call() == stands
    assert site.confirmed(notice) == 0


def test_what_is_not_signed_is_refused_and_changes_nothing(
    site: Site, rung: tuple[int, TakenCall]
) -> None:
    notice, call = rung
    site.provider.token = "f" * 32
    assert site.provider.report_call(call, "no-answer") == 403
    assert site.provider.press(call, "1")[0] == 403
    assert (site.call(), site.confirmed(notice)) == (("accepted", None), 0)


def test_a_key_of_another_call_confirms_nothing(site: Site, rung: tuple[int, TakenCall]) -> None:
    notice, call = rung
    call.sid = "CA" + "0" * 32
    assert site.provider.press(call, "1")[0] == 404
    assert site.confirmed(notice) == 0


def test_a_provider_that_fails_after_ringing_is_never_asked_to_ring_again(site: Site) -> None:
    notice = site.alert()
    drain(site.engine, site.settings)
    site.provider.plan = ["500_after"]
    site.provider.list_fails = True
    site.ring(notice)
    drain(site.engine, site.settings)
    (call,) = site.provider.calls
    assert site.call()[0] == "unknown"
    # somebody answers although we are in doubt: the key counts, and the report settles the doubt
    assert site.provider.press(call, "1")[0] == 200
    assert site.confirmed(notice) == 1
    assert site.provider.report_call(call, "completed") == 204
    assert site.call() == ("delivered", None)


def test_a_call_in_doubt_is_found_in_the_list_and_not_made_again(site: Site) -> None:
    notice = site.alert()
    drain(site.engine, site.settings)
    site.provider.plan = ["500_after"]
    site.ring(notice)
    assert site.call()[0] == "unknown"
    for call in site.provider.calls:
        call.created = clock.now()
    reconcile(
        site.engine,
        carriers_of(site.settings, site.engine).asked,
        Resolver(site.settings.zone),
        now=clock.now() + timedelta(minutes=3),
    )
    assert site.call() == ("accepted", None)
    assert len(site.provider.calls) == 1


def test_a_call_about_something_else_is_not_taken_for_the_one_in_doubt(site: Site) -> None:
    notice = site.alert()
    drain(site.engine, site.settings)
    site.provider.plan = ["500_before"]
    site.ring(notice)
    assert site.call()[0] == "unknown"
    # another alert's call to the same number, which we know to be that one's
    with Session(site.engine) as session, session.begin():
        first = session.scalars(select(OutboxMessage).where(OutboxMessage.channel == "voice")).one()
        columns = {
            c.key: getattr(first, c.key)
            for c in OutboxMessage.__table__.columns
            if c.key not in ("id", "dedupe_key", "body", "body_hash", "state", "tries")
        }
        session.add(
            OutboxMessage(
                **columns,
                dedupe_key="another",
                body="另一件事",
                body_hash="another",
                state="queued",
            )
        )
    drain(site.engine, site.settings)
    (call,) = site.provider.calls
    call.created = clock.now()
    reconcile(
        site.engine,
        carriers_of(site.settings, site.engine).asked,
        Resolver(site.settings.zone),
        now=clock.now() + timedelta(minutes=3),
    )
    with Session(site.engine) as session:
        states = session.scalars(
            select(OutboxMessage.state)
            .where(OutboxMessage.channel == "voice")
            .order_by(OutboxMessage.id)
        ).all()
        # it was looked for and is not there, so that it can be made again in the end
        checks = session.scalars(
            select(DeliveryAttempt.checks).where(DeliveryAttempt.state == "unknown")
        ).all()
    assert (states, checks) == (["unknown", "accepted"], [1])


def test_the_reader_is_the_one_who_was_called(site: Site, rung: tuple[int, TakenCall]) -> None:
    notice, call = rung
    site.provider.press(call, "1")
    with Session(site.engine) as session:
        rows = session.execute(
            select(NoticeRecipient.guardian_id, NoticeRecipient.by_call).where(
                NoticeRecipient.notice_id == notice
            )
        ).all()
    assert [tuple(row) for row in rows] == [(site.world.people["guardian"], True)]
