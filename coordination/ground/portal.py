"""What the product is called and where it is, for whatever leaves it: texts, mails, calendar entries.

Must not know any page but by its path. Set once by the composition root.
"""

from __future__ import annotations

from coordination.ground.text import Text

NAME = Text("家校社协同", "Coordination")
_address = "http://127.0.0.1:8000"


def use_address(public_url: str) -> None:
    """The address people use."""
    global _address
    _address = public_url.rstrip("/")


def address(path: str = "") -> str:
    """The address people use, or that of a page."""
    return _address + path


def entry_path(entry_id: int) -> str:
    """The page of a calendar entry; the number is what people read out to each other."""
    return f"/calendars/entries/{entry_id}"
