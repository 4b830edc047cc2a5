"""Forms of people: shape only, the rules stand in the domain."""

from __future__ import annotations

from wtforms import SelectField

from coordination.domain.oversight.data_requests import LONGEST
from coordination.domain.people.corrections.deciding import LONGEST_SAID
from coordination.domain.people.custody import LONGEST_REASON
from coordination.domain.people.posts import LONGEST_NAME
from coordination.web.forms import (
    AtMost,
    Chosen,
    Form,
    HiddenField,
    LineField,
    LocalDateField,
    Optional,
    ParagraphField,
    PhoneField,
    RadioField,
    Required,
    both,
)


class LimitForm(Form):
    """On what ground a custody limit is set or lifted."""

    reason = ParagraphField(both("依据", "Ground"), [Required(), AtMost(LONGEST_REASON)])


class GrantForm(Form):
    """Who gets which role, from when and until when."""

    name = LineField(both("姓名", "Name"), [Required(), AtMost(LONGEST_NAME)])
    phone = PhoneField(both("手机", "Mobile"))
    role = SelectField(both("角色", "Role"), [Chosen()])
    class_id = SelectField(both("班级", "Class"), coerce=int)
    starts_on = LocalDateField(both("开始日期", "From"), [Chosen()])
    ends_on = LocalDateField(both("结束日期", "Until"), [Optional()])


class AnswerForm(Form):
    """What became of what a guardian asked about their data."""

    agreed = RadioField(
        both("结果", "What became of it"),
        [Chosen()],
        choices=[
            ("done", both("已办理", "Done")),
            ("declined", both("不能办理", "Cannot be done")),
        ],
    )
    words = ParagraphField(both("告诉家长", "Tell the guardian"), [Required(), AtMost(LONGEST)])


class NumberForm(Form):
    """The number that replaces one that fails."""

    phone = PhoneField(both("新手机号", "New mobile"))


class CallsForm(Form):
    """The landline of a guardian who is to be called, if that is what they have."""

    landline = LineField(both("座机号码", "Landline"), [Optional(), AtMost(30)])


class EndForm(Form):
    """The last day of a role."""

    last_day = LocalDateField(both("最后一天", "Last day"), [Chosen()])


class DecisionForm(Form):
    """What the school says to a correction; `seen` is what stood beside it."""

    said = LineField(both("给家长的话", "What the guardian is told"), [AtMost(LONGEST_SAID)])
    seen = HiddenField()
