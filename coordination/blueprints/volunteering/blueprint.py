"""The blueprint that the pages of this folder belong to. Holds no page."""

from __future__ import annotations

from flask import Blueprint

from coordination.authz.actor import Actor
from coordination.web.guards import is_staff

bp = Blueprint("volunteering", __name__, url_prefix="/shifts")


def layout_of(actor: Actor) -> str:
    """Volunteers are parents, teachers and others: each in the frame of their other pages."""
    return "layouts/staff.html" if is_staff(actor) else "layouts/parent.html"
