"""核验志愿服务记录证明: the number says whether the paper is true, and nothing that is not on it."""

from __future__ import annotations

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from coordination.domain.volunteering import certificates
from coordination.ground import crypto
from coordination.web.guards import Access, guard
from coordination.web.request import reading

bp = Blueprint("verify", __name__, url_prefix="/verify")


@bp.get("/")
@guard(Access.PUBLIC)
def index() -> ResponseReturnValue:
    """Where the number is typed."""
    number = crypto.normal_code(request.args.get("number", "")[:40])
    if number.isalnum() and number.isascii():
        return redirect(url_for("verify.number", number=number))
    return render_template("verify/index.html", asked=bool(request.args.get("number")))


@bp.get("/<number>")
@guard(Access.PUBLIC)
def number(number: str) -> ResponseReturnValue:
    """What stands behind a number."""
    with reading() as held:
        found = certificates.check(held, number)
    page = render_template("verify/number.html", found=found, number=number[:40])
    return page, 200 if found else 404
