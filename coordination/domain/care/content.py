"""What a health card may say (健康提示卡): five short questions, whom to phone, and its words on paper.

To each question there are three answers: left open, nothing known, and something. The first two are
not the same: a leader who reads "nothing" may rely on it. Pure; must not know any table.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import timedelta

from coordination.domain.care.keeping import MONTHS_UNCONFIRMED
from coordination.domain.care.window import CLOSES_AFTER, OPENS_BEFORE
from coordination.ground.errors import Invalid
from coordination.ground.phones import normal_phone
from coordination.ground.text import Text

OPEN, NONE, SOME = "", "none", "some"
MOST_CALLS = 3
LONGEST_NAME, LONGEST_RELATION = 40, 20


@dataclass(frozen=True, slots=True)
class Question:
    """A question with the kinds one may tick, and how much may be written."""

    asks: Text
    hint: Text
    none: Text
    some: Text
    longest: int
    kinds: dict[str, Text] = field(default_factory=dict)


QUESTIONS: dict[str, Question] = {
    "allergies": Question(
        Text("过敏", "Allergies"),
        Text("例如：花生，吃了嘴唇会肿；青霉素皮试阳性。", "For example: peanuts, lips swell."),
        Text("没有已知过敏", "None known"),
        Text("有过敏", "Yes"),
        120,
        {
            "food": Text("食物", "Food"),
            "medicine": Text("药物", "Medicine"),
            "insect": Text("昆虫叮咬", "Insect stings"),
            "pollen": Text("花粉、尘螨", "Pollen, dust"),
            "other": Text("其他", "Other"),
        },
    ),
    "conditions": Question(
        Text("疾病或身体状况", "Conditions"),
        Text("例如：哮喘、癫痫、热性惊厥、近期手术。", "For example: asthma, epilepsy."),
        Text("没有", "None"),
        Text("有", "Yes"),
        120,
    ),
    "medicines": Question(
        Text("活动当天要用的药", "Medicine on the day"),
        Text(
            "药名、用量、什么时候用、放在哪里。",
            "Its name, how much, when, and where it is kept.",
        ),
        Text("不用药", "None"),
        Text("要用药", "Yes"),
        120,
    ),
    "diet": Question(
        Text("饮食", "Food"),
        Text("不能吃的请写清楚。", "Say what must not be eaten."),
        Text("没有特别要求", "No needs"),
        Text("有要求", "Yes"),
        80,
        {
            "halal": Text("清真", "Halal"),
            "vegetarian": Text("素食", "Vegetarian"),
            "other": Text("其他", "Other"),
        },
    ),
    "first_steps": Question(
        Text("不舒服时先怎么做", "What to do first"),
        Text(
            "例如：先让她坐下，用随身的喷雾两下，再打电话。",
            "For example: let her sit, two puffs of her inhaler, then phone us.",
        ),
        Text("按常规处理即可", "Nothing special"),
        Text("请先这样做", "Please do this"),
        200,
    ),
}
LEFT_OPEN = Text("家长未填", "Not answered")

_BEFORE, _AFTER = (span // timedelta(hours=1) for span in (OPENS_BEFORE, CLOSES_AFTER))
CONSENT = Text(
    "用途：只用于孩子参加校外活动期间的安全照护和紧急联系。\n"
    "内容：您在下面填写的过敏、疾病、用药、饮食和紧急联系人。这些是敏感个人信息；孩子不满十四周岁的，"
    "须由监护人单独同意。不同意不影响孩子参加活动，有要注意的请当面告诉带队老师。\n"
    f"谁能看：只有孩子班级的带队老师，从活动开始前 {_BEFORE} 小时到返校后 {_AFTER} 小时；"
    "每看一次都有记录，您在这里看得到。带队用的纸质名册也会印上，返校后销毁。\n"
    f"保存到：您撤回同意、孩子离开学校，或连续 {MONTHS_UNCONFIRMED} 个月没有核对，以先到的为准。"
    "撤回后立即删除。",
    "Purpose: only to care for your child on activities away from school, and to reach you.\n"
    "What: the allergies, conditions, medicine, food and contacts that you write below. This is "
    "sensitive information; of a child under fourteen it needs a guardian's separate consent. Without "
    "it your child may still join; tell the leader in person what matters.\n"
    f"Who sees it: only the leaders of your child's class, from {_BEFORE} hours before an activity "
    f"until {_AFTER} hours after the return. Every look is logged and shown to you here. It also stands "
    "on the leaders' paper roster, which is destroyed after the return.\n"
    "Kept until: you withdraw, your child leaves the school, or nobody has confirmed it for "
    f"{MONTHS_UNCONFIRMED} months, whichever comes first. When you withdraw, it is erased at once.",
)
NOT_AGREED = Text(
    "没有您的同意不能保存。同意请勾选；不同意就不用填写。",
    "It cannot be kept without your consent. Tick it, or leave the card alone.",
)
CONSENT_HASH = hashlib.sha256(f"{CONSENT.zh}\n{CONSENT.en}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Answer:
    """What a family says to one question."""

    state: str = OPEN
    kinds: tuple[str, ...] = ()
    words: str = ""


@dataclass(frozen=True, slots=True)
class Other:
    """One more person to phone, who need not be known to the roster."""

    name: str
    relation: str
    phone: str


@dataclass(frozen=True, slots=True)
class Card:
    """A card as it is written and read; `calls` are guardians in the order to phone them."""

    answers: dict[str, Answer]
    calls: tuple[int, ...] = ()
    other: Other | None = None

    def answer(self, name: str) -> Answer:
        """The answer to a question; left open, if the question came after the card."""
        return self.answers.get(name, Answer())

    @property
    def says_something(self) -> bool:
        """Whether there is anything a leader must know."""
        return any(self.answer(name).state == SOME for name in QUESTIONS)

    @property
    def says_nothing_is_known(self) -> bool:
        """Whether every question has the answer that a leader may rely on: nothing."""
        return all(self.answer(name).state == NONE for name in QUESTIONS)


def in_words(name: str, answer: Answer) -> Text:
    """花生（食物）…: an answer as people read it, on screen and on paper."""
    question = QUESTIONS[name]
    if answer.state == OPEN:
        return LEFT_OPEN
    if answer.state == NONE:
        return question.none
    kinds = [question.kinds[k] for k in answer.kinds if k in question.kinds]
    zh, en = "、".join(k.zh for k in kinds), ", ".join(k.en for k in kinds)
    return Text(
        "：".join(part for part in (zh, answer.words) if part),
        ": ".join(part for part in (en, answer.words) if part),
    )


def to_body(card: Card) -> bytes:
    """The card without the number of the other person, which is sealed apart."""
    return json.dumps(
        {
            "answers": {
                name: [a.state, list(a.kinds), a.words] for name, a in card.answers.items()
            },
            "calls": card.calls,
            "other": [card.other.name, card.other.relation] if card.other else None,
        },
        ensure_ascii=False,
    ).encode()


def from_body(body: bytes, other_phone: str | None) -> Card:
    """The reverse."""
    read = json.loads(body)
    other = read["other"]
    return Card(
        {
            name: Answer(s, tuple(kinds), words)
            for name, (s, kinds, words) in read["answers"].items()
        },
        tuple(read["calls"]),
        Other(other[0], other[1], other_phone or "") if other else None,
    )


def sound(card: Card, guardians: Collection[int], *, agreed: bool = True) -> Card:
    """The card with its number in normal form; Invalid names every field that does not fit."""
    wrong: dict[str, Text] = {} if agreed else {"agree": NOT_AGREED}
    for name, question in QUESTIONS.items():
        wrong.update(_wrong_answer(name, question, card.answer(name)))
    if all(card.answer(name).state == OPEN for name in QUESTIONS):
        wrong.setdefault(
            "allergies_state",
            Text(
                "五项都没有填。至少回答一项；没有的请选“没有”。",
                "Nothing is answered. Answer at least one; say “none” where there is none.",
            ),
        )
    for place, guardian in enumerate(card.calls):
        if guardian not in guardians:
            wrong[f"call_{place + 1}"] = Text("请从名单里选择。", "Choose one of the list.")
        elif guardian in card.calls[:place]:
            wrong[f"call_{place + 1}"] = Text(
                "这位已经选过，请另选或留空。", "Chosen before; choose another or none."
            )
    other = card.other
    if other is not None:
        number = normal_phone(other.phone)
        wrong.update(_wrong_other(other, number))
        other = Other(other.name, other.relation, number or "")
    if wrong:
        raise Invalid(fields=wrong)
    return Card(dict(card.answers), card.calls, other)


def _wrong_answer(name: str, question: Question, answer: Answer) -> dict[str, Text]:
    if answer.state not in (OPEN, NONE, SOME):
        return {f"{name}_state": Text("请选择一项。", "Choose one.")}
    if not set(answer.kinds) <= set(question.kinds):
        return {f"{name}_kinds": Text("请从列出的几项里选。", "Choose from the list.")}
    if len(answer.words) > question.longest:
        return {
            f"{name}_words": Text(
                f"最多 {question.longest} 个字，现在 {len(answer.words)} 个。",
                f"At most {question.longest} characters; these are {len(answer.words)}.",
            )
        }
    if answer.state == SOME and not answer.words and not set(answer.kinds) - {"other"}:
        return {f"{name}_words": Text("选了“有”，请写明是什么。", "Say what it is.")}
    if answer.state != SOME and (answer.words or answer.kinds):
        return {
            f"{name}_state": Text(
                f"下面写了内容，这里却没有选“{question.some.zh}”。请选上，或清空下面的内容。",
                f"Something is written below: choose “{question.some.en}” here, or clear it.",
            )
        }
    return {}


def _wrong_other(other: Other, number: str | None) -> dict[str, Text]:
    wrong: dict[str, Text] = {}
    if not other.name:
        wrong["other_name"] = Text("请填写姓名。", "Give the name.")
    elif len(other.name) > LONGEST_NAME:
        wrong["other_name"] = Text(
            f"最多 {LONGEST_NAME} 个字。", f"At most {LONGEST_NAME} characters."
        )
    if len(other.relation) > LONGEST_RELATION:
        wrong["other_relation"] = Text(
            f"最多 {LONGEST_RELATION} 个字。", f"At most {LONGEST_RELATION} characters."
        )
    if number is None:
        wrong["other_phone"] = Text(
            "手机号无效，请填写 11 位手机号码。", "Enter a valid mobile number, all its digits."
        )
    return wrong
