"""Rosters as registries hand them in, and the office that takes them."""

from __future__ import annotations

import csv
import io
import zipfile
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from coordination.authz.actor import SYSTEM
from coordination.domain.people.models import (
    ClassGroup,
    ClassMember,
    Guardianship,
    Membership,
    Person,
)
from coordination.domain.people.roster import batches, queries
from coordination.domain.people.roster.undoing import Undone
from coordination.reactions.work import begin

ORGS = ("sourcedId", "status", "name", "type", "parentSourcedId")
CLASSES = ("sourcedId", "status", "title", "grades", "schoolSourcedId")
USERS = (
    "sourcedId",
    "status",
    "role",
    "givenName",
    "familyName",
    "orgSourcedIds",
    "grades",
    "phone",
    "email",
    "agentSourcedIds",
)
ENROLMENTS = ("sourcedId", "status", "classSourcedId", "userSourcedId", "role", "endDate")


@dataclass
class Export:
    """A OneRoster 1.1 export: one school, one class, two children, their parents, a teacher."""

    mode: str | None = "bulk"
    version: str = "1.1"
    orgs: list[list[str]] = field(
        default_factory=lambda: [
            ["D1", "", "光明区教育局", "district", ""],
            ["S1", "", "光明实验小学", "school", "D1"],
        ]
    )
    classes: list[list[str]] = field(
        default_factory=lambda: [["C32", "", "三（2）班", "03", "S1"]],
    )
    users: list[list[str]] = field(
        default_factory=lambda: [
            ["K1", "", "student", "小雨", "王", "S1", "03", "", "", "P1,P2"],
            ["K2", "", "student", "珺", "张", "S1", "03", "", "", ""],
            ["P1", "", "parent", "敏", "王", "S1", "", "13800138001", "min@example.org", ""],
            ["P2", "", "guardian", "建国", "王", "S1", "", "13800138002", "", ""],
            ["P3", "", "relative", "伟", "张", "S1", "", "13800138003", "", "K2"],
            ["T1", "", "teacher", "静", "李", "S1", "", "13800138010", "", ""],
            ["A1", "", "administrator", "芳", "刘", "S1", "", "", "", ""],
        ]
    )
    enrolments: list[list[str]] = field(
        default_factory=lambda: [
            ["E1", "", "C32", "K1", "student", ""],
            ["E2", "", "C32", "K2", "student", ""],
            ["E3", "", "C32", "T1", "teacher", ""],
        ]
    )
    extra: dict[str, list[list[str]]] = field(default_factory=dict)

    def user(self, source: str) -> list[str]:
        """The line of a user, to be changed in place."""
        return next(line for line in self.users if line[0] == source)

    def drop(self, source: str) -> None:
        """Leave somebody and their enrolments out."""
        self.users = [line for line in self.users if line[0] != source]
        self.enrolments = [line for line in self.enrolments if line[3] != source]

    def tables(self) -> dict[str, list[list[str]]]:
        """File name -> lines, the header first."""
        made = {
            "orgs.csv": [list(ORGS), *self.orgs],
            "classes.csv": [list(CLASSES), *self.classes],
            "users.csv": [list(USERS), *self.users],
            "enrollments.csv": [list(ENROLMENTS), *self.enrolments],
            **self.extra,
        }
        if self.mode is not None:
            made["manifest.csv"] = [
                ["propertyName", "value"],
                ["manifest.version", "1.0"],
                ["oneroster.version", self.version],
                *([f"file.{name.removesuffix('.csv')}", self.mode] for name in made),
            ]
        return made

    def folder(self, where: Path) -> Path:
        """The export as a folder."""
        where.mkdir(parents=True, exist_ok=True)
        for name, lines in self.tables().items():
            (where / name).write_text(as_csv(lines), encoding="utf-8")
        return where

    def zip(self, where: Path, encoding: str = "utf-8") -> Path:
        """The export as an archive."""
        with zipfile.ZipFile(where, "w") as archive:
            for name, lines in self.tables().items():
                archive.writestr(name, as_csv(lines).encode(encoding))
        return where


def as_csv(lines: list[list[str]]) -> str:
    """Lines as a csv text."""
    out = io.StringIO()
    csv.writer(out).writerows(lines)
    return out.getvalue()


TABLES = (
    "organisation",
    "class_group",
    "person",
    "contact_point",
    "class_member",
    "membership",
    "guardianship",
)


class Office:
    """Hands rosters in, as the command line and the pages do, and looks at what stands there."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine, self.folder = engine, folder
        self._number = 0

    def preview(self, handed_in: Export | Path, name: str | None = None) -> int:
        """Preview; the batch's number."""
        if isinstance(handed_in, Export):
            self._number += 1
            handed_in = handed_in.zip(self.folder / f"{self._number}.zip")
        with Session(self.engine) as session, begin(session, SYSTEM) as uow:
            return batches.preview(uow, path=handed_in, name=name or handed_in.name)

    def apply(self, batch_id: int) -> int:
        """Apply a preview; the rows written."""
        with Session(self.engine) as session, begin(session, SYSTEM) as uow:
            return batches.apply(uow, batch_id=batch_id)

    def load(self, handed_in: Export | Path, name: str | None = None) -> int:
        """Preview and apply; the batch's number."""
        batch = self.preview(handed_in, name)
        self.apply(batch)
        return batch

    def undo(self, batch_id: int) -> Undone:
        """Undo an applied batch."""
        with Session(self.engine) as session, begin(session, SYSTEM) as uow:
            return batches.undo(uow, batch_id=batch_id)

    def discard(self, batch_id: int) -> None:
        """Give a preview up."""
        with Session(self.engine) as session, begin(session, SYSTEM) as uow:
            batches.discard(uow, batch_id=batch_id)

    def counts(self, batch_id: int) -> dict[str, tuple[int, int, int, int, int]]:
        """Entity -> (add, change, end, same, refused), where anything is."""
        with Session(self.engine) as session:
            found = queries.batch_summary(session, batch_id)
        lines = {e.key: (e.add, e.change, e.end, e.same, e.refused) for e in found.entities}
        return {key: counts for key, counts in lines.items() if any(counts)}

    def refusals(self, batch_id: int) -> set[tuple[str, int, str, str]]:
        """(file, line, column, code) of every refusal."""
        with Session(self.engine) as session:
            page = queries.refusals_page(session, batch_id, limit=1000)
        assert page.total == len(page.lines)
        return {(r.file, r.line, r.column, r.code) for r in page.lines}

    def hashed(self, *, physical: bool = False) -> dict[str, str]:
        """A hash of every row of every table; `physical` tells a rewritten row from an old one."""
        place = "ctid::text || xmin::text ||" if physical else ""
        with Session(self.engine) as session:
            return {
                table: sha256(
                    "\n".join(
                        session.scalars(
                            text(f"select {place} to_jsonb(t)::text from {table} t order by id")
                        )
                    ).encode()
                ).hexdigest()
                for table in TABLES
            }

    def person(self, source: str) -> Person:
        """The person of an identifier."""
        with Session(self.engine) as session:
            return session.scalars(select(Person).where(Person.source_id == source)).one()

    def guardians(self, child: str) -> dict[str, str]:
        """Name -> relation of the present guardians of a child."""
        with Session(self.engine) as session:
            return {
                name: relation
                for name, relation in session.execute(
                    select(Person.name, Guardianship.relation)
                    .join(Guardianship, Guardianship.guardian_id == Person.id)
                    .where(
                        Guardianship.child_id == self.person(child).id,
                        Guardianship.ends_on.is_(None),
                    )
                )
            }

    def classes(self, source: str) -> set[str]:
        """Names of the classes somebody is in or teaches today."""
        who = self.person(source).id
        with Session(self.engine) as session:
            return {
                *session.scalars(
                    select(ClassGroup.name_zh)
                    .join(ClassMember, ClassMember.class_id == ClassGroup.id)
                    .where(ClassMember.person_id == who, ClassMember.ends_on.is_(None))
                ),
                *session.scalars(
                    select(ClassGroup.name_zh)
                    .join(Membership, Membership.class_id == ClassGroup.id)
                    .where(Membership.person_id == who, Membership.ends_on.is_(None))
                ),
            }
