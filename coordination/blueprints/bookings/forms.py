"""Forms of bookings: shape only."""

from __future__ import annotations

from wtforms import HiddenField, SelectField

from coordination.web.forms import (
    AtMost,
    Between,
    Form,
    LineField,
    LocalDateField,
    LocalTimeField,
    NumberField,
    ParagraphField,
    Required,
    both,
)


class RequestForm(Form):
    """When, for whom and what for."""

    request_key = HiddenField()
    day = LocalDateField(both("日期", "Date"), [Required()])
    starts = LocalTimeField(both("开始", "From"), [Required()])
    ends = LocalTimeField(both("结束", "To"), [Required()])
    class_id = SelectField(both("班级", "Class"), coerce=int)
    children = NumberField(both("学生人数", "Children"), [Required(), Between(1, 500)])
    adults = NumberField(both("带队老师人数", "Adults"), [Between(0, 50)], default=2)
    purpose = LineField(both("用途", "What for"), [Required(), AtMost(60)])
    needs = ParagraphField(both("特别需要", "Special needs"), [AtMost(300)])
    weeks = NumberField(both("连续几周", "How many weeks"), [Between(1, 20)], default=1)


class MoveForm(Form):
    """Another time."""

    day = LocalDateField(both("日期", "Date"), [Required()])
    starts = LocalTimeField(both("开始", "From"), [Required()])
    ends = LocalTimeField(both("结束", "To"), [Required()])


class DeclineForm(Form):
    """A coded reason and a note."""

    code = SelectField(both("原因", "Reason"))
    note = LineField(both("补充说明", "Note"), [AtMost(100)])
