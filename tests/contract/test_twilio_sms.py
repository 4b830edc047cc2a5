"""Twilio's own SDK over real HTTP against the stand-in: each answer means what it should."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qsl
from uuid import uuid4

import pytest

from notifications import clock
from notifications.channels import twilio_sms
from notifications.channels.twilio_sms import TwilioSettings, TwilioSms, verify_signature
from notifications.errors import ChannelMisconfigured
from notifications.values import Absent, Address, Answer, Attempt, Doubt, Found, Refused, Sent
from tests.standin.twilio import (
    ACCOUNT,
    INVALID,
    NOT_MOBILE,
    TOKEN,
    UNSUBSCRIBED,
    Standin,
    sign,
)

PHONE = "+8613800138000"
PUBLIC = "https://district.example/webhooks/twilio/status"
BY_SDK = TwilioSms.send


async def _asend(channel: TwilioSms, attempt: Attempt) -> Answer:
    try:
        return await channel.asend(attempt)
    finally:
        await channel.aclose()


@pytest.fixture(params=["sdk", "wire"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Everything here holds for the SDK and for the bare request alike."""
    if request.param == "wire":
        monkeypatch.setattr(TwilioSms, "send", lambda *given: asyncio.run(_asend(*given)))
    return str(request.param)


@pytest.fixture
def standin() -> Iterator[Standin]:
    with Standin() as standin:
        yield standin


@pytest.fixture
def channel(standin: Standin) -> TwilioSms:
    return make_channel(standin.base)


def make_channel(base: str, **changes: str) -> TwilioSms:
    settings = {
        "account_sid": ACCOUNT,
        "auth_token": TOKEN,
        "messaging_service_sid": "MG" + "1" * 32,
        "callback_url": PUBLIC,
        "api_base": base,
    }
    return TwilioSms(TwilioSettings(**(settings | changes)))


def make_attempt(
    to: str = PHONE, body: str = "【光明区教育】明天放假。", minutes: int = 60
) -> Attempt:
    now = clock.now()
    return Attempt(
        id=uuid4(),
        message_id=1,
        recipient_id=1,
        address=Address("sms", to),
        template_key="notice_sent",
        params={},
        body=body,
        language="zh",
        link=None,
        message_class="info",
        subject_type="notice",
        subject_id=1,
        intent_at=now,
        valid_until=now + timedelta(minutes=minutes),
    )


def test_an_accepted_message_stands_on_the_wire_as_twilio_wants_it(
    standin: Standin, channel: TwilioSms
) -> None:
    attempt = make_attempt()
    answer = channel.send(attempt)
    [request] = standin.requests
    form = dict(request.fields)
    assert answer == Sent(standin.taken[0].sid, 1)
    assert (request.method, request.path) == (
        "POST",
        f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json",
    )
    assert form.pop("ValidityPeriod") in {"3599", "3600"}
    assert form == {
        "To": PHONE,
        "Body": attempt.body,
        "MessagingServiceSid": "MG" + "1" * 32,
        "StatusCallback": f"{PUBLIC}/{attempt.id}",
    }


@pytest.mark.parametrize(
    "changes", [{}, {"messaging_service_sid": "", "from_number": "+15005550006"}]
)
def test_the_bare_request_is_the_sdks_request(standin: Standin, changes: dict[str, str]) -> None:
    attempt = make_attempt(body="【光明区教育】明天放假 & 值班 ☎ 𠮷")._replace(valid_until=None)
    channel = make_channel(standin.base, **changes)
    BY_SDK(channel, attempt)
    asyncio.run(_asend(channel, attempt))
    first, second = standin.requests
    assert (first.method, first.path, first.authorization, first.kind) == (
        second.method,
        second.path,
        second.authorization,
        second.kind,
    )
    assert sorted(first.fields) == sorted(second.fields)
    assert first.authorization.startswith("Basic ") and "urlencoded" in first.kind


def test_the_bare_request_hears_how_long_to_wait(standin: Standin) -> None:
    standin.plan = ["429"]
    answer = asyncio.run(_asend(make_channel(standin.base), make_attempt()))
    assert isinstance(answer, Refused) and answer.retry_after == 2


@pytest.mark.parametrize(
    ("to", "expected"),
    [
        (INVALID, Refused("21211", "twilio_21211", permanent=True, strike=True)),
        (NOT_MOBILE, Refused("21614", "twilio_21614", permanent=True, strike=True)),
        (UNSUBSCRIBED, Refused("21610", "twilio_21610", permanent=True, suppress=True)),
    ],
)
def test_a_bad_number_is_refused_for_good(
    standin: Standin, channel: TwilioSms, to: str, expected: Refused
) -> None:
    assert channel.send(make_attempt(to)) == expected
    assert standin.taken == []


def test_too_many_requests_is_a_definite_no(standin: Standin, channel: TwilioSms) -> None:
    standin.plan = ["429"]
    answer = channel.send(make_attempt())
    assert isinstance(answer, Refused) and (answer.code, answer.permanent) == ("20429", False)
    # the SDK must not have tried again by itself
    assert len(standin.requests) == 1


def test_wrong_credentials_halt_the_channel(standin: Standin) -> None:
    answer = make_channel(standin.base, auth_token="wrong").send(make_attempt())
    assert isinstance(answer, Refused)
    assert (answer.code, answer.halt, answer.permanent) == ("20003", True, False)


@pytest.mark.parametrize("fault", ["500_before", "500_after", "503", "eof_after", "garbage_after"])
def test_an_answer_that_tells_nothing_is_doubt(
    standin: Standin, channel: TwilioSms, fault: str
) -> None:
    standin.plan = [fault]
    assert isinstance(channel.send(make_attempt()), Doubt)
    assert len(standin.requests) == 1


@pytest.mark.parametrize("fault", ["hang_before", "hang_after"])
def test_a_provider_that_hangs_is_doubt_within_the_read_timeout(
    standin: Standin, channel: TwilioSms, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(twilio_sms, "READ_SECONDS", 0.3)
    standin.plan = [fault]
    answer = make_channel(standin.base).send(make_attempt())
    assert answer in (Doubt("ReadTimeout"), Doubt("SocketTimeoutError"))


def test_both_timeouts_are_set() -> None:
    assert (twilio_sms.CONNECT_SECONDS, twilio_sms.READ_SECONDS) == (3.0, 10.0)


def test_a_refused_connection_is_a_definite_no() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    answer = make_channel(f"http://127.0.0.1:{port}").send(make_attempt())
    assert answer == Refused("not_connected", "not_connected", permanent=False)


def test_an_unknown_host_is_a_definite_no() -> None:
    answer = make_channel("http://nowhere.invalid").send(make_attempt())
    assert answer == Refused("not_connected", "not_connected", permanent=False)


def test_a_message_that_was_taken_in_doubt_is_found(standin: Standin, channel: TwilioSms) -> None:
    standin.plan = ["eof_after"]
    attempt = make_attempt()
    assert isinstance(channel.send(attempt), Doubt)
    assert channel.find(attempt, frozenset()) == Found(standin.taken[0].sid, "queued", 1)


def test_only_the_own_message_is_found(standin: Standin, channel: TwilioSms) -> None:
    attempt = make_attempt()
    channel.send(make_attempt(body="another text"))
    channel.send(make_attempt(to="+8613900139000"))
    assert channel.find(attempt, frozenset()) == Absent()
    channel.send(make_attempt())
    assert channel.find(attempt, frozenset({standin.taken[2].sid})) == Absent()
    later = make_attempt()
    standin.taken[2].created -= timedelta(hours=1)
    assert channel.find(later, frozenset()) == Absent()


def test_a_list_that_fails_is_doubt_and_not_absence(standin: Standin, channel: TwilioSms) -> None:
    standin.list_fails = True
    assert isinstance(channel.find(make_attempt(), frozenset()), Doubt)


def test_nothing_logged_holds_a_number_or_a_text(
    standin: Standin, channel: TwilioSms, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        channel.send(make_attempt())
        channel.send(make_attempt(INVALID))
    assert "13800138000" not in caplog.text
    assert "放假" not in caplog.text


def test_missing_settings_are_named() -> None:
    with pytest.raises(ChannelMisconfigured, match="TWILIO_ACCOUNT_SID"):
        TwilioSms(TwilioSettings(account_sid="", auth_token=""))


def test_a_signature_holds_for_the_public_url_only() -> None:
    fields = [("MessageSid", "SM1"), ("MessageStatus", "delivered")]
    good = sign(TOKEN, PUBLIC, fields)
    assert verify_signature(TOKEN, PUBLIC, fields, good)
    assert not verify_signature(TOKEN, "http://127.0.0.1:8000/webhooks", fields, good)
    assert not verify_signature("other", PUBLIC, fields, good)
    assert not verify_signature(TOKEN, PUBLIC, [*fields, ("To", "+1")], good)
    assert not verify_signature(TOKEN, PUBLIC, fields, "")


def test_repeated_parameters_are_part_of_the_signature() -> None:
    fields = [("MediaUrl", "a"), ("MediaUrl", "b"), ("MessageSid", "SM1")]
    good = sign(TOKEN, PUBLIC, fields)
    assert verify_signature(TOKEN, PUBLIC, fields, good)
    assert not verify_signature(TOKEN, PUBLIC, fields[1:], good)


def test_the_stand_in_posts_callbacks_that_verify(standin: Standin, channel: TwilioSms) -> None:
    seen: list[tuple[str, bool]] = []

    class Webhook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            fields = parse_qsl(body, keep_blank_values=True)
            url = f"https://district.example{self.path}"
            good = verify_signature(TOKEN, url, fields, self.headers["X-Twilio-Signature"])
            seen.append((dict(fields)["MessageStatus"], good))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Webhook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    here = f"http://127.0.0.1:{server.server_address[1]}"
    channel.send(make_attempt())
    status = standin.report(
        standin.taken[0],
        "delivered",
        deliver_to=lambda url: url.replace("https://district.example", here),
    )
    server.shutdown()
    server.server_close()
    assert status == 204
    assert seen == [("delivered", True)]
