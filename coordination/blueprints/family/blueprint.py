"""The blueprint that the family's pages belong to. Holds no page."""

from __future__ import annotations

from flask import Blueprint

bp = Blueprint("family", __name__)
