"""Secret feed addresses at `/c/<token>.ics`, subscribe pages and the list of coming entries.

Knows no rule: what a feed shows is decided in `domain/agenda`.
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

from calendars.clients import recognise
from calendars.subscribe import subscribe_links
from coordination.blueprints.feeds.forms import OptionsForm
from coordination.blueprints.feeds.guides import GUIDES
from coordination.domain.agenda import feeds, queries
from coordination.domain.agenda.audiences import audiences_for
from coordination.domain.agenda.models import CalendarEntry, FeedToken
from coordination.domain.agenda.options import LONGEST_NAME, of_words
from coordination.domain.agenda.polling import TITLES
from coordination.domain.people.family import children_of
from coordination.ground import clock
from coordination.ground.errors import NotFound
from coordination.ground.text import Text, clean
from coordination.web import when
from coordination.web.forms import attempt, both, render_form
from coordination.web.guards import Access, guard, is_staff
from coordination.web.request import current_actor, language, reading, unit_of_work
from coordination.web.say import say
from coordination.web.urls import public

bp = Blueprint("feeds", __name__)

SECRETS = "feed_secrets"
KEPT_SECRETS = 3
AHEAD = timedelta(days=60)
SOON = 5
_FAMILY = ("family", "child")


def _layout() -> str:
    return "layouts/staff.html" if is_staff(current_actor()) else "layouts/parent.html"


PURPOSES = {
    "family": Text(
        "所有孩子的活动、班级安排和您的志愿班次，一个日历看全。",
        "Every child's activities, class events and your own shifts in one calendar.",
    ),
    "teacher": Text("您带的班级和您负责的活动。", "Your classes and the events you lead."),
    "class": Text("这个班的安排。", "What this class does."),
    "school": Text("全校的安排和校历。", "What concerns the whole school, and the school year."),
    "resource": Text("这个场地的预约。", "Bookings of this venue."),
    "district": Text("学期、节假日、调休和考试。", "Terms, holidays, make-up days and exams."),
    "volunteer": Text("只含您自己报名的志愿班次。", "Only the shifts you signed up for."),
}
# pages and feeds of one calendar have two words for it
FEED_OF = {"mine": "teacher", "venue": "resource"}


def _offers(calendars: list[queries.Choice]) -> list[tuple[str, int | None, Text, Text]]:
    """(scope, scope id, title, what it is for) of the feeds this actor may open."""
    found = []
    for choice in calendars:
        scope = FEED_OF.get(choice.scope, choice.scope)
        found.append((scope, choice.scope_id, choice.title, PURPOSES[scope]))
    found.append(("volunteer", None, TITLES["volunteer"], PURPOSES["volunteer"]))
    return found


def _reading_of(token: FeedToken) -> tuple[Text, Text | None]:
    """Who read the feed when, and what to do if that is not as usual."""
    now = clock.now()
    if token.last_fetched_at is None:
        said = Text("还没有日历读取过", "Not read by any calendar yet")
        if now - token.created_at < timedelta(days=1):
            return said, None
        return said, Text(
            "添加后通常一小时内会读取。若一直没有，请重置地址，再按步骤添加一次。",
            "A calendar usually reads within an hour. If none does, make a new address and add it again.",
        )
    client, age = recognise(token.last_client or ""), now - token.last_fetched_at
    ago = when.ago(age)
    said = Text(f"{client.name}，{ago.zh}读取", f"{client.name}, read {ago.en}")
    if client.key == "browser":
        return said, Text(
            "上次是用浏览器打开的。下载的文件不会自动更新，请按步骤订阅。",
            "It was opened in a browser. A downloaded file does not follow changes; subscribe instead.",
        )
    if age > 3 * client.usual + timedelta(hours=12):
        return said, Text(
            "很久没有读取了。请看看手机里是否还有这个日历，是否关闭了“获取新数据”。",
            "It has not been read for long. Check that the calendar is still on your phone and that "
            "fetching is on.",
        )
    if client.key == "google":
        return said, Text(
            "Google 每 12 到 24 小时才读一次，临时变动请看短信。",
            "Google reads only every 12 to 24 hours; watch the SMS for late changes.",
        )
    return said, None


@bp.get("/calendars")
@guard(Access.SIGNED_IN)
def index() -> ResponseReturnValue:
    """My feeds, the feeds I may open, and what is coming."""
    actor = current_actor()
    now = clock.now()
    with reading() as held:
        mine = feeds.feeds_of(held, actor.person_id or 0)
        audiences = audiences_for(held, actor, when.today())
        coming = queries.entries_between(held, audiences, now, now + AHEAD)
        calendars = queries.choices_of(held, actor, when.today())
        closed = feeds.closed_by_themselves(held, actor.person_id or 0, now)
    return render_template(
        "feeds/index.html",
        layout=_layout(),
        feeds=[(token, *_reading_of(token)) for token in mine],
        closed=closed,
        choices=_offers(calendars),
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
            name=clean(request.form.get("name", ""))[:60] or TITLES[scope].in_(language()),
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


@bp.route("/calendars/<int:token_id>", methods=["GET", "POST"])
@guard(Access.SIGNED_IN)
def show(token_id: int) -> ResponseReturnValue:
    """One feed: how to subscribe, what it shows, who reads it. The address shows only when just made."""
    token = _own(token_id)
    actor = current_actor()
    with reading() as held:
        children = children_of(held, actor, when.today()) if token.scope in _FAMILY else []
    form = OptionsForm(data={"name": token.name, "language": token.language})
    form.child.choices = [("", both("全部孩子", "All children"))]
    form.child.choices += [(str(c.id), c.name) for c in children]
    chosen = of_words(token.options)
    if request.method == "GET":
        form.show(chosen)
    if form.validate_on_submit():
        with attempt(form) as done, unit_of_work() as uow:
            feeds.change(
                uow,
                token_id=token_id,
                name=form.name.data or "",
                language=form.language.data,
                options=form.options([c.id for c in children]),
            )
        if done.ok:
            say(
                Text(
                    "已保存。日历下次更新时生效，地址不变。",
                    "Saved. It shows at the calendar's next update; the address stays the same.",
                )
            )
            return redirect(url_for("feeds.show", token_id=token_id), 303)
    secret = dict(session.get(SECRETS, {})).get(str(token_id))
    address = public(f"/c/{secret}.ics") if secret else None
    said, advice = _reading_of(token)
    names = dict(chosen.names)
    return render_form(
        "feeds/show.html",
        form,
        layout=_layout(),
        feed=token,
        address=address,
        links=subscribe_links(address, token.name) if address else None,
        guides=GUIDES,
        children=[(c, request.form.get(f"name-{c.id}", names.get(c.id, ""))) for c in children],
        said=said,
        advice=advice,
        longest_name=LONGEST_NAME,
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
