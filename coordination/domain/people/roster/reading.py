"""Finds out what was handed in, by its content and never by the ending of its name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from coordination.domain.people.roster import oneroster, sds, sheet
from coordination.domain.people.roster.files import parts_of, refused
from coordination.domain.people.roster.values import Reading


@contextmanager
def reading(path: Path, name: str, codes: Mapping[str, str]) -> Iterator[Reading]:
    """The opened source at `path`, which its owner calls `name`; Invalid if it is none of ours.

    `codes` are the known schools by name: a sheet names schools as people do.
    """
    with parts_of(path, name) as parts:
        stems = frozenset(part.stem for part in parts)
        if oneroster.reads(stems):
            yield oneroster.open_(parts)
        elif sds.reads(stems):
            yield sds.open_(parts)
        elif len(parts) == 1:
            yield sheet.open_(parts[0], codes)
        elif not parts:
            raise refused("里面没有任何文件。", "There is no file in it.")
        else:
            raise refused(
                "不认识这些文件。请上传 OneRoster 的 zip（含 users.csv、orgs.csv 等），或名册模板。",
                "These files are not known. Upload a OneRoster zip (users.csv, orgs.csv, …) or"
                " our template.",
            )
