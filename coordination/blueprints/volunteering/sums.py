"""Confirmed time of volunteers by organiser, base or class, on a page and as a file. Numbers only."""

from __future__ import annotations

from flask import render_template, request
from flask.typing import ResponseReturnValue

from coordination.blueprints.volunteering.blueprint import bp
from coordination.domain.practice.hour_rules import Stretch, stretch_of
from coordination.domain.volunteering.sums import BY, Sum, sums
from coordination.ground.text import Text
from coordination.web import when
from coordination.web.guards import Access, guard
from coordination.web.request import current_actor, language, reading
from coordination.web.sheets import csv_file

LABELS = {
    "organiser": Text("按组织单位", "By organiser"),
    "base": Text("按基地", "By base"),
    "class": Text("按班级", "By class"),
}


def _asked() -> tuple[str, Stretch, list[Sum]]:
    by = request.args.get("by", "")
    by = by if by in BY else BY[0]
    with reading() as held:
        stretch = stretch_of(held, when.today())
        found = sums(
            held, current_actor(), by=by, stretch=stretch, today=when.today(), zone=when.zone()
        )
    return by, stretch, found


@bp.get("/sums", endpoint="sums")
@guard(Access.STAFF)
def shown() -> ResponseReturnValue:
    """The sums of the present term."""
    by, stretch, found = _asked()
    return render_template(
        "volunteering/sums.html", by=by, stretch=stretch, found=found, labels=LABELS
    )


@bp.get("/sums.csv")
@guard(Access.STAFF)
def sums_csv() -> ResponseReturnValue:
    """The same as a file for a spreadsheet."""
    by, stretch, found = _asked()
    heads = (
        Text("代码", "Code"),
        Text("名称", "Name"),
        Text("志愿者人数", "Volunteers"),
        Text("服务次数", "Services"),
        Text("核定时长（分钟）", "Minutes confirmed"),
        Text("核定时长（小时）", "Hours confirmed"),
    )
    return csv_file(
        f"{LABELS[by].in_(language())}-{stretch.name.in_(language())}.csv",
        [head.in_(language()) for head in heads],
        [
            (
                s.code,
                s.name.in_(language()),
                s.volunteers,
                s.services,
                s.minutes,
                round(s.minutes / 60, 2),
            )
            for s in found
        ],
    )
