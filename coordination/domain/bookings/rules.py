"""Why a slot may or may not be booked: pure decisions over a resource's own terms.

Overlap is not decided here: the database forbids it (`ex_booking_occurrence_no_overlap`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from calendars import workdays
from calendars.workdays import DayKind
from coordination.domain.bookings.values import Hours, Slot, Terms, day_in_words
from coordination.ground.errors import Conflict, Invalid
from coordination.ground.text import Text

DECLINE_REASONS: dict[str, Text] = {
    "time_taken": Text("该时段另有安排", "the time is needed for something else"),
    "too_many": Text("人数超出承载能力", "the group is too large"),
    "not_suitable": Text("内容不适合该年级", "not suitable for this grade"),
    "staff": Text("人手不足", "not enough staff"),
    "maintenance": Text("场地维护", "maintenance"),
    "weather": Text("天气原因", "the weather"),
    "other": Text("其他原因", "another reason"),
}
HOLD = timedelta(days=3)
MAX_WEEKS = 20
LONGEST_TEXT = 500

Overrides = Mapping[date, DayKind]


def opening_on(
    hours: Iterable[Hours], day: date, overrides: Overrides | None = None
) -> tuple[tuple[time, time], ...]:
    """When a resource is open on `day`: a rule for that very date wins, then holidays close, then
    the weekly hours hold (on make-up workdays too)."""
    known = tuple(hours)
    exact = [h for h in known if h.is_exception and h.valid_from == day]
    if exact:
        return tuple(sorted((h.opens, h.closes) for h in exact))
    if workdays.day_kind(day, overrides).kind is DayKind.HOLIDAY:
        return ()
    return tuple(
        sorted((h.opens, h.closes) for h in known if not h.is_exception and h.holds_on(day))
    )


def problems_of_slot(
    terms: Terms,
    slot: Slot,
    now: datetime,
    zone: ZoneInfo,
    overrides: Overrides | None = None,
) -> dict[str, Text]:
    """Field -> what is wrong with the time and what to do about it; empty if it may be booked."""
    found: dict[str, Text] = {}
    minutes = slot.length.total_seconds() / 60
    if minutes <= 0:
        found["ends"] = Text("结束时间要晚于开始时间。", "The end must be after the start.")
        return found
    if minutes > terms.max_minutes:
        found["minutes"] = Text(
            f"一次最长 {terms.max_minutes} 分钟，请缩短。",
            f"At most {terms.max_minutes} minutes at a time; make it shorter.",
        )
    if slot.starts_at < now:
        found["day"] = Text("这个时间已经过去，请另选。", "This is in the past; choose another.")
        return found
    if slot.starts_at < now + timedelta(hours=terms.notice_hours):
        found["day"] = Text(
            f"需要至少提前 {terms.notice_hours} 小时预约，请选更晚的时间。",
            f"Book at least {terms.notice_hours} hours ahead; choose a later time.",
        )
    elif slot.starts_at > now + timedelta(days=terms.horizon_days):
        found["day"] = Text(
            f"只开放未来 {terms.horizon_days} 天以内的预约，请选更早的日期。",
            f"Bookings open {terms.horizon_days} days ahead; choose an earlier date.",
        )
    problem = _outside_hours(terms, slot, zone, overrides)
    if problem is not None:
        found.setdefault(problem[0], problem[1])
    return found


def _outside_hours(
    terms: Terms, slot: Slot, zone: ZoneInfo, overrides: Overrides | None
) -> tuple[str, Text] | None:
    start, end = slot.starts_at.astimezone(zone), slot.ends_at.astimezone(zone)
    open_ = opening_on(terms.hours, start.date(), overrides)
    if not open_:
        day = workdays.day_kind(start.date(), overrides)
        if day.kind is DayKind.HOLIDAY:
            return "day", Text(
                f"{start.month}月{start.day}日{day.name or '放假'}不开放，请换一天。",
                "Closed on this public holiday; choose another day.",
            )
        return "day", Text("当天不开放，请换一天。", "Closed that day; choose another.")
    around = [
        (a, b)
        for a, b in open_
        if start.date() == end.date() and a <= start.time() and end.time() <= b
    ]
    if not around:
        spans = [f"{a:%H:%M}–{b:%H:%M}" for a, b in open_]
        return "starts", Text(
            f"当天开放时间为 {'、'.join(spans)}，请在此范围内选择。",
            f"Open {' and '.join(spans)} that day; stay within.",
        )
    grids = [datetime.combine(start.date(), a, tzinfo=zone) for a, _ in around]
    step, opens = timedelta(minutes=terms.slot_minutes), grids[0]
    if all((start - grid) % step for grid in grids):
        example = f"{opens:%H:%M}", f"{opens + step:%H:%M}"
        return "starts", Text(
            f"每 {terms.slot_minutes} 分钟一个时段，请从 {example[0]}、{example[1]} 等时间开始。",
            f"Times start every {terms.slot_minutes} minutes, as {example[0]} or {example[1]}.",
        )
    return None


def problems_of_group(terms: Terms, children: int, adults: int) -> dict[str, Text]:
    """Field -> what is wrong with the size of the group."""
    if children < 1:
        return {"children": Text("请填写学生人数。", "Enter how many children are coming.")}
    if adults < 1:
        return {"adults": Text("至少要有一位带队老师。", "At least one adult has to come along.")}
    people = children + adults
    if people > terms.capacity_max:
        return {
            "children": Text(
                f"最多容纳 {terms.capacity_max} 人（含带队老师），请分组或换场地。",
                f"Holds {terms.capacity_max} people, adults included; split the group or look "
                "elsewhere.",
            )
        }
    if people < terms.capacity_min:
        return {
            "children": Text(
                f"至少 {terms.capacity_min} 人成团，请与其他班合并。",
                f"At least {terms.capacity_min} people are needed; join with another class.",
            )
        }
    return {}


def refuse_unfit_request(
    terms: Terms,
    slots: Sequence[Slot],
    *,
    children: int,
    adults: int,
    purpose: str,
    needs: str,
    now: datetime,
    zone: ZoneInfo,
    overrides: Overrides | None = None,
) -> None:
    """Refuse what the owner's terms do not allow; every problem is named at once, weeks by date."""
    fields = problems_of_group(terms, children, adults)
    if not purpose.strip():
        fields["purpose"] = Text(
            "请写明用途，资源方据此安排。", "Say what for; the owner plans by it."
        )
    for name, value in (("purpose", purpose), ("needs", needs)):
        if len(value) > LONGEST_TEXT:
            fields[name] = Text(
                f"最多 {LONGEST_TEXT} 个字，请精简。", f"Use at most {LONGEST_TEXT} characters."
            )
    fields |= problems_of_series(terms, slots, now, zone, overrides)
    if fields:
        raise Invalid(fields=fields)


def problems_of_series(
    terms: Terms,
    slots: Sequence[Slot],
    now: datetime,
    zone: ZoneInfo,
    overrides: Overrides | None = None,
) -> dict[str, Text]:
    """The first week's problems at their fields; those of later weeks together at `weeks`."""
    fields = problems_of_slot(terms, slots[0], now, zone, overrides)
    later: list[Text] = []
    for slot in slots[1:]:
        if said := problems_of_slot(terms, slot, now, zone, overrides):
            day, why = (
                day_in_words(slot.starts_at.astimezone(zone).date()),
                next(iter(said.values())),
            )
            later.append(Text(f"{day.zh}：{why.zh}", f"{day.en}: {why.en}"))
    if later and not fields:
        fields["weeks"] = Text("".join(t.zh for t in later), " ".join(t.en for t in later))
    return fields


def refuse_unfit_move(
    terms: Terms,
    slots: Sequence[Slot],
    *,
    now: datetime,
    zone: ZoneInfo,
    overrides: Overrides | None = None,
) -> None:
    """Refuse a new time the owner's terms do not allow."""
    if fields := problems_of_series(terms, slots, now, zone, overrides):
        raise Invalid(fields=fields)


def refuse_expired_documents(expiries: Iterable[date | None], until: date) -> None:
    """Refuse an owner whose licence or insurance runs out before the day."""
    gone = sorted(day for day in expiries if day is not None and day < until)
    if gone:
        day = day_in_words(gone[0])
        raise Conflict(
            Text(
                f"该单位有资质文件于{day.zh}到期，之后的日期暂不能预约。"
                "请选更早的日期，或请该单位更新资质。",
                f"A licence or insurance of this owner expires on {day.en}; later dates cannot be "
                "booked. Choose an earlier date, or ask the owner to renew it.",
            ),
            code="documents_expired",
        )


def refuse_unfit_block(slot: Slot, now: datetime) -> None:
    """Refuse to close a resource for no time, or for a time that has passed."""
    if slot.ends_at <= slot.starts_at:
        raise Invalid(
            fields={"ends": Text("结束时间要晚于开始时间。", "The end must be after the start.")}
        )
    if slot.ends_at <= now:
        raise Invalid(
            fields={
                "day": Text("这个时间已经过去，请另选。", "This is in the past; choose another.")
            }
        )


def refuse_unknown_reason(code: str) -> None:
    """A decision against somebody needs a reason from the list."""
    if code not in DECLINE_REASONS:
        raise Invalid(fields={"code": Text("请选择原因。", "Choose a reason.")})


def free_slots(
    terms: Terms,
    day: date,
    taken: Collection[Slot],
    *,
    minutes: int,
    now: datetime,
    zone: ZoneInfo,
    overrides: Overrides | None = None,
) -> list[Slot]:
    """Slots of `minutes` that could be booked on `day`; `taken` are blocked spans with buffers."""
    earliest = now + timedelta(hours=terms.notice_hours)
    latest = now + timedelta(days=terms.horizon_days)
    length, step = timedelta(minutes=minutes), timedelta(minutes=terms.slot_minutes)
    found: set[Slot] = set()
    for opens, closes in opening_on(terms.hours, day, overrides):
        at = datetime.combine(day, opens, tzinfo=zone)
        last = datetime.combine(day, closes, tzinfo=zone)
        while at + length <= last:
            slot = Slot(at, at + length)
            wide = slot.widened(terms.buffer_before, terms.buffer_after)
            if earliest <= at <= latest and not any(wide.overlaps(t) for t in taken):
                found.add(slot)
            at += step
    return sorted(found)


def weekly(slot: Slot, weeks: int, zone: ZoneInfo) -> list[Slot]:
    """The same local time for `weeks` weeks."""
    if not 1 <= weeks <= MAX_WEEKS:
        raise Invalid(
            fields={
                "weeks": Text(
                    f"请选择 1 到 {MAX_WEEKS} 周。", f"Choose from 1 to {MAX_WEEKS} weeks."
                )
            }
        )
    local = slot.starts_at.astimezone(zone)
    starts = [
        datetime.combine(local.date() + timedelta(weeks=n), local.time(), tzinfo=zone)
        for n in range(weeks)
    ]
    return [Slot(start, start + slot.length) for start in starts]


# -- what an owner may lay down ----------------------------------------------------------------


def problems_of_terms(terms: Terms) -> dict[str, Text]:
    """Field -> what is wrong with the terms an owner typed."""
    fields: dict[str, Text] = {}
    bounds = (
        ("notice_hours", terms.notice_hours, 0, 24 * 60),
        ("horizon_days", terms.horizon_days, 1, 400),
        ("slot_minutes", terms.slot_minutes, 5, 480),
        ("max_minutes", terms.max_minutes, 5, 24 * 60),
        ("capacity_min", terms.capacity_min, 1, 5000),
        ("capacity_max", terms.capacity_max, 1, 5000),
        ("buffer_before", terms.buffer_before, 0, 480),
        ("buffer_after", terms.buffer_after, 0, 480),
    )
    for name, value, low, high in bounds:
        if not low <= value <= high:
            fields[name] = Text(
                f"请填写 {low} 到 {high} 之间的数字。", f"Enter a number from {low} to {high}."
            )
    if terms.capacity_max < terms.capacity_min:
        fields.setdefault(
            "capacity_max",
            Text("最多人数不能小于最少人数。", "The most cannot be below the fewest."),
        )
    if terms.max_minutes < terms.slot_minutes:
        fields.setdefault(
            "max_minutes",
            Text("最长时长不能短于一个时段。", "The longest stay cannot be shorter than one slot."),
        )
    if problem := _problem_of_hours(terms.hours):
        fields["hours"] = problem
    return fields


def _problem_of_hours(hours: Sequence[Hours]) -> Text | None:
    for one in hours:
        if one.closes <= one.opens:
            return Text(
                f"{one.opens:%H:%M}–{one.closes:%H:%M}：关闭时间要晚于开放时间。",
                f"{one.opens:%H:%M}–{one.closes:%H:%M}: closing must be after opening.",
            )
    return None


def refuse_unready(*, titles: tuple[str, str], hours: Sequence[Hours], listed: bool) -> None:
    """Refuse to publish what a school could not book."""
    if not all(title.strip() for title in titles):
        raise Conflict(
            Text(
                "请先填写中英文名称，再发布。",
                "Give it a name in both languages before publishing.",
            ),
            code="unready",
        )
    if not hours:
        raise Conflict(
            Text(
                "还没有开放时间，请先填写再发布。",
                "There are no opening hours yet; add them first.",
            ),
            code="unready",
        )
    if not listed:
        raise Conflict(
            Text(
                "贵单位尚未通过区教育局审核，暂不能发布。请联系区教育局。",
                "Your organisation is not listed yet; ask the district bureau.",
            ),
            code="not_listed",
        )
