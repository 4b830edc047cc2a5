"""Addresses: absolute ones are made from PUBLIC_URL alone, a Host header is never believed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urljoin

from flask import current_app, url_for


def external_url(endpoint: str, **values: Any) -> str:
    """The address under which the outside world reaches `endpoint`."""
    return public(url_for(endpoint, **values))


def row_links(endpoint: str, name: str) -> Callable[[int], str]:
    """Makes the addresses of many rows of one kind; the router is asked once, not for every row."""
    place = 9_999_999_999
    values: dict[str, Any] = {name: place}
    before, after = url_for(endpoint, **values).split(str(place))
    return lambda row_id: f"{before}{row_id:d}{after}"


def public(path: str) -> str:
    """PUBLIC_URL + `path`."""
    return urljoin(str(current_app.config["PUBLIC_URL"]).rstrip("/") + "/", path.lstrip("/"))
