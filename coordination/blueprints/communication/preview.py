"""What a notice looks like before it leaves: each language's text with its cost, and what follows, in words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from flask import current_app

from coordination.blueprints.communication.forms import SPANS
from coordination.domain.communication.notices.audience import (
    Counts,
)
from coordination.domain.communication.texts import budgets
from coordination.ground.text import LANGUAGES, Text, mask_name
from coordination.reactions import notices as wording
from coordination.reactions.quiet_hours import Wait, wait_of_notice
from coordination.web import when
from coordination.web.request import reading
from notifications.segments import Segments, segments

HANDED_OVER = Text(
    "已送交复核。复核通过以前，家长不会收到。",
    "It waits for a second person; no family gets it before that.",
)


def links_allowed() -> bool:
    return bool(current_app.config["SETTINGS"].sms_links == "allowed")


@dataclass(frozen=True, slots=True)
class Preview:
    """The text of one language as a phone would show it, with what it costs."""

    language: str
    body: str
    size: Segments
    messages: int

    @property
    def cost(self) -> Decimal:
        """In yuan, for all messages of this language."""
        return budgets.cost(self.size.count * self.messages)


def previews_of(counts: Counts, sender: Text, title: Text) -> list[Preview]:
    found = []
    for chosen in LANGUAGES:
        example = counts.examples.get(chosen)
        children = [mask_name(name) for name in (example.children if example else ())]
        joined = ("、" if chosen == "zh" else ", ").join(children) or "王*雨"
        body = wording.render(
            "notice",
            chosen,
            {
                "sender": sender,
                "children": joined,
                "title": Text(title.zh or "……", title.en or "…"),
            },
            "7K3QX9MD2F",
        )
        found.append(Preview(chosen, body, segments(body), counts.languages.get(chosen, 0)))
    return found


def cost_of(previews: list[Preview]) -> Decimal:
    return sum((p.cost for p in previews), Decimal(0))


def how(level: str, hours: int | None, *, page_first: bool) -> Text:
    """How families are told, in words."""
    if not page_first or hours is None:
        return Text("直接发短信", "By text")
    span = SPANS[hours]
    if level == "confirm":
        return Text(
            f"先在平台发布；{span.zh}后还没确认的家庭才发短信",
            f"On the platform first; families that have not confirmed after {span.en} get a text",
        )
    return Text(
        f"先在平台发布；{span.zh}后还没看的家庭才发短信",
        f"On the platform first; families that have not read it after {span.en} get a text",
    )


def then(level: str, hours: int | None, *, page_first: bool) -> Text:
    """What follows by itself if nobody confirms, in words."""
    if level != "confirm" or hours is None:
        return Text("不自动跟进", "Nothing follows")
    span = SPANS[hours]
    if page_first:
        return Text(f"短信发出 {span.zh}后列入电话名单", f"Call list {span.en} after the text")
    return Text(
        f"{span.zh}后提醒一次，再过 {span.zh}列入电话名单",
        f"Remind after {span.en}, call list {span.en} later",
    )


def moments(at: datetime) -> tuple[str, ...]:
    """A moment in every language, Chinese first."""
    return tuple(when.short_moment(at, chosen) for chosen in LANGUAGES)


def wait_at(at: datetime) -> Wait | None:
    """Until when the texts of a notice that leaves then would wait, and why."""
    with reading() as held:
        return wait_of_notice(held, at, when.zone())
