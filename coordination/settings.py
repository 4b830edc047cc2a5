"""Settings by environment, read once and frozen. Must not know what they are used for.

Without a DATABASE_URL the caller starts the embedded database and passes its address. In production
(`COORDINATION_ENV=production`) a default or short key refuses to start.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self
from zoneinfo import ZoneInfo

_DEV_SECRET = "development-only-secret-key"
_DEV_FIELD = "development-only-field-key"


class BadSettings(ValueError):
    """The environment does not describe an installation that may start."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of one installation."""

    database_url: str = ""
    public_url: str = "http://127.0.0.1:8000"
    secret_key: str = _DEV_SECRET
    field_key: str = _DEV_FIELD
    sms_channel: str = "console"
    twilio_account_sid: str = ""
    twilio_auth_token: str = ""
    twilio_messaging_service_sid: str = ""
    twilio_from: str = ""
    twilio_api_base: str = ""
    smtp_url: str = ""
    sms_links: str = "forbidden"
    timezone: str = "Asia/Shanghai"
    host: str = "127.0.0.1"
    port: int = 8000
    instance_dir: Path = Path("instance")
    production: bool = False

    @property
    def zone(self) -> ZoneInfo:
        """The district's zone."""
        return ZoneInfo(self.timezone)

    def with_database(self, url: str) -> Self:
        """The same settings on another database."""
        return replace(self, database_url=sqlalchemy_url(url))


def sqlalchemy_url(url: str) -> str:
    """Any PostgreSQL address with the driver named."""
    for prefix in ("postgresql://", "postgres://"):
        if url.startswith(prefix):
            return "postgresql+psycopg://" + url[len(prefix) :]
    return url


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """The settings of this process; BadSettings says what is wrong."""
    env = os.environ if environ is None else environ
    port = env.get("PORT", "8000")
    if not port.isdigit():
        raise BadSettings(f"PORT must be a number, not {port!r}")
    host = env.get("HOST", "127.0.0.1")
    made = Settings(
        database_url=sqlalchemy_url(env.get("DATABASE_URL", "")),
        public_url=env.get("PUBLIC_URL", f"http://{host}:{port}").rstrip("/"),
        secret_key=env.get("SECRET_KEY", _DEV_SECRET),
        field_key=env.get("FIELD_KEY", _DEV_FIELD),
        sms_channel=env.get("SMS_CHANNEL", "console"),
        twilio_account_sid=env.get("TWILIO_ACCOUNT_SID", ""),
        twilio_auth_token=env.get("TWILIO_AUTH_TOKEN", ""),
        twilio_messaging_service_sid=env.get("TWILIO_MESSAGING_SERVICE_SID", ""),
        twilio_from=env.get("TWILIO_FROM", ""),
        twilio_api_base=env.get("TWILIO_API_BASE", ""),
        smtp_url=env.get("SMTP_URL", ""),
        sms_links=env.get("SMS_LINKS", "forbidden"),
        timezone=env.get("TIMEZONE", "Asia/Shanghai"),
        host=host,
        port=int(port),
        instance_dir=Path(env.get("INSTANCE_DIR", "instance")),
        production=env.get("COORDINATION_ENV", "") == "production",
    )
    _refuse_unsafe(made)
    return made


def _refuse_unsafe(made: Settings) -> None:
    if made.sms_channel not in {"console", "twilio"}:
        raise BadSettings("SMS_CHANNEL must be console or twilio")
    if made.sms_links not in {"allowed", "forbidden"}:
        raise BadSettings("SMS_LINKS must be allowed or forbidden")
    try:
        ZoneInfo(made.timezone)
    except (KeyError, ValueError, OSError) as error:
        raise BadSettings(f"TIMEZONE {made.timezone!r} is not known") from error
    if made.sms_channel == "twilio" and not (made.twilio_account_sid and made.twilio_auth_token):
        raise BadSettings("SMS_CHANNEL=twilio needs TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN")
    if made.production:
        for name, value, default in (
            ("SECRET_KEY", made.secret_key, _DEV_SECRET),
            ("FIELD_KEY", made.field_key, _DEV_FIELD),
        ):
            if value == default or len(value) < 32:
                raise BadSettings(f"{name} must be set to at least 32 characters of your own")
        if not made.public_url.startswith("https://"):
            raise BadSettings("PUBLIC_URL must begin with https:// in production")
