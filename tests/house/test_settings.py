"""An installation refuses to start when its settings are unsafe, and says what to do."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from coordination.settings import BadSettings, Settings, development_keys, load

GOOD = {
    "COORDINATION_MODE": "production",
    "SECRET_KEY": "s" * 40,
    "FIELD_KEY": "f" * 40,
    "PUBLIC_URL": "https://school.example.cn",
}
ALIYUN = {
    "SMS_CHANNEL": "aliyun",
    "ALIYUN_ACCESS_KEY_ID": "a",
    "ALIYUN_ACCESS_KEY_SECRET": "b",
    "ALIYUN_SIGN_NAME": "光明区教育",
}
TWILIO = {
    "SMS_CHANNEL": "twilio",
    "TWILIO_ACCOUNT_SID": "a",
    "TWILIO_AUTH_TOKEN": "b",
    "TWILIO_FROM": "+15005550006",
}


def test_a_second_provider_is_taken_when_it_has_what_it_needs() -> None:
    made = load({**GOOD, **ALIYUN, **TWILIO, "SMS_FALLBACK": "aliyun", "SMS_FALLBACK_RATE": "5"})
    assert (made.sms_channel, made.sms_fallback) == ("twilio", "aliyun")
    assert (made.sms_fallback_rate, made.sms_fallback_after) == (5.0, 5.0)


def test_nobody_is_called_in_production_until_it_is_set_and_the_simulator_is_otherwise() -> None:
    assert load(GOOD).voice_channel == ""
    assert load({}).voice_channel == "console"
    made = load({**GOOD, **TWILIO, "VOICE_CHANNEL": "twilio", "TWILIO_VOICE_FROM": "+861012345678"})
    assert (made.voice_channel, made.caller, made.voice_rate) == ("twilio", "+861012345678", 1.0)
    assert load({**GOOD, **TWILIO, "VOICE_CHANNEL": "twilio"}).caller == TWILIO["TWILIO_FROM"]


def test_production_starts_with_keys_of_its_own() -> None:
    assert load(GOOD).production


@pytest.mark.parametrize(
    ("change", "named", "remedy"),
    [
        ({"SECRET_KEY": ""}, "SECRET_KEY", "openssl rand"),
        ({"SECRET_KEY": "short"}, "SECRET_KEY", "openssl rand"),
        ({"SECRET_KEY": Settings().secret_key}, "SECRET_KEY", "openssl rand"),
        ({"FIELD_KEY": ""}, "FIELD_KEY", "openssl rand"),
        ({"FIELD_KEY": "x" * 31}, "FIELD_KEY", "openssl rand"),
        ({"FIELD_KEY": "s" * 40}, "FIELD_KEY", "second"),
        ({"PUBLIC_URL": "http://school.example.cn"}, "PUBLIC_URL", "https://"),
        ({"PUBLIC_URL": "school.example.cn"}, "PUBLIC_URL", "https://"),
        ({"COORDINATION_MODE": "prod"}, "COORDINATION_MODE", "production"),
        ({"SMS_CHANNEL": "pigeon"}, "SMS_CHANNEL", "twilio"),
        ({"SMS_CHANNEL": "twilio"}, "SMS_CHANNEL", "TWILIO_ACCOUNT_SID"),
        (
            {"SMS_CHANNEL": "twilio", "TWILIO_ACCOUNT_SID": "a", "TWILIO_AUTH_TOKEN": "b"},
            "SMS_CHANNEL",
            "TWILIO_FROM",
        ),
        ({"SMS_CHANNEL": "aliyun"}, "SMS_CHANNEL", "ALIYUN_ACCESS_KEY_ID"),
        ({**ALIYUN, "ALIYUN_SIGN_NAME": ""}, "SMS_CHANNEL", "ALIYUN_SIGN_NAME"),
        ({**ALIYUN, "ALIYUN_ENDPOINT": "gateway"}, "ALIYUN_ENDPOINT", "https://"),
        ({**ALIYUN, "ALIYUN_ENDPOINT": "http://gateway"}, "ALIYUN_ENDPOINT", "encrypted"),
        ({**ALIYUN, "SMS_FALLBACK": "aliyun"}, "SMS_FALLBACK", "another"),
        ({**ALIYUN, "SMS_FALLBACK": "pigeon"}, "SMS_FALLBACK", "twilio"),
        ({**ALIYUN, "SMS_FALLBACK": "twilio"}, "SMS_FALLBACK", "TWILIO_ACCOUNT_SID"),
        ({**ALIYUN, "SMS_FALLBACK": "console"}, "SMS_FALLBACK", "real provider"),
        ({**TWILIO, "SMS_FALLBACK": "aliyun"}, "SMS_FALLBACK", "ALIYUN_ACCESS_KEY_ID"),
        ({"VOICE_CHANNEL": "pigeon"}, "VOICE_CHANNEL", "twilio"),
        ({**ALIYUN, "VOICE_CHANNEL": "twilio"}, "VOICE_CHANNEL", "TWILIO_VOICE_FROM"),
        ({**ALIYUN, "VOICE_CHANNEL": "console"}, "VOICE_CHANNEL", "VOICE_CHANNEL=twilio"),
        ({"VOICE_RATE": "often"}, "VOICE_RATE", "leave it out for 1"),
        ({"SMS_RATE": "-1"}, "SMS_RATE", "above 0"),
        ({"SMS_FALLBACK_RATE": "fast"}, "SMS_FALLBACK_RATE", "above 0"),
        ({"SMS_FALLBACK_AFTER": "0"}, "SMS_FALLBACK_AFTER", "above 0"),
        ({"SMS_FALLBACK_AFTER": "nan"}, "SMS_FALLBACK_AFTER", "above 0"),
        ({"SMS_LINKS": "yes"}, "SMS_LINKS", "allowed"),
        ({"TIMEZONE": "Mars/North"}, "TIMEZONE", "Asia/Shanghai"),
        ({"TIMEZONE": "../etc/passwd"}, "TIMEZONE", "Asia/Shanghai"),
        ({"PORT": "http"}, "PORT", "65535"),
        ({"PORT": "70000"}, "PORT", "65535"),
        ({"DATABASE_URL": "sqlite:///x.db"}, "DATABASE_URL", "postgresql://"),
        ({"SMTP_URL": "mail.example.cn"}, "SMTP_URL", "smtp://"),
    ],
)
def test_a_refusal_names_the_setting_and_the_remedy(
    change: dict[str, str], named: str, remedy: str
) -> None:
    with pytest.raises(BadSettings) as refused:
        load({**GOOD, **change})
    assert str(refused.value).startswith(named)
    assert remedy in str(refused.value)


def test_settings_keep_their_secrets_out_of_tracebacks() -> None:
    shown = repr(load({**GOOD, "DATABASE_URL": "postgresql://u:hidden@db/x"}))
    assert "ssss" not in shown
    assert "ffff" not in shown
    assert "hidden" not in shown


def test_development_keys_are_made_once_and_kept_from_others(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        made = {pool.submit(development_keys, tmp_path / "i").result() for _ in range(3)}
    assert len(made) == 1
    secret, field = made.pop()
    assert len(secret) == len(field) == 64
    assert secret != field
    assert stat.S_IMODE((tmp_path / "i" / "keys").stat().st_mode) == 0o600
    assert [p.name for p in (tmp_path / "i").iterdir()] == ["keys"]


def test_a_damaged_key_file_is_not_replaced_silently(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("SECRET_KEY=abc\n")
    with pytest.raises(BadSettings, match="FIELD_KEY"):
        development_keys(tmp_path)
