"""Families that have opened no notice for a long time."""

from __future__ import annotations

from flask import render_template
from flask.typing import ResponseReturnValue

from coordination.blueprints.communication.blueprint import bp
from coordination.domain.communication import unread
from coordination.ground import clock
from coordination.web import when
from coordination.web.guards import Access, guard
from coordination.web.paging import paged
from coordination.web.request import current_actor, reading


@bp.get("/unread")
@guard(Access.STAFF)
def unread_families() -> ResponseReturnValue:
    """Children of one's classes whose families have opened none of the last notices."""
    with reading() as held:
        query = unread.unread_query(held, current_actor(), clock.now(), when.today())
        page = paged(held, query)
        lines = unread.unread_lines(held, page.items, when.today())
    return render_template("communication/unread.html", page=page, lines=lines)
