"""A text without a receipt goes by mail as well: over Twilio's HTTP, its signed reports and real SMTP."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import text
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.domain.communication.notices import services
from coordination.domain.people import contacts
from coordination.ground import clock
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork
from coordination.reactions import by_mail
from coordination.reactions.notices import tell
from coordination.settings import Settings
from coordination.web.request import SESSION_KEY
from coordination.worker import drain
from notifications.channels import twilio_sms
from tests.build.outing import Outing, all_at_once, outing
from tests.build.serving import serving_site
from tests.standin.mailbox import Mailbox, serving
from tests.standin.twilio import ACCOUNT, TOKEN, Standin

ADDRESS = "wang@home.example"


@dataclass
class Site:
    """A served application with a provider of texts and a mail server."""

    stage: Outing
    settings: Settings
    app: Flask
    provider: Standin
    mailbox: Mailbox

    def send(self) -> int:
        return self.stage.act(
            "teacher",
            lambda uow: (
                services.send_notice(
                    uow,
                    draft_key="by mail",
                    class_ids=[self.stage.world.things["class_a"]],
                    title=Text("停课通知", "School closes at noon"),
                    body=Text("请十二点接孩子。", "Please collect your child at twelve."),
                    level="confirm",
                ).id
            ),
        )

    def tell(self, kind: str, *, minutes: int | None = None) -> None:
        def use(uow: UnitOfWork) -> None:
            uow.authorize(Action.SYSTEM_RUN)
            tell(
                uow,
                "session_cancelled",
                [self.stage.world.people["guardian"]],
                {"activity": "x", "when": "14:00", "reason": "z"},
                subject=("shift", 1),
                version=kind,
                message_class=kind,  # type: ignore[arg-type]
                valid_until=clock.now() + timedelta(minutes=minutes) if minutes else None,
            )

        self.stage.system(use)

    def deliver(self) -> None:
        drain(self.stage.engine, self.settings)

    def wait(self, minutes: int) -> None:
        clock.travel_to(clock.now() + timedelta(minutes=minutes))

    def tick(self) -> int:
        return self.stage.system(by_mail.write_due)

    def report(self, status: str) -> None:
        for taken in self.provider.taken:
            self.provider.report(taken, status)

    def mails(self) -> list[tuple[str, str, str | None]]:
        return [
            (str(row[0]), str(row[1]), None if row[2] is None else str(row[2]))
            for row in self.stage.sql(
                "select template_key, state, reason_code from outbox_message"
                " where channel = 'email' order by id"
            )
        ]

    def page(self, message_id: int) -> str:
        client = self.app.test_client()
        with client.session_transaction() as held:
            held[SESSION_KEY] = self.stage.world.tokens["district_admin"]
        return client.get(f"/admin/messages/{message_id}").get_data(as_text=True)


@pytest.fixture
def site(fresh_url: str) -> Iterator[Site]:
    mailbox = Mailbox()
    with (
        Standin() as provider,
        serving(mailbox) as port,
        outing(fresh_url) as stage,
        serving_site(
            fresh_url,
            sms_channel="twilio",
            twilio_account_sid=ACCOUNT,
            twilio_auth_token=TOKEN,
            twilio_from="+15005550006",
            twilio_api_base=provider.base,
            smtp_url=f"smtp://127.0.0.1:{port}",
        ) as (settings, app),
    ):
        with Session(stage.engine) as session:
            contacts.set_email(session, stage.world.people["guardian"], ADDRESS)
            session.commit()
        yield Site(stage, settings, app, provider, mailbox)
        by_mail.use_server(False)


def test_a_text_without_a_receipt_goes_by_mail_once_and_the_page_says_why(site: Site) -> None:
    site.send()
    site.deliver()
    texts = len(site.provider.taken)
    site.wait(29)
    assert site.tick() == 0
    site.wait(2)
    assert site.tick() == 1
    assert site.tick() == 0
    site.deliver()
    site.wait(60)
    assert site.tick() == 0
    site.deliver()
    (mail,) = site.mailbox.mails
    assert mail["To"] == ADDRESS
    assert mail["Subject"] == "一条短信可能还没有送到您的手机"
    said = mail.get_content()
    assert "停课通知" in said
    assert "没有收到送达回执" in said
    assert len(site.provider.taken) == texts
    (sms, by_post) = (
        int(str(row[0]))
        for row in site.stage.sql(
            "select id from outbox_message where recipient_id = :who order by id",
            who=site.stage.world.people["guardian"],
        )
    )
    assert f'href="/admin/messages/{by_post}"' in site.page(sms)
    assert "短信没有回执，另发邮件" in site.page(sms)
    assert "短信没有回执，另发邮件" in site.page(by_post)
    assert f"短信 {sms}" in site.page(by_post)


def test_a_receipt_in_time_spares_the_mail(site: Site) -> None:
    site.send()
    site.deliver()
    site.report("delivered")
    site.wait(31)
    assert site.tick() == 0


def test_a_receipt_that_comes_before_the_mail_leaves_spares_it_too(site: Site) -> None:
    site.send()
    site.deliver()
    site.wait(31)
    assert site.tick() == 1
    site.report("delivered")
    site.deliver()
    assert site.mails() == [("mail_no_receipt", "suppressed", "text_arrived")]
    assert site.mailbox.mails == []


def test_what_was_not_delivered_goes_by_mail(site: Site) -> None:
    site.send()
    site.deliver()
    site.report("undelivered")
    site.wait(31)
    assert site.tick() == 1
    site.deliver()
    assert site.mails() == [("mail_not_delivered", "accepted", None)]


def test_doubt_becomes_a_mail_and_never_a_second_text(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(twilio_sms, "READ_SECONDS", 0.5)
    site.provider.hang_seconds = 2.0
    site.provider.plan = ["hang_after"]
    site.tell("urgent")
    site.deliver()
    site.wait(6)
    assert site.tick() == 1
    assert site.mails() == [("mail_in_doubt", "queued", None)]
    site.deliver()
    # the provider was asked meanwhile and has the text: no word yet that it arrived
    assert len(site.provider.taken) == 1
    assert len(site.mailbox.mails) == 1


def test_who_may_not_have_it_any_more_gets_no_mail(site: Site) -> None:
    site.send()
    site.deliver()
    site.wait(31)
    assert site.tick() == 1
    site.stage.sql("update guardianship set no_disclosure = true")
    site.deliver()
    assert site.mails() == [("mail_no_receipt", "suppressed", "no_longer_concerned")]
    assert site.mailbox.mails == []


def test_a_stopped_notice_is_not_mailed(site: Site) -> None:
    notice = site.send()
    site.deliver()
    site.wait(31)
    assert site.tick() == 1
    site.stage.act("teacher", lambda uow: services.stop_notice(uow, notice_id=notice))
    site.deliver()
    assert site.mails() == [("mail_no_receipt", "suppressed", "withdrawn")]


def test_urgent_waits_five_minutes_and_a_code_is_never_mailed(site: Site) -> None:
    site.tell("urgent")
    site.tell("otp")
    site.deliver()
    site.wait(4)
    assert site.tick() == 0
    site.wait(2)
    assert site.tick() == 1
    site.wait(60)
    assert site.tick() == 0


def test_what_is_no_longer_useful_is_not_mailed(site: Site) -> None:
    site.tell("info", minutes=20)
    site.deliver()
    site.wait(31)
    assert site.tick() == 0


def test_of_a_provider_without_receipts_none_is_missing(site: Site) -> None:
    site.send()
    site.deliver()
    site.stage.sql("update delivery_attempt set channel = 'aliyun_sms'")
    site.wait(31)
    assert site.tick() == 0


def test_without_a_mail_server_nothing_is_written(site: Site) -> None:
    by_mail.use_server(False)
    site.send()
    site.deliver()
    site.wait(31)
    assert site.tick() == 0


def test_what_is_hours_old_stays_what_it_was(site: Site) -> None:
    site.send()
    site.deliver()
    site.wait(181)
    assert site.tick() == 0


def test_two_clocks_write_one_mail(site: Site) -> None:
    site.send()
    site.deliver()
    site.wait(31)
    assert all_at_once(site.tick, site.tick) == ["ok", "ok"]
    assert len(site.mails()) == 1


def test_the_same_text_is_never_mailed_twice_whatever_is_asked(site: Site) -> None:
    """Without the key that both share, there would be two."""
    site.send()
    site.deliver()
    site.wait(31)
    site.tick()
    with site.stage.engine.begin() as connection:
        connection.execute(
            text("update outbox_message set dedupe_key = 'x' where channel = 'email'")
        )
    site.tick()
    assert len(site.mails()) == 2
