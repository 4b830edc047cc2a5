"""Forms of activities and sessions: shape only."""

from __future__ import annotations

from wtforms import RadioField, SelectField, SelectMultipleField

from coordination.domain.practice.rules import LONGEST_NOTE
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

TYPES = {
    "inquiry": both("考察探究", "Inquiry"),
    "service": both("社会服务", "Social service"),
    "design": both("设计制作", "Design and making"),
    "career": both("职业体验", "Career experience"),
    "labour": both("劳动教育", "Labour"),
    "study_travel": both("研学", "Study travel"),
    "volunteer": both("志愿服务", "Volunteering"),
}
GRADES = [(g, both(f"{g} 年级", f"Grade {g}")) for g in range(1, 10)]


class ActivityForm(Form):
    """What is offered, in two languages."""

    type = RadioField(both("类型", "Type"), choices=list(TYPES.items()), default="labour")
    base_id = SelectField(both("实践基地", "Practice base"), coerce=int)
    title_zh = LineField(both("名称（中文）", "Name (Chinese)"), [Required(), AtMost(40)])
    title_en = LineField(both("名称（英文）", "Name (English)"), [Required(), AtMost(80)])
    purpose_zh = ParagraphField(both("目的（中文）", "Purpose (Chinese)"), [AtMost(400)])
    purpose_en = ParagraphField(both("目的（英文）", "Purpose (English)"), [AtMost(800)])
    bring_zh = LineField(both("请带（中文）", "Bring (Chinese)"), [AtMost(60)])
    bring_en = LineField(both("请带（英文）", "Bring (English)"), [AtMost(120)])
    grades = SelectMultipleField(both("适合年级", "Grades"), coerce=int, choices=GRADES)


class SessionForm(Form):
    """When, where to meet, how many."""

    day = LocalDateField(both("日期", "Date"), [Required()])
    starts = LocalTimeField(both("集合出发", "Leave at"), [Required()])
    ends = LocalTimeField(both("活动结束", "Ends at"), [Required()])
    returns = LocalTimeField(both("返校", "Back at"), [Required()])
    capacity = NumberField(both("名额", "Places"), [Required(), Between(1, 2000)])
    meeting_zh = LineField(
        both("集合地点（中文）", "Meeting point (Chinese)"), [Required(), AtMost(60)]
    )
    meeting_en = LineField(
        both("集合地点（英文）", "Meeting point (English)"), [Required(), AtMost(120)]
    )
    signup_until = LocalDateField(both("报名截止日期", "Sign-up closes on"), [Required()])
    helpers = NumberField(
        both("家长志愿者人数", "Parent helpers wanted"), [Between(0, 50)], default=0
    )


class MoveForm(Form):
    """Other times."""

    day = LocalDateField(both("日期", "Date"), [Required()])
    starts = LocalTimeField(both("集合出发", "Leave at"), [Required()])
    ends = LocalTimeField(both("活动结束", "Ends at"), [Required()])
    returns = LocalTimeField(both("返校", "Back at"), [Required()])


class CancelForm(Form):
    """Why it does not take place."""

    code = SelectField(both("取消原因", "Reason"))
    note_zh = LineField(both("补充说明（中文）", "More about it (Chinese)"), [AtMost(LONGEST_NOTE)])
    note_en = LineField(both("补充说明（英文）", "More about it (English)"), [AtMost(LONGEST_NOTE)])


class EnrolForm(Form):
    """A class, minus the children who do not go."""

    class_id = SelectField(both("班级", "Class"), coerce=int)
    adults = NumberField(both("带队老师人数", "Adults"), [Required(), Between(1, 50)], default=2)
    needs = LineField(both("特别需要", "Special needs"), [AtMost(200)])
