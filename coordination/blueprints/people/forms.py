"""Forms of people: shape only, the rules stand in the domain."""

from __future__ import annotations

from wtforms import SelectField

from coordination.domain.people.custody import LONGEST_REASON
from coordination.domain.people.posts import LONGEST_NAME
from coordination.web.forms import (
    AtMost,
    Chosen,
    Form,
    LineField,
    LocalDateField,
    Optional,
    ParagraphField,
    PhoneField,
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


class NumberForm(Form):
    """The number that replaces one that fails."""

    phone = PhoneField(both("新手机号", "New mobile"))


class CallsForm(Form):
    """The landline of a guardian who is to be called, if that is what they have."""

    landline = LineField(both("座机号码", "Landline"), [Optional(), AtMost(30)])


class EndForm(Form):
    """The last day of a role."""

    last_day = LocalDateField(both("最后一天", "Last day"), [Chosen()])
