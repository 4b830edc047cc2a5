"""What the next page says about what was just done. Must not know any feature."""

from __future__ import annotations

from typing import Literal

from flask import flash

from coordination.ground.text import Text
from coordination.web.request import language

Tone = Literal["ok", "info", "need", "bad"]


def say(message: Text, tone: Tone = "ok") -> None:
    """Show `message` once, at the top of the next page."""
    flash(message.in_(language()), tone)
