"""Many numbers as one query parameter."""

from __future__ import annotations

from collections.abc import Iterable


def array_text(numbers: Iterable[int]) -> str:
    """PostgreSQL's own writing of an array, to be cast there: ``{1,2}``.

    The driver hands a text on as it is; the cells of a list it writes one by one, which costs more
    than the look-up itself.
    """
    return f"{{{','.join(map(str, numbers))}}}"
