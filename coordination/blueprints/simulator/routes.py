"""The phone simulator: each phone as it would look, while nothing is really sent."""

from __future__ import annotations

import re
from uuid import UUID

from flask import Blueprint, current_app, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from markupsafe import Markup, escape

from coordination.authz.actor import SYSTEM
from coordination.domain.people.phones import phones_with_texts
from coordination.ground.errors import NotFound
from coordination.ground.text import Text, clean
from coordination.reactions import by_phone
from coordination.web.guards import Access, guard
from coordination.web.request import act_as, reading, unit_of_work
from coordination.web.say import say
from coordination.web.when import today

bp = Blueprint("simulator", __name__)

_OPENABLE = re.compile(
    r"(?P<url>https?://[^\s，。；、）】]+)|\b(?P<code>[0-9A-HJKMNP-TV-Z]{5}-[0-9A-HJKMNP-TV-Z]{5})\b"
)


def clickable(body: str) -> Markup:
    """The text with our links and codes opened by a click, as a phone would; the rest escaped."""
    public = str(current_app.config["PUBLIC_URL"])
    made, position = Markup(), 0
    for found in _OPENABLE.finditer(body):
        made += escape(body[position : found.start()])
        url, code = found.group("url"), found.group("code")
        if code:
            made += Markup('<a href="/a/{}">{}</a>').format(code, code)
        elif url.startswith(public + "/"):
            made += Markup('<a href="{}">{}</a>').format(url.removeprefix(public), url)
        else:
            made += escape(found.group())
        position = found.end()
    return made + escape(body[position:])


@bp.post("/simulator/calls/<uuid:attempt_id>/<int:key>")
@guard(Access.DEVELOPMENT)
def press(attempt_id: UUID, key: int) -> ResponseReturnValue:
    """Press a key in a call, as its listener would; what the voice answers stands above the phones."""
    act_as(SYSTEM)
    with unit_of_work() as uow:
        reply = by_phone.pressed(
            uow, attempt_id=attempt_id, provider_id=None, key=str(key), today=today()
        )
    if reply is None:
        raise NotFound()
    say(Text(f"电话里说：{reply.says}", f"The voice says: {reply.says}"))
    return redirect(url_for("simulator.index"), 303)


@bp.get("/simulator")
@guard(Access.DEVELOPMENT)
def index() -> ResponseReturnValue:
    """Phones that received something."""
    name = clean(request.args.get("name", ""))[:60]
    with reading() as session:
        phones = phones_with_texts(session, name=name)
    return render_template("simulator/index.html", phones=phones, name=name, clickable=clickable)
