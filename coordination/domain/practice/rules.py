"""What an activity, a session and a sign-up must be. Pure decisions; must not know any table."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from coordination.ground.errors import Conflict, Invalid
from coordination.ground.text import Text

CANCEL_REASONS: dict[str, Text] = {
    "weather": Text("天气原因", "the weather"),
    "transport": Text("交通原因", "transport"),
    "base": Text("基地原因", "the base cannot take us"),
    "health": Text("传染病防控", "illness going round"),
    "too_few": Text("人数不足", "too few children"),
    "school": Text("学校安排变动", "a change at school"),
    "other": Text("其他原因", "another reason"),
}
LONGEST_NOTE = 40  # it goes into a text
TYPES = ("inquiry", "service", "design", "career", "labour", "study_travel", "volunteer")
GRADES = range(1, 13)
MOST_PLACES = 2000
MOST_ADULTS = 50
LONGEST = timedelta(days=31)  # study travel takes days, nothing takes months
ROLL_BEFORE = timedelta(hours=2)  # the roll is called at the meeting point, not the week before


def refuse_unfit_activity(type_: str, title: Text, grades: Collection[int]) -> None:
    """Both names, a type of the curriculum, and grades that exist."""
    fields = {
        name: Text("请填写。", "Fill this in.")
        for name, value in (("title_zh", title.zh), ("title_en", title.en))
        if not value.strip()
    }
    if type_ not in TYPES:
        fields["type"] = Text("请选择一种类型。", "Choose a type.")
    if not grades or not set(grades) <= set(GRADES):
        fields["grades"] = Text("请选择适合的年级。", "Choose the grades it suits.")
    if fields:
        raise Invalid(fields=fields)


def refuse_unfit_reason(code: str, note: Text) -> None:
    """A reason of the list; what is added to it has room in a text."""
    fields: dict[str, Text] = {}
    if code not in CANCEL_REASONS:
        fields["code"] = Text("请选择原因，家长会看到。", "Choose a reason; families will read it.")
    for name, value in (("note_zh", note.zh), ("note_en", note.en)):
        if len(value.strip()) > LONGEST_NOTE:
            fields[name] = Text(
                f"补充说明不超过 {LONGEST_NOTE} 字，会写进短信。",
                f"At most {LONGEST_NOTE} characters: it goes into the text.",
            )
        elif code == "other" and not value.strip():
            fields[name] = Text(
                "选“其他原因”时请写明，家长按各自的语言收到。",
                "Say which other reason it is; families read it in their language.",
            )
    if fields:
        raise Invalid(fields=fields)


def reason_in_words(code: str | None, note_zh: str | None, note_en: str | None) -> Text | None:
    """天气原因（橙色大风预警）; a note in one language only is left out in the other."""
    if not code:
        return None
    if code not in CANCEL_REASONS:  # typed before there were codes
        return Text(code, code)
    said = CANCEL_REASONS[code]
    if code == "other" and note_zh and note_en:
        return Text(note_zh, note_en)
    return Text(
        f"{said.zh}（{note_zh}）" if note_zh else said.zh,
        f"{said.en} ({note_en})" if note_en else said.en,
    )


def refuse_unfit_times(
    now: datetime,
    starts_at: datetime,
    ends_at: datetime,
    return_at: datetime,
    signup_until: datetime | None,
) -> None:
    """Ahead of us, in order, and no longer than a journey."""
    fields: dict[str, Text] = {}
    if starts_at <= now:
        fields["day"] = Text("这个时间已经过去，请另选。", "This is in the past; choose another.")
    if ends_at <= starts_at:
        fields["ends"] = Text("结束时间要晚于开始时间。", "The end must be after the start.")
    elif return_at - starts_at > LONGEST:
        fields["ends"] = Text("一个场次最长 31 天。", "A session lasts 31 days at most.")
    if return_at < ends_at:
        fields["returns"] = Text(
            "返校时间不能早于活动结束。", "The return cannot be before the activity ends."
        )
    if signup_until is not None and not now < signup_until < starts_at:
        fields["signup_until"] = Text(
            "报名截止要在现在之后、活动开始之前。",
            "Sign-up must close after now and before the start.",
        )
    if fields:
        raise Invalid(fields=fields)


def refuse_unfit_capacity(capacity: int) -> None:
    """At least one place, and no more than a base can have."""
    if not 1 <= capacity <= MOST_PLACES:
        raise Invalid(
            fields={
                "capacity": Text(
                    f"名额应在 1 到 {MOST_PLACES} 之间。", f"From 1 to {MOST_PLACES} places."
                )
            }
        )


def refuse_unfit_adults(adults: int) -> None:
    """Somebody comes with the class."""
    if adults < 1:
        raise Invalid(
            fields={"adults": Text("至少 1 名带队老师。", "At least one adult must come.")}
        )
    if adults > MOST_ADULTS:
        raise Invalid(
            fields={
                "adults": Text(f"最多 {MOST_ADULTS} 名带队老师。", f"At most {MOST_ADULTS} adults.")
            }
        )


def refuse_early_roll(now: datetime, starts_at: datetime) -> None:
    """Nobody can be there before there is anything to be at."""
    if now < starts_at - ROLL_BEFORE:
        raise Conflict(
            Text(
                "还没到活动时间，集合前 2 小时起可以点名。",
                "It is too early: the roll opens two hours before the start.",
            ),
            code="too_early",
        )
