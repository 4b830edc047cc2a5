"""Reads Microsoft School Data Sync v1: School, Section, Student, Teacher and their rosters.

Says nothing about guardians. Nothing is taken as complete, so nobody is ended.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from coordination.domain.people.roster import normal
from coordination.domain.people.roster.files import Part
from coordination.domain.people.roster.headers import Columns, table
from coordination.domain.people.roster.oneroster import GONE
from coordination.domain.people.roster.rows import NO_ID, NO_NAME, long_name
from coordination.domain.people.roster.values import Format, Place, Reading, Row, Staged, refusal
from coordination.ground.text import Text

SCHOOL = Columns({"id": ("SIS ID",), "name": ("Name",)}, frozenset({"id", "name"}))
SECTION = Columns(
    {
        "id": ("SIS ID",),
        "school": ("School SIS ID",),
        "name": ("Section Name",),
        "status": ("Status",),
    },
    frozenset({"id", "school", "name"}),
)
PERSON = Columns(
    {
        "id": ("SIS ID",),
        "school": ("School SIS ID",),
        "given": ("First Name",),
        "family": ("Last Name",),
        "grade": ("Grade",),
        "status": ("Status",),
        "birth": ("Birthdate",),
    },
    frozenset({"id", "school", "given", "family"}),
)
ROSTER = Columns(
    {"class": ("Section SIS ID",), "person": ("SIS ID",)}, frozenset({"class", "person"})
)


def reads(stems: frozenset[str]) -> bool:
    """Whether these are the tables of School Data Sync v1."""
    return {"school", "student"} <= stems


def open_(parts: Sequence[Part]) -> Reading:
    """The format and the rows of an export."""
    by_stem = {part.stem: part for part in parts}
    label = Text("Microsoft School Data Sync 1", "Microsoft School Data Sync 1")
    return Reading(Format("sds", label), _rows(by_stem))


def _rows(parts: dict[str, Part]) -> Iterator[Row]:
    problems: list[Row] = []
    if "school" in parts:
        yield from _schools(parts["school"], problems)
    if "section" in parts:
        yield from _sections(parts["section"], problems)
    for stem, role in (("student", "student"), ("teacher", "teacher")):
        if stem in parts:
            yield from _people(parts[stem], role, problems)
    for stem, role in (("studentenrollment", "student"), ("teacherroster", "teacher")):
        if stem in parts:
            yield from _roster(parts[stem], role, problems)
    yield from problems


def _schools(part: Part, problems: list[Row]) -> Iterator[Row]:
    for line in table(part, SCHOOL, problems):
        source, name = normal.code(line["id"]), normal.plain(line["name"])
        if source and name:
            yield (Staged.ORG, (part.name, line.number, source, "school", "", name, False, True))
        else:
            column = "Name" if source else "SIS ID"
            yield refusal(
                Place(part.name, line.number, column), "empty", NO_NAME if source else NO_ID
            )


def _sections(part: Part, problems: list[Row]) -> Iterator[Row]:
    for line in table(part, SECTION, problems):
        source, name = normal.code(line["id"]), normal.class_name(line["name"])
        if not source or not name:
            column = "Section Name" if source else "SIS ID"
            yield refusal(
                Place(part.name, line.number, column), "empty", NO_NAME if source else NO_ID
            )
            continue
        yield (
            Staged.CLASS,
            (
                part.name,
                line.number,
                source,
                normal.code(line["school"]),
                name,
                normal.english_class_name(name),
                normal.grade(name),
                line["status"].casefold() in GONE,
            ),
        )


def _people(part: Part, role: str, problems: list[Row]) -> Iterator[Row]:
    for line in table(part, PERSON, problems):
        source = normal.code(line["id"])
        name = normal.person_name(line["family"], line["given"])
        if not source or not name:
            column = "Last Name" if source else "SIS ID"
            yield refusal(
                Place(part.name, line.number, column), "empty", NO_NAME if source else NO_ID
            )
            continue
        if len(name) > normal.LONGEST_NAME:
            yield long_name(Place(part.name, line.number, "Last Name"))
            continue
        yield (
            Staged.PERSON,
            (
                part.name,
                line.number,
                source,
                role,
                "",
                name,
                normal.pinyin(name),
                "",
                normal.code(line["school"]),
                normal.grade(line["grade"]),
                normal.birth_month(line["birth"]) if line["birth"] else None,
                line["status"].casefold() in GONE,
                False,
            ),
        )


def _roster(part: Part, role: str, problems: list[Row]) -> Iterator[Row]:
    for line in table(part, ROSTER, problems):
        group, person = normal.code(line["class"]), normal.code(line["person"])
        if group and person:
            yield (
                Staged.MEMBER,
                (part.name, line.number, "SIS ID", group, person, role, None, None, False),
            )
        else:
            column = "SIS ID" if group else "Section SIS ID"
            yield refusal(Place(part.name, line.number, column), "empty", NO_ID)
