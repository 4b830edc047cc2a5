"""Use cases that prepare a school's turn of the year. Nothing here changes a class or a child.

Everybody who prepares holds the row of the turn, so that nobody changes what is being applied.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.domain.people.models import ClassGroup, ClassMember, Organisation, Person
from coordination.domain.people.recipients import is_there
from coordination.domain.people.year import naming, plan
from coordination.domain.people.year.models import ALREADY, SchoolTurn, TurnChild, TurnClass
from coordination.ground.errors import Conflict, Invalid, NotFound
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork

LONGEST_NAME = 40
MOST_NEW = 30


def year_of(day: date) -> int:
    """The school year that is prepared on a day: from November on the one of next autumn."""
    return day.year if day.month <= 10 else day.year + 1


def begin(uow: UnitOfWork, *, school_id: int, day: date) -> SchoolTurn:
    """Start to prepare, by the rules; where that was done already, add the classes that came since."""
    school = _school(uow, school_id)
    turn = _draft(uow.session, school_id)
    fresh = turn is None
    if turn is None:
        year = year_of(day)
        if _applied(uow.session, school_id, year):
            raise Conflict(ALREADY, code="turned_already")
        turn = SchoolTurn(school_id=school.id, year=year, made_by_id=uow.actor.person_id)
        uow.session.add(turn)
        uow.session.flush()  # its classes refer to it
    _sync(uow.session, turn, fresh=fresh)
    return turn


def change(
    uow: UnitOfWork,
    *,
    line_id: int,
    fate: str,
    name: Text,
    grade: int | None,
    into_id: int | None,
    keeps_teacher: bool,
    teacher_id: int | None,
    day: date,
) -> None:
    """Say by hand what becomes of a class, what it is called and who teaches it."""
    line = _line(uow, line_id)
    fits = ("new",) if line.class_id is None else ("up", "into", "leaves", "stays")
    if fate not in fits:
        raise Invalid(fields={"fate": Text("请选择列出的一项。", "Choose one of those listed.")})
    makes = fate in ("up", "new")
    if makes:
        _refuse_unfit_name(name)
        if grade is None or not 1 <= grade <= 12:
            raise Invalid(fields={"grade": Text("请填写 1 到 12。", "Enter 1 to 12.")})
    if fate == "into":
        _refuse_unfit_target(uow.session, line, into_id)
    if teacher_id is not None and teacher_id not in dict(
        plan.staff_of(uow.session, _turn_of(uow.session, line).school_id, day)
    ):
        raise Invalid(
            fields={"teacher": Text("请选择本校的教师。", "Choose somebody of this school.")}
        )
    line.fate, line.into_id = fate, into_id if fate == "into" else None
    if makes:
        line.name_zh, line.name_en, line.grade = name.zh, name.en, grade
        line.keeps_teacher = keeps_teacher and fate == "up"
        line.teacher_id = None if line.keeps_teacher else teacher_id


def add_class(uow: UnitOfWork, *, turn_id: int, grade: int, number: int) -> None:
    """One more class of a grade that begins empty, or that takes some children of a class split."""
    turn = locked(uow, turn_id)
    _refuse_unless_draft(turn)
    if not 1 <= grade <= 12:
        raise Invalid(fields={"grade": Text("请填写 1 到 12。", "Enter 1 to 12.")})
    if not 1 <= number <= 99:
        raise Invalid(fields={"number": Text("请填写 1 到 99。", "Enter 1 to 99.")})
    lines = uow.session.scalars(select(TurnClass).where(TurnClass.turn_id == turn.id)).all()
    if sum(x.fate == "new" for x in lines) >= MOST_NEW:
        raise Conflict(
            Text(f"最多新开 {MOST_NEW} 个班。", f"At most {MOST_NEW} new classes."), code="too_many"
        )
    name = _patterned(uow.session, turn.school_id, grade, number)
    if any(x.name_zh == name.zh for x in lines if x.fate in ("up", "new")):
        raise Conflict(
            Text(f"已经有“{name.zh}”了。", f"There is “{name.en}” already."),
            code="name_taken",
            fields={"number": Text("这个班已经有了。", "There is this class already.")},
        )
    uow.session.add(
        TurnClass(
            turn_id=turn.id,
            fate="new",
            grade=grade,
            name_zh=name.zh,
            name_en=name.en,
            keeps_teacher=False,
        )
    )


def remove_class(uow: UnitOfWork, *, line_id: int) -> None:
    """Take out a class that was to begin; children placed in it go where their class goes."""
    line = _line(uow, line_id)
    if line.fate != "new":
        raise Conflict(
            Text("只有新开的班可以删除。", "Only a new class can be taken out."), code="not_new"
        )
    uow.session.delete(line)


def place(uow: UnitOfWork, *, line_id: int, targets: Mapping[int, int | None], day: date) -> int:
    """Send children of a class elsewhere (None: with the class); how many go elsewhere then."""
    line = _line(uow, line_id)
    group = uow.session.get(ClassGroup, line.class_id or 0)
    if group is None:
        raise NotFound()
    uow.authorize(Action.PERSON_READ, group)
    making = set(
        uow.session.scalars(
            select(TurnClass.id).where(
                TurnClass.turn_id == line.turn_id, TurnClass.fate.in_(("up", "new"))
            )
        )
    )
    here = set(
        uow.session.scalars(
            select(ClassMember.person_id)
            .join(Person, Person.id == ClassMember.person_id)
            .where(ClassMember.class_id == group.id, is_there(day))
        )
    )
    if not targets.keys() <= here or not {t for t in targets.values() if t} <= making:
        raise Invalid(
            Text(
                "班级或学生刚刚有变动，请刷新后重选。",
                "The class or its children have changed; reload and choose again.",
            )
        )
    uow.session.execute(
        delete(TurnChild).where(
            TurnChild.turn_id == line.turn_id, TurnChild.child_id.in_(targets.keys())
        )
    )
    usual = line.id if line.fate == "up" else line.into_id
    placed = {c: t for c, t in targets.items() if t is not None and t != usual}
    for child, target in sorted(placed.items()):
        uow.session.add(TurnChild(turn_id=line.turn_id, child_id=child, target_id=target))
    return len(placed)


def discard(uow: UnitOfWork, *, turn_id: int) -> None:
    """Give the preparation up; no class has changed."""
    turn = locked(uow, turn_id)
    _refuse_unless_draft(turn)
    uow.session.delete(turn)


def locked(uow: UnitOfWork, turn_id: int) -> SchoolTurn:
    """The turn, held until the end of the transaction; Forbidden if it is not the actor's."""
    turn = uow.session.get(SchoolTurn, turn_id)
    if turn is None:
        raise NotFound()
    uow.authorize(Action.YEAR_TURN, turn)
    return _held(uow.session, turn_id)


def _held(session: Session, turn_id: int) -> SchoolTurn:
    turn = session.get(SchoolTurn, turn_id, with_for_update=True, populate_existing=True)
    if turn is None:  # given up by somebody else meanwhile
        raise NotFound()
    return turn


def _refuse_unless_draft(turn: SchoolTurn) -> None:
    if turn.state != "draft":
        raise Conflict(
            Text(
                "刚刚有人已经执行了升级，请刷新后查看。",
                "Somebody has turned the year just now; reload to see it.",
            ),
            code="not_draft",
        )


def _school(uow: UnitOfWork, school_id: int) -> Organisation:
    school = uow.session.get(Organisation, school_id)
    if school is None or school.kind != "school":
        raise NotFound()
    uow.authorize(Action.YEAR_TURN, school)
    return school


def _draft(session: Session, school_id: int) -> SchoolTurn | None:
    return session.scalar(
        select(SchoolTurn)
        .where(SchoolTurn.school_id == school_id, SchoolTurn.state == "draft")
        .with_for_update()
    )


def _applied(session: Session, school_id: int, year: int) -> bool:
    found = session.scalar(
        select(SchoolTurn.id).where(
            SchoolTurn.school_id == school_id,
            SchoolTurn.year == year,
            SchoolTurn.state == "applied",
        )
    )
    return found is not None


def _turn_of(session: Session, line: TurnClass) -> SchoolTurn:
    return session.get_one(SchoolTurn, line.turn_id)


def _line(uow: UnitOfWork, line_id: int) -> TurnClass:
    line = uow.session.get(TurnClass, line_id)
    if line is None:
        raise NotFound()
    turn = locked(uow, line.turn_id)
    _refuse_unless_draft(turn)
    uow.session.refresh(line)
    return line


def _refuse_unfit_name(name: Text) -> None:
    wrong = {}
    for key, said in (("name_zh", name.zh), ("name_en", name.en)):
        if not said:
            wrong[key] = Text("请填写名称。", "Enter a name.")
        elif len(said) > LONGEST_NAME:
            wrong[key] = Text(f"最长 {LONGEST_NAME} 个字。", f"At most {LONGEST_NAME} characters.")
    if wrong:
        raise Invalid(fields=wrong)


def _refuse_unfit_target(session: Session, line: TurnClass, into_id: int | None) -> None:
    target = session.get(TurnClass, into_id) if into_id else None
    if (
        target is None
        or target.turn_id != line.turn_id
        or target.id == line.id
        or target.fate not in ("up", "new")
    ):
        raise Invalid(
            fields={"into": Text("请选择并入哪个班。", "Choose the class that it joins.")}
        )


def _sync(session: Session, turn: SchoolTurn, *, fresh: bool) -> None:
    groups = session.scalars(
        select(ClassGroup)
        .where(ClassGroup.school_id == turn.school_id, ClassGroup.active.is_(True))
        .order_by(ClassGroup.grade, ClassGroup.name_zh, ClassGroup.id)
    ).all()
    lines = session.scalars(select(TurnClass).where(TurnClass.turn_id == turn.id)).all()
    active = {g.id for g in groups}
    for line in lines:
        if line.class_id is not None and line.class_id not in active:
            session.delete(line)  # the class was closed meanwhile
    known = {line.class_id for line in lines}
    grades = {g.grade for g in groups if g.grade is not None}
    for group in groups:
        if group.id not in known:
            session.add(_by_rule(turn, group, grades))
    if fresh and grades:
        _add_first_grade(session, turn, [g for g in groups if g.grade is not None], grades)
    session.flush()


def _by_rule(turn: SchoolTurn, group: ClassGroup, grades: set[int]) -> TurnClass:
    if group.grade is None:
        return TurnClass(turn_id=turn.id, class_id=group.id, fate="stays")
    if naming.leaves_after(group.grade, grades):
        return TurnClass(
            turn_id=turn.id,
            class_id=group.id,
            fate="leaves",
            grade=group.grade,
            keeps_teacher=False,
        )
    name = naming.next_name(Text(group.name_zh, group.name_en), group.grade, group.grade + 1)
    return TurnClass(
        turn_id=turn.id,
        class_id=group.id,
        fate="up",
        grade=group.grade + 1,
        name_zh=name.zh if name else "",
        name_en=name.en if name else "",
    )


def _add_first_grade(
    session: Session, turn: SchoolTurn, groups: list[ClassGroup], grades: set[int]
) -> None:
    """As many new classes of the first grade as there are now, or as of the lowest there is."""
    first, lowest = naming.entry_grade(grades), min(grades)
    count = min(sum(g.grade == lowest for g in groups), MOST_NEW)
    for number in range(1, count + 1):
        name = _patterned(session, turn.school_id, first, number)
        session.add(
            TurnClass(
                turn_id=turn.id,
                fate="new",
                grade=first,
                name_zh=name.zh,
                name_en=name.en,
                keeps_teacher=False,
            )
        )


def _patterned(session: Session, school_id: int, grade: int, number: int) -> Text:
    """A name in the manner of the school's other classes."""
    for group in session.scalars(
        select(ClassGroup)
        .where(
            ClassGroup.school_id == school_id,
            ClassGroup.active.is_(True),
            ClassGroup.grade.is_not(None),
        )
        .order_by(ClassGroup.grade, ClassGroup.name_zh, ClassGroup.id)
    ):
        like = Text(group.name_zh, group.name_en)
        moved = naming.next_name(like, group.grade or 0, grade)
        # a name that does not tell the grade is no pattern for another one
        if moved is not None and (moved.zh != like.zh or group.grade == grade):
            named = naming.numbered(moved, number)
            if named is not None:
                return named
    plain = naming.next_name(Text("一（1）班", "Class 1(1)"), 1, grade) or Text("", "")
    return naming.numbered(plain, number) or plain
