"""The address of a feed to the links that calendar programs subscribe with.

Must not know tokens or tell one client from another.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, urlencode, urlsplit

from calendars.errors import UnfitAddress


@dataclass(frozen=True, slots=True)
class SubscribeLinks:
    """One feed, one link for each kind of client; `download` is for phones that only import."""

    webcal: str
    google: str
    outlook: str
    office: str
    download: str


def subscribe_links(feed_url: str, name: str = "") -> SubscribeLinks:
    """The links for a feed at an absolute http(s) address."""
    parts = urlsplit(feed_url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise UnfitAddress("a feed has an absolute https address")
    if not feed_url.isprintable() or " " in feed_url:
        raise UnfitAddress("a feed's address has no spaces or control characters")
    webcal = feed_url.replace(f"{parts.scheme}://", "webcal://", 1)
    query = urlencode({"url": feed_url, "name": name}, quote_via=quote)
    return SubscribeLinks(
        webcal=webcal,
        # Google was seen to reject https here; webcal it accepts.
        google="https://calendar.google.com/calendar/render?cid=" + quote(webcal, safe=""),
        outlook="https://outlook.live.com/calendar/0/addfromweb?" + query,
        office="https://outlook.office.com/calendar/0/addfromweb?" + query,
        download=feed_url,
    )
