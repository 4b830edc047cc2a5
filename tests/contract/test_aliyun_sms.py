"""Aliyun's own SDK over real HTTP against the stand-in: each answer means what it should."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from notifications import clock
from notifications.channels import aliyun_sms
from notifications.channels.aliyun_sms import AliyunSettings, AliyunSms, Approved
from notifications.errors import ChannelMisconfigured
from notifications.values import Absent, Address, Attempt, Doubt, Found, Refused, Sent
from tests.standin.aliyun import KEY, SECRET, SIGN_NAME, Standin, day_before

PHONE = "+8613800138000"
APPROVALS = {("notice", "zh"): Approved("SMS_123456789", frozenset({"children", "title"}))}


@pytest.fixture
def standin() -> Iterator[Standin]:
    with Standin() as standin:
        yield standin


def make_channel(endpoint: str, secret: str = SECRET) -> AliyunSms:
    return AliyunSms(
        AliyunSettings(
            access_key_id=KEY,
            access_key_secret=secret,
            sign_name=SIGN_NAME,
            endpoint=endpoint,
            protocol="http",
        ),
        APPROVALS,
    )


@pytest.fixture
def channel(standin: Standin) -> AliyunSms:
    return make_channel(standin.endpoint)


def make_attempt(to: str = PHONE) -> Attempt:
    now = clock.now()
    return Attempt(
        id=uuid4(),
        message_id=1,
        recipient_id=1,
        address=Address("sms", to),
        template_key="notice",
        params={"children": "王*雨", "title": "明天放假 & 值班", "other": "not approved"},
        body="【光明区教育】王*雨：明天放假 & 值班。",
        language="zh",
        link=None,
        message_class="info",
        subject_type="notice",
        subject_id=1,
        intent_at=now,
        valid_until=now + timedelta(hours=1),
    )


def test_a_message_goes_as_template_and_values_and_never_as_text(
    standin: Standin, channel: AliyunSms
) -> None:
    attempt = make_attempt()
    answer = channel.send(attempt)
    [(action, fields)] = standin.calls
    assert answer == Sent(standin.taken[0].biz_id)
    assert action == "SendSms"
    assert json.loads(fields.pop("TemplateParam")) == {
        "children": "王*雨",
        "title": "明天放假 & 值班",
    }
    assert fields == {
        "OutId": str(attempt.id),
        "PhoneNumbers": "13800138000",
        "SignName": SIGN_NAME,
        "TemplateCode": "SMS_123456789",
    }


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("isv.MOBILE_NUMBER_ILLEGAL", {"permanent": True, "strike": True}),
        ("isv.BUSINESS_LIMIT_CONTROL", {"permanent": False}),
        ("isv.AMOUNT_NOT_ENOUGH", {"permanent": False, "halt": True}),
        ("isv.OUT_OF_SERVICE", {"permanent": False, "halt": True}),
        ("isv.SMS_TEMPLATE_ILLEGAL", {"permanent": True}),
        ("isv.NEVER_HEARD_OF", {"permanent": True}),
    ],
)
def test_each_no_means_what_it_should(
    standin: Standin, channel: AliyunSms, code: str, expected: dict[str, bool]
) -> None:
    standin.plan = [code]
    assert channel.send(make_attempt()) == Refused(code, f"aliyun_{code}", **expected)
    assert standin.taken == [] and len(standin.calls) == 1


def test_a_wrong_secret_halts_the_channel(standin: Standin) -> None:
    answer = make_channel(standin.endpoint, secret="wrong").send(make_attempt())
    assert answer == Refused(
        "SignatureDoesNotMatch", "aliyun_SignatureDoesNotMatch", permanent=False, halt=True
    )
    assert standin.taken == []


def test_too_many_calls_are_a_definite_no(standin: Standin, channel: AliyunSms) -> None:
    standin.plan = ["429"]
    answer = channel.send(make_attempt())
    assert isinstance(answer, Refused) and answer.slower and not answer.permanent
    assert len(standin.calls) == 1


@pytest.mark.parametrize(
    "fault", ["500_before", "500_after", "eof_after", "garbage_after", "isp.SYSTEM_ERROR"]
)
def test_an_answer_that_tells_nothing_is_doubt_and_is_not_tried_again(
    standin: Standin, channel: AliyunSms, fault: str
) -> None:
    standin.plan = [fault]
    assert isinstance(channel.send(make_attempt()), Doubt)
    assert len(standin.calls) == 1


def test_a_gateway_that_hangs_is_doubt_within_the_read_timeout(
    standin: Standin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aliyun_sms, "READ_SECONDS", 0.3)
    standin.plan = ["hang_after"]
    assert isinstance(make_channel(standin.endpoint).send(make_attempt()), Doubt)
    assert len(standin.calls) == 1 == len(standin.taken)


def test_a_refused_connection_is_a_definite_no() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    answer = make_channel(f"127.0.0.1:{port}").send(make_attempt())
    assert answer == Refused("not_connected", "not_connected", permanent=False)


def test_what_was_taken_in_doubt_is_found_by_the_attempts_id(
    standin: Standin, channel: AliyunSms
) -> None:
    mine, other = make_attempt(), make_attempt()
    standin.plan = ["500_after"]
    assert isinstance(channel.send(mine), Doubt)
    assert channel.find(mine, frozenset()) == Found(f"out-{mine.id}", "delivered")
    assert channel.find(other, frozenset()) == Absent()


def test_the_list_is_read_to_its_last_page(standin: Standin, channel: AliyunSms) -> None:
    for _ in range(aliyun_sms.PAGE):
        channel.send(make_attempt())
    mine = make_attempt()
    channel.send(mine)
    assert isinstance(channel.find(mine, frozenset()), Found)
    assert standin.calls[-1][1]["CurrentPage"] == "2"


def test_a_call_around_midnight_is_looked_for_on_both_days(
    standin: Standin, channel: AliyunSms
) -> None:
    midnight = datetime.now(UTC).astimezone(aliyun_sms.DAY).replace(hour=0, minute=0, second=0)
    mine = make_attempt()._replace(valid_until=None, intent_at=midnight + timedelta(minutes=1))
    channel.send(mine)
    assert isinstance(channel.find(mine, frozenset()), Found)
    day_before(standin)
    assert isinstance(channel.find(mine, frozenset()), Found)
    assert channel.find(
        mine._replace(intent_at=midnight + timedelta(hours=1)), frozenset()
    ) == Absent()  # fmt: skip


@pytest.mark.parametrize("fault", ["500_before", "isv.OUT_OF_SERVICE"])
def test_a_list_that_does_not_answer_leaves_the_doubt(
    standin: Standin, channel: AliyunSms, fault: str
) -> None:
    standin.plan = [fault]
    assert isinstance(channel.find(make_attempt(), frozenset()), Doubt)


@pytest.mark.parametrize(
    ("changes", "code", "permanent"),
    [
        ({"template_key": "unheard"}, "no_template", False),
        ({"language": "en"}, "no_template", False),
        ({"params": {"title": "x"}}, "no_value:children", True),
        ({"address": Address("sms", "+447700900000")}, "not_domestic", True),
        ({"valid_until": clock.now() - timedelta(seconds=1)}, "too_late", True),
    ],
)
def test_what_cannot_go_is_refused_before_the_gateway_is_asked(
    standin: Standin, channel: AliyunSms, changes: dict[str, object], code: str, permanent: bool
) -> None:
    answer = channel.send(make_attempt()._replace(**changes))  # type: ignore[arg-type]
    assert isinstance(answer, Refused)
    assert (answer.code, answer.permanent) == (code, permanent)
    assert standin.calls == []


def test_nothing_that_is_logged_holds_a_number_or_a_value(
    standin: Standin, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DEBUG", "sdk")  # the SDK's own switch, which prints whole requests
    caplog: list[str] = []
    monkeypatch.setattr(logging.StreamHandler, "emit", lambda _, r: caplog.append(r.getMessage()))
    make_channel(standin.endpoint).send(make_attempt())
    said = "".join(caplog) + "".join(capfd.readouterr())
    assert "13800138000" not in said and "王" not in said
    assert len(standin.taken) == 1


def test_an_incomplete_account_is_refused() -> None:
    with pytest.raises(ChannelMisconfigured):
        AliyunSms(
            AliyunSettings(access_key_id=KEY, access_key_secret="", sign_name=SIGN_NAME), APPROVALS
        )
