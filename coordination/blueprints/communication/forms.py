"""Forms of notices: shape only, the rules stand in the domain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wtforms import (  # type: ignore[attr-defined]  # the stubs are older than SelectChoice
    HiddenField,
    RadioField,
    SelectChoice,
    SelectField,
    SelectMultipleField,
)

from coordination.domain.communication.notices import alerts
from coordination.ground.text import Text
from coordination.web.forms import (
    Form,
    LineField,
    LocalDateField,
    LocalTimeField,
    NumberField,
    Optional,
    ParagraphField,
    both,
)

PAGE = "page"
# families choose one of the options: a confirmation that says which
CHOICE = "choice"
# the spans of `rules.LADDERS` in words
SPANS = {
    4: Text("4 小时", "4 hours"),
    24: Text("1 天", "1 day"),
    48: Text("2 天", "2 days"),
}


DO = both("需要家长做什么", "What families should do")
LEVELS = [
    ("confirm", both("点“确认收到”", "Press 'confirm'")),
    (CHOICE, both("选一项（接龙、报名、统计）", "Choose one answer (sign-up, count)")),
    ("info", both("阅读即可", "Just read it")),
]


class LookForm(Form):
    """What a second person says of a notice; `seal` names what they saw."""

    seal = HiddenField()
    reason = ParagraphField(both("要改什么", "What to change"), [Optional()])


class WhomForm(Form):
    """Whom something is for; `draft_key` makes a double click one notice."""

    draft_key = HiddenField()
    # "" for the classes below, else the school or district whose families are all meant
    org_id = SelectField(both("发给谁", "To whom"), choices=[("", "")], default="")
    class_ids = SelectMultipleField(both("发给哪些班", "To which classes"), coerce=int)
    # the kinds of doubt that the sender was shown and ticked
    looked_at = HiddenField(both("内容提示", "What we noticed"))


# nothing is chosen for whoever is in a hurry
CHOOSE = both("请选择", "Choose")


def _listed(words: Mapping[str, Text]) -> list[tuple[str, str]]:
    return [
        ("", CHOOSE),
        *((key, both(word.zh, word.en[:1].upper() + word.en[1:])) for key, word in words.items()),
    ]


# each fact with a gap for its time, under the kind of alert
FACTS: list[Any] = [
    SelectChoice(value="", label=CHOOSE),
    *(
        SelectChoice(
            value=f"{kind}:{key}",
            label=both(fact.zh.format(at="…"), fact.en.format(at="…")),
            optgroup=both(word.zh, word.en),
        )
        for kind, word in alerts.KINDS.items()
        for key, fact in alerts.FACTS[kind].items()
    ),
]


class AlertForm(WhomForm):
    """An alert, chosen from lists; a fact is "kind:key" of `alerts.FACTS`."""

    fact = SelectField(both("发生了什么", "What has happened"), choices=FACTS)
    at = LocalTimeField(both("新的时间（今天）", "New time, today"), [Optional()])
    why = SelectField(
        both("原因", "Why"),
        choices=_listed(alerts.WHY),
    )
    act = SelectField(
        both("请家长怎么做", "What families should do"),
        choices=_listed(alerts.ACTS),
    )
    extra_zh = ParagraphField(both("补充（中文）", "More words (Chinese)"), [Optional()])
    extra_en = ParagraphField(both("补充（英文）", "More words (English)"), [Optional()])


class NoticeForm(WhomForm):
    """A notice in two languages."""

    # another one on each page: a press is one text, however often it arrives
    test_key = HiddenField()
    title_zh = LineField(both("标题（中文）", "Title (Chinese)"))
    title_en = LineField(both("标题（英文）", "Title (English)"))
    body_zh = ParagraphField(both("正文（中文）", "Text (Chinese)"))
    body_en = ParagraphField(both("正文（英文）", "Text (English)"))
    level = RadioField(DO, choices=LEVELS, default="confirm")
    # one a line, in the same order in both
    options_zh = ParagraphField(both("选项（中文）", "Options (Chinese)"), [Optional()])
    options_en = ParagraphField(both("选项（英文）", "Options (English)"), [Optional()])
    urgent_reason = LineField(both("不能等的理由", "Why it cannot wait"), [Optional()])
    due_on = LocalDateField(both("最晚回复日期", "Answer by"), [Optional()])
    # both empty: at once
    send_on = LocalDateField(both("定时发送：日期", "Send later: day"), [Optional()])
    send_time = LocalTimeField(both("定时发送：时间", "Send later: time"), [Optional()])
    begins = RadioField(
        both("怎么通知", "How families are told"),
        choices=[
            ("text", both("直接发短信", "By text")),
            (
                PAGE,
                both(
                    "先在平台发布，到时还没看的家庭才发短信",
                    "On the platform first; a text later, only to families that have not looked",
                ),
            ),
        ],
        default="text",
    )
    # what follows by itself: hours before each step, or "" for nothing
    ladder = SelectField(
        both("没有回应时，多久以后跟进", "If nobody answers, follow up after"),
        choices=[
            ("", both("不自动跟进", "Nothing follows")),
            *((str(hours), both(span.zh, span.en)) for hours, span in SPANS.items()),
        ],
        default="",
    )

    def validate(self, extra_validators: Any = None) -> bool:
        """A day needs a time, and a time a day."""
        fine = bool(super().validate(extra_validators))
        for given, missing, said in (
            (self.send_on, self.send_time, both("请填写几点发送。", "Enter the time to send.")),
            (self.send_time, self.send_on, both("请填写哪天发送。", "Enter the day to send.")),
        ):
            if given.data is not None and missing.data is None and not missing.errors:
                missing.errors = [said]
                fine = False
        return fine


class FamilyBudgetForm(Form):
    """How many routine texts a family should get in a week; 0 or empty is no budget."""

    per_week = NumberField(
        both("每户每周最多几条普通短信", "Routine texts per household and week"), [Optional()]
    )
