"""Why a slot may or may not be booked: pure decisions over a resource's own rules.

Overlap is not decided here: the database forbids it (`ex_booking_occurrence_no_overlap`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from coordination.ground.errors import Invalid
from coordination.ground.text import Text

DECLINE_REASONS: dict[str, Text] = {
    "time_taken": Text("该时段另有安排", "the time is needed for something else"),
    "too_many": Text("人数超出承载能力", "the group is too large"),
    "not_suitable": Text("内容不适合该年级", "not suitable for this grade"),
    "staff": Text("人手不足", "not enough staff"),
    "maintenance": Text("场地维护", "maintenance"),
    "other": Text("其他原因", "another reason"),
}
HOLD = timedelta(days=3)


@dataclass(frozen=True, slots=True)
class Hours:
    """One weekly opening: weekday 0 is Monday, local times."""

    weekday: int
    opens: time
    closes: time


@dataclass(frozen=True, slots=True)
class Terms:
    """What a resource's owner has laid down."""

    notice_hours: int
    horizon_days: int
    slot_minutes: int
    max_minutes: int
    capacity_min: int
    capacity_max: int
    hours: tuple[Hours, ...]


def refuse_unfit_slot(
    terms: Terms, starts_at: datetime, ends_at: datetime, people: int, now: datetime, zone: ZoneInfo
) -> None:
    """Refuse a slot or a group the owner's terms do not allow; every problem is named at once."""
    fields: dict[str, Text] = {}
    start, end = starts_at.astimezone(zone), ends_at.astimezone(zone)
    minutes = int((ends_at - starts_at).total_seconds() // 60)
    if ends_at <= starts_at:
        fields["ends"] = Text("结束时间要晚于开始时间。", "The end must be after the start.")
    elif minutes > terms.max_minutes:
        fields["ends"] = Text(
            f"一次最长 {terms.max_minutes} 分钟，请缩短。",
            f"At most {terms.max_minutes} minutes at a time; make it shorter.",
        )
    if starts_at < now:
        fields["day"] = Text("这个时间已经过去，请另选。", "This is in the past; choose another.")
    elif starts_at < now + timedelta(hours=terms.notice_hours):
        fields["day"] = Text(
            f"需要至少提前 {terms.notice_hours} 小时预约，请选更晚的时间。",
            f"Book at least {terms.notice_hours} hours ahead; choose a later time.",
        )
    elif starts_at > now + timedelta(days=terms.horizon_days):
        fields["day"] = Text(
            f"最多可预约 {terms.horizon_days} 天以内，请选更早的日期。",
            f"Bookings open {terms.horizon_days} days ahead; choose an earlier date.",
        )
    if start.minute % terms.slot_minutes and terms.slot_minutes <= 60:
        fields.setdefault(
            "starts",
            Text(
                f"请从每 {terms.slot_minutes} 分钟的整点开始，例如 09:00、09:30。",
                f"Start on a {terms.slot_minutes}-minute step, such as 09:00 or 09:30.",
            ),
        )
    todays = [h for h in terms.hours if h.weekday == start.weekday()]
    if not fields and not any(
        start.date() == end.date() and h.opens <= start.time() and end.time() <= h.closes
        for h in todays
    ):
        open_ = "、".join(f"{h.opens:%H:%M}–{h.closes:%H:%M}" for h in todays)
        fields["starts"] = (
            Text(
                f"当天开放时间为 {open_}，请在此范围内选择。",
                f"Open {open_} that day; stay within.",
            )
            if todays
            else Text("当天不开放，请换一天。", "Closed that day; choose another.")
        )
    if people > terms.capacity_max:
        fields["children"] = Text(
            f"最多容纳 {terms.capacity_max} 人（含带队老师），请分组或换场地。",
            f"Holds {terms.capacity_max} people, adults included; split the group or look elsewhere.",
        )
    elif people < terms.capacity_min:
        fields["children"] = Text(
            f"至少 {terms.capacity_min} 人成团。", f"At least {terms.capacity_min} people."
        )
    if fields:
        raise Invalid(fields=fields)


def free_slots(
    terms: Terms,
    day: date,
    taken: Collection[tuple[datetime, datetime]],
    *,
    minutes: int,
    buffers: tuple[int, int],
    now: datetime,
    zone: ZoneInfo,
) -> list[tuple[datetime, datetime]]:
    """Slots of `minutes` that could be booked on `day`; `taken` are blocked spans, buffers included."""
    found: list[tuple[datetime, datetime]] = []
    length, step = timedelta(minutes=minutes), timedelta(minutes=max(15, terms.slot_minutes))
    before, after = timedelta(minutes=buffers[0]), timedelta(minutes=buffers[1])
    earliest = now + timedelta(hours=terms.notice_hours)
    for hours in sorted(
        (h for h in terms.hours if h.weekday == day.weekday()), key=lambda h: h.opens
    ):
        at = datetime.combine(day, hours.opens, tzinfo=zone)
        last = datetime.combine(day, hours.closes, tzinfo=zone)
        while at + length <= last:
            if at >= earliest and not _clashes(at - before, at + length + after, taken):
                found.append((at, at + length))
            at += step
    return found


def _clashes(start: datetime, end: datetime, taken: Collection[tuple[datetime, datetime]]) -> bool:
    return any(a < end and start < b for a, b in taken)


def weekly(starts_at: datetime, weeks: int, zone: ZoneInfo) -> Sequence[datetime]:
    """The same local time for `weeks` weeks."""
    local = starts_at.astimezone(zone)
    return [
        datetime.combine(local.date() + timedelta(weeks=i), local.time(), tzinfo=zone)
        for i in range(weeks)
    ]
