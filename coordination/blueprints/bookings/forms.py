"""Forms of bookings: shape only, the rules stand in the domain."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, time, timedelta

from wtforms import FileField, HiddenField, SelectField, SelectMultipleField

from coordination.domain.bookings import resources
from coordination.domain.bookings.values import Hours, Terms
from coordination.ground.errors import Invalid
from coordination.ground.text import Text, half_width
from coordination.web.forms import (
    AtMost,
    Between,
    Chosen,
    Form,
    LineField,
    LocalDateField,
    LocalTimeField,
    NumberField,
    ParagraphField,
    Required,
    both,
)

WEEKDAYS = (
    ("mon", both("周一", "Monday")),
    ("tue", both("周二", "Tuesday")),
    ("wed", both("周三", "Wednesday")),
    ("thu", both("周四", "Thursday")),
    ("fri", both("周五", "Friday")),
    ("sat", both("周六", "Saturday")),
    ("sun", both("周日", "Sunday")),
)
KINDS = {
    "space": both("场地", "Venue"),
    "programme": both("课程", "Programme"),
    "expert": both("专家", "Expert"),
    "kit": both("器材", "Kit"),
    "vehicle": both("车辆", "Vehicle"),
}
FACTS = {
    "toilets": both("卫生间", "toilets"),
    "indoor": both("室内", "indoors"),
    "outdoor": both("室外", "outdoors"),
    "first_aid": both("急救点", "first aid"),
    "step_free": both("无障碍", "step-free"),
    "coats": both("存衣处", "cloakroom"),
    "snack": both("点心区", "snack area"),
}
APPROVAL = {
    "request": both("需审批：您逐个答复", "You approve each request"),
    "direct": both("直接预订：有空即成功", "Direct: whatever is free can be booked"),
}
FEES = {
    "free": both("公益免费", "Free"),
    "reduced": both("优惠收费", "Reduced fee"),
    "paid": both("收费", "Paid"),
}
GRADES = tuple((n, both(f"{'一二三四五六七八九'[n - 1]}年级", f"Grade {n}")) for n in range(1, 10))
_SPAN = re.compile(r"(\d{1,2}:\d{2})\s*[-–—~～至到]\s*(\d{1,2}:\d{2})")
_DATED = re.compile(r"(\d{4}-\d{1,2}-\d{1,2})\s+(.+)")


class Given(Chosen):
    """Must be typed; unlike Required it leaves "not a date" standing."""

    def __init__(self) -> None:
        super().__init__("请填写此项。", "Fill this in.")


class RequestForm(Form):
    """When, for whom and what for; `request_key` makes a double click one booking."""

    request_key = HiddenField()
    day = LocalDateField(both("日期", "Date"), [Given()])
    starts = LocalTimeField(both("开始", "From"), [Given()])
    minutes = SelectField(both("时长", "How long"), coerce=int)
    class_id = SelectField(both("班级", "Class"), coerce=int)
    children = NumberField(both("学生人数", "Children"), [Given(), Between(1, 5000)])
    adults = NumberField(both("带队老师人数", "Adults"), [Given(), Between(1, 500)], default=2)
    purpose = LineField(both("用途", "What for"), [Required(), AtMost(60)])
    needs = ParagraphField(both("特别需要", "Special needs"), [AtMost(300)])
    weeks = NumberField(both("连续几周", "How many weeks"), [Given(), Between(1, 20)], default=1)


class MoveForm(Form):
    """Another time."""

    day = LocalDateField(both("日期", "Date"), [Given()])
    starts = LocalTimeField(both("开始", "From"), [Given()])
    minutes = SelectField(both("时长", "How long"), coerce=int)


class DeclineForm(Form):
    """A coded reason and a note."""

    code = SelectField(both("原因", "Reason"))
    note = LineField(both("补充说明", "Note"), [AtMost(100)])


class BlockForm(Form):
    """A time to be closed."""

    day = LocalDateField(both("日期", "Date"), [Given()])
    starts = LocalTimeField(both("开始", "From"), [Given()])
    ends = LocalTimeField(both("结束", "To"), [Given()])
    reason = LineField(both("事由", "Reason"), [Required(), AtMost(60)])


class OutsideForm(Form):
    """A calendar of the owner's own: a file, or the address of one."""

    address = LineField(both("日历网址", "Address"), [AtMost(2000)])
    file = FileField(both("或日历文件（.ics）", "Or a calendar file (.ics)"))
    name = LineField(both("名称", "Name"), [AtMost(40)])


class ResourceForm(Form):
    """What an owner says about a resource; opening hours one line per weekday."""

    owner_id = SelectField(both("单位", "Organisation"), coerce=int)
    kind = SelectField(both("类型", "Kind"), choices=list(KINDS.items()))
    title_zh = LineField(both("名称（中文）", "Name (Chinese)"), [Required(), AtMost(40)])
    title_en = LineField(both("名称（英文）", "Name (English)"), [Required(), AtMost(80)])
    intro_zh = ParagraphField(both("介绍（中文）", "About (Chinese)"), [AtMost(1000)])
    intro_en = ParagraphField(both("介绍（英文）", "About (English)"), [AtMost(2000)])
    address_zh = LineField(both("地址（中文）", "Address (Chinese)"), [AtMost(100)])
    address_en = LineField(both("地址（英文）", "Address (English)"), [AtMost(200)])
    capacity_min = NumberField(both("最少人数", "At least (people)"), [Given()], default=1)
    capacity_max = NumberField(both("最多人数", "At most (people)"), [Given()], default=40)
    grades = SelectMultipleField(both("适合年级", "Suitable grades"), coerce=int)
    facts = SelectMultipleField(both("设施", "Facilities"))
    approval_mode = SelectField(both("预约方式", "Booking"), choices=list(APPROVAL.items()))
    fee_mode = SelectField(both("费用", "Fee"), choices=list(FEES.items()))
    notice_hours = NumberField(both("提前几小时", "Notice (hours)"), [Given()], default=24)
    horizon_days = NumberField(both("开放未来几天", "Days ahead"), [Given()], default=120)
    slot_minutes = NumberField(both("每几分钟一个时段", "Slot (minutes)"), [Given()], default=30)
    max_minutes = NumberField(both("最长几分钟", "Longest (minutes)"), [Given()], default=240)
    buffer_before = NumberField(both("前留几分钟", "Free before (min)"), [Given()], default=0)
    buffer_after = NumberField(both("后留几分钟", "Free after (min)"), [Given()], default=15)
    mon = LineField(WEEKDAYS[0][1], default="09:00-17:00")
    tue = LineField(WEEKDAYS[1][1], default="09:00-17:00")
    wed = LineField(WEEKDAYS[2][1], default="09:00-17:00")
    thu = LineField(WEEKDAYS[3][1], default="09:00-17:00")
    fri = LineField(WEEKDAYS[4][1], default="09:00-17:00")
    sat = LineField(WEEKDAYS[5][1])
    sun = LineField(WEEKDAYS[6][1])
    dates = ParagraphField(both("个别日期的开放时间", "Hours on single dates"), [AtMost(2000)])

    def offer(self) -> resources.Offer:
        """The values as the use case wants them; Invalid names the line that cannot be read."""
        return resources.Offer(
            kind=self.kind.data or "",
            title=Text(self.title_zh.data or "", self.title_en.data or ""),
            intro=Text(self.intro_zh.data or "", self.intro_en.data or ""),
            address=Text(self.address_zh.data or "", self.address_en.data or ""),
            grades=tuple(self.grades.data or ()),
            facts=tuple(self.facts.data or ()),
            approval_mode=self.approval_mode.data or "",
            fee_mode=self.fee_mode.data or "",
            terms=Terms(
                notice_hours=self.notice_hours.data or 0,
                horizon_days=self.horizon_days.data or 0,
                slot_minutes=self.slot_minutes.data or 0,
                max_minutes=self.max_minutes.data or 0,
                capacity_min=self.capacity_min.data or 0,
                capacity_max=self.capacity_max.data or 0,
                hours=tuple(self._hours()),
                buffer_before=self.buffer_before.data or 0,
                buffer_after=self.buffer_after.data or 0,
            ),
        )

    def _hours(self) -> Iterable[Hours]:
        wrong: dict[str, Text] = {}
        found: list[Hours] = []
        for number, (name, _) in enumerate(WEEKDAYS):
            try:
                found += [Hours(number, a, b) for a, b in spans(self[name].data or "")]
            except ValueError:
                wrong[name] = Text(
                    "请写成 09:00-12:00，多段用逗号隔开；不开放请留空。",
                    "Write 09:00-12:00, several with commas between; leave empty if closed.",
                )
        for line in (self.dates.data or "").splitlines():
            if not line.strip():
                continue
            try:
                found += dated(line)
            except ValueError:
                wrong["dates"] = Text(
                    f"“{line[:40]}”看不懂，请写成 2026-12-06 09:00-12:00。",
                    f"“{line[:40]}” cannot be read; write 2026-12-06 09:00-12:00.",
                )
        if wrong:
            raise Invalid(fields=wrong)
        return found

    def show(self, hours: Iterable[Hours]) -> None:
        """Fill in the lines of the opening hours."""
        weekly: dict[int, list[str]] = {n: [] for n in range(7)}
        dates: dict[date, list[str]] = {}
        for one in hours:
            span = f"{one.opens:%H:%M}-{one.closes:%H:%M}"
            if one.is_exception and one.valid_from is not None:
                dates.setdefault(one.valid_from, []).append(span)
            elif one.valid_from is None and one.valid_to is None:
                weekly[one.weekday].append(span)
        for number, (name, _) in enumerate(WEEKDAYS):
            self[name].data = ", ".join(weekly[number])
        self.dates.data = "\n".join(f"{day} {', '.join(s)}" for day, s in sorted(dates.items()))


def spans(line: str) -> list[tuple[time, time]]:
    """``09:00-12:00, 14:00-17:00`` as times; ValueError if anything else stands there."""
    text = half_width(line).replace("，", ",").replace("、", ",").replace("：", ":")
    found = []
    for part in filter(None, (p.strip() for p in text.split(","))):
        match = _SPAN.fullmatch(part)
        if match is None:
            raise ValueError(part)
        found.append((_time(match[1]), _time(match[2])))
    return found


def _time(text: str) -> time:
    hour, minute = text.split(":")
    return time(int(hour), int(minute))


def dated(line: str) -> list[Hours]:
    """``2026-12-06 09:00-12:00`` as the opening hours of that one date."""
    match = _DATED.fullmatch(half_width(line).strip())
    if match is None:
        raise ValueError(line)
    year, month, number = (int(p) for p in match[1].split("-"))
    day = date(year, month, number)
    found = [Hours(day.weekday(), a, b, day, day) for a, b in spans(match[2])]
    if not found:
        raise ValueError(line)
    return found


def durations(slot_minutes: int, max_minutes: int, chosen: int | None = None) -> list[int]:
    """How long one may choose: in steps of the resource's slot, or of an hour if that is long."""
    step = max(15, slot_minutes)
    found = set(range(step, max_minutes + 1, step)) or {max_minutes}
    if chosen is not None and 0 < chosen <= max_minutes:
        found.add(chosen)
    return sorted(found)


def in_hours(minutes: int) -> Text:
    """90 -> 1.5 小时 / 1.5 hours."""
    if minutes < 60:
        return Text(f"{minutes} 分钟", f"{minutes} minutes")
    hours = f"{timedelta(minutes=minutes) / timedelta(hours=1):g}"
    return Text(f"{hours} 小时", "1 hour" if hours == "1" else f"{hours} hours")
