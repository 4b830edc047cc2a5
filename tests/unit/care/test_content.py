"""What a card may say: three kinds of answers that are not the same, and every misfit named."""

from __future__ import annotations

import pytest

from coordination.domain.care.content import (
    CONSENT,
    LEFT_OPEN,
    NONE,
    OPEN,
    QUESTIONS,
    SOME,
    Answer,
    Card,
    Other,
    from_body,
    in_words,
    sound,
    to_body,
)
from coordination.ground.errors import Invalid

NOTHING = {name: Answer(NONE) for name in QUESTIONS}


def refused(card: Card, guardians: tuple[int, ...] = (1, 2)) -> set[str]:
    with pytest.raises(Invalid) as caught:
        sound(card, guardians)
    return set(caught.value.fields)


def with_(name: str, answer: Answer) -> Card:
    return Card({**NOTHING, name: answer})


def test_nothing_known_and_not_answered_are_different_words_and_signs() -> None:
    for name, question in QUESTIONS.items():
        assert in_words(name, Answer(NONE)) == question.none
        assert in_words(name, Answer(OPEN)) == LEFT_OPEN
        assert question.none != LEFT_OPEN
    assert Card(NOTHING).says_nothing_is_known
    partly = with_("diet", Answer(OPEN))
    assert not partly.says_nothing_is_known
    assert not partly.says_something


def test_an_answer_reads_as_kinds_and_words() -> None:
    said = in_words("allergies", Answer(SOME, ("food", "insect"), "花生，蜂蜇"))
    assert said.zh == "食物、昆虫叮咬：花生，蜂蜇"
    assert said.en == "Food, Insect stings: 花生，蜂蜇"
    assert in_words("diet", Answer(SOME, ("halal",))).zh == "清真"


@pytest.mark.parametrize(
    ("name", "answer", "field"),
    [
        ("allergies", Answer(SOME), "allergies_words"),
        ("allergies", Answer(SOME, ("other",)), "allergies_words"),
        ("allergies", Answer(SOME, ("fur",), "猫"), "allergies_kinds"),
        ("allergies", Answer(NONE, (), "花生"), "allergies_state"),
        ("allergies", Answer(OPEN, ("food",)), "allergies_state"),
        ("conditions", Answer(SOME, (), "喘" * 121), "conditions_words"),
        ("diet", Answer("perhaps"), "diet_state"),
    ],
)
def test_what_does_not_fit_is_named_by_its_field(name: str, answer: Answer, field: str) -> None:
    assert refused(with_(name, answer)) == {field}


def test_a_card_that_says_nothing_at_all_is_no_card() -> None:
    assert refused(Card({name: Answer() for name in QUESTIONS})) == {"allergies_state"}


def test_guardians_to_phone_are_known_and_named_once() -> None:
    assert refused(Card(NOTHING, (3,))) == {"call_1"}
    assert refused(Card(NOTHING, (1, 1))) == {"call_2"}
    assert sound(Card(NOTHING, (2, 1)), (1, 2)).calls == (2, 1)


def test_the_other_person_has_a_name_and_a_number_that_rings() -> None:
    assert refused(Card(NOTHING, (), Other("", "邻居", "123"))) == {"other_name", "other_phone"}
    kept = sound(Card(NOTHING, (), Other("外婆", "外婆", "１３８ ００１３-8077")), ())
    assert kept.other is not None
    assert kept.other.phone == "+8613800138077"


def test_a_card_is_read_as_it_was_written_and_its_number_stands_apart() -> None:
    card = Card(
        {**NOTHING, "diet": Answer(SOME, ("halal",), "不吃猪肉")},
        (2, 1),
        Other("李", "邻居", "+86138"),
    )
    body = to_body(card)
    assert b"+86138" not in body
    assert from_body(body, "+86138") == card


def test_what_is_agreed_to_names_purpose_readers_and_end_in_both_languages() -> None:
    for said, words in (
        (CONSENT.zh, ("用途", "单独同意", "12 小时", "6 小时", "13 个月", "撤回")),
        (CONSENT.en, ("Purpose", "separate", "12 hours", "6 hours", "13 months", "withdraw")),
    ):
        assert all(word in said for word in words)
