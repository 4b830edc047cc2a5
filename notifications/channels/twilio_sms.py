"""Twilio's texts as a channel: with `twilio_voice` the only files that import its SDK. `twilio_wire`
carries the bulk.

What an error code means to us stands in CODES. Must not know the outbox. Nothing here may log a
number or a text: the SDK's own logger prints request parameters at INFO and is silenced.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from requests.adapters import HTTPAdapter
from requests.exceptions import ConnectionError as RequestsConnectionError
from requests.exceptions import ConnectTimeout, RequestException, SSLError
from twilio.base.exceptions import TwilioException, TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.request_validator import RequestValidator
from twilio.rest import Client
from urllib3.exceptions import NewConnectionError

from notifications import clock
from notifications.channels.twilio_wire import Response, Wire
from notifications.errors import ChannelMisconfigured
from notifications.values import (
    Absent,
    Answer,
    Attempt,
    Doubt,
    Finding,
    Found,
    Refused,
    Sent,
)

logging.getLogger("twilio").setLevel(logging.WARNING)
logging.getLogger("twilio.http_client").setLevel(logging.WARNING)

CONNECT_SECONDS = 3.0
READ_SECONDS = 10.0
LONGEST_VALIDITY = 36_000
# clocks differ, and Twilio's date_created has whole seconds
CLOCK_SLACK = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Code:
    """What one of Twilio's error codes means to us."""

    permanent: bool
    suppress: bool = False
    strike: bool = False
    halt: bool = False
    slower: bool = False


CODES: Mapping[str, Code] = {
    # not taken, documented as safe to repeat
    "429": Code(permanent=False, slower=True),
    "20429": Code(permanent=False, slower=True),
    "14107": Code(permanent=False, slower=True),
    "21611": Code(permanent=False, slower=True),
    "30001": Code(permanent=False),
    # our credentials
    "20003": Code(permanent=False, halt=True),
    "20005": Code(permanent=False, halt=True),
    "401": Code(permanent=False, halt=True),
    "403": Code(permanent=False, halt=True),
    # the recipient said STOP
    "21610": Code(permanent=True, suppress=True),
    # the number is bad
    "21211": Code(permanent=True, strike=True),
    "21214": Code(permanent=True, strike=True),
    "21614": Code(permanent=True, strike=True),
    # reported later, by status callback
    "30003": Code(permanent=True),
    "30004": Code(permanent=True),
    "30005": Code(permanent=True, strike=True),
    "30006": Code(permanent=True, strike=True),
    "30007": Code(permanent=True),
    "30008": Code(permanent=True),
}


def is_strike(error_code: str | None) -> bool:
    """Tell whether a reported error says that the number itself is bad."""
    code = CODES.get(error_code or "")
    return code is not None and code.strike


def is_opt_out(error_code: str | None) -> bool:
    """Tell whether a reported error says that the person asked for no more texts."""
    code = CODES.get(error_code or "")
    return code is not None and code.suppress


@dataclass(frozen=True, slots=True, kw_only=True)
class TwilioSettings:
    """What an installation must say to use Twilio. `callback_url` is the public one."""

    account_sid: str
    auth_token: str
    messaging_service_sid: str = ""
    from_number: str = ""
    callback_url: str = ""
    api_base: str = ""

    def __repr__(self) -> str:
        return f"TwilioSettings({self.account_sid[:6]}…)"


def settings_from_environment(environ: Mapping[str, str] | None = None) -> TwilioSettings:
    """Read TWILIO_* variables."""
    env = os.environ if environ is None else environ
    return TwilioSettings(
        account_sid=env.get("TWILIO_ACCOUNT_SID", ""),
        auth_token=env.get("TWILIO_AUTH_TOKEN", ""),
        messaging_service_sid=env.get("TWILIO_MESSAGING_SERVICE_SID", ""),
        from_number=env.get("TWILIO_FROM", ""),
        callback_url=env.get("TWILIO_CALLBACK_URL", ""),
        api_base=env.get("TWILIO_API_BASE", ""),
    )


def http_client(connections: int) -> TwilioHttpClient:
    """Return the SDK's client with both timeouts, kept-alive connections and no retries."""
    client = TwilioHttpClient(max_retries=0)
    adapter = HTTPAdapter(pool_connections=connections, pool_maxsize=connections, max_retries=0)
    client.session.mount("https://", adapter)
    client.session.mount("http://", adapter)
    # requests takes a pair where the SDK's signature names one number
    client.timeout = (CONNECT_SECONDS, READ_SECONDS)
    return client


# a field on the wire -> the SDK's argument
_OPTIONS = {
    "To": "to",
    "Body": "body",
    "MessagingServiceSid": "messaging_service_sid",
    "From": "from_",
    "StatusCallback": "status_callback",
    "ValidityPeriod": "validity_period",
}


class TwilioSms:
    """短信 through Twilio's Messages resource."""

    name = "twilio_sms"
    kinds = frozenset({"sms"})

    def __init__(self, settings: TwilioSettings, *, connections: int = 32) -> None:
        if not (settings.account_sid and settings.auth_token):
            raise ChannelMisconfigured("TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN are needed")
        if not (settings.messaging_service_sid or settings.from_number):
            raise ChannelMisconfigured("TWILIO_MESSAGING_SERVICE_SID or TWILIO_FROM is needed")
        self._settings = settings
        self._client = Client(
            settings.account_sid, settings.auth_token, http_client=http_client(connections)
        )
        if settings.api_base:
            self._client.api.base_url = settings.api_base.rstrip("/")
        self._wire: Wire | None = None

    def send(self, attempt: Attempt) -> Answer:
        """Create the message once, with the SDK. Its callback URL carries the attempt's id."""
        form = self._form(attempt)
        if isinstance(form, Refused):
            return form
        options = {_OPTIONS[field]: value for field, value in form.items()}
        try:
            message = self._client.messages.create(**options)
        except TwilioRestException as error:
            return answer_of(error.status, error.code)
        except RequestException as error:
            return answer_of_transport(error)
        except (TwilioException, ValueError) as error:
            # a 2xx whose body was not readable: taken, perhaps
            return Doubt(type(error).__name__)
        return _sent(message.sid, message.num_segments)

    async def asend(self, attempt: Attempt) -> Answer:
        """The same request without the SDK's objects, beside many others in one event loop."""
        form = self._form(attempt)
        if isinstance(form, Refused):
            return form
        if self._wire is None:
            self._wire = Wire(
                f"{self._client.api.base_url}/2010-04-01/Accounts"
                f"/{self._settings.account_sid}/Messages.json",
                (self._settings.account_sid, self._settings.auth_token),
                connect_seconds=CONNECT_SECONDS,
                read_seconds=READ_SECONDS,
            )
        answer = await self._wire.create(form)
        if not isinstance(answer, Response):
            return answer
        body = answer.body
        if 200 <= answer.status < 300:
            sid, segments = body.get("sid"), body.get("num_segments")
            return _sent(sid if isinstance(sid, str) else None, str(segments or ""))
        code = body.get("code")
        return answer_of(answer.status, code if isinstance(code, int) else None, answer.retry_after)

    async def aclose(self) -> None:
        """Close the connections of `asend`."""
        if self._wire is not None:
            await self._wire.close()
            self._wire = None

    def _form(self, attempt: Attempt) -> dict[str, str] | Refused:
        """The fields of the request, by the names they have on the wire."""
        form = {"To": attempt.address.value, "Body": attempt.body}
        if self._settings.messaging_service_sid:
            form["MessagingServiceSid"] = self._settings.messaging_service_sid
        else:
            form["From"] = self._settings.from_number
        if self._settings.callback_url:
            form["StatusCallback"] = f"{self._settings.callback_url.rstrip('/')}/{attempt.id}"
        if attempt.valid_until is not None:
            left = int((attempt.valid_until - clock.now()).total_seconds())
            if left <= 0:
                return Refused("too_late", "too_late", permanent=True)
            form["ValidityPeriod"] = str(min(left, LONGEST_VALIDITY))
        return form

    def find(self, attempt: Attempt, known: frozenset[str]) -> Finding:
        """Ask Twilio's list for this number: same text, created after the intent, not known yet.

        Not filtered by DateSent: a message that still waits at Twilio has none.
        """
        since = attempt.intent_at - CLOCK_SLACK
        try:
            for message in self._client.messages.stream(
                to=attempt.address.value, limit=200, page_size=100
            ):
                if message.sid in known or message.body != attempt.body:
                    continue
                created = message.date_created
                if created is None or aware(created) >= since:
                    return Found(
                        str(message.sid), str(message.status), _count(message.num_segments)
                    )
        except (TwilioException, RequestException) as error:
            return Doubt(type(error).__name__)
        return Absent()


def verify_signature(
    auth_token: str, public_url: str, params: Iterable[tuple[str, str]], signature: str
) -> bool:
    """Tell whether Twilio signed this request to `public_url`; repeated parameters are kept.

    `public_url` is the configured external one: behind a proxy the seen URL differs.
    """
    if not signature:
        return False
    return bool(RequestValidator(auth_token).validate(public_url, _Repeated(params), signature))


class _Repeated(dict[str, str]):
    """Parameters as the SDK's validator wants to read them when a name occurs twice."""

    def __init__(self, params: Iterable[tuple[str, str]]) -> None:
        self._lists: dict[str, list[str]] = {}
        for name, value in params:
            self._lists.setdefault(name, []).append(value)
        super().__init__({name: values[0] for name, values in self._lists.items()})

    def getlist(self, name: str) -> list[str]:
        return self._lists[name]


def _sent(sid: str | None, segments: str | None) -> Answer:
    return Sent(sid, _count(segments)) if sid else Doubt("no_sid")


def _count(segments: str | None) -> int | None:
    # a messaging service answers 0 before it has chosen a sender
    return int(segments) or None if segments and segments.isdigit() else None


def answer_of(
    status: int,
    code: int | None,
    retry_after: float | None = None,
    codes: Mapping[str, Code] = CODES,
) -> Answer:
    """What an error of Twilio's means: doubt, or a definite no."""
    if status >= 500 or status < 400:
        return Doubt(f"http_{status}")
    key = str(code or status)
    meaning = codes.get(key) or codes.get(str(status))
    if meaning is None:
        # an unknown 4xx is a definite no that repeating will not change; 408, 425, 429 pass by
        meaning = Code(permanent=status not in (408, 425, 429))
    return Refused(
        key,
        f"twilio_{key}",
        permanent=meaning.permanent,
        retry_after=retry_after,
        suppress=meaning.suppress,
        strike=meaning.strike,
        halt=meaning.halt,
        slower=meaning.slower,
    )


def answer_of_transport(error: RequestException) -> Answer:
    """Nothing left our host: a definite no. Anything later: doubt."""
    if isinstance(error, ConnectTimeout):
        return Refused("connect_timeout", "connect_timeout", permanent=False)
    if isinstance(error, SSLError):
        return Refused("tls_handshake", "tls_handshake", permanent=False)
    if isinstance(error, RequestsConnectionError) and _never_connected(error):
        return Refused("not_connected", "not_connected", permanent=False)
    return Doubt(type(error).__name__)


def _never_connected(error: RequestsConnectionError) -> bool:
    cause = error.args[0] if error.args else None
    return isinstance(getattr(cause, "reason", cause), NewConnectionError)


def aware(at: datetime) -> datetime:
    """A time of the SDK's with its zone."""
    return at if at.tzinfo else at.replace(tzinfo=UTC)
