"""Absolute addresses, made from PUBLIC_URL alone: a Host header is never believed."""

from __future__ import annotations

from typing import Any
from urllib.parse import urljoin

from flask import current_app, url_for


def external_url(endpoint: str, **values: Any) -> str:
    """The address under which the outside world reaches `endpoint`."""
    return public(url_for(endpoint, **values))


def public(path: str) -> str:
    """PUBLIC_URL + `path`."""
    return urljoin(str(current_app.config["PUBLIC_URL"]).rstrip("/") + "/", path.lstrip("/"))
