"""Pages of the district administration. They only read; nothing can be changed here."""

from __future__ import annotations

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from coordination.domain.oversight import audits, traces
from coordination.domain.oversight.wording import table_word
from coordination.ground.text import Text
from coordination.web import delivery
from coordination.web.guards import Access, guard
from coordination.web.paging import paged
from coordination.web.request import current_actor, reading
from coordination.web.when import today

bp = Blueprint("admin", __name__, url_prefix="/admin")

ACTIONS = {
    "add": Text("新增", "Added"),
    "change": Text("修改", "Changed"),
    "remove": Text("删除", "Removed"),
}
KINDS = {
    "notice": Text("通知", "Notice"),
    "notice_nudge": Text("通知提醒", "Notice reminder"),
    "sign_in_code": Text("登录验证码", "Sign-in code"),
    "consent_asked": Text("知情同意", "Consent asked"),
    "session_reminder": Text("活动提醒", "Activity reminder"),
    "session_moved": Text("活动改期", "Activity moved"),
    "session_cancelled": Text("活动取消", "Activity cancelled"),
    "booking_confirmed": Text("预约成功", "Booking confirmed"),
    "booking_declined": Text("预约未通过", "Booking declined"),
    "booking_requested": Text("预约申请", "Booking requested"),
}


def _number(name: str) -> int | None:
    asked = request.args.get(name, "").strip()
    return int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 18 else None


def _kind(key: str) -> Text:
    return KINDS.get(key) or Text(key, key)


@bp.get("/")
@guard(Access.ADMIN)
def index() -> ResponseReturnValue:
    """What the administration can look up."""
    return render_template("admin/index.html")


@bp.get("/audit")
@guard(Access.ADMIN)
def audit() -> ResponseReturnValue:
    """Who changed what, newest first; the filter stands in the address."""
    table = request.args.get("table", "").strip()
    with reading() as held:
        actor = current_actor()
        tables = audits.tables_changed(held, actor)
        page = paged(
            held,
            audits.audit_query(
                actor, table=table, row_id=_number("row"), actor_id=_number("person")
            ),
        )
        lines = audits.audit_lines(page.items)
    return render_template(
        "admin/audit.html",
        lines=lines,
        page=page,
        tables=tables,
        table=table,
        row=_number("row"),
        person=_number("person"),
        actions=ACTIONS,
        word=table_word,
    )


@bp.get("/messages")
@guard(Access.ADMIN)
def messages() -> ResponseReturnValue:
    """Find the person whose messages are in question."""
    name = request.args.get("name", "").strip()[:60]
    with reading() as held:
        people = traces.people_called(held, current_actor(), name)
    return render_template("admin/messages.html", people=people, name=name)


@bp.get("/messages/of/<int:person_id>")
@guard(Access.ADMIN)
def story(person_id: int) -> ResponseReturnValue:
    """What one person was sent, what not, and why."""
    with reading() as held:
        found = traces.story_of(held, current_actor(), person_id, today())
    return render_template("admin/story.html", story=found, kind=_kind, **_words())


@bp.get("/messages/<int:message_id>")
@guard(Access.ADMIN)
def journey(message_id: int) -> ResponseReturnValue:
    """One message step by step."""
    with reading() as held:
        found = traces.journey_of(held, current_actor(), message_id)
    return render_template("admin/journey.html", journey=found, kind=_kind, **_words())


def _words() -> dict[str, object]:
    return {
        "state_word": delivery.state_word,
        "state_tone": delivery.state_tone,
        "reason_word": delivery.reason_word,
    }
