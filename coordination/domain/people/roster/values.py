"""Small types of the roster import: what a reader yields and what may be refused.

Every reader, whatever its format, yields `Row`s of the same few staging tables. Knows no SQL.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from coordination.ground.text import Text

Cell = str | int | bool | bytes | date | None
# entity -> op -> how many
Counts = dict[str, dict[str, int]]


class Staged(StrEnum):
    """The staging tables, by the kind of thing they hold."""

    ORG = "org"
    CLASS = "class"
    PERSON = "person"
    CONTACT = "contact"
    MEMBER = "member"
    KIN = "kin"
    POST = "post"
    REFUSED = "refused"


# one row for a staging table, its cells in the order of that table's columns; a bare tuple, for
# there are millions of them
Row = tuple[Staged, tuple[Cell, ...]]


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands in what was handed in."""

    file: str
    line: int
    column: str = ""


@dataclass(frozen=True, slots=True)
class Format:
    """What a source turned out to be.

    `full` names the entities of which the source holds everything: whoever is missing has left.
    `by_name` says that schools, classes and guardians are found by their names.
    """

    key: str
    label: Text
    full: frozenset[str] = frozenset()
    by_name: bool = False


@dataclass(frozen=True, slots=True)
class Reading:
    """An opened source: its format, and its rows (to be read once)."""

    format: Format
    rows: Iterator[Row]


Record = Mapping[str, str]


def refusal(place: Place, code: str, reason: Text) -> Row:
    """A row of the list of refusals."""
    return (
        Staged.REFUSED,
        (place.file, place.line, place.column, code, reason.zh, reason.en),
    )
