"""可出发度 (C1): what sessions still lack before they may leave, from every side. Numbers, no names.

Decides nothing: whoever plans and whoever leads a class sees what to do next.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from coordination.domain.people.models import ClassGroup
from coordination.domain.practice import staffing
from coordination.domain.practice.models import ClassEnrolment, Enrolment
from coordination.domain.practice.services import PLACED
from coordination.domain.volunteering.models import ShiftNeed
from coordination.ground.text import Text


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must be so before a session leaves; `short` is how much is missing."""

    key: str
    says: Text
    short: int = 0

    @property
    def open(self) -> bool:
        """Whether something is missing."""
        return self.short > 0


@dataclass(frozen=True, slots=True)
class Readiness:
    """All checks of a session, in the order in which they are usually settled."""

    checks: tuple[Check, ...]

    @property
    def lacking(self) -> tuple[Check, ...]:
        """The checks in which something is missing."""
        return tuple(check for check in self.checks if check.open)

    @property
    def done(self) -> int:
        """How many checks have nothing missing."""
        return len(self.checks) - len(self.lacking)


@dataclass(slots=True)
class _Class:
    adults: int
    grade: int | None
    children: int = 0
    agreed: int = 0


def readiness_of(session: Session, session_ids: Collection[int]) -> dict[int, Readiness]:
    """The readiness of each of these sessions: three statements, however many they are."""
    classes: dict[int, dict[int, _Class]] = {i: {} for i in session_ids}
    for session_id, class_id, adults, grade in session.execute(
        select(
            ClassEnrolment.session_id,
            ClassEnrolment.class_id,
            ClassEnrolment.adults,
            ClassGroup.grade,
        )
        .join(ClassGroup, ClassGroup.id == ClassEnrolment.class_id)
        .where(ClassEnrolment.session_id.in_(session_ids))
    ):
        classes[session_id][class_id] = _Class(adults, grade)
    for session_id, class_id, state, count in session.execute(
        select(Enrolment.session_id, Enrolment.class_id, Enrolment.state, func.count())
        .where(Enrolment.session_id.in_(session_ids), Enrolment.state.in_(PLACED))
        .group_by(Enrolment.session_id, Enrolment.class_id, Enrolment.state)
    ):
        found = classes[session_id].get(class_id)
        if found is not None:
            found.children += count
            # a child whose family has agreed is cleared; see `consent_answered`
            found.agreed += count if state != "enrolled" else 0
    wanted: dict[int, int] = defaultdict(int)
    coming: dict[int, int] = defaultdict(int)
    recruiting: set[int] = set()
    for session_id, least, filled in session.execute(
        select(ShiftNeed.session_id, ShiftNeed.min_people, ShiftNeed.filled).where(
            ShiftNeed.session_id.in_(session_ids), ShiftNeed.state != "cancelled"
        )
    ):
        recruiting.add(session_id)
        wanted[session_id] += max(least - filled, 0)
        coming[session_id] += filled
    ratio = staffing.in_force(session)
    return {
        i: Readiness(
            (
                _signed_up(list(classes[i].values())),
                *([] if not classes[i] else [_agreed(list(classes[i].values()))]),
                *([] if not classes[i] else [_adults(list(classes[i].values()), coming[i], ratio)]),
                *([_helpers(coming[i], wanted[i])] if i in recruiting else []),
            )
        )
        for i in session_ids
    }


def _signed_up(classes: list[_Class]) -> Check:
    if not classes:
        return Check("classes", Text("还没有班级报名", "No class is signed up yet"), 1)
    children = sum(c.children for c in classes)
    return Check(
        "classes",
        Text(
            f"{len(classes)} 个班报名，{children} 名学生",
            f"Classes signed up: {len(classes)}; children: {children}",
        ),
    )


def _agreed(classes: list[_Class]) -> Check:
    missing = sum(c.children - c.agreed for c in classes)
    if not missing:
        return Check("answers", Text("学生都已得到家长同意", "Every child's family has agreed"))
    return Check(
        "answers",
        Text(
            f"{missing} 名学生还没有得到家长同意",
            f"Children whose family has not agreed: {missing}",
        ),
        missing,
    )


def _adults(classes: list[_Class], helpers: int, ratio: staffing.Ratio) -> Check:
    need = staffing.adults_needed([(c.children, c.grade) for c in classes], ratio)
    have = sum(c.adults for c in classes) + helpers
    short = max(need - have, 0)
    says = Text(
        f"随队成人 {have} 名，按师生比需要 {need} 名",
        f"Adults: {have}, wanted by the ratio: {need}",
    )
    if short:
        says = Text(f"{says.zh}，还差 {short} 名", f"{says.en}; {short} more")
    return Check("adults", says, short)


def _helpers(coming: int, missing: int) -> Check:
    if not missing:
        return Check(
            "helpers", Text(f"家长志愿者 {coming} 名，已够", f"Parent helpers: {coming}, enough")
        )
    return Check(
        "helpers",
        Text(
            f"家长志愿者 {coming} 名，还缺 {missing} 名",
            f"Parent helpers: {coming}; {missing} more wanted",
        ),
        missing,
    )
