"""Every wording of a text message, in both languages, is fit for a phone and for a gateway."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from coordination.blueprints.admin.routes import KINDS
from coordination.domain.communication import rules
from coordination.ground.text import LANGUAGES
from coordination.reactions import approvals, invitations
from coordination.reactions.notices import Route, wording
from notifications.segments import segments
from notifications.templates import placeholders, render

KEYS = sorted(approvals.keys())
ROUTE = Route("https://jxs.example.cn", links_allowed=False)
# what these places usually hold; a place that is missing here fails the test
TYPICAL = {
    "zh": {
        "activity": "茶园采摘实践",
        "adults": "3",
        "back": "16:30",
        "bring": "水杯、帽子、雨衣",
        "calendar": "茶园预约表",
        "children": "王*雨",
        "class": "三年级2班",
        "count": "3",
        "code": "482913",
        "due": "12月3日20:00",
        "meet": "学校东门",
        "needs": "过敏1人",
        "open": ROUTE.opening("7K3QX9MD2F", "zh"),
        "people": "42",
        "reason": "暴雨预警",
        "resource": "社区茶园",
        "role": "安全员",
        "school": "光明小学",
        "sender": "光明小学三年级2班",
        "since": "11月26日8:00",
        "title": "周五家长会改到下午三点",
        "when": "12月5日（周六）9:00",
    },
    "en": {
        "activity": "Tea picking",
        "adults": "3",
        "back": "4:30 pm",
        "bring": "water, hat, raincoat",
        "calendar": "Tea garden bookings",
        "children": "W** Yu",
        "class": "Year 3 Class 2",
        "count": "3",
        "code": "482913",
        "due": "3 Dec, 8 pm",
        "meet": "the east gate",
        "needs": "1 allergy",
        "open": ROUTE.opening("7K3QX9MD2F", "en"),
        "people": "42",
        "reason": "storm warning",
        "resource": "Tea garden",
        "role": "safety",
        "school": "Guangming School",
        "sender": "Guangming School, Year 3 Class 2",
        "since": "26 Nov, 8 am",
        "title": "Parents' meeting moves to 3 pm",
        "when": "Sat 5 Dec, 9 am",
    },
}
both = pytest.mark.parametrize("language", ["zh", "en"])
each = pytest.mark.parametrize("key", KEYS)


@each
def test_both_languages_name_the_same_places(key: str) -> None:
    assert placeholders(wording(key, "zh")) == placeholders(wording(key, "en"))


@each
@both
def test_no_wording_holds_a_link(key: str, language: str) -> None:
    assert not rules.LINK.search(wording(key, language))


@each
@both
def test_no_two_places_touch(key: str, language: str) -> None:
    # a gateway cannot tell where one value ends and the next begins
    assert "}${" not in approvals.to_submit(key, language, "x")


@each
@both
def test_a_usual_message_has_at_most_two_segments(key: str, language: str) -> None:
    text = wording(key, language)
    values = {name: TYPICAL[language][name] for name in placeholders(text)}
    assert segments(render(text, values, placeholders(text))).count <= 2


@each
@both
def test_the_table_of_templates_names_exactly_the_values_of_the_wording(
    key: str, language: str
) -> None:
    [found] = [t for t in approvals.read() if (t.key, t.language) == (key, language)]
    assert found.values == approvals.needed(key, language)
    assert not found.usable


@both
def test_what_is_handed_in_has_neither_signature_nor_link(language: str) -> None:
    text = approvals.to_submit("notice", language, "jxs.example.cn")
    assert text.startswith("${sender}") and "${code}" in text and "{open}" not in text
    assert not re.search(r"[【\[]", text)


@pytest.mark.parametrize(
    "table",
    [
        "notice = 1",
        "[notice]\nzh = 3",
        '[notice]\nzh = { id = 3, state = "approved" }',
        '[notice]\nzh = { id = "x", state = "perhaps" }',
        '[notice]\nvalues = ["phone"]',
        "[notice",
    ],
)
def test_a_table_that_cannot_be_used_is_refused(tmp_path: Path, table: str) -> None:
    path = tmp_path / "templates.toml"
    path.write_text(table, encoding="utf-8")
    with pytest.raises(approvals.BadTable):
        approvals.read(path)


@pytest.mark.parametrize("key", [*KEYS, *invitations.KEYS])
def test_every_message_has_a_name_on_the_page_of_messages(key: str) -> None:
    assert key in KINDS


@pytest.mark.parametrize("key", invitations.KEYS)
def test_a_mail_says_the_same_in_both_languages(key: str) -> None:
    zh, en = (invitations.wording(key, lang) for lang in LANGUAGES)
    assert placeholders(zh) == placeholders(en)
    for said in (zh, en):
        subject, _, text = said.partition("\n")
        assert placeholders(subject)
        assert text.strip()
