"""What may be chosen for a feed. Shape only; whose children may be named is decided in the domain."""

from __future__ import annotations

from flask import request

from coordination.domain.agenda.options import ALARMS, Options, short_name
from coordination.web.forms import (
    AtMost,
    BooleanField,
    Form,
    LineField,
    RadioField,
    Required,
    SelectField,
    SelectMultipleField,
    both,
)

ALARM_LABELS = {
    0: both("开始时", "At the start"),
    10: both("提前10分钟", "10 minutes before"),
    30: both("提前30分钟", "30 minutes before"),
    60: both("提前1小时", "1 hour before"),
    120: both("提前2小时", "2 hours before"),
    1440: both("提前1天", "1 day before"),
}
KIND_LABELS = (
    ("practice", both("实践活动", "Activities")),
    ("booking", both("场地预约", "Bookings")),
    ("volunteering", both("志愿服务", "Volunteering")),
    ("meeting", both("会议", "Meetings")),
    ("school_day", both("校历", "School calendar")),
)


class OptionsForm(Form):
    """Name, language, alarm, kinds, cancelled entries, and for families the children."""

    name = LineField(both("名称", "Name"), [Required(), AtMost(60)])
    language = RadioField(
        both("语言", "Language"),
        choices=[("zh", both("中文", "中文")), ("en", both("English", "English"))],
    )
    alarm = SelectField(
        both("提醒", "Alarm"),
        choices=[
            ("", both("不提醒（平台会发短信）", "None (we send an SMS)")),
            *((str(n), ALARM_LABELS[n]) for n in ALARMS),
        ],
    )
    kinds = SelectMultipleField(both("只要这些类别", "Only these kinds"), choices=list(KIND_LABELS))
    hide_cancelled = BooleanField(both("不显示已取消的日程", "Leave out what was cancelled"))
    child = SelectField(
        both("只要这个孩子的", "Only of this child"), choices=[], validate_choice=False
    )

    def options(self, children: list[int]) -> Options:
        """As the domain knows them; a name field of each child stands beside the form's own."""
        chosen = str(self.child.data or "")
        named = ((c, short_name(request.form.get(f"name-{c}", ""))) for c in children)
        return Options(
            alarm_minutes=int(self.alarm.data) if self.alarm.data else None,
            cancelled=not self.hide_cancelled.data,
            kinds=tuple(self.kinds.data or ()),
            child=int(chosen) if chosen.isdecimal() else None,
            names=tuple((c, name) for c, name in named if name),
        )

    def show(self, options: Options) -> None:
        """Fill in what was chosen before."""
        self.alarm.data = "" if options.alarm_minutes is None else str(options.alarm_minutes)
        self.kinds.data = list(options.kinds)
        self.hide_cancelled.data = not options.cancelled
        self.child.data = str(options.child or "")
