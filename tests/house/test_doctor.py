"""What the doctor says of who carries texts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from coordination import doctor
from coordination.settings import Settings

TWILIO = Settings(
    sms_channel="twilio",
    twilio_account_sid="AC",
    twilio_auth_token="t",
    twilio_from="+15005550006",
)


def _found(settings: Settings) -> dict[str, doctor.Finding]:
    return {finding.name: finding for finding in doctor._sending(settings)}


def test_one_provider_alone_is_told_what_a_second_would_be_for() -> None:
    second = _found(TWILIO)["Second provider"]
    assert second.optional and "SMS_FALLBACK" in second.remedy
    assert "Second provider" not in _found(Settings())


def test_an_account_that_is_set_but_not_used_is_named(tmp_path: Path) -> None:
    ready = replace(
        TWILIO,
        aliyun_access_key_id="a",
        aliyun_access_key_secret="b",
        aliyun_sign_name="c",
        aliyun_templates=str(tmp_path / "t.toml"),
    )
    assert "SMS_FALLBACK=aliyun" in _found(ready)["Second provider"].remedy
    both = _found(replace(ready, sms_fallback="aliyun"))
    assert both["Second provider"].remedy == ""
    assert both["Templates"].remedy.endswith("Correct the file of ALIYUN_TEMPLATES.")


@pytest.mark.parametrize("place", ["sms_channel", "sms_fallback"])
def test_a_missing_template_fails_the_first_provider_and_only_warns_of_the_second(
    tmp_path: Path, place: str
) -> None:
    table = tmp_path / "t.toml"
    table.write_text("", encoding="utf-8")
    made = replace(TWILIO, aliyun_templates=str(table), **{place: "aliyun"})
    template = _found(made)["Template notice zh"]
    assert template.remedy
    assert template.optional is (place == "sms_fallback")
