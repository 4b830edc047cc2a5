"""Secret feed addresses at `/c/<token>.ics`, subscribe pages and the list of coming entries.

Knows no rule: what a feed shows is decided in `domain/agenda/feeds.py`.
"""

from __future__ import annotations

from datetime import timedelta

from flask import (
    Blueprint,
    redirect,
    render_template,
    request,
    session,
    url_for,
)
from flask.typing import ResponseReturnValue

from calendars.subscribe import subscribe_links
from coordination.authz.actor import Actor
from coordination.blueprints.feeds.guides import GUIDES
from coordination.domain.agenda import feeds, queries
from coordination.domain.agenda.audiences import audiences_for, classes_of, resources_of
from coordination.domain.agenda.models import CalendarEntry, FeedToken
from coordination.domain.agenda.polling import TITLES
from coordination.ground import clock
from coordination.ground.errors import NotFound
from coordination.ground.text import Text, clean
from coordination.web import when
from coordination.web.guards import Access, guard, is_staff
from coordination.web.request import current_actor, language, reading, unit_of_work
from coordination.web.say import say
from coordination.web.urls import public

bp = Blueprint("feeds", __name__)

SECRETS = "feed_secrets"
KEPT_SECRETS = 3
AHEAD = timedelta(days=60)
SOON = 5


def _layout() -> str:
    return "layouts/staff.html" if is_staff(current_actor()) else "layouts/parent.html"


def _choices(actor: Actor) -> list[tuple[str, int | None, Text, Text]]:
    """(scope, scope id, title, what it is for) of the feeds this actor may open."""
    found: list[tuple[str, int | None, Text, Text]] = []
    if actor.is_guardian:
        found.append(
            (
                "family",
                None,
                TITLES["family"],
                Text(
                    "所有孩子的活动、班级安排和您的志愿班次，一个日历看全。",
                    "Every child's activities, class events and your own shifts in one calendar.",
                ),
            )
        )
    if actor.class_ids:
        found.append(
            (
                "teacher",
                None,
                TITLES["teacher"],
                Text("您带的班级和您负责的活动。", "Your classes and the events you lead."),
            )
        )
    with reading() as held:
        for class_id, title in classes_of(held, actor):
            found.append(
                (
                    "class",
                    class_id,
                    Text(f"{title.zh}日历", f"{title.en} calendar"),
                    Text("这个班的全部安排。", "Everything this class does."),
                )
            )
        for resource_id, title in resources_of(held, actor.orgs()):
            found.append(
                (
                    "resource",
                    resource_id,
                    Text(f"{title.zh}日历", f"{title.en} calendar"),
                    Text("这个场地的已确认预约。", "Confirmed bookings of this venue."),
                )
            )
    found.append(
        (
            "volunteer",
            None,
            TITLES["volunteer"],
            Text("只含您自己报名的志愿班次。", "Only the shifts you signed up for."),
        )
    )
    return found


@bp.get("/calendars")
@guard(Access.SIGNED_IN)
def index() -> ResponseReturnValue:
    """My feeds, the feeds I may open, and what is coming."""
    actor = current_actor()
    now = clock.now()
    choices = _choices(actor)
    with reading() as held:
        mine = feeds.feeds_of(held, actor.person_id or 0)
        audiences = audiences_for(held, actor, when.today())
        coming = queries.entries_between(held, audiences, now, now + AHEAD)
        calendars = queries.choices_of(held, actor, when.today())
    return render_template(
        "feeds/index.html",
        layout=_layout(),
        feeds=mine,
        choices=choices,
        coming=coming[:SOON],
        calendars=[(choice, _page_of(choice)) for choice in calendars],
        summary=_summary,
        place=_place,
        titles=TITLES,
    )


def _page_of(choice: queries.Choice) -> str:
    """Where the calendar itself is shown."""
    match choice.scope:
        case "class":
            return url_for("calendars.class_calendar", class_id=choice.scope_id)
        case "school":
            return url_for("calendars.school", school_id=choice.scope_id)
        case "venue":
            return url_for("calendars.venue", resource_id=choice.scope_id)
    return url_for(f"calendars.{choice.scope}")


def _summary(entry: CalendarEntry) -> str:
    return entry.summary_en if language() == "en" else entry.summary_zh


def _place(entry: CalendarEntry) -> str:
    return entry.location_en if language() == "en" else entry.location_zh


@bp.post("/calendars")
@guard(Access.SIGNED_IN)
def subscribe() -> ResponseReturnValue:
    """Open a feed and go to the page that shows its address, this once."""
    scope = request.form.get("scope", "")
    scope_id = request.form.get("scope_id", type=int)
    if scope not in TITLES:
        raise NotFound()
    with unit_of_work() as uow:
        token, secret = feeds.open_feed(
            uow,
            scope=scope,
            scope_id=scope_id,
            name=request.form.get("name", "")[:60] or TITLES[scope].in_(language()),
            language=language(),
        )
        token_id = token.id
    _keep(token_id, secret)
    return redirect(url_for("feeds.show", token_id=token_id), 303)


def _keep(token_id: int, secret: str) -> None:
    """Keep the newest secrets in the signed cookie: the database has only their hashes."""
    kept: dict[str, str] = dict(session.get(SECRETS, {}))
    kept[str(token_id)] = secret
    session[SECRETS] = dict(list(kept.items())[-KEPT_SECRETS:])


def _own(token_id: int) -> FeedToken:
    actor = current_actor()
    with reading() as held:
        found = next(
            (f for f in feeds.feeds_of(held, actor.person_id or 0) if f.id == token_id), None
        )
    if found is None:
        raise NotFound()
    return found


@bp.get("/calendars/<int:token_id>")
@guard(Access.SIGNED_IN)
def show(token_id: int) -> ResponseReturnValue:
    """How to subscribe to one feed: buttons, QR, steps. The address shows only when just made."""
    token = _own(token_id)
    secret = dict(session.get(SECRETS, {})).get(str(token_id))
    address = public(f"/c/{secret}.ics") if secret else None
    links = subscribe_links(address, token.name) if address else None
    return render_template(
        "feeds/show.html",
        layout=_layout(),
        feed=token,
        address=address,
        links=links,
        guides=GUIDES,
    )


@bp.post("/calendars/<int:token_id>/rotate")
@guard(Access.SIGNED_IN)
def rotate(token_id: int) -> ResponseReturnValue:
    """Close the old address, open a new one."""
    with unit_of_work() as uow:
        token, secret = feeds.rotate(uow, token_id=token_id)
        new_id = token.id
    _keep(new_id, secret)
    say(Text("已更换地址，旧地址立即失效。", "The address is new; the old one no longer works."))
    return redirect(url_for("feeds.show", token_id=new_id), 303)


@bp.post("/calendars/<int:token_id>/revoke")
@guard(Access.SIGNED_IN)
def revoke(token_id: int) -> ResponseReturnValue:
    """Close an address for good."""
    with unit_of_work() as uow:
        feeds.revoke(uow, token_id=token_id)
    say(Text("订阅地址已停用。", "The address has been closed."))
    return redirect(url_for("feeds.index"), 303)


@bp.get("/c/<token>.ics")
@guard(Access.FEED)
def serve(token: str) -> ResponseReturnValue:
    """A feed. The door in front of Flask answers; this is its place among the routes."""
    del token
    raise NotFound()
