"""Reads of the head-count: a class by name, a session in numbers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from coordination.domain.people.models import ClassGroup, Organisation, Person
from coordination.domain.practice.headcount import notes, stages
from coordination.domain.practice.headcount.counting import LISTED, marks_of
from coordination.domain.practice.headcount.models import GroupLeaver, StageCount, StageMark
from coordination.domain.practice.models import ClassEnrolment, Enrolment, PracticeSession
from coordination.ground.errors import NotFound


@dataclass(frozen=True, slots=True)
class Marked:
    """A mark of a child at a stage, as others see it."""

    here: bool
    at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class Left:
    """That a child left the group."""

    stage: str
    reason: str
    note: str
    by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class ChildRow:
    """A child on the class's list. Links about this one child (their card, who may pick them up)
    find their ids here."""

    enrolment_id: int
    child_id: int
    name: str
    agreed: bool
    marks: Mapping[str, Marked]
    left: Left | None

    def expected_at(self, stage: str) -> bool:
        """Whether the child had not left before this stage."""
        return self.left is None or self.left.stage not in stages.before(stage)

    def explained_at(self, stage: str) -> bool:
        """Whether it left at this very stage."""
        return self.left is not None and self.left.stage == stage

    def here_at(self, stage: str) -> bool:
        """Whether it has been seen at this stage."""
        mark = self.marks.get(stage)
        return mark is not None and mark.here


@dataclass(frozen=True, slots=True)
class StageLine:
    """A stage of a class in numbers; `closed_at` and `by` once it was counted."""

    stage: str
    expected: int
    here: int
    explained: int
    closed_at: datetime | None
    by: str
    began_at: datetime | None

    @property
    def missing(self) -> int:
        """Of whom nobody knows yet where they are."""
        return self.expected - self.here - self.explained


@dataclass(frozen=True, slots=True)
class Board:
    """A class on its day."""

    row: ClassEnrolment
    group: ClassGroup
    school: Organisation
    stages: Sequence[StageLine]
    children: Sequence[ChildRow]

    @property
    def current(self) -> str | None:
        """The stage that is to be counted next; none when the class is back, or nobody left."""
        if self.nobody_left:
            return None
        return next((s.stage for s in self.stages if s.closed_at is None), None)

    @property
    def nobody_left(self) -> bool:
        """Whether the class stayed at school."""
        first = self.stages[0]
        return first.closed_at is not None and first.here == 0

    def line(self, stage: str) -> StageLine:
        """One stage."""
        return next(s for s in self.stages if s.stage == stage)

    @property
    def doubtful(self) -> list[ChildRow]:
        """Children about whom a mark that came later says otherwise than a finished count."""
        closed = [s.stage for s in self.stages if s.closed_at is not None]
        return [c for c in self.children if _is_doubtful(c, closed)]


def _is_doubtful(child: ChildRow, closed: Collection[str]) -> bool:
    if child.left is not None:
        # seen by somebody after it had been noted as gone
        return any(m.here and m.at > child.left.at for m in child.marks.values())
    # a child that came late has no mark at the stages it missed
    return any((m := child.marks.get(s)) is not None and not m.here for s in closed)


def boards_of(
    session: Session, session_ids: Collection[int], class_id: int | None = None
) -> dict[int, list[Board]]:
    """The classes of some sessions on their day, by session; one class only, if it is given."""
    query = (
        select(ClassEnrolment, ClassGroup, Organisation, PracticeSession)
        .join(ClassGroup, ClassGroup.id == ClassEnrolment.class_id)
        .join(Organisation, Organisation.id == ClassEnrolment.school_id)
        .join(PracticeSession, PracticeSession.id == ClassEnrolment.session_id)
        .where(ClassEnrolment.session_id.in_(session_ids))
        .order_by(ClassEnrolment.id)
    )
    if class_id is not None:
        query = query.where(ClassEnrolment.class_id == class_id)
    rows = session.execute(query).all()
    by_class = {(e.session_id, e.class_id): e.id for e, _, _, _ in rows}
    children = _children(session, by_class)
    marks = marks_of(session, list(by_class.values()))
    closed: dict[int, dict[str, StageCount]] = defaultdict(dict)
    for count in session.scalars(
        select(StageCount).where(StageCount.class_enrolment_id.in_(by_class.values()))
    ):
        closed[count.class_enrolment_id][count.stage] = count
    people = _names(
        session,
        {m.marked_by_id for m in marks.values()}
        | {c.closed_by_id for done in closed.values() for c in done.values()},
    )
    began: dict[tuple[int, str], datetime] = {}
    for mark in marks.values():
        key = (mark.class_enrolment_id, mark.stage)
        began[key] = min(mark.received_at, began.get(key, mark.received_at))
    found: dict[int, list[Board]] = defaultdict(list)
    for row, group, school, held in rows:
        listed = [
            ChildRow(
                child.id,
                child.child_id,
                name,
                child.state != "enrolled",
                _marks_of_child(marks, child.id, people),
                left,
            )
            for child, name, left in children[row.id]
        ]
        found[row.session_id].append(
            Board(
                row, group, school, _lines(row, held, listed, closed[row.id], people, began), listed
            )
        )
    return found


def board(session: Session, session_id: int, class_id: int) -> Board:
    """One class of a session. Who may see it by name is asked before."""
    found = boards_of(session, [session_id], class_id).get(session_id)
    if not found:
        raise NotFound()
    return found[0]


def _children(
    session: Session, by_class: Mapping[tuple[int, int], int]
) -> dict[int, list[tuple[Enrolment, str, Left | None]]]:
    noted = {
        leaver.enrolment_id: Left(
            leaver.stage, leaver.reason, notes.unseal(leaver), by, leaver.noted_at
        )
        for leaver, by in session.execute(
            select(GroupLeaver, Person.name)
            .join(Person, Person.id == GroupLeaver.noted_by_id)
            .where(GroupLeaver.class_enrolment_id.in_(by_class.values()))
        )
    }
    rows = session.execute(
        select(Enrolment, Person.name)
        .join(Person, Person.id == Enrolment.child_id)
        .where(
            Enrolment.session_id.in_({held for held, _ in by_class}),
            Enrolment.class_id.in_({group for _, group in by_class}),
            Enrolment.state.in_(LISTED),
        )
        .order_by(Person.pinyin, Person.id)
    )
    found: dict[int, list[tuple[Enrolment, str, Left | None]]] = defaultdict(list)
    for child, name in rows:
        key = by_class.get((child.session_id, child.class_id))
        if key is not None:
            found[key].append((child, name, noted.get(child.id)))
    return found


def _names(session: Session, ids: Collection[int]) -> dict[int, str]:
    rows = session.execute(select(Person.id, Person.name).where(Person.id.in_(ids)))
    return {i: name for i, name in rows}


def _marks_of_child(
    marks: Mapping[tuple[int, str], StageMark], enrolment_id: int, people: Mapping[int, str]
) -> dict[str, Marked]:
    return {
        stage: Marked(mark.mark == "here", mark.at, people.get(mark.marked_by_id, ""))
        for stage in stages.ORDER
        if (mark := marks.get((enrolment_id, stage))) is not None
    }


def _lines(
    row: ClassEnrolment,
    held: PracticeSession,
    children: Sequence[ChildRow],
    closed: Mapping[str, StageCount],
    people: Mapping[int, str],
    began: Mapping[tuple[int, str], datetime],
) -> list[StageLine]:
    lines = []
    for stage in stages.stages_of(held.starts_at, held.ends_at):
        count = closed.get(stage)
        expected = [c for c in children if c.expected_at(stage)]
        explained = sum(c.explained_at(stage) for c in expected)
        here = sum(c.here_at(stage) and not c.explained_at(stage) for c in expected)
        lines.append(
            StageLine(
                stage,
                # what was counted then stays as it was, whoever joined later
                count.expected if count else len(expected),
                count.counted if count else here,
                count.expected - count.counted if count else explained,
                count.closed_at if count else None,
                people.get(count.closed_by_id, "") if count else "",
                began.get((row.id, stage)),
            )
        )
    return lines
