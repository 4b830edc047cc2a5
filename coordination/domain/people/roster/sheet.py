"""Our own one-sheet template: one line per child with up to three guardians. Reads it; `template.py` makes it.

A sheet is never taken as complete: whoever is not in it stays as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256

from coordination.domain.people.roster import normal
from coordination.domain.people.roster.files import Part
from coordination.domain.people.roster.headers import Columns, Line, table
from coordination.domain.people.roster.oneroster import unknown_relation
from coordination.domain.people.roster.rows import NO_NAME, contacts, long_name
from coordination.domain.people.roster.values import Format, Place, Reading, Row, Staged, refusal
from coordination.ground.text import Text, half_width

GUARDIANS = 3
_LEFT = frozenset({"转出", "毕业", "离校", "休学", "left", "withdrawn", "graduated", "inactive"})
_STAYS = frozenset({"", "在读", "在校", "active", "enrolled"})


def _guardian_columns(n: int) -> dict[str, tuple[str, ...]]:
    return {
        f"g{n}": (f"监护人{n}姓名", f"监护人{n}", f"Guardian {n} name", f"Guardian {n}"),
        f"r{n}": (f"监护人{n}关系", f"Guardian {n} relation"),
        f"p{n}": (f"监护人{n}手机", f"监护人{n}手机号", f"监护人{n}电话", f"Guardian {n} mobile",
                  f"Guardian {n} phone"),
        f"l{n}": (f"监护人{n}语言", f"Guardian {n} language"),
    }  # fmt: skip


COLUMNS = Columns(
    {
        "school": ("学校", "学校名称", "School"),
        "code": ("学校代码", "School code"),
        "class": ("班级", "班级名称", "Class"),
        "grade": ("年级", "Grade"),
        "number": ("学号", "学籍号", "Student number", "Student ID"),
        "name": ("学生姓名", "姓名", "Student name", "Name"),
        "birth": ("出生年月", "Birth month", "Date of birth"),
        "status": ("状态", "Status"),
        **{k: v for n in range(1, GUARDIANS + 1) for k, v in _guardian_columns(n).items()},
    },
    frozenset({"school", "class", "number", "name", "g1", "p1"}),
)
LABEL = Text("名册模板", "Our template")


def open_(part: Part, codes: Mapping[str, str]) -> Reading:
    """The format and the rows of a filled-in template; `codes` are the known schools by name."""
    return Reading(Format("template", LABEL, by_name=True), _rows(part, codes))


def _rows(part: Part, codes: Mapping[str, str]) -> Iterator[Row]:
    problems: list[Row] = []
    schools: set[str] = set()
    classes: set[tuple[str, str]] = set()
    for line in table(part, COLUMNS, problems):
        yield from _line(part.name, line, codes, schools, classes)
    yield from problems


def _line(
    file: str,
    line: Line,
    codes: Mapping[str, str],
    schools: set[str],
    classes: set[tuple[str, str]],
) -> Iterator[Row]:
    called = normal.plain(line["school"])
    values = {
        "school": normal.code(line["code"]) or codes.get(called, called),
        "class": normal.class_name(line["class"]),
        "number": normal.code(line["number"]).replace(" ", "").lstrip("'"),
        "name": normal.plain(line["name"]),
    }
    for key, value in values.items():
        if not value:
            column = COLUMNS.first(key)
            yield refusal(
                Place(file, line.number, column),
                "empty",
                Text(f"“{column}”不能为空，这一行未导入。", f"“{column}” is empty; fill it in."),
            )
            return
    school, group, name = values["school"], values["class"], values["name"]
    if len(name) > normal.LONGEST_NAME:
        yield long_name(Place(file, line.number, COLUMNS.first("name")))
        return
    status = half_width(line["status"]).casefold()
    if status not in _LEFT | _STAYS:
        yield refusal(
            Place(file, line.number, COLUMNS.first("status")),
            "status",
            Text(
                f"不认识状态“{status[:20]}”，请填“在读”或“转出”，这一行未导入。",
                f"The status “{status[:20]}” is not known; use “active” or “left”.",
            ),
        )
        return
    gone = status in _LEFT
    birth = normal.birth_month(line["birth"]) if line["birth"] else None
    if line["birth"] and birth is None:
        yield refusal(
            Place(file, line.number, COLUMNS.first("birth")),
            "date",
            Text(
                "出生年月看不懂，未采用；请写成 2017-09。这一行的其他内容照常导入。",
                "The birth month is not understood; write 2017-09. The rest of the row is taken.",
            ),
        )
    grade = normal.grade(line["grade"]) or normal.grade(group)
    if school not in schools:
        schools.add(school)
        yield (
            Staged.ORG,
            (file, line.number, school, "school", "", called, False, bool(line["code"].strip())),
        )
    if (school, group) not in classes:
        classes.add((school, group))
        yield (
            Staged.CLASS,
            (file, line.number, f"{school}:{group}", school, group,
             normal.english_class_name(group), grade, False),
        )  # fmt: skip
    child = f"{school}:{values['number']}"
    yield (
        Staged.PERSON,
        (file, line.number, child, "student", "", name, normal.pinyin(name), "", school, grade,
         birth, gone, False),
    )  # fmt: skip
    if gone:
        return
    yield (
        Staged.MEMBER,
        (file, line.number, COLUMNS.first("class"), f"{school}:{group}", child, "student",
         None, None, False),
    )  # fmt: skip
    for n in range(1, GUARDIANS + 1):
        yield from _guardian(file, line, n, child)


def _guardian(file: str, line: Line, n: int, child: str) -> Iterator[Row]:
    name, phone = normal.plain(line[f"g{n}"]), line[f"p{n}"]
    place = Place(file, line.number, COLUMNS.first(f"g{n}"))
    if not name:
        if phone.strip():
            yield refusal(place, "empty", NO_NAME)
        return
    if len(name) > normal.LONGEST_NAME:
        yield long_name(place)
        return
    relation = normal.relation(line[f"r{n}"])
    if relation is None:
        at = Place(file, line.number, COLUMNS.first(f"r{n}"))
        yield unknown_relation(at, line[f"r{n}"])
        relation = ""
    points = list(contacts(Place(file, line.number, COLUMNS.first(f"p{n}")), "", phone))
    index = next((cells[5] for to, cells in points if to is Staged.CONTACT), None)
    # a sheet has no identifiers for adults: one name with one phone is one person, in any class
    key = index.hex() if isinstance(index, bytes) else child
    source = "g:" + sha256(f"{name}\0{key}".encode()).hexdigest()[:32]
    yield (
        Staged.PERSON,
        (file, line.number, source, "guardian", "", name, normal.pinyin(name),
         normal.language(line[f"l{n}"]), "", None, None, False, True),
    )  # fmt: skip
    for to, cells in points:
        yield (to, (*cells[:2], source, *cells[3:]) if to is Staged.CONTACT else cells)
    yield (Staged.KIN, (file, line.number, place.column, child, source, relation, n, False))
