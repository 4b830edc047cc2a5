"""The stages of a day out, in their order, and what each allows. Pure; must not know any table."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from coordination.ground.errors import Conflict, Invalid, TooLate
from coordination.ground.text import Text, clean

LEAVE, ARRIVE, LUNCH, BOARD, BACK = "leave", "arrive", "lunch", "board", "back"
STAGES: Mapping[str, Text] = {
    LEAVE: Text("出校", "Leaving"),
    ARRIVE: Text("到达", "Arrival"),
    LUNCH: Text("午餐", "Lunch"),
    BOARD: Text("上车返程", "Boarding"),
    BACK: Text("回校", "Return"),
}
ORDER = tuple(STAGES)
# why a child may be missing: from the start, or having left on the way
FROM_THE_START: Mapping[str, Text] = {
    "absent": Text("缺席（没有来）", "Absent (did not come)"),
    "excused": Text("请假", "Excused"),
    "no_consent": Text("家长没有同意，留校", "No consent: stays at school"),
}
ON_THE_WAY: Mapping[str, Text] = {
    "guardian": Text("家长提前接走", "Picked up by a guardian"),
    "ill": Text("身体不适，由成人陪同离开", "Ill: left with an adult"),
    "other_class": Text("随其他班级返回", "Goes back with another class"),
}
LONGEST_NOTE = 40
# it is lunch time if the activity goes on over noon
NOON, AFTER_NOON = time(12), time(12, 30)
# marks that a phone without signal still holds, and a correction the morning after
DAY_LASTS = timedelta(days=1)
ENDED = ("cancelled", "aborted", "closed_out")

_zone = ZoneInfo("Asia/Shanghai")


def use_zone(zone: ZoneInfo) -> None:
    """Set once by the composition root: noon and the day are the district's."""
    global _zone
    _zone = zone


def stages_of(starts_at: datetime, ends_at: datetime) -> tuple[str, ...]:
    """The stages of a session; lunch only if it goes on over noon (of its first day, if it has more)."""
    starts = starts_at.astimezone(_zone)
    day, zone = starts.date(), _zone
    over_noon = starts < datetime.combine(day, NOON, zone) and ends_at > datetime.combine(
        day, AFTER_NOON, zone
    )
    return tuple(s for s in ORDER if s != LUNCH or over_noon)


def reasons_at(stage: str) -> Mapping[str, Text]:
    """Why a child may be missing at a stage."""
    return FROM_THE_START if stage == LEAVE else ON_THE_WAY


def before(stage: str) -> tuple[str, ...]:
    """The stages before this one."""
    return ORDER[: ORDER.index(stage)]


def opens_at(starts_at: datetime) -> datetime:
    """Midnight of the day itself."""
    return datetime.combine(starts_at.astimezone(_zone).date(), time(0), _zone).astimezone(UTC)


def refuse_other_day(state: str, starts_at: datetime, return_at: datetime, now: datetime) -> None:
    """Children are counted on the day of a session that takes place."""
    if state in ENDED:
        raise Conflict(
            Text(
                "这个场次已取消或已结案，不能点名。", "It is cancelled or closed: nobody to count."
            ),
            code="over",
        )
    if now < opens_at(starts_at):
        day = starts_at.astimezone(_zone)
        raise Conflict(
            Text(
                f"还没到这一天：{day.month}月{day.day}日当天起可以点名。",
                f"Not yet: the head-count opens on {day.day} {day:%B}.",
            ),
            code="too_early",
        )
    if now > return_at + DAY_LASTS:
        raise TooLate(
            Text(
                "活动结束已超过一天，点名不再改动。",
                "It ended more than a day ago; the head-count no longer changes.",
            )
        )


def refuse_unfit_leaving(stage: str, reason: str, note: str) -> str:
    """A reason that fits the stage, and who it left with; the note, cleaned."""
    said = clean(note)
    fields: dict[str, Text] = {}
    if reason not in reasons_at(stage):
        fields["reason"] = Text("请选择原因。", "Choose a reason.")
    if len(said) > LONGEST_NOTE:
        fields["note"] = Text(
            f"说明不超过 {LONGEST_NOTE} 字。", f"At most {LONGEST_NOTE} characters."
        )
    elif reason == "guardian" and not said:
        fields["note"] = Text("请写明由谁接走。", "Say who picked the child up.")
    if fields:
        raise Invalid(fields=fields)
    return said


def state_of(before_it: str, classes: Collection[Collection[str]]) -> str:
    """The session's state by the stages each class has closed: the first to leave or arrive speaks
    for all, and it is back when every class that left is back. A class that never left holds up
    nobody, and one that leaves after the others are back takes the session out again."""
    out = [closed for closed in classes if LEAVE in closed]
    if not out:
        return before_it
    if all(BACK in closed for closed in out):
        return "returned"
    return "on_site" if any(ARRIVE in closed for closed in out) else "departed"


def next_open(stages: Sequence[str], closed: Collection[str]) -> str | None:
    """The first stage that is not closed."""
    return next((s for s in stages if s not in closed), None)
