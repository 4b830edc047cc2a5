"""The staff navigation, by task. An entry shows once its endpoint exists and is open to the actor."""

from __future__ import annotations

from dataclasses import dataclass

from flask import current_app, request

from coordination.ground.text import Text
from coordination.web.guards import access_of, admits
from coordination.web.request import current_actor


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the navigation."""

    endpoint: str
    label: Text
    icon: str


STAFF = (
    Entry("home.index", Text("今日待办", "Today"), "home"),
    Entry("communication.index", Text("消息", "Messages"), "message"),
    Entry("practice.index", Text("活动", "Activities"), "flag"),
    Entry("bookings.index", Text("场地", "Venues"), "map-pin"),
    Entry("volunteering.index", Text("志愿者", "Volunteers"), "hand"),
    Entry("feeds.index", Text("日历", "Calendars"), "calendar"),
    Entry("people.index", Text("名册", "Roster"), "users"),
    Entry("admin.index", Text("管理", "Administration"), "settings"),
)


def is_open(endpoint: str) -> bool:
    """Whether `endpoint` exists and the current actor may reach it."""
    if endpoint not in current_app.view_functions:
        return False
    access = access_of(current_app, endpoint)
    return access is not None and admits(access, current_actor())


def staff_navigation() -> list[tuple[Entry, bool]]:
    """Entries open to the actor, each with whether it is where we are."""
    # subscribing and looking are one place to people; rules stand where one has come from
    here = {"calendars": "feeds", "hours": "practice", "reminders": "practice"}.get(
        request.blueprint or "", request.blueprint
    )
    if request.path.startswith("/admin/"):
        here = "admin"
    return [(e, e.endpoint.partition(".")[0] == here) for e in STAFF if is_open(e.endpoint)]
