"""A day out of an `Outing`: short ways to tap, to finish a stage, and to look at what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy.orm import Session

from coordination.domain.practice.headcount import closing, counting, leaving
from coordination.domain.practice.headcount.closing import Gone
from coordination.domain.practice.headcount.counting import Tap
from coordination.domain.practice.headcount.models import StageCount
from coordination.domain.practice.headcount.queries import Board, board
from coordination.domain.volunteering import helping
from tests.build.outing import Outing

CLASS_A = ("child", "brother", "friend", "reader")


@dataclass
class Counted:
    """A session on its day."""

    stage: Outing
    session_id: int

    def enrolment(self, child: str) -> int:
        ((found,),) = self.stage.sql(
            "select id from enrolment where session_id = :s and child_id = :c",
            s=self.session_id,
            c=self.stage.world.people[child],
        )
        return int(str(found))

    def taps(
        self,
        stage: str,
        *children: str,
        mark: str = "here",
        at: datetime | None = None,
    ) -> list[Tap]:
        return [Tap(uuid4(), self.enrolment(c), stage, mark, at) for c in children]

    def keep(
        self,
        taps: list[Tap],
        role: str = "teacher",
        class_key: str = "class_a",
        sent_at: datetime | None = None,
    ) -> dict[UUID, str]:
        return self.stage.act(
            role,
            lambda uow: counting.keep_marks(
                uow,
                session_id=self.session_id,
                class_id=self.stage.world.things[class_key],
                taps=taps,
                sent_at=sent_at,
            ),
        )

    def help(self, taps: list[Tap], role: str, class_key: str = "class_a") -> dict[UUID, str]:
        return self.stage.act(
            role,
            lambda uow: helping.keep_marks_as_helper(
                uow,
                session_id=self.session_id,
                class_id=self.stage.world.things[class_key],
                taps=taps,
            ),
        )

    def mark(self, stage: str, *children: str, mark: str = "here", role: str = "teacher") -> None:
        class_key = "class_c" if children[0].startswith("kid") else "class_a"
        self.keep(self.taps(stage, *children, mark=mark), role, class_key)

    def close(
        self,
        stage: str,
        role: str = "teacher",
        class_key: str = "class_a",
        *,
        checked: bool = True,
        **gone: Gone,
    ) -> tuple[int, int]:
        found: Mapping[int, Gone] = {self.enrolment(c): why for c, why in gone.items()}
        return self.stage.act(
            role,
            lambda uow: _numbers(
                closing.close_stage(
                    uow,
                    session_id=self.session_id,
                    class_id=self.stage.world.things[class_key],
                    stage=stage,
                    gone=found,
                    consent_checked=checked,
                )
            ),
        )

    def left(self, child: str, reason: str, note: str = "", role: str = "teacher") -> None:
        self.stage.act(
            role,
            lambda uow: leaving.note_left(
                uow,
                session_id=self.session_id,
                class_id=self.stage.world.things["class_a"],
                enrolment_id=self.enrolment(child),
                reason=reason,
                note=note,
            ),
        )

    def came_back(self, child: str, role: str = "teacher") -> None:
        self.stage.act(
            role,
            lambda uow: leaving.take_back(
                uow,
                session_id=self.session_id,
                class_id=self.stage.world.things["class_a"],
                enrolment_id=self.enrolment(child),
            ),
        )

    def whole_stage(self, stage: str, *children: str) -> None:
        """Everybody of class 3(2) (or these) is here, and the stage is finished."""
        self.mark(stage, *(children or CLASS_A))
        self.close(stage)

    # -- what came of it -------------------------------------------------------------------------

    def board(self, class_key: str = "class_a") -> Board:
        with Session(self.stage.engine, expire_on_commit=False) as session:
            found = board(session, self.session_id, self.stage.world.things[class_key])
            session.expunge_all()
            return found

    def here(self, stage: str) -> set[str]:
        names = {person: key for key, person in self.stage.world.people.items()}
        return {names[c.child_id] for c in self.board().children if c.here_at(stage)}

    def state(self) -> str:
        return self.stage.session(self.session_id).state

    def roll(self) -> dict[str, str]:
        names = {person: key for key, person in self.stage.world.people.items()}
        rows = self.stage.sql(
            "select e.child_id, a.status from attendance a"
            " join enrolment e on e.id = a.enrolment_id where e.session_id = :s",
            s=self.session_id,
        )
        return {names[int(str(child))]: str(status) for child, status in rows}


def _numbers(count: StageCount) -> tuple[int, int]:
    return count.expected, count.counted
