"""The blueprint of bookings; the modules beside it add their routes."""

from __future__ import annotations

from flask import Blueprint

bp = Blueprint("bookings", __name__, url_prefix="/venues")
