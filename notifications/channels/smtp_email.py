"""E-mail by SMTP: plain text, optionally with an iTIP part. Must not know calendars or accounts.

SMTP has no question "did you take it?", so what is in doubt here stays with a person.
"""

from __future__ import annotations

import logging
import os
import smtplib
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from typing import Literal

from notifications.errors import ChannelMisconfigured
from notifications.values import Answer, Attempt, Doubt, Finding, Refused, Sent

log = logging.getLogger(__name__)

CONNECT_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpSettings:
    """What an installation must say to send e-mail."""

    host: str
    port: int = 25
    sender: str
    username: str = ""
    password: str = ""
    starttls: bool = False
    unsubscribe_url: str = ""

    def __repr__(self) -> str:
        return f"SmtpSettings({self.host}:{self.port})"


@dataclass(frozen=True, slots=True)
class Itip:
    """A calendar part to go with a mail; `ics` holds the same METHOD."""

    method: Literal["REQUEST", "CANCEL", "PUBLISH"]
    ics: bytes


# the application's way to attach an invitation to a message, if it belongs to one
ItipOf = Callable[[Attempt], Itip | None]


def settings_from_environment(environ: Mapping[str, str] | None = None) -> SmtpSettings:
    """Read SMTP_* variables."""
    env = os.environ if environ is None else environ
    if not (env.get("SMTP_HOST") and env.get("SMTP_FROM")):
        raise ChannelMisconfigured("SMTP_HOST and SMTP_FROM are needed")
    return SmtpSettings(
        host=env["SMTP_HOST"],
        port=int(env.get("SMTP_PORT", "25")),
        sender=env["SMTP_FROM"],
        username=env.get("SMTP_USERNAME", ""),
        password=env.get("SMTP_PASSWORD", ""),
        starttls=env.get("SMTP_STARTTLS", "") == "1",
        unsubscribe_url=env.get("SMTP_UNSUBSCRIBE_URL", ""),
    )


def compose(settings: SmtpSettings, attempt: Attempt, itip: Itip | None) -> EmailMessage:
    """Build the mail. The first line of the body is the subject, the rest is the text."""
    subject, _, text = attempt.body.partition("\n")
    mail = EmailMessage()
    mail["From"] = settings.sender
    mail["To"] = attempt.address.value
    mail["Subject"] = subject.strip()
    mail["Date"] = format_datetime(attempt.intent_at)
    # the attempt's id, so that a bounce names the attempt
    mail["Message-ID"] = make_msgid(str(attempt.id), settings.sender.rpartition("@")[2].strip(">"))
    mail["Content-Language"] = {"zh": "zh-CN"}.get(attempt.language, attempt.language)
    mail["Auto-Submitted"] = "auto-generated"
    if settings.unsubscribe_url:
        mail["List-Unsubscribe"] = f"<{settings.unsubscribe_url}>"
    body = text.strip("\n") or subject
    if attempt.link:
        body = f"{body}\n\n{attempt.link}"
    mail.set_content(f"{body}\n", charset="utf-8", cte="base64")
    if itip is not None:
        mail.add_alternative(
            itip.ics,
            maintype="text",
            subtype="calendar",
            params={"method": itip.method, "charset": "utf-8"},
        )
    return mail


class SmtpEmail:
    """电子邮件 through one SMTP relay."""

    name = "smtp_email"
    kinds = frozenset({"email"})

    def __init__(self, settings: SmtpSettings, itip_of: ItipOf | None = None) -> None:
        self._settings = settings
        self._itip_of = itip_of

    def send(self, attempt: Attempt) -> Answer:
        """Hand the mail to the relay once."""
        itip = self._itip_of(attempt) if self._itip_of else None
        try:
            mail = compose(self._settings, attempt, itip)
        except ValueError:
            # a line break in an address or a subject
            return Refused("bad_header", "bad_header", permanent=True)
        try:
            relay = smtplib.SMTP(self._settings.host, self._settings.port, timeout=CONNECT_SECONDS)
        except (OSError, smtplib.SMTPException) as error:
            return Refused("not_connected", type(error).__name__, permanent=False)
        with relay:
            refused = self._open(relay)
            return refused or _hand_over(relay, mail)

    def find(self, _attempt: Attempt, _known: frozenset[str]) -> Finding:
        """SMTP cannot be asked."""
        return Doubt("smtp_cannot_be_asked")

    def _open(self, relay: smtplib.SMTP) -> Refused | None:
        try:
            if self._settings.starttls:
                relay.starttls(context=ssl.create_default_context())
            if self._settings.username:
                relay.login(self._settings.username, self._settings.password)
        except smtplib.SMTPAuthenticationError as error:
            return Refused(str(error.smtp_code), "credentials", permanent=False, halt=True)
        except (OSError, smtplib.SMTPException) as error:
            return Refused("not_connected", type(error).__name__, permanent=False)
        return None


def _hand_over(relay: smtplib.SMTP, mail: EmailMessage) -> Answer:
    try:
        relay.send_message(mail)
    except smtplib.SMTPRecipientsRefused as error:
        [(code, _)] = error.recipients.values()
        return _refused(code, strike=True)
    except (smtplib.SMTPSenderRefused, smtplib.SMTPDataError) as error:
        return _refused(error.smtp_code)
    except (TimeoutError, OSError, smtplib.SMTPException) as error:
        # the relay may have taken it before the line broke
        return Doubt(type(error).__name__)
    return Sent(str(mail["Message-ID"]))


def _refused(code: int, *, strike: bool = False) -> Refused:
    permanent = code >= 500
    return Refused(str(code), f"smtp_{code}", permanent=permanent, strike=strike and permanent)
