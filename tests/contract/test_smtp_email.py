"""E-mail over a real SMTP server: what arrives, and what each refusal means."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from uuid import uuid4

import pytest

from notifications import clock
from notifications.channels import make_channels
from notifications.channels.smtp_email import Itip, SmtpEmail, SmtpSettings
from notifications.errors import ChannelMisconfigured, ChannelUnknown
from notifications.values import Address, Attempt, Doubt, Refused, Sent
from tests.standin.mailbox import Mailbox, serving

ICS = b"BEGIN:VCALENDAR\r\nMETHOD:CANCEL\r\nEND:VCALENDAR\r\n"


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture
def port(mailbox: Mailbox) -> Iterator[int]:
    with serving(mailbox) as number:
        yield number


def _settings(port: int, unsubscribe_url: str = "") -> SmtpSettings:
    return SmtpSettings(
        host="127.0.0.1",
        port=port,
        sender="光明区教育局 <no-reply@district.example>",
        unsubscribe_url=unsubscribe_url,
    )


def _attempt(address: str = "li@home.example") -> Attempt:
    return Attempt(
        id=uuid4(),
        message_id=1,
        recipient_id=1,
        address=Address("email", address),
        template_key="meeting_moved",
        params={},
        body="家长会改期 Meeting moved\n\n家长会改到周五。\nThe meeting moves to Friday.",
        language="zh",
        link="https://district.example/o/7F3K",
        message_class="info",
        subject_type="meeting",
        subject_id=1,
        intent_at=clock.now(),
        valid_until=None,
    )


def test_a_mail_arrives_in_both_languages_with_its_invitation(mailbox: Mailbox, port: int) -> None:
    attempt = _attempt()
    settings = _settings(port, unsubscribe_url="https://district.example/stop")
    answer = SmtpEmail(settings, lambda _: Itip("CANCEL", ICS)).send(attempt)
    [mail] = mailbox.mails
    assert answer == Sent(mail["Message-ID"])
    assert str(attempt.id) in mail["Message-ID"]
    assert mail["Subject"] == "家长会改期 Meeting moved"
    assert mail["List-Unsubscribe"] == "<https://district.example/stop>"
    plain = mail.get_body(("plain",))
    assert plain is not None
    text = plain.get_content().replace("\r\n", "\n")
    assert text == (
        "家长会改到周五。\nThe meeting moves to Friday.\n\nhttps://district.example/o/7F3K\n"
    )
    [invitation] = [part for part in mail.walk() if part.get_content_type() == "text/calendar"]
    assert invitation.get_param("method") == "CANCEL"
    assert invitation.get_payload(decode=True) == ICS


@pytest.mark.parametrize(
    ("rcpt", "expected"),
    [
        ("550 no such user", Refused("550", "smtp_550", permanent=True, strike=True)),
        ("451 try later", Refused("451", "smtp_451", permanent=False)),
    ],
)
def test_a_refused_recipient(mailbox: Mailbox, port: int, rcpt: str, expected: Refused) -> None:
    mailbox.rcpt = rcpt
    assert SmtpEmail(_settings(port)).send(_attempt()) == expected


def test_a_line_that_breaks_after_the_text_is_doubt(mailbox: Mailbox, port: int) -> None:
    mailbox.data = "drop"
    assert isinstance(SmtpEmail(_settings(port)).send(_attempt()), Doubt)


def test_a_relay_that_is_away_is_a_definite_no() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        closed = free.getsockname()[1]
    answer = SmtpEmail(_settings(closed)).send(_attempt())
    assert answer == Refused("not_connected", "ConnectionRefusedError", permanent=False)


def test_an_address_with_a_line_break_cannot_add_a_header(mailbox: Mailbox, port: int) -> None:
    answer = SmtpEmail(_settings(port)).send(_attempt("a@b.example\nBcc: c@d.example"))
    assert answer == Refused("bad_header", "bad_header", permanent=True)
    assert mailbox.mails == []


def test_channels_are_made_from_one_list(monkeypatch: pytest.MonkeyPatch) -> None:
    from sqlalchemy import create_engine

    engine = create_engine("postgresql+psycopg://")
    made = make_channels({"sms": "console", "email": "null"}, engine)
    assert {route: channel.name for route, channel in made.items()} == {
        "sms": "console",
        "email": "null",
    }
    with pytest.raises(ChannelUnknown):
        make_channels({"sms": "smtp_email"}, engine)
    monkeypatch.delenv("SMTP_HOST", raising=False)
    with pytest.raises(ChannelMisconfigured):
        make_channels({"email": "smtp_email"}, engine)
