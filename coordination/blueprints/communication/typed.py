"""What somebody typed into the form of a notice, as the use cases want it, and the other way round."""

from __future__ import annotations

from datetime import datetime, time, timedelta

from coordination.blueprints.communication import preview
from coordination.blueprints.communication.forms import CHOICE, PAGE, NoticeForm
from coordination.domain.communication.models import Notice
from coordination.domain.communication.notices import choices, reach, services
from coordination.ground.text import Text
from coordination.web import when

LONGEST_KEY = 64


def due(form: NoticeForm) -> datetime | None:
    """Until eight in the evening of the day: nobody is asked to answer at midnight."""
    return when.aware(form.due_on.data, time(20)) if form.due_on.data else None


def send_at(form: NoticeForm) -> datetime | None:
    """The moment the sender chose; None for at once."""
    if form.send_on.data is None or form.send_time.data is None:
        return None
    return when.aware(form.send_on.data, form.send_time.data)


def hours_of(form: NoticeForm) -> int | None:
    return int(form.ladder.data) if form.ladder.data else None


def alone(form: NoticeForm) -> timedelta:
    """How long the platform has the notice alone, before any text."""
    if form.begins.data != PAGE:
        return timedelta(0)
    return timedelta(hours=hours_of(form) or 0)


def level_of(form: NoticeForm) -> str:
    """`info` or `confirm`: to choose is to confirm."""
    return "info" if form.level.data == "info" else "confirm"


def options_in(form: NoticeForm) -> list[Text]:
    """What families choose from; Invalid if it is not well written, empty if they choose nothing."""
    if form.level.data != CHOICE:
        return []
    return choices.options_of(form.options_zh.data or "", form.options_en.data or "")


def as_typed(notice: Notice) -> dict[str, object]:
    """A notice as its form would hold it."""
    planned = when.local(notice.send_at) if notice.send_at else None
    return {
        "draft_key": notice.draft_key,
        "org_id": str(notice.school_id) if notice.reach in reach.WIDE else "",
        "class_ids": notice.class_ids,
        "title_zh": notice.title_zh,
        "title_en": notice.title_en,
        "body_zh": notice.body_zh,
        "body_en": notice.body_en,
        "level": CHOICE if notice.options_zh else notice.level,
        "options_zh": "\n".join(notice.options_zh),
        "options_en": "\n".join(notice.options_en),
        "urgent_reason": notice.urgent_reason or "",
        "begins": PAGE if notice.page_first else "text",
        "ladder": str(notice.ladder_hours or ""),
        "due_on": when.local(notice.due_at).date() if notice.due_at else None,
        "send_on": planned.date() if planned else None,
        "send_time": planned.time() if planned else None,
    }


def said_in(form: NoticeForm) -> services.Said:
    """What a form says and how, but for the time it leaves."""
    return {
        "title": Text(form.title_zh.data or "", form.title_en.data or ""),
        "body": Text(form.body_zh.data or "", form.body_en.data or ""),
        "level": level_of(form),
        "options": options_in(form),
        "due_at": due(form),
        "ladder_hours": hours_of(form),
        "page_first": form.begins.data == PAGE,
        "links_allowed": preview.links_allowed(),
        "urgent_reason": form.urgent_reason.data or "",
        "looked_at": (form.looked_at.data or "").split(),
    }
