"""阿里云短信 as a channel: the only file that imports its SDK, and only when it is asked for.

A domestic gateway takes no text: it takes the id of a template that was approved beforehand, and
the values of its variables. It has no idempotency key, so doubt is settled by its list of a number
and a day, where each line carries the attempt's id. What an error code means to us stands in CODES.
Must not know the outbox. Nothing here may log a number or a value.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Literal, Protocol
from uuid import UUID
from zoneinfo import ZoneInfo

from requests.exceptions import ConnectionError as RequestsConnectionError
from requests.exceptions import ConnectTimeout, SSLError
from urllib3.exceptions import NewConnectionError

from notifications import clock
from notifications.errors import ChannelMisconfigured
from notifications.values import Absent, Answer, Attempt, Doubt, Finding, Found, Refused, Sent

CONNECT_SECONDS = 3.0
READ_SECONDS = 10.0
PAGE = 50
# nobody gets so many texts a day that the rest would matter; beyond it the answer is doubt
MOST_PAGES = 20
# the list is kept by the gateway's own day
DAY = ZoneInfo("Asia/Shanghai")
# a call may begin a little after its intent, and clocks differ
SLACK = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Code:
    """What one of the gateway's error codes means to us."""

    permanent: bool = False
    strike: bool = False
    halt: bool = False
    slower: bool = False


CODES: Mapping[str, Code] = {
    # the number is bad
    "isv.MOBILE_NUMBER_ILLEGAL": Code(permanent=True, strike=True),
    # the number's own limit for the hour or the day: others are not concerned, later it may go
    "isv.BUSINESS_LIMIT_CONTROL": Code(),
    "isv.DAY_LIMIT_CONTROL": Code(halt=True),
    "isv.MONTH_LIMIT_CONTROL": Code(halt=True),
    # the account: nothing will go before somebody has seen to it
    "isv.AMOUNT_NOT_ENOUGH": Code(halt=True),
    "isv.OUT_OF_SERVICE": Code(halt=True),
    "isv.ACCOUNT_NOT_EXISTS": Code(halt=True),
    "isv.ACCOUNT_ABNORMAL": Code(halt=True),
    "isv.PRODUCT_UN_SUBSCRIPT": Code(halt=True),
    "isv.SMS_SIGNATURE_ILLEGAL": Code(halt=True),
    "isp.RAM_PERMISSION_DENY": Code(halt=True),
    "SignatureDoesNotMatch": Code(halt=True),
    "IncompleteSignature": Code(halt=True),
    "InvalidAccessKeyId.NotFound": Code(halt=True),
    "InvalidAccessKeyId.Inactive": Code(halt=True),
    "Forbidden.RAM": Code(halt=True),
    # too many calls
    "Throttling": Code(slower=True),
    "Throttling.User": Code(slower=True),
    "Throttling.Api": Code(slower=True),
    # this message as it stands will never pass
    "isv.SMS_TEMPLATE_ILLEGAL": Code(permanent=True),
    "isv.TEMPLATE_MISSING_PARAMETERS": Code(permanent=True),
    "isv.TEMPLATE_PARAMS_ILLEGAL": Code(permanent=True),
    "isv.INVALID_PARAMETERS": Code(permanent=True),
    "isv.INVALID_JSON_PARAM": Code(permanent=True),
    "isv.PARAM_LENGTH_LIMIT": Code(permanent=True),
    "isv.PARAM_NOT_SUPPORT_URL": Code(permanent=True),
    "isv.BLACK_KEY_CONTROL_LIMIT": Code(permanent=True),
}
# the gateway broke while it worked on the request: it may have taken the message
BROKEN = frozenset({"isp.SYSTEM_ERROR", "isp.UNKNOWN_ERR_CODE", "InternalError"})
LONGEST_ID = 64
LOOKS_LIKE_A_CODE = re.compile(r"[\w.:-]{1,64}", re.ASCII)
STATUS: Mapping[int, str] = {1: "sent", 2: "undelivered", 3: "delivered"}

# reported later: nobody is at this number, or it takes no texts. The gateway does not tell a phone
# that is off from one that is gone; three in a row, and none delivered between, make a bad number
BAD_NUMBERS = frozenset({"INVALID_NUMBER", "MOBILE_NOT_ON_SERVICE"})
# the person said so to the carrier
OPTED_OUT = frozenset({"USER_REJECT"})


@dataclass(frozen=True, slots=True)
class Report:
    """One line of a status report. `attempt_id` is what we gave as OutId, if it is one of ours."""

    attempt_id: UUID | None
    provider_id: str | None
    status: str
    error_code: str | None


@dataclass(frozen=True, slots=True)
class Reply:
    """One text from somebody's phone. `sequence` is the gateway's number for it."""

    number: str = field(repr=False)
    text: str = field(repr=False)
    sent_at: datetime | None
    sequence: str


class BadPush(ValueError):
    """What came in is not what the gateway pushes."""


def reports_of(body: bytes) -> list[Report]:
    """Read status reports (SmsReport); BadPush if it is something else.

    A line that says nothing of use is left out: the others must not suffer from it.
    """
    return [report for line in _pushed(body) if (report := _report(line)) is not None]


def replies_of(body: bytes) -> list[Reply]:
    """Read replies (SmsUp), in the order in which they were sent; BadPush if it is something else."""
    replies = [reply for line in _pushed(body) if (reply := _reply(line)) is not None]
    return sorted(replies, key=lambda reply: reply.sent_at or datetime.max.replace(tzinfo=DAY))


def _pushed(body: bytes) -> list[dict[str, object]]:
    try:
        lines = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadPush("not JSON") from error
    if not isinstance(lines, list) or not all(isinstance(line, dict) for line in lines):
        raise BadPush("not a list of objects")
    return lines


def _reply(line: Mapping[str, object]) -> Reply | None:
    number, said, sequence = (line.get(k) for k in ("phone_number", "content", "sequence_id"))
    if not isinstance(number, str) or not isinstance(said, str):
        return None
    return Reply(number, said, _moment(line.get("send_time")), str(sequence)[:LONGEST_ID])


def _moment(value: object) -> datetime | None:
    """When the carrier had it, by the gateway's own clock."""
    if isinstance(value, str):
        for form in ("%Y-%m-%d %H:%M:%S", "%Y%m%d%H%M%S"):
            with suppress(ValueError):
                return datetime.strptime(value, form).replace(tzinfo=DAY)
    return None


def _report(line: Mapping[str, object]) -> Report | None:
    done, biz, code = line.get("success"), line.get("biz_id"), line.get("err_code")
    attempt_id = _uuid(line.get("out_id"))
    provider_id = biz if isinstance(biz, str) and 0 < len(biz) <= LONGEST_ID else None
    if not isinstance(done, bool) or (attempt_id is None and provider_id is None):
        return None
    said = code if isinstance(code, str) and LOOKS_LIKE_A_CODE.fullmatch(code) else "no_code"
    return Report(
        attempt_id,
        provider_id,
        "delivered" if done else "undelivered",
        None if done else said,
    )


def _uuid(value: object) -> UUID | None:
    try:
        return UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Approved:
    """A template that the gateway knows, and the values it may be given."""

    id: str
    variables: frozenset[str]


class Approvals(Protocol):
    """(message key, language) -> what was approved for it by now."""

    def get(self, name: tuple[str, str], /) -> Approved | None:
        """None while nothing is approved."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AliyunSettings:
    """What an installation must say to use the gateway."""

    access_key_id: str
    access_key_secret: str
    sign_name: str
    endpoint: str = "dysmsapi.aliyuncs.com"
    protocol: Literal["https", "http"] = "https"

    def __repr__(self) -> str:
        return f"AliyunSettings({self.access_key_id[:6]}…)"


class AliyunSms:
    """短信 through the Dysmsapi of Aliyun."""

    name = "aliyun_sms"
    kinds = frozenset({"sms"})

    def __init__(self, settings: AliyunSettings, approvals: Approvals) -> None:
        if not (settings.access_key_id and settings.access_key_secret and settings.sign_name):
            raise ChannelMisconfigured("an access key, its secret and a signature are needed")
        try:
            from alibabacloud_dysmsapi20170525 import models
            from alibabacloud_dysmsapi20170525.client import Client
            from alibabacloud_tea_openapi.utils_models import Config
            from darabonba.runtime import RuntimeOptions
        except ImportError as error:
            raise ChannelMisconfigured(
                'the SDK is not installed: pip install "alibabacloud-dysmsapi20170525>=4.6,<5"'
            ) from error
        # importing it sets its logger to DEBUG, and DEBUG=sdk would print whole requests there
        logging.getLogger("darabonba-core").setLevel(logging.WARNING)
        self._settings, self._approvals, self._models = settings, approvals, models
        # without retry options the SDK calls once
        self._client = Client(
            Config(
                access_key_id=settings.access_key_id,
                access_key_secret=settings.access_key_secret,
                endpoint=settings.endpoint,
                protocol=settings.protocol,
            )
        )
        self._runtime = RuntimeOptions(
            autoretry=False,
            max_attempts=1,
            connect_timeout=int(CONNECT_SECONDS * 1000),
            read_timeout=int(READ_SECONDS * 1000),
        )

    def send(self, attempt: Attempt) -> Answer:
        """Name the template and its values once; OutId carries the attempt's id."""
        request = self._request(attempt)
        if isinstance(request, Refused):
            return request
        try:
            body = self._client.send_sms_with_options(request, self._runtime).body
        except Exception as error:  # noqa: BLE001 - the SDK raises its transport's errors too
            return _answer_of_error(error)
        if body is None or not body.code:
            return Doubt("no_code")
        if body.code != "OK":
            return _answer_of(str(body.code), 400)
        return Sent(str(body.biz_id)) if body.biz_id else Doubt("no_biz_id")

    def find(self, attempt: Attempt, _known: frozenset[str]) -> Finding:
        """Look for the attempt's id in the gateway's list of this number, by the days it may be in."""
        number = _domestic(attempt.address.value)
        if number is None:
            return Absent()
        try:
            for day in _days(attempt):
                for line in self._lines(number, day):
                    if line.out_id == str(attempt.id):
                        # the list does not say the receipt's number; ours is as good a name
                        return Found(f"out-{attempt.id}", STATUS.get(line.send_status, "sent"))
        except Exception as error:  # noqa: BLE001 - as above
            return Doubt(type(error).__name__)
        return Absent()

    def carries(self, attempt: Attempt) -> bool:
        """Whether the number is domestic, a template was approved and its values are known."""
        request = self._request(attempt)
        return not isinstance(request, Refused) or request.code == "too_late"

    def _request(self, attempt: Attempt) -> Any:
        number = _domestic(attempt.address.value)
        if number is None:
            return Refused("not_domestic", "not_domestic", permanent=True)
        if attempt.valid_until is not None and attempt.valid_until <= clock.now():
            return Refused("too_late", "too_late", permanent=True)
        approved = self._approvals.get((attempt.template_key, attempt.language))
        if approved is None or not approved.id:
            return Refused("no_template", "no_template", permanent=False)
        if missing := approved.variables - attempt.params.keys():
            # written before this gateway was chosen: only its text is known
            return Refused(f"no_value:{min(missing)}", "no_values", permanent=True)
        values = {name: attempt.params[name] for name in sorted(approved.variables)}
        return self._models.SendSmsRequest(
            phone_numbers=number,
            sign_name=self._settings.sign_name,
            template_code=approved.id,
            template_param=json.dumps(values, ensure_ascii=False) if values else None,
            out_id=str(attempt.id),
        )

    def _lines(self, number: str, day: date) -> Iterator[Any]:
        for page in range(1, MOST_PAGES + 1):
            body = self._client.query_send_details_with_options(
                self._models.QuerySendDetailsRequest(
                    phone_number=number,
                    send_date=f"{day:%Y%m%d}",
                    page_size=PAGE,
                    current_page=page,
                ),
                self._runtime,
            ).body
            if body is None or body.code != "OK":
                raise ListUnreadable
            details = body.sms_send_detail_dtos
            lines = (details and details.sms_send_detail_dto) or []
            yield from lines
            if len(lines) < PAGE:
                return
        raise ListUnreadable


class ListUnreadable(Exception):
    """The gateway's list does not answer the question."""


def _domestic(value: str) -> str | None:
    return value[3:] if value.startswith("+86") else None


def _days(attempt: Attempt) -> list[date]:
    """The gateway's days in which the call may have come."""
    first = (attempt.intent_at - SLACK).astimezone(DAY).date()
    last = (attempt.intent_at + SLACK).astimezone(DAY).date()
    return [first] if first == last else [first, last]


def _answer_of(code: str, status: int, retry_after: float | None = None) -> Answer:
    if status >= 500 or code in BROKEN:
        return Doubt(code if code in BROKEN else f"http_{status}")
    meaning = CODES.get(code)
    if meaning is None:
        # a code we do not know is a no as well; repeating will not change it unless it says so
        slower = code.startswith("Throttling") or status == 429
        halt = status in (401, 403)
        meaning = Code(permanent=not (slower or halt), slower=slower, halt=halt)
    return Refused(
        code,
        f"aliyun_{code}",
        permanent=meaning.permanent,
        retry_after=retry_after,
        strike=meaning.strike,
        halt=meaning.halt,
        slower=meaning.slower,
    )


def _answer_of_error(error: BaseException) -> Answer:
    """Nothing left our host: a definite no. An answer that says no: that. Anything else: doubt."""
    for link in _chain(error):
        status, code = getattr(link, "status_code", None), getattr(link, "code", None)
        if isinstance(status, int) and isinstance(code, str) and code:
            wait = getattr(link, "retry_after", None)
            # the SDK counts in milliseconds
            return _answer_of(code, status, wait / 1000 if isinstance(wait, int) else None)
        if isinstance(link, ConnectTimeout):
            return Refused("connect_timeout", "connect_timeout", permanent=False)
        if isinstance(link, SSLError):
            return Refused("tls_handshake", "tls_handshake", permanent=False)
        if isinstance(link, RequestsConnectionError) and _never_connected(link):
            return Refused("not_connected", "not_connected", permanent=False)
    return Doubt(type(error).__name__)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and all it was made of: the SDK wraps what its transport raised."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        link = waiting.pop(0)
        if link is None or id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        inner = getattr(link, "inner_exception", None)
        waiting += [
            inner if isinstance(inner, BaseException) else None,
            link.__cause__,
            link.__context__,
        ]


def _never_connected(error: RequestsConnectionError) -> bool:
    cause = error.args[0] if error.args else None
    return isinstance(getattr(cause, "reason", cause), NewConnectionError)
