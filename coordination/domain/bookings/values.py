"""Small types of bookings: a stretch of time, an opening, the terms of an owner, a taken slot.

Must not know the database.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from coordination.ground.errors import Conflict, SlotTaken
from coordination.ground.text import Text

DISTRICT_ZONE = ZoneInfo("Asia/Shanghai")

_ZH_DAYS = "一二三四五六日"
_EN_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_EN_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def day_in_words(day: date) -> Text:
    """12月4日（周五） / Fri 4 Dec."""
    return Text(
        f"{day.month}月{day.day}日（周{_ZH_DAYS[day.weekday()]}）",
        f"{_EN_DAYS[day.weekday()]} {day.day} {_EN_MONTHS[day.month - 1]}",
    )


@dataclass(frozen=True, slots=True, order=True)
class Slot:
    """时段: a half-open stretch of time."""

    starts_at: datetime
    ends_at: datetime

    @property
    def length(self) -> timedelta:
        """How long it is."""
        return self.ends_at - self.starts_at

    def overlaps(self, other: Slot) -> bool:
        """Whether the two share a moment; back to back they do not."""
        return self.starts_at < other.ends_at and other.starts_at < self.ends_at

    def widened(self, before: int, after: int) -> Slot:
        """With buffers, in minutes."""
        return Slot(
            self.starts_at - timedelta(minutes=before), self.ends_at + timedelta(minutes=after)
        )

    def in_words(self, zone: ZoneInfo) -> Text:
        """12月4日（周五）14:00–16:00 / Fri 4 Dec, 14:00–16:00."""
        start, end = self.starts_at.astimezone(zone), self.ends_at.astimezone(zone)
        day, hours = day_in_words(start.date()), f"{start:%H:%M}–{end:%H:%M}"
        return Text(f"{day.zh}{hours}", f"{day.en}, {hours}")


@dataclass(frozen=True, slots=True)
class Hours:
    """One opening: weekly (weekday 0 is Monday), or on one date if its validity is that one day."""

    weekday: int
    opens: time
    closes: time
    valid_from: date | None = None
    valid_to: date | None = None

    @property
    def is_exception(self) -> bool:
        """Whether it replaces the weekly hours of one date."""
        return self.valid_from is not None and self.valid_from == self.valid_to

    def holds_on(self, day: date) -> bool:
        """Whether this weekly opening is in force on `day`."""
        return (
            self.weekday == day.weekday()
            and (self.valid_from is None or self.valid_from <= day)
            and (self.valid_to is None or day <= self.valid_to)
        )


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
    buffer_before: int = 0
    buffer_after: int = 0


class SlotClash(SlotTaken):
    """SlotTaken that names what stands in the way and what is still free."""

    def __init__(self, clashes: Sequence[Slot], free: Sequence[Slot], zone: ZoneInfo) -> None:
        self.clashes, self.free = tuple(clashes), tuple(free)
        taken = [slot.in_words(zone) for slot in clashes]
        offered = [slot.in_words(zone) for slot in free]
        zh = f"{'、'.join(t.zh for t in taken)} 已被占用。" if taken else "该时段已被占用。"
        en = f"Taken: {'; '.join(t.en for t in taken)}." if taken else "This time has been taken."
        if offered:
            zh += f"最近的空闲时段：{'、'.join(t.zh for t in offered)}。"
            en += f" Nearest free times: {'; '.join(t.en for t in offered)}."
        else:
            zh += "请另选时间或其他场地。"
            en += " Please choose another time or venue."
        super().__init__(Text(zh, en))


class OutsideClash(Conflict):
    """The owner's own calendar is busy at the time of a request; names when."""

    def __init__(self, clashes: Sequence[Slot], zone: ZoneInfo) -> None:
        self.clashes = tuple(clashes)
        named = [slot.in_words(zone) for slot in self.clashes[:5]]
        more = len(self.clashes) - len(named)
        zh, en = "、".join(n.zh for n in named), "; ".join(n.en for n in named)
        if more:
            zh, en = f"{zh}等 {len(self.clashes)} 个时段", f"{en} and {more} more"
        super().__init__(
            Text(
                f"您的外部日历在 {zh} 已有安排，尚未同意。核对后可仍然同意，或不同意并说明原因。",
                f"Not approved: your outside calendar is busy {en}. Look at it, then approve all "
                "the same, or decline with a reason.",
            ),
            code="outside",
        )
