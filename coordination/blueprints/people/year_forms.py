"""Forms of the turn of the year: shape only, the rules stand in the domain."""

from __future__ import annotations

from wtforms import SelectField

from coordination.domain.people.year.preparing import LONGEST_NAME
from coordination.web.forms import (
    AtMost,
    Between,
    BooleanField,
    Chosen,
    Form,
    HiddenField,
    LineField,
    LocalDateField,
    NumberField,
    Optional,
    RadioField,
    Required,
    both,
)

KEEP, NOBODY = -1, 0


class TurnForm(Form):
    """From when on the new classes are; what was looked at."""

    starts_on = LocalDateField(both("新学年第一天", "First day of the new year"), [Chosen()])
    seen = BooleanField(both("检查清单我已看过，仍要升级", "I have read the checklist and go on"))
    digest = HiddenField()


class NewClassForm(Form):
    """One more class that begins empty."""

    grade = NumberField(both("年级", "Grade"), [Required(), Between(1, 12)])
    number = NumberField(both("班号", "Number"), [Required(), Between(1, 99)])


class LineForm(Form):
    """What becomes of one class."""

    fate = RadioField(both("下一学年", "Next year"), [Chosen()])
    name_zh = LineField(both("新名称（中文）", "New name (Chinese)"), [AtMost(LONGEST_NAME)])
    name_en = LineField(both("新名称（英文）", "New name (English)"), [AtMost(LONGEST_NAME)])
    grade = NumberField(both("年级", "Grade"), [Optional(), Between(1, 12)])
    into = SelectField(both("并入哪个班", "Joins which class"), coerce=int)
    teacher = SelectField(both("班主任", "Class teacher"), coerce=int)
