"""Takes a turn of the year back, as long as nothing of the new year hangs on a new class.

What went along with the classes comes back with them. What came since is named with its number: it must
be dealt with first, for a class that somebody works with is not torn away under them.
"""

from __future__ import annotations

from datetime import date, timedelta

from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from coordination.domain.people.events import YearTakenBack
from coordination.domain.people.models import ClassGroup, RosterBatch
from coordination.domain.people.roster import batches, undoing, writing
from coordination.domain.people.roster.undoing import Undone
from coordination.domain.people.year import following, preparing
from coordination.domain.people.year.models import SchoolTurn, TurnClass
from coordination.ground.errors import Conflict
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork

_NEW = "(select made_id from turn_class where turn_id = :turn and made_id is not null)"
_WENT_ALONG = "select from turn_move m where m.turn_id = :turn and m.table_name = '{table}' and m.row_id = t.id"
# what can hang on a new class, how it is told from what went along, and what it is called
HANGING: dict[str, tuple[str, Text]] = {
    "booking": (f"t.class_id in {_NEW}", Text("场地预约", "booking")),
    "class_enrolment": (f"t.class_id in {_NEW}", Text("活动报名", "sign-up")),
    "enrolment": (f"t.class_id in {_NEW}", Text("学生报名", "child's place")),
    "consent_ask": (f"t.class_id in {_NEW}", Text("知情同意征询", "consent asked")),
    "notice": (
        f"t.class_id in {_NEW} or t.class_ids && array{_NEW}",
        Text("通知", "notice"),
    ),
}
# rows of the roster are told by the batch they came with
ROSTER: dict[str, Text] = {
    "class_member": Text("后来编入新班的学生", "child who came to a new class since"),
    "membership": Text("后来登记的班主任", "class teacher entered since"),
}


def blockers(session: Session, turn: SchoolTurn) -> list[Text]:
    """What of the new year stands in the way, each with its number."""
    found: list[Text] = []
    for table, (where, label) in HANGING.items():
        unmoved = _WENT_ALONG.format(table=table)
        # what went along and was used there since stays what it was: it goes back as it is
        count = session.scalar(
            text(f"select count(*) from {table} t where ({where}) and not exists ({unmoved})"),
            {"turn": turn.id},
        )
        if count:
            found.append(_numbered(count, label))
    for table, label in ROSTER.items():
        count = session.scalar(
            text(
                f"select count(*) from {table} t where t.class_id in {_NEW}"
                " and t.batch_id is distinct from :batch"
            ),
            {"turn": turn.id, "batch": turn.batch_id},
        )
        if count:
            found.append(_numbered(count, label))
    return found


def take_back(uow: UnitOfWork, *, turn_id: int, today: date) -> Undone:
    """Every class, child and post as before the turn; Conflict names what stands in the way."""
    batches.one_at_a_time(uow.session)
    turn = preparing.locked(uow, turn_id)
    if turn.state != "applied" or turn.batch_id is None:
        raise Conflict(
            Text("这次升级没有执行，或已经撤销。", "This turn was not carried out, or is undone."),
            code="not_applied",
        )
    writing.hold_present_rows(uow.session)
    in_the_way = blockers(uow.session, turn)
    if in_the_way:
        raise Conflict(
            Text(
                "新班已经有了：" + "、".join(b.zh for b in in_the_way) + "。请先处理，再撤销。",
                "The new classes have "
                + ", ".join(b.en for b in in_the_way)
                + " already. Deal with these first.",
            ),
            code="hangs_on_it",
        )
    batch = uow.session.get_one(RosterBatch, turn.batch_id, with_for_update=True)
    undoing.refuse_if_built_upon(uow.session, batch)
    following.come_back(uow.session, turn.id)
    # a registry's identifier goes back to the class it came from
    uow.session.execute(
        update(ClassGroup).where(ClassGroup.batch_id == batch.id).values(source_id=None)
    )
    uow.session.execute(update(TurnClass).where(TurnClass.turn_id == turn.id).values(made_id=None))
    result = undoing.undo(uow.session, batch.id, ended=today - timedelta(days=1))
    batch.state, batch.undone_at = "undone", uow.now
    batch.counts = {
        **batch.counts,
        "undone": {
            "removed": result.removed,
            "restored": result.restored,
            "ended": result.ended,
            "kept": list(result.kept),
        },
    }
    turn.state, turn.undone_at = "undone", uow.now
    uow.session.flush()
    uow.session.expire_all()  # what was written past the session
    uow.record(YearTakenBack(turn.id))
    return result


def _numbered(count: int, label: Text) -> Text:
    return Text(f"{count} 项{label.zh}", f"{count} × {label.en}")


def past_classes(session: Session, turn: SchoolTurn) -> list[tuple[int, Text, date]]:
    """(id, name, last day) of the classes that ended by this turn."""
    rows = session.scalars(
        select(ClassGroup)
        .join(TurnClass, TurnClass.class_id == ClassGroup.id)
        .where(TurnClass.turn_id == turn.id, ClassGroup.ended_on.is_not(None))
        .order_by(ClassGroup.grade, ClassGroup.name_zh, ClassGroup.id)
    )
    return [(g.id, Text(g.name_zh, g.name_en), g.ended_on) for g in rows if g.ended_on]
