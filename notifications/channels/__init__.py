"""The one list of channels. A channel is imported when it is asked for: an SDK may be heavy."""

from __future__ import annotations

from sqlalchemy import Engine

from notifications.channels.base import Channel
from notifications.errors import ChannelUnknown

# route of a message -> channels that can serve it
SERVES: dict[str, tuple[str, ...]] = {
    "sms": ("twilio_sms", "console", "null"),
    "email": ("smtp_email", "console", "null"),
    "voice": ("twilio_voice", "console", "null"),
}


def make_channel(name: str, engine: Engine) -> Channel:
    """Build a channel from the environment's settings."""
    if name == "console":
        from notifications.channels.console import ConsoleChannel

        return ConsoleChannel(engine)
    if name == "null":
        from notifications.channels.null import NullChannel

        return NullChannel()
    if name == "twilio_sms":
        from notifications.channels import twilio_sms

        return twilio_sms.TwilioSms(twilio_sms.settings_from_environment())
    if name == "smtp_email":
        from notifications.channels import smtp_email

        return smtp_email.SmtpEmail(smtp_email.settings_from_environment())
    raise ChannelUnknown(name)


def make_channels(routes: dict[str, str], engine: Engine) -> dict[str, Channel]:
    """Build route -> channel, such as {"sms": "twilio_sms"}; a wrong pairing is refused."""
    for route, name in routes.items():
        if name not in SERVES.get(route, ()):
            raise ChannelUnknown(f"{name} does not serve {route}")
    return {route: make_channel(name, engine) for route, name in routes.items()}
