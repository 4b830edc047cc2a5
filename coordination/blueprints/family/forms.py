"""Forms of the family's pages: shape only, the rules stand in the domain."""

from __future__ import annotations

from wtforms import SelectField

from coordination.domain.oversight.data_requests import KINDS, LONGEST
from coordination.domain.people.corrections.proposing import LONGEST_EMAIL, LONGEST_REASON
from coordination.domain.people.hours import HOURS
from coordination.web.forms import (
    AtMost,
    Chosen,
    Form,
    LineField,
    ParagraphField,
    RadioField,
    Required,
    both,
)


class CallsForm(Form):
    """Whether the phone rings beside the text."""

    how = RadioField(
        both("怎么通知您", "How you are told"),
        choices=[
            ("text", both("发短信就行", "Texts are enough")),
            ("call", both("看不了短信，请打电话", "I cannot read texts: please call")),
        ],
        default="text",
    )


class HourForm(Form):
    """From when on in a day routine notices may come; "" is whenever."""

    hour = RadioField(
        both("普通通知什么时候发给您", "When routine notices come to you"),
        choices=[
            (f"{hour:%H:%M}", both(f"每天 {hour:%H:%M} 以后", f"From {hour:%H:%M} on each day"))
            if hour
            else ("", both("随时", "At any time"))
            for hour in HOURS
        ],
        default="",
    )


class AskForm(Form):
    """What the school should correct or erase."""

    kind = RadioField(
        both("要学校做什么", "What the school should do"),
        [Chosen()],
        choices=[(key, both(word.zh, word.en)) for key, word in KINDS.items()],
    )
    # whom it is about: the page fills in the children
    about = RadioField(both("关于谁", "About whom"), [Chosen()])
    words = ParagraphField(both("具体说明", "In your words"), [Required(), AtMost(LONGEST)])


class CorrectionForm(Form):
    """One field as it should be."""

    field = SelectField(both("要更正的内容", "What to put right"))
    typed = LineField(both("正确的内容", "As it should be"), [Required(), AtMost(LONGEST_EMAIL)])
    reason = ParagraphField(both("原因", "Why"), [AtMost(LONGEST_REASON)])


class CodeForm(Form):
    """The code that went to a new number."""

    code = LineField(both("验证码", "Code"), [Required(), AtMost(12)])
