"""What the doctor says of who carries texts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from coordination import doctor
from coordination.reactions import lint
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


def test_an_account_that_is_set_but_not_used_is_named() -> None:
    ready = replace(
        TWILIO,
        aliyun_access_key_id="a",
        aliyun_access_key_secret="b",
        aliyun_sign_name="c",
    )
    assert "SMS_FALLBACK=aliyun" in _found(ready)["Second provider"].remedy
    assert _found(replace(ready, sms_fallback="aliyun"))["Second provider"].remedy == ""


@pytest.mark.parametrize("place", ["sms_channel", "sms_fallback"])
def test_a_missing_template_fails_the_first_provider_and_only_warns_of_the_second(
    pg_url: str, place: str
) -> None:
    made = replace(TWILIO, database_url=pg_url, **{place: "aliyun"})
    template = _found(made)["Template notice zh"]
    assert "/admin/wordings" in template.remedy and "${title}" in template.remedy
    assert template.optional is (place == "sms_fallback")


def test_approvals_that_cannot_be_looked_up_are_said_to_be_so() -> None:
    away = "postgresql+psycopg://nobody@127.0.0.1:1/none"
    made = replace(TWILIO, sms_channel="aliyun", database_url=away)
    assert _found(made)["Templates"].remedy
    assert "embedded" in _found(replace(made, database_url=""))["Templates"].found


def test_each_fault_of_a_wording_is_found_with_its_file_line_and_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert _found(Settings())["Wordings"].remedy == ""
    fault = lint.Fault("notice/sms.zh.txt", 1, "has no signature", "Begin with who writes.")
    monkeypatch.setattr(lint, "faults", lambda: [fault])
    found = _found(Settings())["Wording notice/sms.zh.txt:1"]
    assert (found.found, found.remedy) == ("has no signature", "Begin with who writes.")
