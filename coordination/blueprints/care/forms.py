"""Forms of a child's card and collectors: shape only, the rules stand in the domain."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from coordination.domain.care.content import (
    MOST_CALLS,
    NONE,
    OPEN,
    QUESTIONS,
    SOME,
    Answer,
    Card,
    Other,
)
from coordination.domain.care.standing import Kin
from coordination.ground.text import Text, half_width
from coordination.web.forms import (
    BooleanField,
    Form,
    HiddenField,
    LineField,
    LocalDateField,
    Optional,
    RadioField,
    SelectField,
    SelectMultipleField,
    both,
)

LATER = both("先不填", "Leave open")
NOBODY = Text("不填", "Nobody")


def _three(name: str) -> dict[str, Any]:
    question = QUESTIONS[name]
    label = both(question.asks.zh, question.asks.en)
    fields: dict[str, Any] = {
        "state": RadioField(
            label,
            choices=[
                (NONE, both(question.none.zh, question.none.en)),
                (SOME, both(question.some.zh, question.some.en)),
                (OPEN, LATER),
            ],
            default=OPEN,
            validate_choice=False,
        ),
        "words": LineField(label, [Optional()]),
    }
    if question.kinds:
        fields["kinds"] = SelectMultipleField(
            label,
            choices=[(key, both(kind.zh, kind.en)) for key, kind in question.kinds.items()],
            validate_choice=False,
        )
    return fields


class Questions(Form):
    """Three fields to each question of a card: `allergies_state`, `_kinds`, `_words`."""


for _name in QUESTIONS:
    for _part, _field in _three(_name).items():
        setattr(Questions, f"{_name}_{_part}", _field)


class CardForm(Questions):
    """The questions, whom to phone, and the consent."""

    call_1 = SelectField(both("先打给", "First"), validate_choice=False)
    call_2 = SelectField(both("再打给", "Then"), validate_choice=False)
    call_3 = SelectField(both("还打不通", "Then"), validate_choice=False)
    other_name = LineField(both("姓名", "Name"))
    other_relation = LineField(both("与孩子的关系", "Relation"))
    other_phone = LineField(both("手机号", "Mobile number"))
    agree = BooleanField(
        both(
            "我是孩子的监护人，看过上面的说明，单独同意为此保存和使用这些敏感信息",
            "I am a guardian, have read this, and agree separately to its use for that",
        )
    )
    # of the card on this page
    version = HiddenField(default="0")

    def offer(self, kin: Collection[Kin], language: str) -> None:
        """Whom one may choose to phone."""
        choices = [("", NOBODY.in_(language))] + [
            (
                str(k.id),
                f"{k.name} ({k.relation.en})"
                if language == "en"
                else f"{k.name}（{k.relation.zh}）",
            )
            for k in kin
        ]
        for field in self.calls:
            field.choices = choices

    @property
    def calls(self) -> list[SelectField]:
        """The fields of those to phone, in their order."""
        return [self[f"call_{place}"] for place in range(1, MOST_CALLS + 1)]

    def show(self, card: Card | None, version: int, kin: Collection[Kin]) -> None:
        """What the card says now; of a new one whom the school knows to phone first."""
        self.version.data = str(version)
        order = [k.id for k in kin] if card is None else card.calls
        for field, guardian in zip(self.calls, order, strict=False):
            field.data = str(guardian)
        if card is None:
            return
        for name in QUESTIONS:
            answer = card.answer(name)
            self[f"{name}_state"].data = answer.state
            if QUESTIONS[name].kinds:
                self[f"{name}_kinds"].data = list(answer.kinds)
            self[f"{name}_words"].data = answer.words
        if card.other is not None:
            self.other_name.data = card.other.name
            self.other_relation.data = card.other.relation
            self.other_phone.data = card.other.phone.removeprefix("+86")

    def card(self) -> Card:
        """What was typed; the domain says whether it fits."""
        typed = [
            (f.data or "").strip() for f in (self.other_name, self.other_relation, self.other_phone)
        ]
        return Card(
            {
                name: Answer(
                    self[f"{name}_state"].data or OPEN,
                    tuple(self[f"{name}_kinds"].data or ()) if QUESTIONS[name].kinds else (),
                    self[f"{name}_words"].data or "",
                )
                for name in QUESTIONS
            },
            tuple(number(f.data) for f in self.calls if f.data),
            Other(typed[0], typed[1], half_width(typed[2])) if any(typed) else None,
        )


class CollectorForm(Form):
    """Somebody who may collect the child."""

    name = LineField(both("姓名", "Name"))
    relation = LineField(both("与孩子的关系", "Relation"))
    phone = LineField(both("手机号", "Mobile number"))
    starts_on = LocalDateField(both("从", "From"), [Optional()])
    ends_on = LocalDateField(both("到（含当天）", "Until (that day included)"), [Optional()])


def number(typed: str | None) -> int:
    """An id or version as a form gives it back; anything else is none."""
    return int(typed) if typed and typed.isascii() and typed.isdigit() and len(typed) < 19 else -1
