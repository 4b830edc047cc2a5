"""What becomes of a value that does not fit its place: cut and shown, or refused, never sent broken."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordination.ground.text import Text
from coordination.reactions import notices
from coordination.reactions.variables import (
    GATEWAY_LONGEST,
    LINK,
    SAMPLES,
    TYPES,
    declared,
    fit,
    for_gateway,
)
from notifications.errors import TemplateRefused

WORDS = [name for name, kind in TYPES.items() if kind.shape is None]
SHAPED = [name for name, kind in TYPES.items() if kind.shape is not None]


@pytest.mark.parametrize(
    ("kind", "language", "value", "becomes"),
    [
        ("title", "zh", "家长会", "家长会"),
        ("title", "zh", "通" * 41, "通" * 39 + "…"),
        ("title", "en", "a" * 81, "a" * 77 + "..."),
        ("title", "zh", "【急】家长会", "（急）家长会"),
        ("title", "zh", "见 www.x.cn/a?b=1 的通知", "见 … 的通知"),
        ("title", "zh", "见https://x.cn/a。谢谢", "见…。谢谢"),
        ("place", "en", "Gate 3, 2.5 km east", "Gate 3, 2.5 km east"),
        ("text", "zh", "第一行\n第二行\u202e", "第一行 第二行"),
        ("names", "zh", "、".join(["王*雨"] * 20), "、".join(["王*雨"] * 10) + "等"),
        ("names", "en", ", ".join(["W** Yu"] * 20), ", ".join(["W** Yu"] * 9) + " and more"),
        ("names", "zh", "王" * 50, "王" * 39 + "…"),
        ("time", "zh", "12月5日（周六）09:00", "12月5日（周六）09:00"),
        ("number", "zh", "42", "42"),
        ("code", "en", "7K3QX-9MD2F", "7K3QX-9MD2F"),
    ],
)
def test_a_value_becomes_what_its_type_says(
    kind: str, language: str, value: str, becomes: str
) -> None:
    assert fit(TYPES[kind], value, language, links_allowed=False) == becomes


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        *(("number", value) for value in ("", "-1", "1.5", "None", "many", "1234567", "四")),
        *(("time", value) for value in ("", "soon", "9" * 36)),
        *(("code", value) for value in ("", "abc", "77", "1" * 13, "482 913", "<b>1")),
    ],
)
def test_what_is_no_number_time_or_code_is_refused_and_not_repeated(kind: str, value: str) -> None:
    with pytest.raises(TemplateRefused) as refused:
        fit(TYPES[kind], value, "zh", links_allowed=False)
    assert not value or value not in str(refused.value)


def test_a_link_stays_where_the_route_allows_it() -> None:
    assert fit(TYPES["text"], "见 x.cn/a", "zh", links_allowed=True) == "见 x.cn/a"


@given(st.sampled_from(WORDS), st.sampled_from(["zh", "en"]), st.text(max_size=300))
def test_words_always_fit(kind: str, language: str, value: str) -> None:
    made = fit(TYPES[kind], value, language, links_allowed=False)
    assert len(made) <= TYPES[kind].longest(language)
    assert not set(made) & set("【】\n\r") and not LINK.search(made)
    assert fit(TYPES[kind], made, language, links_allowed=False) == made
    given_ = for_gateway(TYPES[kind], made, language)
    assert len(given_) <= GATEWAY_LONGEST


@pytest.mark.parametrize("name", sorted(SAMPLES))
@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_sample_is_a_value_of_its_type(name: str, language: str) -> None:
    kinds = {places[name] for places in declared().values() if name in places}
    sample = SAMPLES[name].in_(language)
    for kind in kinds:
        assert fit(TYPES[kind], sample, language, links_allowed=False) == sample
        assert kind not in SHAPED or len(sample) <= GATEWAY_LONGEST


def test_a_message_is_written_with_values_that_fit_and_a_gateway_gets_shorter_ones() -> None:
    params = {"sender": "光明小学", "children": "王*雨", "title": Text("通" * 50, "n" * 90)}
    body = notices.render("notice", "zh", params, "7K3QX9MD2F")
    assert "通" * 39 + "…。" in body
    values = notices.values_of("notice", "zh", notices.fitted("notice", "zh", params), "7K3QX9MD2F")
    assert values["title"] == "通" * (GATEWAY_LONGEST - 1) + "…"
    assert values["code"] == "7K3QX-9MD2F" and set(values) == {
        "sender",
        "children",
        "title",
        "code",
    }


def test_a_message_with_a_value_that_is_none_is_refused_whole() -> None:
    params = {"activity": "茶园", "when": "9:00", "people": "None"}
    with pytest.raises(TemplateRefused):
        notices.render("session_reminder_staff", "zh", params, None)
