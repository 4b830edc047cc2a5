"""Settings by environment, read once and frozen. Must not know what they are used for.

Without a DATABASE_URL the caller starts the embedded database and passes its address. In
production (`COORDINATION_MODE=production`) a default or short key refuses to start; in development
the keys are made once and kept in `INSTANCE_DIR/keys`.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

_DEV_SECRET = "development-only-secret-key"  # noqa: S105 - not a secret: production refuses it
_DEV_FIELD = "development-only-field-key"
_MODES = ("development", "production")
PROVIDERS = ("console", "twilio", "aliyun")
CALLERS = ("console", "twilio")
_MIN_KEY = 32
# threads of one web process, and connections that it keeps for them: a connection over the pool's size
# is opened and closed for every poll of a calendar, which costs more than the poll
WEB_THREADS = 4


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
    aliyun_access_key_id: str = ""
    aliyun_access_key_secret: str = ""
    aliyun_sign_name: str = ""
    aliyun_endpoint: str = "https://dysmsapi.aliyuncs.com"
    # texts a second that the sender may write, all workers together; 0: as fast as it goes
    sms_rate: float = 0.0
    # who carries texts that the first provider certainly did not take; empty: nobody
    sms_fallback: str = ""
    sms_fallback_rate: float = 0.0
    # minutes that a text may be late while the first provider has its hands full
    sms_fallback_after: float = 5.0
    # who phones families that a text does not reach; empty: nobody
    voice_channel: str = ""
    twilio_voice_from: str = ""
    # calls a second that may be started: Twilio lets an account start one, if nothing else was agreed
    voice_rate: float = 1.0
    smtp_url: str = ""
    sms_links: str = "forbidden"
    timezone: str = "Asia/Shanghai"
    host: str = "127.0.0.1"
    port: int = 8000
    instance_dir: Path = Path("instance")
    production: bool = False

    def __repr__(self) -> str:
        # a settings object ends up in tracebacks and logs; keys and passwords must not
        mode = "production" if self.production else "development"
        return f"Settings({mode}, {self.public_url}, sms={self.sms_channel})"

    @property
    def zone(self) -> ZoneInfo:
        """The district's zone."""
        return ZoneInfo(self.timezone)

    @property
    def simulated(self) -> bool:
        """Whether texts go to the phone simulator, or may."""
        return "console" in (self.sms_channel, self.sms_fallback)

    @property
    def caller(self) -> str:
        """The number that families see when the phone rings."""
        return self.twilio_voice_from or self.twilio_from

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
    """The settings of this process; BadSettings names the setting, the reason and the remedy.

    Only the process's own environment may make keys on disk: a mapping is read and nothing else.
    """
    env = os.environ if environ is None else environ
    mode = _one_of(env, "COORDINATION_MODE", "development", _MODES)
    instance_dir = Path(env.get("INSTANCE_DIR") or "instance")
    secret, field = env.get("SECRET_KEY", ""), env.get("FIELD_KEY", "")
    if environ is None and mode == "development" and not (secret and field):
        made_secret, made_field = development_keys(instance_dir)
        secret, field = secret or made_secret, field or made_field
    host, port = env.get("HOST") or "127.0.0.1", _port(env)
    made = Settings(
        database_url=sqlalchemy_url(env.get("DATABASE_URL", "")),
        public_url=(env.get("PUBLIC_URL") or _own_address(host, port)).rstrip("/"),
        secret_key=secret or _DEV_SECRET,
        field_key=field or _DEV_FIELD,
        sms_channel=_one_of(env, "SMS_CHANNEL", "console", PROVIDERS),
        twilio_account_sid=env.get("TWILIO_ACCOUNT_SID", ""),
        twilio_auth_token=env.get("TWILIO_AUTH_TOKEN", ""),
        twilio_messaging_service_sid=env.get("TWILIO_MESSAGING_SERVICE_SID", ""),
        twilio_from=env.get("TWILIO_FROM", ""),
        twilio_api_base=env.get("TWILIO_API_BASE", ""),
        aliyun_access_key_id=env.get("ALIYUN_ACCESS_KEY_ID", ""),
        aliyun_access_key_secret=env.get("ALIYUN_ACCESS_KEY_SECRET", ""),
        aliyun_sign_name=env.get("ALIYUN_SIGN_NAME", ""),
        aliyun_endpoint=env.get("ALIYUN_ENDPOINT") or "https://dysmsapi.aliyuncs.com",
        sms_rate=_rate(env, "SMS_RATE"),
        sms_fallback=_one_of(env, "SMS_FALLBACK", "", ("", *PROVIDERS)),
        sms_fallback_rate=_rate(env, "SMS_FALLBACK_RATE"),
        sms_fallback_after=_minutes(env, "SMS_FALLBACK_AFTER", 5.0),
        voice_channel=_one_of(
            env, "VOICE_CHANNEL", "console" if mode == "development" else "", ("", *CALLERS)
        ),
        twilio_voice_from=env.get("TWILIO_VOICE_FROM", ""),
        voice_rate=_rate(env, "VOICE_RATE", "1"),
        smtp_url=env.get("SMTP_URL", ""),
        sms_links=_one_of(env, "SMS_LINKS", "forbidden", ("allowed", "forbidden")),
        timezone=env.get("TIMEZONE") or "Asia/Shanghai",
        host=host,
        port=port,
        instance_dir=instance_dir,
        production=mode == "production",
    )
    _refuse_unusable(made)
    if made.production:
        _refuse_unsafe(made)
    return made


def _own_address(host: str, port: int) -> str:
    # 0.0.0.0 is where to listen, not where anybody can go
    shown = "127.0.0.1" if host in {"0.0.0.0", "::"} else host  # noqa: S104 - compared, not bound
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"


def development_keys(instance_dir: Path) -> tuple[str, str]:
    """SECRET_KEY and FIELD_KEY of this instance folder, made at the first start (mode 0600)."""
    path = instance_dir / "keys"
    if not path.exists():
        instance_dir.mkdir(parents=True, exist_ok=True)
        fresh = instance_dir / f"keys.{os.getpid()}"
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(f"SECRET_KEY={secrets.token_hex(32)}\nFIELD_KEY={secrets.token_hex(32)}\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            # a link, not a rename: of two first starts exactly one pair of keys may win
            os.link(fresh, path)
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    found = dict(
        line.split("=", 1) for line in path.read_text(encoding="ascii").splitlines() if "=" in line
    )
    try:
        return found["SECRET_KEY"], found["FIELD_KEY"]
    except KeyError as error:
        raise BadSettings(
            f"{path} has no {error.args[0]}: the file was damaged. Put it back from a backup; with"
            " new keys, phone numbers already stored cannot be read."
        ) from error


def _one_of(env: Mapping[str, str], name: str, default: str, allowed: tuple[str, ...]) -> str:
    value = env.get(name) or default
    if value not in allowed:
        raise BadSettings(
            f"{name}={value} is not known. Set {name} to one of: {', '.join(filter(None, allowed))}."
        )
    return value


def _port(env: Mapping[str, str]) -> int:
    value = env.get("PORT") or "8000"
    if not (value.isascii() and value.isdigit() and 0 < int(value) < 65536):
        raise BadSettings(f"PORT={value} is not a port. Set PORT to a number from 1 to 65535.")
    return int(value)


def _minutes(env: Mapping[str, str], name: str, default: float) -> float:
    value = env.get(name) or str(default)
    try:
        minutes = float(value)
    except ValueError:
        minutes = -1.0
    if not 0 < minutes <= 1440:
        raise BadSettings(
            f"{name}={value} is not a number of minutes. Set {name} to a number above 0 and up to"
            f" 1440, or leave it out for {default:g}."
        )
    return minutes


def _rate(env: Mapping[str, str], name: str, default: str = "0") -> float:
    value = env.get(name) or default
    try:
        rate = float(value)
    except ValueError:
        rate = -1.0
    if not 0 <= rate <= 100_000:
        raise BadSettings(
            f"{name}={value} is not a number a second. Set {name} to a number above 0,"
            f" or leave it out for {'no limit' if default == '0' else default}."
        )
    return rate


def _refuse_unusable(made: Settings) -> None:
    try:
        ZoneInfo(made.timezone)
    except (KeyError, ValueError, OSError) as error:
        raise BadSettings(
            f"TIMEZONE={made.timezone} is not a known zone. Set TIMEZONE to a name such as"
            " Asia/Shanghai."
        ) from error
    if made.database_url and not made.database_url.startswith("postgresql+psycopg://"):
        raise BadSettings(
            "DATABASE_URL is not a PostgreSQL address. Set it to"
            " postgresql://USER:PASSWORD@HOST/DATABASE, or unset it for the embedded database."
        )
    address = urlsplit(made.public_url)
    if address.scheme not in {"http", "https"} or not address.hostname:
        raise BadSettings(
            f"PUBLIC_URL={made.public_url} is not a web address. Set PUBLIC_URL to the address"
            " people type, such as https://school.example.cn."
        )
    if made.smtp_url and urlsplit(made.smtp_url).scheme not in {"smtp", "smtps"}:
        raise BadSettings(
            "SMTP_URL is not a mail server address. Set it to smtp://USER:PASSWORD@HOST:PORT"
            " (or smtps://), or unset it to send no e-mail."
        )
    if made.sms_fallback and made.sms_fallback == made.sms_channel:
        raise BadSettings(
            f"SMS_FALLBACK={made.sms_fallback} is the same as SMS_CHANNEL; it would fail with it."
            " Set SMS_FALLBACK to another provider, or leave it out."
        )
    for setting, provider in (
        ("SMS_CHANNEL", made.sms_channel),
        ("SMS_FALLBACK", made.sms_fallback),
    ):
        if lacks := _lacks(made, provider):
            raise BadSettings(f"{setting}={provider} cannot send without {lacks}")
        if provider == "aliyun":
            _refuse_poor_gateway(made)
    if made.voice_channel == "twilio" and not can_call(made):
        raise BadSettings(
            "VOICE_CHANNEL=twilio cannot call without an account and a number. Set"
            " TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN, and TWILIO_VOICE_FROM or TWILIO_FROM."
        )


def can_call(made: Settings) -> bool:
    """Whether all that Twilio needs to call is set, be it used or not."""
    return bool(made.twilio_account_sid and made.twilio_auth_token and made.caller)


def can_send_by(made: Settings, provider: str) -> bool:
    """Whether all that this provider needs is set, be it used or not."""
    return not _lacks(made, provider)


def _lacks(made: Settings, provider: str) -> str:
    """What a provider cannot send without and how to set it; empty if it has all."""
    if provider == "twilio":
        if not (made.twilio_account_sid and made.twilio_auth_token):
            return "an account. Set TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN."
        if not (made.twilio_messaging_service_sid or made.twilio_from):
            return "a sender. Set TWILIO_MESSAGING_SERVICE_SID or TWILIO_FROM."
    if provider == "aliyun":
        for name, value, what in (
            ("ALIYUN_ACCESS_KEY_ID", made.aliyun_access_key_id, "an account"),
            ("ALIYUN_ACCESS_KEY_SECRET", made.aliyun_access_key_secret, "the account's secret"),
            ("ALIYUN_SIGN_NAME", made.aliyun_sign_name, "an approved signature"),
        ):
            if not value:
                return f"{what}. Set {name}."
    return ""


def _refuse_poor_gateway(made: Settings) -> None:
    endpoint = urlsplit(made.aliyun_endpoint)
    if endpoint.scheme not in {"http", "https"} or not endpoint.hostname:
        raise BadSettings(
            f"ALIYUN_ENDPOINT={made.aliyun_endpoint} is not a web address. Set it to the gateway's"
            " address, or leave it out for https://dysmsapi.aliyuncs.com."
        )
    if made.production and endpoint.scheme != "https":
        raise BadSettings(
            f"ALIYUN_ENDPOINT={made.aliyun_endpoint} is not encrypted; phone numbers go there. Set"
            " an https:// address."
        )


def _refuse_unsafe(made: Settings) -> None:
    if made.sms_fallback == "console":
        raise BadSettings(
            "SMS_FALLBACK=console would put families' texts where nobody reads them and call them"
            " delivered. Set SMS_FALLBACK to a real provider, or leave it out."
        )
    if made.voice_channel == "console" and made.sms_channel != "console":
        raise BadSettings(
            "VOICE_CHANNEL=console would call nobody and say that families were called. Set"
            " VOICE_CHANNEL=twilio, or leave it out."
        )
    for name, value, default, use in (
        ("SECRET_KEY", made.secret_key, _DEV_SECRET, "signs sign-ins"),
        ("FIELD_KEY", made.field_key, _DEV_FIELD, "encrypts phone numbers"),
    ):
        reason = "is not set" if value == default else "is too short"
        if value == default or len(value) < _MIN_KEY:
            raise BadSettings(
                f"{name} {reason}; it {use}, so production does not start without {_MIN_KEY} or"
                f" more characters of your own. Make one with: openssl rand -hex 32"
            )
    if made.secret_key == made.field_key:
        raise BadSettings(
            "FIELD_KEY is the same as SECRET_KEY; one that leaks would open both. Make a second"
            " one with: openssl rand -hex 32"
        )
    if not made.public_url.startswith("https://"):
        raise BadSettings(
            f"PUBLIC_URL={made.public_url} is not encrypted; production carries children's data."
            " Set PUBLIC_URL to an https:// address."
        )
