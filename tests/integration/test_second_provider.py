"""Two providers over real HTTP: nobody is left out and nobody is told twice, whichever fails.

Twilio's and Aliyun's own SDKs against their stand-ins; the oracle counts what both of them took.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.ground import clock, crypto
from coordination.ground.uow import UnitOfWork
from coordination.reactions.carriers import Carriers, carriers_of, ways_of
from coordination.reactions.notices import tell
from coordination.settings import Settings
from coordination.worker import Postman, configure
from notifications.channels import aliyun_sms, twilio_sms
from tests.build.approved import approve
from tests.build.outing import Outing, outing
from tests.standin import aliyun, twilio

FIELD_KEY = "a field key for tests only"


@dataclass
class Site:
    """An installation with two providers of texts."""

    stage: Outing
    settings: Settings
    twilio: twilio.Standin
    aliyun: aliyun.Standin

    def write(self, count: int, *, key: str = "session_cancelled", kind: str = "info") -> None:
        def use(uow: UnitOfWork) -> None:
            uow.authorize(Action.SYSTEM_RUN)
            for number in range(count):
                tell(
                    uow,
                    key,
                    [self.stage.world.people["guardian"]],
                    {"activity": f"<{number}>", "when": "9:00", "reason": "z", "resource": "x"},
                    subject=("shift", 1),
                    version=f"{key}{number}",
                    message_class=kind,  # type: ignore[arg-type]
                )

        self.stage.system(use)

    def deliver(self, times: int = 1, carried_by: Carriers | None = None) -> None:
        postman = Postman(
            self.stage.engine,
            self.settings,
            carried_by or carriers_of(self.settings, self.stage.engine),
        )
        try:
            for _ in range(times):
                postman.deliver()
        finally:
            postman.close()

    def settle(self, carried_by: Carriers | None = None) -> None:
        """Ask three times about what is in doubt, as if the waits had passed, then send on."""
        for _ in range(3):
            self.stage.sql("update delivery_attempt set next_check_at = '2020-01-01Z'")
            self.stage.sql(
                "update delivery_attempt set intent_at = intent_at - interval '16 minutes'"
                " where state in ('intent', 'unknown')"
            )
            self.deliver(carried_by=carried_by)
        self.make_due()
        self.deliver(carried_by=carried_by)

    def make_due(self) -> None:
        self.stage.sql("update outbox_message set next_at = '2020-01-01Z' where state = 'queued'")

    def let_the_halts_pass(self) -> None:
        self.stage.sql("update delivery_circuit set open_until = '2020-01-01Z'")

    def taken(self) -> Counter[str]:
        """Number of the message -> how many copies both providers took together."""
        bodies = [t.body for t in self.twilio.taken]
        values = [json.loads(t.fields["TemplateParam"])["activity"] for t in self.aliyun.taken]
        found = [re.search(r"<\d+>", body) for body in bodies]
        return Counter([m[0] for m in found if m is not None] + values)

    def states(self) -> Counter[str]:
        with self.stage.engine.connect() as connection:
            return Counter(connection.scalars(text("select state from outbox_message")))

    def ways(self) -> set[tuple[str, str]]:
        with self.stage.engine.connect() as connection:
            rows = connection.execute(text("select distinct channel, state from delivery_attempt"))
            return {(row.channel, row.state) for row in rows}


@pytest.fixture
def site(fresh_url: str) -> Iterator[Site]:
    crypto.use_key(FIELD_KEY)
    with (
        twilio.Standin() as first,
        aliyun.Standin(now=clock.now) as second,
        outing(fresh_url) as stage,
    ):
        settings = Settings(
            database_url=fresh_url,
            field_key=FIELD_KEY,
            sms_channel="twilio",
            sms_fallback="aliyun",
            twilio_account_sid=twilio.ACCOUNT,
            twilio_auth_token=twilio.TOKEN,
            twilio_from="+15005550006",
            twilio_api_base=first.base,
            aliyun_access_key_id=aliyun.KEY,
            aliyun_access_key_secret=aliyun.SECRET,
            aliyun_sign_name=aliyun.SIGN_NAME,
            aliyun_endpoint=f"http://{second.endpoint}",
        )
        with Session(stage.engine) as session, session.begin():
            ids = {("session_cancelled", "zh"): "SMS_1", ("session_cancelled", "en"): "SMS_2"}
            approve(session, ids, settings.public_url)
        configure(settings)
        yield Site(stage, settings, first, second)


def expect(site: Site, count: int) -> None:
    assert site.taken() == {f"<{n}>": 1 for n in range(count)}


def test_while_all_is_well_only_the_first_is_asked(site: Site) -> None:
    site.write(5)
    site.deliver()
    expect(site, 5)
    assert site.aliyun.calls == [] and site.states() == {"accepted": 5}
    assert site.ways() == {("twilio_sms", "accepted")}


def test_refused_credentials_of_the_first_delay_nobody(site: Site) -> None:
    site.twilio.token = "another"
    site.write(30)
    site.deliver(3)
    expect(site, 30)
    assert site.states() == {"accepted": 30} and site.twilio.taken == []
    assert site.ways() == {("twilio_sms", "refused"), ("aliyun_sms", "accepted")}
    # what the first was asked before it was left alone
    assert len(site.twilio.requests) <= 10


def test_a_first_that_is_not_there_at_all_is_replaced(site: Site) -> None:
    site.twilio.stop()
    site.write(30)
    for _ in range(3):
        site.deliver()
        site.make_due()
    expect(site, 30)
    assert site.states() == {"accepted": 30}


def test_a_sign_in_code_goes_by_the_second_after_one_no(site: Site) -> None:
    site.twilio.stop()
    site.write(1, kind="otp")
    site.deliver(2)
    expect(site, 1)


@pytest.mark.parametrize("fault", ["hang_after", "500_after", "eof_after"])
@pytest.mark.parametrize("kind", ["info", "otp"])
def test_what_the_first_took_without_saying_so_never_goes_by_the_second(
    site: Site, fault: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(twilio_sms, "READ_SECONDS", 0.5)
    site.twilio.hang_seconds = 2.0
    site.twilio.plan = [fault] * 6
    site.write(6, kind=kind)
    site.deliver(2)
    assert site.states() == {"unknown": 6}
    # and the first is gone now: what is in doubt stays in doubt
    token, site.twilio.token = site.twilio.token, "another"
    site.settle()
    assert site.aliyun.taken == [] and site.states() == {"unknown": 6}
    site.twilio.token = token
    site.settle()
    expect(site, 6)
    assert site.states() == {"accepted": 6}


@pytest.mark.parametrize("ask_the_preferred_one", [False, True])
def test_what_the_second_took_without_saying_so_is_asked_of_the_second(
    site: Site, *, ask_the_preferred_one: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control asks whoever is preferred now, as one does who keeps the message's route only."""
    monkeypatch.setattr(aliyun_sms, "READ_SECONDS", 0.5)
    site.aliyun.plan = ["500_after"] * 6
    site.stage.sql(
        "insert into delivery_circuit (channel, reason, opened_at, open_until)"
        " values ('twilio_sms', 'provider_failing', now(), '2100-01-01Z')"
    )
    site.write(6)
    site.deliver()
    assert site.states() == {"unknown": 6} and site.ways() == {("aliyun_sms", "unknown")}
    site.let_the_halts_pass()
    made = carriers_of(site.settings, site.stage.engine)
    if ask_the_preferred_one:
        made = replace(made, asked=dict.fromkeys(made.asked, made.channels["twilio_sms"]))
    site.settle(made)
    copies = 2 if ask_the_preferred_one else 1
    assert site.taken() == {f"<{n}>": copies for n in range(6)}
    assert site.states() == {"accepted": 6}


def test_a_change_of_settings_leaves_nothing_in_doubt_behind(site: Site) -> None:
    """Twilio took it in silence; then the office chose Aliyun alone and kept Twilio's account."""
    site.twilio.plan = ["500_after"] * 3
    site.write(3)
    site.deliver()
    assert site.states() == {"unknown": 3}
    site.settings = replace(site.settings, sms_channel="aliyun", sms_fallback="")
    site.settle()
    expect(site, 3)
    assert site.states() == {"accepted": 3} and site.aliyun.taken == []


def test_attempts_of_an_earlier_version_are_asked_of_the_preferred_one(site: Site) -> None:
    site.twilio.plan = ["500_after"] * 2
    site.write(2)
    site.deliver()
    site.stage.sql("update delivery_attempt set channel = 'sms'")
    site.settle()
    expect(site, 2)
    assert site.states() == {"accepted": 2}


def test_a_message_without_a_template_waits_for_the_first(site: Site) -> None:
    site.twilio.token, right = "another", site.twilio.token
    site.write(2)
    site.write(1, key="booking_expired")
    site.stage.sql("update outbox_message set params = '{}' where template_key = 'booking_expired'")
    site.deliver(3)
    assert site.states() == {"accepted": 2, "queued": 1}
    site.twilio.token = right
    site.let_the_halts_pass()
    site.make_due()
    site.deliver()
    assert site.states() == {"accepted": 3} and len(site.twilio.taken) == 1


def test_both_down_loses_nothing_and_each_is_left_alone(site: Site) -> None:
    site.twilio.token, right = "another", site.twilio.token
    site.aliyun.plan = ["isv.AMOUNT_NOT_ENOUGH"] * 40
    site.write(20)
    site.deliver(4)
    assert site.states() == {"queued": 20} and site.taken() == {}
    assert len(site.twilio.requests) <= 10 and len(site.aliyun.calls) <= 10
    site.twilio.token, site.aliyun.plan = right, []
    site.let_the_halts_pass()
    site.make_due()
    site.deliver(2)
    expect(site, 20)


def test_the_order_follows_the_settings(site: Site) -> None:
    assert ways_of(site.settings)["sms"] == ("twilio_sms", "aliyun_sms")
    alone = replace(site.settings, sms_fallback="")
    assert ways_of(alone)["sms"] == ("twilio_sms",)
    assert set(carriers_of(alone, site.stage.engine).channels) == {"twilio_sms", "console"}
