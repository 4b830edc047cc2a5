"""What a notice may say, without a database."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

import pytest

from coordination.domain.communication.notices import rules
from coordination.domain.communication.texts.quiet import refuse_poor_gathering
from coordination.ground.errors import Invalid, TooMany
from coordination.ground.text import Text
from coordination.reactions.notices import Route, render

GOOD = {
    "title_zh": "家长会",
    "title_en": "Parents' meeting",
    "body_zh": "周五晚七点。",
    "body_en": "Friday, 7 pm.",
}
NOW = datetime(2026, 11, 24, 1, 0, tzinfo=UTC)


def refusal_of(**changed: str) -> set[str]:
    with pytest.raises(Invalid) as refusal:
        rules.refuse_poor_text(**{**GOOD, **changed}, links_allowed=False)
    return set(refusal.value.fields)


def test_a_good_text_passes() -> None:
    rules.refuse_poor_text(**GOOD, links_allowed=False)


def test_rare_characters_and_emoji_pass() -> None:
    rules.refuse_poor_text(**{**GOOD, "body_zh": "𠮷垚珺同学·加油🎉"}, links_allowed=False)


@pytest.mark.parametrize("name", list(GOOD))
def test_each_missing_text_is_named(name: str) -> None:
    assert refusal_of(**{name: "  "}) == {name}


@pytest.mark.parametrize("word", ["缴费", "转账", "验证码"])
def test_talk_of_money_and_codes_is_refused(word: str) -> None:
    assert refusal_of(body_zh=f"请{word}") == {"body_zh"}


def test_a_title_that_is_too_long_is_refused_with_the_surplus() -> None:
    with pytest.raises(Invalid) as refusal:
        rules.refuse_poor_text(
            **{**GOOD, "title_zh": "长" * (rules.LONGEST_TITLE + 3)}, links_allowed=False
        )
    assert "3" in refusal.value.fields["title_zh"].zh


def test_links_stay_out_of_the_title_where_the_route_forbids_them() -> None:
    assert refusal_of(title_en="See https://example.org") == {"title_en"}
    rules.refuse_poor_text(**{**GOOD, "title_en": "See https://example.org"}, links_allowed=True)
    rules.refuse_poor_text(**{**GOOD, "body_en": "See https://example.org"}, links_allowed=False)


def test_a_nudge_waits_an_hour() -> None:
    rules.refuse_impatience(None, NOW)
    rules.refuse_impatience(NOW - timedelta(hours=1), NOW)
    with pytest.raises(TooMany):
        rules.refuse_impatience(NOW - timedelta(minutes=59), NOW)


@pytest.mark.parametrize("key", ["notice", "notice_nudge"])
@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_message_names_sender_and_way_in(key: str, language: str) -> None:
    body = render(
        key,
        language,
        {"sender": Text("光明小学", "Guangming"), "children": "王*雨", "title": Text("会", "Talk")},
        "7K3QX9MD2F",
    )
    assert Text("光明小学", "Guangming").in_(language) in body
    assert "7K3QX-9MD2F" in body


def test_a_link_stands_in_the_message_where_links_are_allowed() -> None:
    assert Route("https://d.example", True).opening("7K3QX9MD2F", "zh") == (
        "https://d.example/a/7K3QX9MD2F"
    )
    assert Route("https://d.example", False).opening("7K3QX9MD2F", "en") == (
        "Open d.example and enter 7K3QX-9MD2F"
    )


def _evening(begin: time | None, end: time | None, quiet: tuple[time, time]) -> set[str]:
    try:
        refuse_poor_gathering(
            gather_from=begin, gather_at=end, quiet_from=quiet[0], quiet_until=quiet[1]
        )
    except Invalid as refusal:
        return set(refusal.fields)
    return set()


NIGHT, NONE = (time(21), time(7, 30)), (time(0), time(0))


@pytest.mark.parametrize(
    ("begin", "end", "quiet", "refused"),
    [
        (None, None, NIGHT, set()),
        (time(16, 30), time(19, 30), NIGHT, set()),
        (time(16, 30), None, NIGHT, {"gather_at"}),
        (None, time(19, 30), NIGHT, {"gather_from"}),
        # midnight is a time, not nothing
        (time(0), None, NIGHT, {"gather_at"}),
        (time(19, 30), time(16, 30), NIGHT, {"gather_at"}),
        (time(19, 30), time(19, 30), NIGHT, {"gather_at"}),
        (time(16, 30), time(21), NIGHT, {"gather_at"}),
        (time(16, 30), time(20, 59), NIGHT, set()),
        (time(6), time(7), NIGHT, {"gather_at"}),
        (time(6), time(7, 30), NIGHT, set()),
        (time(11), time(13), (time(12), time(14)), {"gather_at"}),
        (time(11), time(14), (time(12), time(14)), set()),
        (time(16, 30), time(23), NONE, set()),
    ],
)
def test_an_evening_ends_after_it_begins_and_when_texts_may_leave(
    begin: time | None, end: time | None, quiet: tuple[time, time], refused: set[str]
) -> None:
    assert _evening(begin, end, quiet) == refused
