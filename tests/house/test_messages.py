"""Every wording of a text message, in both languages, is fit for a phone and for a gateway."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from coordination.blueprints.admin.routes import KINDS
from coordination.ground.text import LANGUAGES
from coordination.reactions import by_mail, catalogue, invitations, lint
from coordination.reactions.notices import wording
from notifications.templates import placeholders

KEYS = catalogue.messages()
both = pytest.mark.parametrize("language", ["zh", "en"])
GOOD = {
    "variables.toml": '[notice]\nsender = "name"\ntitle = "title"\ncode = "code"\n',
    "notice/sms.zh.txt": "【{sender}】{title}。{open}",
    "notice/sms.en.txt": "[{sender}] {title}. {open}",
}


def faults_of(folder: Path, **changes: str | None) -> list[lint.Fault]:
    """Of a folder with one good message in it, after some changes."""
    for name, text in (GOOD | changes).items():
        (folder / name).parent.mkdir(exist_ok=True)
        if text is not None:
            (folder / name).write_text(text, encoding="utf-8")
    return lint.faults(folder)


def test_every_wording_is_fit_for_a_phone_and_for_a_gateway() -> None:
    assert lint.faults() == []


def test_a_good_wording_has_no_fault(tmp_path: Path) -> None:
    assert faults_of(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("notice/sms.zh.txt", "【{sender}】{title}{open}", "nothing between"),
        ("notice/sms.zh.txt", "【{sender}】{title} {open}", "nothing between"),
        ("notice/sms.zh.txt", "【{sender}】{title}。", "does not name code"),
        ("notice/sms.zh.txt", "【{sender}】{title}，{bring}。{open}", "names {bring}"),
        ("notice/sms.zh.txt", "【{sender}】{title}。{open", "brace"),
        ("notice/sms.zh.txt", "【{sender}】{title}。见 www.x.cn/a。{open}", "link www.x.cn/a"),
        ("notice/sms.zh.txt", "【{sender}】{title}，请缴费。{open}", "says 缴费"),
        ("notice/sms.zh.txt", "【{sender}】{title}，中奖了。{open}", "says 中奖"),
        ("notice/sms.zh.txt", "{sender}：{title}。{open}", "no signature"),
        ("notice/sms.zh.txt", "【校】{sender}：{title}。{open}", "no signature"),
        ("notice/sms.zh.txt", "【{sender}】{title}【急】。{open}", "marks of a signature"),
        ("notice/sms.en.txt", "[{sender}] {title} [urgent]. {open}", "marks of a signature"),
        ("notice/sms.zh.txt", "【{sender}】★{title}。{open}", "holds ★"),
        ("notice/sms.zh.txt", "【{sender}】{title}\n{open}", "several lines"),
        ("notice/sms.zh.txt", "", "several lines, or none"),
        ("notice/sms.zh.txt", None, "is missing"),
        ("notice/sms.zh.txt", "【{sender}】{title}。" + "请准时" * 40 + "{open}", "segments"),
        ("notice/sms.zh.txt", "【{sender}】{title}。" + "请准时" * 170 + "{open}", "characters"),
        ("notice/sms.en.txt", "[{sender}] {title}. Enter it.", "other places than the Chinese"),
        ("variables.toml", '[notice]\nsender = "name"\ntitle = "poem"\ncode = "code"', "'poem'"),
        (
            "variables.toml",
            '[notice]\nsender = "name"\ntitle = "title"\ncode = "code"\nx = "text"',
            "no sample",
        ),
        ("variables.toml", "", "does not know notice"),
        ("variables.toml", "[notice", "cannot be read"),
        ("variables.toml", GOOD["variables.toml"] + "[gone]", "no message"),
    ],
)
def test_a_poor_wording_is_found_with_file_line_and_remedy(
    tmp_path: Path, name: str, text: str | None, found: str
) -> None:
    matching = [f for f in faults_of(tmp_path, **{name: text}) if found in f.found]
    assert matching, lint.faults(tmp_path)
    assert matching[0].file == name and matching[0].line >= 1 and matching[0].remedy


def test_a_code_is_called_by_a_name_that_gateways_know(tmp_path: Path) -> None:
    code = {"variables.toml": '[sign_in_code]\ncode = "code"\n'}
    code["sign_in_code/sms.en.txt"] = "[School] Your sign-in code is {code}."
    (tmp_path / "sign_in_code").mkdir()
    for said, faults in (("【学校】验证码 {code}。", 0), ("【学校】登录码 {code}。", 1)):
        for name, text in {**code, "sign_in_code/sms.zh.txt": said}.items():
            (tmp_path / name).write_text(text, encoding="utf-8")
        assert len(lint.faults(tmp_path)) == faults


@both
def test_what_is_handed_in_has_neither_signature_nor_link(language: str) -> None:
    text = catalogue.to_submit(wording("notice", language), language, "jxs.example.cn")
    assert text.startswith("${sender}") and "${code}" in text and "{open}" not in text
    assert not re.search(r"[【\[]", text)


@both
def test_a_version_names_exactly_what_is_handed_in(language: str) -> None:
    here = catalogue.version_of("notice", language, "jxs.example.cn")
    assert here == catalogue.version_of(
        "notice", language, catalogue.site_of("https://jxs.example.cn/")
    )
    # the address stands in the fixed part of the text
    assert here != catalogue.version_of("notice", language, "other.example.cn")
    assert len({catalogue.version_of(key, language, "x.cn") for key in KEYS}) == len(KEYS)


@pytest.mark.parametrize("key", [*KEYS, *invitations.KEYS, *by_mail.KEYS])
def test_every_message_has_a_name_on_the_page_of_messages(key: str) -> None:
    assert key in KINDS


@pytest.mark.parametrize("key", [*invitations.KEYS, *by_mail.KEYS])
def test_a_mail_says_the_same_in_both_languages(key: str) -> None:
    zh, en = (invitations.wording(key, lang) for lang in LANGUAGES)
    assert placeholders(zh) == placeholders(en)
    for said in (zh, en):
        subject, _, text = said.partition("\n")
        assert placeholders(subject) or key in by_mail.KEYS
        assert text.strip()
