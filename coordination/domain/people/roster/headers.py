"""Which column is which: known headers in both languages, and the nearest one for a slip.

A header that is almost a known one is refused by name: reading on would lose a column silently.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from operator import itemgetter

from coordination.domain.people.roster.files import Part, lines_of
from coordination.domain.people.roster.values import Place, Row, refusal
from coordination.ground.text import Text, half_width


def folded(header: str) -> str:
    """A header without case, width, blanks, stars and brackets around its hints."""
    text = half_width(header.replace("\ufeff", "")).casefold()
    return "".join(c for c in text if c not in " _-*\t\u3000").partition("(")[0]


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a table: our key -> how it may be written; `needed` must be there."""

    known: Mapping[str, Sequence[str]]
    needed: frozenset[str]

    def first(self, key: str) -> str:
        """How a column is written at best."""
        return self.known[key][0]

    def _by_header(self) -> dict[str, str]:
        return {folded(way): key for key, ways in self.known.items() for way in (key, *ways)}

    def read(self, header: Sequence[str], file: str, line: int) -> tuple[dict[int, str], list[Row]]:
        """(position -> key, refusals) of a header row; refusals mean the table cannot be read."""
        ways = self._by_header()
        found: dict[int, str] = {}
        strange: list[tuple[int, str]] = []
        for position, cell in enumerate(header):
            key = ways.get(folded(cell))
            if key is not None and key not in found.values():
                found[position] = key
            elif cell.strip() and key is None:
                strange.append((position, cell.strip()))
        missing = set(self.known) - set(found.values())
        refusals: list[Row] = []
        named: set[str] = set()
        for _position, cell in strange:
            candidates = {w: k for w, k in ways.items() if k in missing}
            near = get_close_matches(folded(cell), candidates, n=1, cutoff=0.75)
            if near:
                key = candidates[near[0]]
                named.add(key)
                best = next((w for w in self.known[key] if folded(w) == near[0]), self.first(key))
                refusals.append(
                    refusal(
                        Place(file, line, cell[:60]),
                        "header_typo",
                        Text(
                            f"不认识表头“{cell[:60]}”，是不是“{best}”？请改正后重新上传。",
                            f"The header “{cell[:60]}” is not known. Did you mean “{best}”?"
                            " Correct it and upload again.",
                        ),
                    )
                )
        for key in sorted(self.needed & missing - named):
            best = self.first(key)
            refusals.append(
                refusal(
                    Place(file, line, best),
                    "header_missing",
                    Text(
                        f"缺少必需的列“{best}”。请补上这一列后重新上传。",
                        f"The column “{best}” is needed and is not there. Add it and upload again.",
                    ),
                )
            )
        return found, refusals


@dataclass(frozen=True, slots=True)
class Line:
    """One data line: where it stands and its cells by key."""

    number: int
    cells: Mapping[str, str]

    def __getitem__(self, key: str) -> str:
        return self.cells.get(key, "")


def table(part: Part, columns: Columns, problems: list[Row]) -> Iterator[Line]:
    """The data lines of a table; nothing if the header cannot be understood (`problems` says why)."""
    keys = tuple(columns.known)
    for number, cells in tuples(part, columns, keys, problems):
        yield Line(number, dict(zip(keys, cells, strict=True)))


def tuples(
    part: Part, columns: Columns, keys: Sequence[str], problems: list[Row]
) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Like `table`, as (line number, cells of `keys`), for tables with very many lines.

    A cell that is not there is empty.
    """
    lines = lines_of(part)
    for number, header in lines:
        found, refusals = columns.read(header, part.name, number)
        if refusals:
            problems.extend(refusals)
            return
        break
    else:
        return
    positions = {key: position for position, key in found.items()}
    width = max(found, default=-1) + 1
    # every line gets one empty cell at its end, which stands for all columns that are not there
    pick = itemgetter(*(positions.get(key, -1) for key in keys))
    for number, cells in lines:
        if len(cells) < width:
            cells += [""] * (width - len(cells))
        cells.append("")
        yield number, pick(cells)
