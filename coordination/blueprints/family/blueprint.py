"""The blueprint that the pages of this folder belong to. Holds no page."""

from __future__ import annotations

from flask import Blueprint

bp = Blueprint("family", __name__)
