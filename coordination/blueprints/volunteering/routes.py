"""Gathers the pages of volunteering: each module below adds its own to the blueprint."""

from __future__ import annotations

from coordination.blueprints.volunteering import (
    objections,
    record,
    rule,
    shifts,
    signing,
    sums,
    times,
)
from coordination.blueprints.volunteering.blueprint import bp

__all__ = ["bp", "objections", "record", "rule", "shifts", "signing", "sums", "times"]
