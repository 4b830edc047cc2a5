"""Pages of a list: bounded size, one extra row instead of a count. Knows no feature."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from flask import request, url_for
from sqlalchemy import Select
from sqlalchemy.orm import Session

T = TypeVar("T")

PAGE_SIZE = 50
LAST_PAGE = 2000


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list."""

    items: Sequence[T]
    number: int
    has_next: bool

    @property
    def has_previous(self) -> bool:
        """Whether an earlier page exists."""
        return self.number > 1


def page_number() -> int:
    """``?page=`` within bounds; anything else is the first page."""
    asked = request.args.get("page", "")
    return min(max(int(asked), 1), LAST_PAGE) if asked.isascii() and asked.isdigit() else 1


def paged(session: Session, query: Select[*tuple[Any, ...]], *, size: int = PAGE_SIZE) -> Page[Any]:
    """The rows of the asked page; single-entity selects give objects, others give rows."""
    number = page_number()
    result = session.execute(query.limit(size + 1).offset((number - 1) * size))
    single = len(query.column_descriptions) == 1
    rows = list(result.scalars() if single else result)
    return Page(rows[:size], number, len(rows) > size)


def sliced(items: Sequence[T], *, size: int = PAGE_SIZE) -> Page[T]:
    """The asked page of what is in hand already; beyond the last there is the last."""
    last = max(1, -(-len(items) // size))
    number = min(page_number(), last)
    return Page(items[(number - 1) * size : number * size], number, number < last)


def page_url(number: int) -> str:
    """This address with another page number; filters are kept."""
    kept = {k: v for k, v in request.args.to_dict(flat=False).items() if k not in {"page", "lang"}}
    given = dict(request.view_args or {})
    return url_for(request.endpoint or "home.index", **{**kept, **given, "page": number})
