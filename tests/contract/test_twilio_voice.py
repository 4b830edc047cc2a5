"""Calls by Twilio's own SDK over real HTTP against the stand-in: each answer means what it should."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from datetime import timedelta
from uuid import uuid4
from xml.etree import ElementTree

import pytest

from notifications import clock
from notifications.channels import twilio_sms, twilio_voice
from notifications.channels.twilio_voice import TwilioVoice, VoiceSettings
from notifications.errors import ChannelMisconfigured
from notifications.values import Absent, Address, Attempt, Doubt, Found, Refused, Sent
from tests.standin.twilio import ACCOUNT, INVALID, TOKEN, Standin

PHONE = "+8613800138000"
STATUS = "https://district.example/webhooks/twilio/call"
DIGITS = "https://district.example/webhooks/twilio/digits"
SAYS = "您好，这里是光明小学。明天停课。"


@pytest.fixture
def standin() -> Iterator[Standin]:
    with Standin() as standin:
        yield standin


@pytest.fixture
def channel(standin: Standin) -> TwilioVoice:
    return make_channel(standin.base)


def make_channel(base: str, **changes: str) -> TwilioVoice:
    settings = {
        "account_sid": ACCOUNT,
        "auth_token": TOKEN,
        "from_number": "+15005550006",
        "status_url": STATUS,
        "digits_url": DIGITS,
        "api_base": base,
    }
    return TwilioVoice(VoiceSettings(**(settings | changes)))


def make_attempt(
    to: str = PHONE, body: str = SAYS, language: str = "zh", minutes: int = 60
) -> Attempt:
    now = clock.now()
    return Attempt(
        id=uuid4(),
        message_id=1,
        recipient_id=1,
        address=Address("voice", to),
        template_key="notice_call",
        params={},
        body=body,
        language=language,
        link=None,
        message_class="urgent",
        subject_type="notice_call",
        subject_id=1,
        intent_at=now,
        valid_until=now + timedelta(minutes=minutes),
    )


def test_a_call_stands_on_the_wire_as_twilio_wants_it(
    standin: Standin, channel: TwilioVoice
) -> None:
    attempt = make_attempt()
    assert channel.send(attempt) == Sent(standin.calls[0].sid)
    [request] = standin.requests
    assert request.path == f"/2010-04-01/Accounts/{ACCOUNT}/Calls.json"
    [call] = standin.calls
    form = dict(call.form)
    form.pop("Twiml")
    form.pop("StatusCallbackEvent")
    assert call.events == ["answered", "completed"]
    assert form == {
        "To": PHONE,
        "From": "+15005550006",
        "StatusCallback": f"{STATUS}/{attempt.id}",
        "StatusCallbackMethod": "POST",
        "Timeout": "30",
        "TimeLimit": "180",
    }
    assert call.action == f"{DIGITS}/{attempt.id}"


@pytest.mark.parametrize(("language", "locale"), [("zh", "zh-CN"), ("en", "en-US")])
def test_what_is_said_is_said_twice_in_its_language_and_then_hung_up(
    standin: Standin, channel: TwilioVoice, language: str, locale: str
) -> None:
    channel.send(make_attempt(language=language))
    root = ElementTree.fromstring(standin.calls[0].document)
    assert [part.tag for part in root] == ["Gather", "Gather", "Hangup"]
    for gather in root.findall("Gather"):
        assert gather.get("numDigits") == "1" and gather.get("input") == "dtmf"
        [say] = gather
        assert (say.get("language"), say.text) == (locale, SAYS)


def test_words_that_look_like_markup_are_said_and_not_obeyed(
    standin: Standin, channel: TwilioVoice
) -> None:
    says = '停课</Say><Dial>+8613900000000</Dial><Say a="1">& & ]]>'
    channel.send(make_attempt(body=says))
    root = ElementTree.fromstring(standin.calls[0].document)
    assert root.find(".//Dial") is None
    assert {say.text for say in root.iter("Say")} == {says}


def test_what_is_too_long_for_twilio_is_refused_here(
    standin: Standin, channel: TwilioVoice
) -> None:
    assert channel.send(make_attempt(body="停课" * 2000)) == Refused(
        "too_long", "too_long", permanent=True
    )
    assert standin.requests == []


def test_a_call_that_comes_too_late_is_not_made(standin: Standin, channel: TwilioVoice) -> None:
    answer = channel.send(make_attempt(minutes=-1))
    assert answer == Refused("too_late", "too_late", permanent=True)
    assert standin.requests == []


def test_a_bad_number_is_refused_for_good_and_counts_against_it(
    standin: Standin, channel: TwilioVoice
) -> None:
    expected = Refused("21211", "twilio_21211", permanent=True, strike=True)
    assert channel.send(make_attempt(INVALID)) == expected
    assert standin.calls == []


def test_too_many_requests_is_a_definite_no(standin: Standin, channel: TwilioVoice) -> None:
    standin.plan = ["429"]
    answer = channel.send(make_attempt())
    assert isinstance(answer, Refused) and answer.slower and not answer.permanent
    assert len(standin.requests) == 1


def test_wrong_credentials_halt_the_channel(standin: Standin) -> None:
    answer = make_channel(standin.base, auth_token="wrong").send(make_attempt())
    assert isinstance(answer, Refused) and answer.halt


@pytest.mark.parametrize("fault", ["500_before", "500_after", "503", "eof_after", "garbage_after"])
def test_an_answer_that_tells_nothing_is_doubt(
    standin: Standin, channel: TwilioVoice, fault: str
) -> None:
    standin.plan = [fault]
    assert isinstance(channel.send(make_attempt()), Doubt)
    assert len(standin.requests) == 1


def test_a_provider_that_hangs_is_doubt(standin: Standin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(twilio_sms, "READ_SECONDS", 0.3)
    standin.plan = ["hang_after"]
    assert make_channel(standin.base).send(make_attempt()) == Doubt("ReadTimeout")


def test_a_refused_connection_is_a_definite_no() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    answer = make_channel(f"http://127.0.0.1:{port}").send(make_attempt())
    assert answer == Refused("not_connected", "not_connected", permanent=False)


def test_a_call_in_doubt_is_found_by_its_number_and_time(
    standin: Standin, channel: TwilioVoice
) -> None:
    standin.plan = ["eof_after"]
    attempt = make_attempt()
    assert isinstance(channel.send(attempt), Doubt)
    sid = standin.calls[0].sid
    assert channel.find(attempt, frozenset()) == Found(sid, "queued")
    # another attempt's call is not this one's
    assert channel.find(attempt, frozenset({sid})) == Absent()
    assert channel.find(make_attempt(to="+8613900139000"), frozenset()) == Absent()
    standin.calls[0].created -= timedelta(hours=1)
    assert channel.find(make_attempt(), frozenset()) == Absent()


def test_a_list_that_fails_is_doubt_and_not_absence(standin: Standin, channel: TwilioVoice) -> None:
    standin.list_fails = True
    assert isinstance(channel.find(make_attempt(), frozenset()), Doubt)


def test_nothing_logged_holds_a_number_or_what_is_said(
    standin: Standin, channel: TwilioVoice, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        channel.send(make_attempt())
        channel.send(make_attempt(INVALID))
    assert "13800138000" not in caplog.text
    assert "停课" not in caplog.text


def test_missing_settings_are_named() -> None:
    with pytest.raises(ChannelMisconfigured, match="TWILIO_VOICE_FROM"):
        TwilioVoice(VoiceSettings(account_sid=ACCOUNT, auth_token=TOKEN, from_number=""))


@pytest.mark.parametrize(
    ("status", "sip", "strike"),
    [("failed", "404", True), ("failed", "503", False), ("no-answer", "404", False)],
)
def test_only_a_call_to_nowhere_counts_against_the_number(
    status: str,
    sip: str,
    strike: bool,
) -> None:
    assert twilio_voice.is_strike(status, sip) is strike
