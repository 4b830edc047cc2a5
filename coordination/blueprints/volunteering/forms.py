"""Forms of volunteer time: shape only."""

from __future__ import annotations

from wtforms import RadioField

from coordination.domain.volunteering.time_rules import STEPS
from coordination.web.forms import Chosen, Form, LineField, NumberField, ParagraphField, both

FILL = ("请填写数字。", "Enter a number.")


class SignForm(Form):
    """The four digits shown at the place."""

    code = LineField(both("签到码", "Code"))


class ObjectionForm(Form):
    """What is wrong with the time confirmed."""

    words = ParagraphField(both("哪里不对", "What is wrong"))


class AnswerForm(Form):
    """The answer, and the minutes that count from now on."""

    minutes = NumberField(both("应计时长（分钟）", "Minutes that count"), [Chosen(*FILL)])
    answer = ParagraphField(both("答复", "Answer"))


class TimeRuleForm(Form):
    """How volunteer time is counted."""

    round_to = RadioField(
        both("取整到", "Round to"),
        choices=[
            (
                str(n),
                both("不取整，按分钟", "the minute")
                if n == 1
                else both(f"{n} 分钟", f"{n} minutes"),
            )
            for n in STEPS
        ],
    )
    most_over = NumberField(
        both("超出计划最多计多少分钟", "Minutes past the plan that count at most"), [Chosen(*FILL)]
    )
    objection_days = NumberField(
        both("核定后多少天内可以提出异议", "Days after the confirmation in which one may object"),
        [Chosen(*FILL)],
    )
    source = LineField(both("依据", "What it rests on"))
