"""Close a stage of a class: nobody is missing, or the reason is known for each who is.

The roll is written from the first stage, so that nobody ticks twice.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select

from coordination.authz.actions import Action
from coordination.domain.people.models import Person
from coordination.domain.practice import services
from coordination.domain.practice.events import AttendanceTaken, StageClosed
from coordination.domain.practice.headcount import stages
from coordination.domain.practice.headcount.counting import (
    LISTED,
    class_in,
    closed_stages,
    lock,
    marks_of,
)
from coordination.domain.practice.headcount.leaving import leave
from coordination.domain.practice.headcount.models import GroupLeaver, StageCount, StageMark
from coordination.domain.practice.models import (
    Attendance,
    ClassEnrolment,
    Enrolment,
    PracticeSession,
)
from coordination.ground.errors import Conflict, Forbidden, Invalid
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork

MOST_NAMES = 12


@dataclass(frozen=True, slots=True)
class Gone:
    """Why a child is not there, and with whom it left."""

    reason: str
    note: str = ""


class SomebodyMissing(Conflict):
    """The count is short; `enrolment_ids` are those of whom nobody knows where they are."""

    code = "missing"

    def __init__(self, names: Sequence[str], enrolment_ids: Collection[int]) -> None:
        self.enrolment_ids = frozenset(enrolment_ids)
        zh, en = "、".join(names[:MOST_NAMES]), ", ".join(names[:MOST_NAMES])
        if len(names) > MOST_NAMES:  # nobody looks for that many: the class is not counted yet
            zh, en = f"{zh}等", f"{en} and more"
        super().__init__(
            Text(
                f"还差 {len(names)} 人：{zh}。请先找到孩子并点到；"
                "确实不在的，逐个选择原因后再完成。",
                f"{len(names)} missing: {en}. Find them and mark them; "
                "for each who is really not here choose a reason, then finish.",
            )
        )


def close_stage(
    uow: UnitOfWork,
    *,
    session_id: int,
    class_id: int,
    stage: str,
    gone: Mapping[int, Gone] | None = None,
    consent_checked: bool = False,
) -> StageCount:
    """Finish the count of a class at a stage; `gone` says why some (by enrolment) are not there."""
    held = services.lock_session(uow, session_id=session_id)
    row = class_in(uow, session_id, class_id)
    uow.authorize(Action.HEADCOUNT_KEEP, row)
    if uow.actor.person_id is None:
        raise Forbidden()
    lock(uow, row)
    stages.refuse_other_day(held.state, held.starts_at, held.return_at, uow.now)
    _refuse_out_of_turn(uow, held, row, stage)
    listed = _listed(uow, row)
    left_before = _leavers(uow, row, stages.before(stage))
    expected = [c for c in listed if c.id not in left_before]
    _note(uow, row, stage, expected, gone or {})
    leavers = _leavers(uow, row, (*stages.before(stage), stage))
    marks = marks_of(uow.session, [row.id])
    _refuse_seen_again(uow, listed, leavers, marks)
    here = [c for c in expected if (m := marks.get((c.id, stage))) and m.mark == "here"]
    counted = [c for c in here if c.id not in leavers]
    missing = [c for c in expected if c.id not in leavers and c not in here]
    if missing:
        names = _names(uow, missing)
        raise SomebodyMissing(names, [c.id for c in missing])
    if stage == stages.LEAVE:
        _refuse_without_consent(uow, row, counted, checked=consent_checked)
        _write_roll(uow, counted, [c for c in expected if c.id in leavers], leavers)
        uow.record(AttendanceTaken(session_id))
    count = StageCount(
        class_enrolment_id=row.id,
        stage=stage,
        expected=len(expected),
        counted=len(counted),
        closed_by_id=uow.actor.person_id,
        closed_at=uow.now,
    )
    uow.session.add(count)
    uow.session.flush()  # the session's state follows from it
    held.state = stages.state_of(held.state, _closed_by_class(uow, session_id))
    uow.record(StageClosed(session_id, class_id, stage, tuple(c.child_id for c in counted)))
    return count


def _refuse_out_of_turn(
    uow: UnitOfWork, held: PracticeSession, row: ClassEnrolment, stage: str
) -> None:
    there_are = stages.stages_of(held.starts_at, held.ends_at)
    if stage not in there_are:
        raise Invalid(fields={"stage": Text("请选择一站。", "Choose a stage.")})
    closed = closed_stages(uow.session, row.id)
    if stage in closed:
        raise Conflict(
            Text("这一站已经清点完成。", "This stage has been counted already."),
            code="already_counted",
        )
    current = stages.next_open(there_are, closed)
    if current is not None and current != stage:
        name = stages.STAGES[current]
        raise Conflict(
            Text(f"请先完成“{name.zh}”的清点。", f"Finish the count of “{name.en}” first."),
            code="out_of_turn",
        )


def _refuse_seen_again(
    uow: UnitOfWork,
    listed: Collection[Enrolment],
    leavers: Mapping[int, GroupLeaver],
    marks: Mapping[tuple[int, str], StageMark],
) -> None:
    """Somebody noted that a child left, and somebody has seen it since: both cannot be true."""
    seen = {
        enrolment_id
        for (enrolment_id, _), mark in marks.items()
        if mark.mark == "here"
        and (leaver := leavers.get(enrolment_id)) is not None
        and mark.at > leaver.noted_at
    }
    again = [c for c in listed if c.id in seen]
    if again:
        names = _names(uow, again)
        raise Conflict(
            Text(
                f"{'、'.join(names)}已登记离队，之后又有人点到。请核实；"
                "确实在队里的，点开该学生登记“又归队了”。",
                f"{', '.join(names)}: noted as gone, and seen since. Find out; if they are here, "
                "open the child and note that it is with the class again.",
            ),
            code="seen_again",
        )


def _listed(uow: UnitOfWork, row: ClassEnrolment) -> Sequence[Enrolment]:
    """The children on the list, locked: their roll is written from it."""
    return uow.session.scalars(
        select(Enrolment)
        .where(
            Enrolment.session_id == row.session_id,
            Enrolment.class_id == row.class_id,
            Enrolment.state.in_(LISTED),
        )
        .order_by(Enrolment.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).all()


def _leavers(uow: UnitOfWork, row: ClassEnrolment, of: Collection[str]) -> dict[int, GroupLeaver]:
    rows = uow.session.scalars(
        select(GroupLeaver).where(
            GroupLeaver.class_enrolment_id == row.id, GroupLeaver.stage.in_(of)
        )
    )
    return {r.enrolment_id: r for r in rows}


def _note(
    uow: UnitOfWork,
    row: ClassEnrolment,
    stage: str,
    expected: Collection[Enrolment],
    gone: Mapping[int, Gone],
) -> None:
    children = {c.id: c for c in expected}
    for enrolment_id, why in gone.items():
        child = children.get(enrolment_id)
        if child is None:
            raise Invalid(
                Text(
                    "名单刚刚有变化，请刷新后再完成。",
                    "The list has just changed; reload and finish.",
                )
            )
        try:
            leave(uow, row, stage, child, why.reason, why.note)
        except Invalid as refused:
            (name,) = _names(uow, [child])
            said = next(iter(refused.fields.values()))
            raise Invalid(
                fields={f"gone-{enrolment_id}": Text(f"{name}：{said.zh}", f"{name}: {said.en}")}
            ) from refused


def _refuse_without_consent(
    uow: UnitOfWork, row: ClassEnrolment, counted: Collection[Enrolment], *, checked: bool
) -> None:
    """A child whose family has not agreed does not leave, unless an adult answers for having asked."""
    unsure = [c for c in counted if c.state == "enrolled"]
    if not unsure:
        return
    if not checked:
        names = _names(uow, unsure)
        raise Conflict(
            Text(
                f"{'、'.join(names)}的家长还没有同意。请取消点到并留校；"
                "已经当面或电话问过的，请勾选“我已逐一核实”。",
                f"No consent yet for {', '.join(names)}. Undo their mark and let them stay; "
                "if you have asked their families, tick “I have checked each of them”.",
            ),
            code="no_consent",
        )
    uow.trail.line(
        "override",
        "stage_count",
        None,
        None,
        {"class_enrolment_id": row.id, "enrolments": [c.id for c in unsure]},
        reason="left without a consent on record; checked by hand",
    )


def _names(uow: UnitOfWork, children: Collection[Enrolment]) -> list[str]:
    return list(
        uow.session.scalars(
            select(Person.name)
            .where(Person.id.in_([c.child_id for c in children]))
            .order_by(Person.pinyin, Person.id)
        )
    )


def _write_roll(
    uow: UnitOfWork,
    counted: Sequence[Enrolment],
    missing: Sequence[Enrolment],
    leavers: Mapping[int, GroupLeaver],
) -> None:
    ids = [c.id for c in (*counted, *missing)]
    known = {
        a.enrolment_id: a
        for a in uow.session.scalars(select(Attendance).where(Attendance.enrolment_id.in_(ids)))
    }
    for child in (*counted, *missing):
        there = child.id not in leavers
        status = "present" if there else "absent"
        found = known.get(child.id)
        if found is None:
            uow.session.add(
                Attendance(
                    enrolment_id=child.id,
                    status=status,
                    marked_by_id=uow.actor.person_id or 0,
                    marked_at=uow.now,
                )
            )
        elif not (there and found.status == "late"):  # who was marked late is here, and was late
            found.status, found.marked_at = status, uow.now
        if there:
            child.state = "attended"
        else:
            child.state = "excused" if leavers[child.id].reason == "excused" else "absent"


def _closed_by_class(uow: UnitOfWork, session_id: int) -> list[set[str]]:
    """The closed stages of each class that took children along."""
    closed: dict[int, set[str]] = {}
    empty: set[int] = set()
    rows = uow.session.execute(
        select(StageCount.class_enrolment_id, StageCount.stage, StageCount.counted)
        .join(ClassEnrolment, ClassEnrolment.id == StageCount.class_enrolment_id)
        .where(ClassEnrolment.session_id == session_id)
    )
    for class_enrolment_id, stage, counted in rows:
        closed.setdefault(class_enrolment_id, set()).add(stage)
        if stage == stages.LEAVE and not counted:
            empty.add(class_enrolment_id)
    return [done for key, done in closed.items() if key not in empty]
