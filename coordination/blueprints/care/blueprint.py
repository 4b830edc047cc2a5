"""The blueprint of health cards and collectors; its views stand in `family.py` and `leader.py`."""

from __future__ import annotations

from flask import Blueprint

bp = Blueprint("care", __name__)
