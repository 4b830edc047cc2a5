"""Twilio's calls as a channel: the phone rings, a voice says the message, a key answers.

What is said is the message's body, once however often it is heard again. The same protocol as for
texts: one create per attempt, a definite no or doubt, the attempt's id in the addresses Twilio reports
to. Nothing here may log a number or what is said.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from requests.exceptions import RequestException
from twilio.base.exceptions import TwilioException, TwilioRestException
from twilio.rest import Client
from twilio.twiml.voice_response import VoiceResponse

from notifications import clock
from notifications.channels.twilio_sms import (
    CLOCK_SLACK,
    Code,
    answer_of,
    answer_of_transport,
    aware,
    http_client,
)
from notifications.errors import ChannelMisconfigured
from notifications.values import Absent, Answer, Attempt, Doubt, Finding, Found, Refused, Sent

# five or six rings; an answering machine takes over later than that as a rule
RING_SECONDS = 30
# whoever keeps pressing 2, or an answering machine, is not listened to for ever
LONGEST_SECONDS = 180
# after the words, until they are said again or the call ends
LISTEN_SECONDS = 6
# steps of a call of which we are told; how it ended is "completed", whatever the end
REPORTED = ["answered", "completed"]
# Twilio takes no longer document with a call
LONGEST_DOCUMENT = 4000
# a language of ours -> Twilio's, and a voice that has it
_SPEAKERS = {"zh": ("zh-CN", "alice"), "en": ("en-US", "alice")}

CODES: Mapping[str, Code] = {
    # not taken, documented as safe to repeat
    "429": Code(permanent=False, slower=True),
    "20429": Code(permanent=False, slower=True),
    "10004": Code(permanent=False, slower=True),
    # our credentials, or our own number
    "20003": Code(permanent=False, halt=True),
    "20005": Code(permanent=False, halt=True),
    "401": Code(permanent=False, halt=True),
    "403": Code(permanent=False, halt=True),
    "21210": Code(permanent=False, halt=True),
    "21212": Code(permanent=False, halt=True),
    "21213": Code(permanent=False, halt=True),
    # the number is bad
    "21211": Code(permanent=True, strike=True),
    "21214": Code(permanent=True, strike=True),
    "21217": Code(permanent=True, strike=True),
    # the account may not call there; about us, not about the number
    "21215": Code(permanent=True),
    "21216": Code(permanent=True),
    "21219": Code(permanent=True),
}

# how a call ended -> whether it says that the number itself is bad (SIP: not found, incomplete, nowhere)
_NOBODY_THERE = frozenset({"404", "484", "604"})
ENDED = frozenset({"completed", "busy", "no-answer", "failed", "canceled"})


def is_strike(status: str, sip_code: str | None) -> bool:
    """Tell whether a call that failed shows that there is no such number."""
    return status == "failed" and sip_code in _NOBODY_THERE


def reason_of(status: str, error_code: str | None) -> str | None:
    """Why nobody heard it, as it is kept; None of a call that was answered."""
    if status in ("busy", "no-answer", "canceled"):
        return status
    return error_code or "call_failed" if status == "failed" else None


@dataclass(frozen=True, slots=True, kw_only=True)
class VoiceSettings:
    """What an installation must say to call. The addresses are public ones; an attempt's id is added."""

    account_sid: str
    auth_token: str
    from_number: str
    status_url: str = ""
    digits_url: str = ""
    api_base: str = ""

    def __repr__(self) -> str:
        return f"VoiceSettings({self.account_sid[:6]}…)"


def asking(says: str, language: str, action: str) -> str:
    """TwiML that says a message and waits for a key, twice, and then hangs up."""
    response = VoiceResponse()
    for _ in range(2):
        gather = response.gather(
            num_digits=1, timeout=LISTEN_SECONDS, action=action, method="POST", input="dtmf"
        )
        _say(gather, says, language)
    response.hangup()
    return str(response)


def parting(says: str, language: str) -> str:
    """TwiML that says a last word."""
    response = VoiceResponse()
    _say(response, says, language)
    response.hangup()
    return str(response)


def _say(where: object, says: str, language: str) -> None:
    locale, voice = _SPEAKERS.get(language, _SPEAKERS["en"])
    # the SDK escapes the words
    where.say(says, language=locale, voice=voice)  # type: ignore[attr-defined]


class TwilioVoice:
    """语音电话 through Twilio's Calls resource."""

    name = "twilio_voice"
    kinds = frozenset({"voice"})

    def __init__(self, settings: VoiceSettings, *, connections: int = 8) -> None:
        if not (settings.account_sid and settings.auth_token):
            raise ChannelMisconfigured("TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN are needed")
        if not settings.from_number:
            raise ChannelMisconfigured("TWILIO_VOICE_FROM or TWILIO_FROM is needed")
        self._settings = settings
        self._client = Client(
            settings.account_sid, settings.auth_token, http_client=http_client(connections)
        )
        if settings.api_base:
            self._client.api.base_url = settings.api_base.rstrip("/")

    def send(self, attempt: Attempt) -> Answer:
        """Start the call once; what becomes of it is reported."""
        if attempt.valid_until is not None and attempt.valid_until <= clock.now():
            return Refused("too_late", "too_late", permanent=True)
        document = asking(attempt.body, attempt.language, self._address("digits", attempt))
        if len(document) > LONGEST_DOCUMENT:
            return Refused("too_long", "too_long", permanent=True)
        options: dict[str, object] = {"time_limit": LONGEST_SECONDS, "timeout": RING_SECONDS}
        if self._settings.status_url:
            options["status_callback"] = self._address("status", attempt)
            options["status_callback_event"] = REPORTED
            options["status_callback_method"] = "POST"
        try:
            call = self._client.calls.create(
                to=attempt.address.value,
                from_=self._settings.from_number,
                twiml=document,
                **options,
            )
        except TwilioRestException as error:
            return answer_of(error.status, error.code, codes=CODES)
        except RequestException as error:
            return answer_of_transport(error)
        except (TwilioException, ValueError) as error:
            # a 2xx whose body was not readable: the phone rings, perhaps
            return Doubt(type(error).__name__)
        return Sent(call.sid) if call.sid else Doubt("no_sid")

    def _address(self, what: str, attempt: Attempt) -> str:
        base = self._settings.status_url if what == "status" else self._settings.digits_url
        return f"{base.rstrip('/')}/{attempt.id}"

    def find(self, attempt: Attempt, known: frozenset[str]) -> Finding:
        """Ask Twilio's list for calls to this number, begun after the intent, not known yet.

        Not filtered by StartTime: a call that still waits at Twilio has none. The list does not tell
        what a call says, so `known` must name those of all other attempts to the number.
        """
        since = attempt.intent_at - CLOCK_SLACK
        try:
            for call in self._client.calls.stream(
                to=attempt.address.value, limit=200, page_size=100
            ):
                if call.sid in known:
                    continue
                created = call.date_created
                if created is None or aware(created) >= since:
                    return Found(str(call.sid), str(call.status))
        except (TwilioException, RequestException) as error:
            return Doubt(type(error).__name__)
        return Absent()
