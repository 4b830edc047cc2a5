"""Who carries texts, mail and calls in this installation: the providers, and in which order they are asked.

Must not know what is sent, nor how a provider speaks.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from urllib.parse import unquote, urlsplit

from sqlalchemy import Engine

from coordination.ground import crypto, portal
from coordination.ground.text import LANGUAGES
from coordination.reactions import catalogue
from coordination.reactions.invitations import Invitations
from coordination.settings import Settings, can_call, can_send_by
from notifications.channels.base import Channel
from notifications.channels.console import ConsoleChannel
from notifications.errors import ChannelMisconfigured

log = logging.getLogger(__name__)

# the setting's word -> the name under which attempts remember who was called
_NAMES = {"console": "console", "twilio": "twilio_sms", "aliyun": "aliyun_sms"}
_CALLERS = {"console": "console", "twilio": "twilio_voice"}
# the route of calls, which has a pump of its own: they leave one a second, texts by hundreds
VOICE = "voice"


@dataclass(frozen=True, slots=True)
class Carriers:
    """Channels by name, and route -> names, the preferred one first.

    `asked` are those that can be asked about doubt: also a provider that sends no more, as long as
    its account is known, so that a change of settings leaves nothing behind that nobody can settle.
    """

    channels: Mapping[str, Channel]
    ways: Mapping[str, tuple[str, ...]]
    asked: Mapping[str, Channel]


def ways_of(settings: Settings) -> dict[str, tuple[str, ...]]:
    """Route -> names of channels, the preferred one first."""
    words = [settings.sms_channel, *([settings.sms_fallback] if settings.sms_fallback else [])]
    calls = {VOICE: (_CALLERS[settings.voice_channel],)} if settings.voice_channel else {}
    return {
        "sms": tuple(_NAMES[word] for word in words),
        "email": ("smtp_email" if settings.smtp_url else "console",),
        **calls,
    }


def carriers_of(settings: Settings, engine: Engine) -> Carriers:
    """Build every channel that is used, and those that may still be asked."""
    ways = ways_of(settings)
    console = ConsoleChannel(engine)
    known: dict[str, Channel] = {"console": console}
    used = {name for names in ways.values() for name in names}
    for word, make in (("twilio", _twilio), ("aliyun", partial(_aliyun, engine))):
        if not can_send_by(settings, word):
            continue
        try:
            known[_NAMES[word]] = make(settings)
        except ChannelMisconfigured as error:
            if _NAMES[word] in used:
                raise
            log.info("%s is not used and cannot be asked: %s", word, error)
    if can_call(settings):
        known["twilio_voice"] = _twilio_voice(settings)
    if settings.smtp_url:
        known["smtp_email"] = _mail(settings, engine)
    # attempts of earlier versions kept only the route: the preferred one was the only one then
    by_route = {route: known[names[0]] for route, names in ways.items()}
    return Carriers({name: known[name] for name in used}, ways, known | by_route)


def rates_of(settings: Settings) -> dict[str, float]:
    """Name of a channel -> texts a second that it may be given by all workers together."""
    rates = zip(
        ways_of(settings)["sms"], (settings.sms_rate, settings.sms_fallback_rate), strict=False
    )
    return {name: rate for name, rate in rates if rate}


def values_kept(settings: Settings) -> bool:
    """Whether the values of a message are kept beside its text: a gateway of templates needs them."""
    return "aliyun" in (settings.sms_channel, settings.sms_fallback)


def aliyun_secret(settings: Settings) -> str:
    """Aliyun signs nothing that it pushes: the address is the secret, and ends with the account's."""
    return crypto.path_secret(f"aliyun:{settings.aliyun_access_key_secret}")


def aliyun_paths(settings: Settings) -> tuple[str, str]:
    """Where Aliyun pushes how texts fare, and what people text back."""
    secret = aliyun_secret(settings)
    return f"/webhooks/aliyun/report/{secret}", f"/webhooks/aliyun/inbound/{secret}"


def languages_of(settings: Settings, engine: Engine, key: str) -> Callable[[], frozenset[str]]:
    """Tells in which languages every provider in use can carry, now, what need not be sent."""
    if not values_kept(settings):
        return lambda: frozenset(LANGUAGES)
    from coordination.reactions.approvals import Approvals

    known = Approvals(engine, catalogue.site_of(settings.public_url))
    return lambda: frozenset(name for name in LANGUAGES if known.get((key, name)))


def _twilio(settings: Settings) -> Channel:
    from notifications.channels.twilio_sms import TwilioSettings, TwilioSms

    return TwilioSms(
        TwilioSettings(
            account_sid=settings.twilio_account_sid,
            auth_token=settings.twilio_auth_token,
            messaging_service_sid=settings.twilio_messaging_service_sid,
            from_number=settings.twilio_from,
            callback_url=f"{settings.public_url}/webhooks/twilio/status",
            api_base=settings.twilio_api_base,
        )
    )


def _twilio_voice(settings: Settings) -> Channel:
    from notifications.channels.twilio_voice import TwilioVoice, VoiceSettings

    return TwilioVoice(
        VoiceSettings(
            account_sid=settings.twilio_account_sid,
            auth_token=settings.twilio_auth_token,
            from_number=settings.caller,
            status_url=f"{settings.public_url}/webhooks/twilio/call",
            digits_url=digits_url(settings),
            api_base=settings.twilio_api_base,
        )
    )


def digits_url(settings: Settings) -> str:
    """Where a key that somebody presses in a call is sent; an attempt's id is added."""
    return f"{settings.public_url}/webhooks/twilio/digits"


def _aliyun(engine: Engine, settings: Settings) -> Channel:
    from coordination.reactions.approvals import Approvals
    from notifications.channels.aliyun_sms import AliyunSettings, AliyunSms

    address = urlsplit(settings.aliyun_endpoint)
    return AliyunSms(
        AliyunSettings(
            access_key_id=settings.aliyun_access_key_id,
            access_key_secret=settings.aliyun_access_key_secret,
            sign_name=settings.aliyun_sign_name,
            endpoint=address.netloc,
            protocol="http" if address.scheme == "http" else "https",
        ),
        Approvals(engine, catalogue.site_of(settings.public_url)),
    )


def _mail(settings: Settings, engine: Engine) -> Channel:
    from notifications.channels.smtp_email import SmtpEmail, SmtpSettings

    server = urlsplit(settings.smtp_url)
    sender = f"no-reply@{urlsplit(settings.public_url).hostname}"
    return SmtpEmail(
        SmtpSettings(
            host=server.hostname or "localhost",
            port=server.port or 25,
            # a bare address reads like a machine's; the name is that of the portal in the texts
            sender=f"{portal.NAME.zh} <{sender}>",
            username=unquote(server.username or ""),
            password=unquote(server.password or ""),
            starttls=bool(server.username),
        ),
        Invitations(engine, sender),
    )
