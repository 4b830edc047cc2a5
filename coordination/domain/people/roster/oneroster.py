"""Reads OneRoster 1.1 and 1.2 CSV and Microsoft School Data Sync v2 and v2.1 (the same, relaxed).

Bulk or delta follows the manifest. Without one nothing is taken as complete, so nobody is ended.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

from coordination.domain.people.contacts import sealed
from coordination.domain.people.roster import normal
from coordination.domain.people.roster.files import Part
from coordination.domain.people.roster.headers import Columns, Line, table, tuples
from coordination.domain.people.roster.rows import (
    NO_ID,
    NO_NAME,
    contacts,
    long_name,
)
from coordination.domain.people.roster.values import Format, Place, Reading, Row, Staged, refusal
from coordination.ground.text import Text, half_width

GONE = frozenset({"tobedeleted", "inactive", "deleted"})
STUDENT = frozenset({"student"})
GUARDIAN = frozenset({"parent", "guardian", "relative"})
ADMIN = frozenset({"administrator", "principal", "siteadministrator", "schooladministrator"})
TEACHER = frozenset({
    "teacher", "aide", "proctor", "staff", "faculty", "professor", "lecturer", "instructor",
    "counselor", "adjunct", "paraprofessional", "teacherassistant", "chiefadministrator",
})  # fmt: skip
SCHOOLS = frozenset({
    "school", "college", "university", "campus", "ruralcenter", "academy", "kindergarten", "base",
})  # fmt: skip

_ENROLLED = frozenset({"student", "teacher", "admin"})

_STATUS = {"status": ("status",)}
ORGS = Columns(
    {
        "id": ("sourcedId",),
        "name": ("name",),
        "type": ("type",),
        "parent": ("parentSourcedId",),
        **_STATUS,
    },
    frozenset({"id", "name", "type"}),
)
CLASSES = Columns(
    {
        "id": ("sourcedId",),
        "title": ("title",),
        "school": ("schoolSourcedId", "orgSourcedId"),
        "grades": ("grades", "grade"),
        **_STATUS,
    },
    frozenset({"id", "title", "school"}),
)
USERS = Columns(
    {
        "id": ("sourcedId",),
        "given": ("givenName",),
        "family": ("familyName",),
        "role": ("role",),
        "orgs": ("orgSourcedIds", "orgSourcedId", "primaryOrgSourcedId"),
        "agents": ("agentSourcedIds",),
        "grades": ("grades", "grade"),
        "email": ("email",),
        "phone": ("phone",),
        "sms": ("sms",),
        "language": ("metadata.language", "preferredLanguage"),
        "birth": ("birthDate", "metadata.birthDate"),
        **_STATUS,
    },
    frozenset({"id", "given", "family"}),
)
ROLES = Columns(
    {
        "user": ("userSourcedId",),
        "org": ("orgSourcedId",),
        "role": ("role",),
        "type": ("roleType",),
        "primary": ("isPrimary",),
        "grade": ("grade",),
        "begins": ("beginDate", "roleStartDate"),
        "ends": ("endDate", "roleEndDate"),
        **_STATUS,
    },
    frozenset({"user", "org", "role"}),
)
ENROLMENTS = Columns(
    {
        "id": ("sourcedId",),
        "class": ("classSourcedId",),
        "user": ("userSourcedId",),
        "role": ("role",),
        "begins": ("beginDate",),
        "ends": ("endDate",),
        **_STATUS,
    },
    frozenset({"class", "user", "role"}),
)
RELATIONSHIPS = Columns(
    {
        "user": ("userSourcedId",),
        "other": ("relationshipUserSourcedId", "agentSourcedId"),
        "role": ("relationshipRole", "role"),
        **_STATUS,
    },
    frozenset({"user", "other", "role"}),
)
MANIFEST = Columns(
    {"name": ("propertyName",), "value": ("value",)},
    frozenset({"name", "value"}),
)
TABLES = ("orgs", "classes", "users", "roles", "enrollments", "relationships")
_FULL = {"orgs": "org", "classes": "class", "users": "person", "enrollments": "member"}


def reads(stems: frozenset[str]) -> bool:
    """Whether these are the tables of a OneRoster export."""
    return "users" in stems and bool({"orgs", "classes", "enrollments"} & stems)


def open_(parts: Sequence[Part]) -> Reading:
    """The format and the rows of an export."""
    by_stem = {part.stem: part for part in parts if part.name.lower().endswith((".csv", ".txt"))}
    manifest = _manifest(by_stem.get("manifest"))
    version = manifest.get("manifest.version") and manifest.get("oneroster.version", "")
    full = frozenset(
        entity for name, entity in _FULL.items() if manifest.get(f"file.{name}") == "bulk"
    )
    if "relationships" not in by_stem and "person" in full:
        full |= {"kin"}
    if not version:
        named = "Microsoft School Data Sync" if "manifest" not in by_stem else "OneRoster"
    else:
        named = f"OneRoster {version}"
    scope = Text("全量", "bulk") if full else Text("增量", "delta")
    label = Text(f"{named}（{scope.zh}）", f"{named} ({scope.en})")
    return Reading(Format("oneroster", label, full), _rows(by_stem))


def _manifest(part: Part | None) -> dict[str, str]:
    if part is None:
        return {}
    problems: list[Row] = []
    return {
        line["name"].strip().casefold(): line["value"].strip().casefold()
        for line in table(part, MANIFEST, problems)
    }


def _rows(parts: dict[str, Part]) -> Iterator[Row]:
    problems: list[Row] = []
    for stem, read in (
        ("orgs", _orgs),
        ("classes", _classes),
        ("users", _users),
        ("roles", _roles),
        ("enrollments", _enrolments),
        ("relationships", _relationships),
    ):
        if stem in parts:
            yield from read(parts[stem], problems)
    yield from problems


def _gone(line: Line) -> bool:
    status = line["status"]
    return bool(status) and status.strip().casefold() in GONE


def _word(value: str) -> str:
    return value.strip().casefold() if value.isascii() else half_width(value).casefold()


def _orgs(part: Part, problems: list[Row]) -> Iterator[Row]:
    for line in table(part, ORGS, problems):
        source, name = normal.code(line["id"]), normal.plain(line["name"])
        if not source or not name:
            yield refusal(
                Place(part.name, line.number, "name" if source else "sourcedId"),
                "empty",
                NO_NAME if source else NO_ID,
            )
            continue
        kind = _word(line["type"]).replace(" ", "")
        yield (
            Staged.ORG,
            (
                part.name,
                line.number,
                source,
                "school" if kind in SCHOOLS else kind,
                normal.code(line["parent"]),
                name,
                _gone(line),
                True,
            ),
        )


def _classes(part: Part, problems: list[Row]) -> Iterator[Row]:
    for line in table(part, CLASSES, problems):
        source, name = normal.code(line["id"]), normal.class_name(line["title"])
        gone = _gone(line)
        if not source or (not name and not gone):
            yield refusal(
                Place(part.name, line.number, "title" if source else "sourcedId"),
                "empty",
                NO_NAME if source else NO_ID,
            )
            continue
        first = line["grades"].split(",")[0]
        yield (
            Staged.CLASS,
            (
                part.name,
                line.number,
                source,
                normal.code(line["school"]),
                name,
                normal.english_class_name(name),
                normal.grade(first) or normal.grade(name),
                gone,
            ),
        )


def kind_of(role: str) -> tuple[str, str] | None:
    """(student, guardian, teacher or admin; which guardian) of a role; None if nobody knows it."""
    if role in STUDENT:
        return "student", ""
    if role in GUARDIAN:
        return "guardian", role
    if role in ADMIN:
        return "admin", ""
    if role in TEACHER or role.endswith("administrator"):
        return "teacher", ""
    return None if role else ("", "")


def unknown_role(place: Place, typed: str) -> Row:
    """A role that means nothing here."""
    return refusal(
        place,
        "unknown_role",
        Text(
            f"不认识角色“{typed[:40]}”。可用：student、teacher、administrator、parent、guardian、"
            "relative。",
            f"The role “{typed[:40]}” is not known. Use student, teacher, administrator, parent,"
            " guardian or relative.",
        ),
    )


_USER_KEYS = (
    "id", "status", "role", "family", "given", "orgs", "agents", "grades", "email", "phone", "sms",
    "language", "birth",
)  # fmt: skip


def _users(part: Part, problems: list[Row]) -> Iterator[Row]:
    file = part.name
    # hundreds of thousands of lines: whatever is empty, or was seen before, is not looked at again
    for number, cells in tuples(part, USERS, _USER_KEYS, problems):
        (
            typed,
            status,
            role,
            family,
            given,
            orgs,
            agents,
            grades,
            email,
            phone,
            sms,
            speaks,
            born,
        ) = cells
        source = normal.code(typed)
        if not source:
            yield refusal(Place(file, number, "sourcedId"), "empty", NO_ID)
            continue
        gone = bool(status) and status.strip().casefold() in GONE
        kind = _kind_of_cell(role)
        if kind is None:
            if not gone:
                yield unknown_role(Place(file, number, "role"), role)
            continue
        name = normal.person_name(family, given)
        if not name and not gone:
            yield refusal(Place(file, number, "familyName"), "empty", NO_NAME)
            continue
        if len(name) > normal.LONGEST_NAME:
            yield long_name(Place(file, number, "familyName"))
            continue
        org = _first_code(orgs) if orgs else ""
        yield (
            Staged.PERSON,
            (
                file,
                number,
                source,
                kind[0],
                kind[1],
                name,
                normal.pinyin(name),
                normal.language(speaks) if speaks else "",
                org,
                normal.grade(grades.partition(",")[0]) if grades else None,
                normal.birth_month(born) if born else None,
                gone,
                False,
            ),
        )
        if gone:
            continue
        dialled = sms or phone
        if dialled and not email and (called := normal.one_phone(dialled)):
            yield (Staged.CONTACT, (file, number, source, "phone", *sealed("phone", called), 0))
        elif dialled or email:
            at = Place(file, number, "sms" if sms else "phone")
            yield from contacts(at, source, dialled, email)
        if agents:
            for order, agent in enumerate(agents.split(","), 1):
                if other := normal.code(agent):
                    yield (
                        Staged.KIN,
                        (file, number, "agentSourcedIds", source, other, "", order, gone),
                    )
        if org and kind[0] == "admin":
            yield (Staged.POST, (file, number, source, org, "admin", "", None, True, gone))


@lru_cache(maxsize=1024)
def _kind_of_cell(role: str) -> tuple[str, str] | None:
    return kind_of(_word(role))


@lru_cache(maxsize=1024)
def _first_code(cell: str) -> str:
    return normal.code(cell.partition(",")[0])


def _roles(part: Part, problems: list[Row]) -> Iterator[Row]:
    for line in table(part, ROLES, problems):
        source, kind = normal.code(line["user"]), kind_of(_word(line["role"]))
        if not source:
            yield refusal(Place(part.name, line.number, "userSourcedId"), "empty", NO_ID)
            continue
        if kind is None or not kind[0]:
            yield unknown_role(Place(part.name, line.number, "role"), line["role"])
            continue
        primary = _word(line["primary"]) == "true" or _word(line["type"]) == "primary"
        yield (
            Staged.POST,
            (
                part.name,
                line.number,
                source,
                normal.code(line["org"]),
                kind[0],
                kind[1],
                normal.grade(line["grade"]) if line["grade"] else None,
                primary,
                _gone(line),
            ),
        )


_ENROLMENT_KEYS = ("class", "user", "role", "begins", "ends", "status")


def _enrolments(part: Part, problems: list[Row]) -> Iterator[Row]:
    file = part.name
    for number, cells in tuples(part, ENROLMENTS, _ENROLMENT_KEYS, problems):
        typed_class, typed_user, role, begins, ends, status = cells
        group, person, kind = _first_code(typed_class), normal.code(typed_user), _kind_of_cell(role)
        if not group or not person:
            column = "classSourcedId" if not group else "userSourcedId"
            yield refusal(Place(file, number, column), "empty", NO_ID)
            continue
        if kind is None or kind[0] not in _ENROLLED:
            yield unknown_role(Place(file, number, "role"), role)
            continue
        yield (
            Staged.MEMBER,
            (
                file,
                number,
                "userSourcedId",
                group,
                person,
                "student" if kind[0] == "student" else "teacher",
                normal.day(begins) if begins else None,
                normal.day(ends) if ends else None,
                bool(status) and status.strip().casefold() in GONE,
            ),
        )


def _relationships(part: Part, problems: list[Row]) -> Iterator[Row]:
    for line in table(part, RELATIONSHIPS, problems):
        person, other = normal.code(line["user"]), normal.code(line["other"])
        relation = normal.relation(line["role"])
        if not person or not other:
            column = "userSourcedId" if not person else "relationshipUserSourcedId"
            yield refusal(Place(part.name, line.number, column), "empty", NO_ID)
            continue
        if relation is None and _word(line["role"]) != "child":
            yield unknown_relation(Place(part.name, line.number, "relationshipRole"), line["role"])
            continue
        yield (
            Staged.KIN,
            (part.name, line.number, "relationshipUserSourcedId", person, other,
             relation or "", 1, _gone(line)),
        )  # fmt: skip


def unknown_relation(place: Place, typed: str) -> Row:
    """A relation that means nothing here."""
    return refusal(
        place,
        "unknown_relation",
        Text(
            f"不认识与学生的关系“{typed[:40]}”。可用：父亲、母亲、祖父、祖母、亲属、监护人、其他。",
            f"The relation “{typed[:40]}” is not known. Use father, mother, grandparent,"
            " relative, guardian or other.",
        ),
    )
