"""A file for each child of one class with one notice (一人一份材料): draft, send, open, look, erase.

The files are sealed for their notice and child, so that bytes put at another child do not open. Who
may have one is asked at each opening, of the actor as custody stands then. What a file is and whose,
`filetypes` and `handing_in` decide.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Unpack

from sqlalchemy import ColumnElement, Select, and_, delete, func, insert, or_, select, update
from sqlalchemy.orm import Session, aliased

from coordination.authz.actions import Action
from coordination.authz.policy import allowed
from coordination.authz.visibility import visible
from coordination.domain.communication.files import handing_in
from coordination.domain.communication.files.filetypes import Sound, Unfit, looked_at
from coordination.domain.communication.files.handing_in import Handed, Pupil, Refused
from coordination.domain.communication.models import ChildFile, Notice
from coordination.domain.communication.notices import reach, services
from coordination.domain.people.directory import number_of
from coordination.domain.people.models import Person
from coordination.domain.people.recipients import children_in
from coordination.ground import crypto
from coordination.ground.actor import Actor
from coordination.ground.errors import Conflict, NotFound, TooLate
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork

# after that the bytes are erased: as long as the code of a notice opens it
KEPT = timedelta(days=60)
# a draft that nobody sent
DRAFTS_KEPT = timedelta(days=1)
# of one class at a time
MOST_DRAFTS = 5


@dataclass(frozen=True, slots=True)
class FileLine:
    """A child with the file that is theirs; without one, `name` is None."""

    child_id: int
    child: str
    number: str
    name: str | None
    kind: str | None
    size: int
    opened_at: datetime | None
    opened_by: str | None


@dataclass(frozen=True, slots=True)
class Content:
    """A file to be handed out, under a name that says nothing but the matter and the child."""

    kind: str
    body: bytes
    name: Text


# -- the draft ------------------------------------------------------------------------------------


def begin(
    uow: UnitOfWork, *, draft_key: str, class_id: int | None, **said: Unpack[services.Said]
) -> Notice:
    """A draft for one class; a second call with the same key writes the same draft anew."""
    # who goes back in the browser and chooses another class means another draft
    draft_key = f"{draft_key}:{class_id}"
    uow.session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(draft_key, 0))))
    known = uow.session.scalar(select(Notice).where(Notice.draft_key == draft_key))
    if known is not None:
        notice = _draft(uow, known.id)
    else:
        notice = reach.addressed(uow, [class_id] if class_id else [], None)
        _refuse_many_drafts(uow, notice)
        notice.draft_key, notice.reach = draft_key, reach.CHILDREN
    services.write(uow, notice=notice, as_draft=True, **said)
    return notice


def _refuse_many_drafts(uow: UnitOfWork, notice: Notice) -> None:
    uow.authorize(Action.NOTICE_SEND, reach.places_of(notice)[0])
    waiting = uow.session.scalar(
        select(func.count()).where(
            Notice.state == "draft",
            Notice.reach == reach.CHILDREN,
            Notice.class_id == notice.class_id,
        )
    )
    if (waiting or 0) >= MOST_DRAFTS:
        raise handing_in.not_taken(
            f"这个班已有 {MOST_DRAFTS} 份没有发送的材料。请先在“消息”里发送或放弃其中一份。",
            f"{MOST_DRAFTS} unsent ones wait for this class. Send one or give it up first, under Messages.",
            field="class_id",
        )


def change(uow: UnitOfWork, *, notice_id: int, **said: Unpack[services.Said]) -> None:
    """Other words for a draft."""
    services.write(uow, notice=_draft(uow, notice_id), as_draft=True, **said)


def add(
    uow: UnitOfWork, *, notice_id: int, handed: Collection[Handed], child_id: int | None = None
) -> list[Refused]:
    """Put files to the children of a draft, by their names or (`child_id`) one by hand; those that
    were refused. A child who has one keeps it."""
    notice = _draft(uow, notice_id)
    pupils = {p.id: p for p in _pupils(uow.session, notice, uow.now.date())}
    files, refused = handing_in.unpacked(handed)
    if child_id is None:
        pairs, more = handing_in.matched(files, pupils.values())
        refused += more
    else:
        pairs = _by_hand(files, refused, pupils.get(child_id))
    held = {
        child: (name, size)
        for child, name, size in uow.session.execute(
            select(ChildFile.child_id, ChildFile.name, ChildFile.size).where(
                ChildFile.notice_id == notice_id
            )
        )
    }
    taken: dict[int, tuple[str, Sound]] = {}
    for child, file in pairs.items():
        try:
            sound = looked_at(file.body)
        except Unfit as unfit:
            refused.append(Refused(file.name, unfit.says))
            continue
        if child not in held:
            taken[child] = file.name, sound
        elif _bytes(uow.session, notice_id, child) != sound.body:
            refused.append(Refused(file.name, _has_one(pupils[child].name, held[child][0])))
    handing_in.refuse_too_many(
        len(held) + len(taken),
        sum(size for _, size in held.values()) + sum(len(s.body) for _, s in taken.values()),
    )
    _keep(uow, notice_id, taken)
    return refused


def _by_hand(files: list[Handed], refused: list[Refused], pupil: Pupil | None) -> dict[int, Handed]:
    if pupil is None:
        raise handing_in.not_taken(
            "请选择本班的一个孩子。", "Choose a child of the class.", field="child_id"
        )
    if len(files) + len(refused) > 1:
        raise handing_in.not_taken(
            "给一个孩子单独上传时，只选一个文件。", "For one child, choose one file alone."
        )
    return {pupil.id: files[0]} if files else {}


def _has_one(child: str, name: str) -> Text:
    return Text(
        f"{child}已经有文件“{name}”。要换成这个，请先移除原来的，再上传。",
        f"{child} has the file “{name}” already. To use this one, remove that first.",
    )


def _keep(uow: UnitOfWork, notice_id: int, taken: dict[int, tuple[str, Sound]]) -> None:
    if not taken:
        return
    rows = uow.session.execute(
        insert(ChildFile).returning(ChildFile.id, ChildFile.child_id),
        [
            {
                "notice_id": notice_id,
                "child_id": child,
                "name": name,
                "kind": sound.kind,
                "size": len(sound.body),
                "body_enc": crypto.seal(sound.body, _context(notice_id, child)),
            }
            for child, (name, sound) in taken.items()
        ],
    ).all()
    for row_id, child in rows:
        uow.trail.line("add", "child_file", row_id, None, _whose(notice_id, child))


def _whose(notice_id: int, child_id: int) -> dict[str, Any]:
    """What the audit trail says of a file: never its name, which may say a mark."""
    return {"notice_id": notice_id, "child_id": child_id}


def _context(notice_id: int, child_id: int) -> str:
    return f"child_file.{notice_id}.{child_id}"


def remove(uow: UnitOfWork, *, notice_id: int, child_id: int) -> None:
    """Take the file of one child out of a draft."""
    _draft(uow, notice_id)
    _take_out(uow, notice_id, ChildFile.child_id == child_id)


def _take_out(uow: UnitOfWork, notice_id: int, which: ColumnElement[bool]) -> None:
    for row_id, child in uow.session.execute(
        delete(ChildFile)
        .where(ChildFile.notice_id == notice_id, which)
        .returning(ChildFile.id, ChildFile.child_id)
    ):
        uow.trail.line("remove", "child_file", row_id, _whose(notice_id, child), None)


def discard(uow: UnitOfWork, *, notice_id: int) -> None:
    """Give a draft up; its files are gone at once."""
    uow.session.delete(_draft(uow, notice_id))


def _draft(uow: UnitOfWork, notice_id: int) -> Notice:
    """A draft that the actor may send, locked; NotFound for others', Conflict if it has left."""
    notice = _sendable(uow, notice_id)
    _refuse_left(notice)
    return notice


def _refuse_left(notice: Notice) -> None:
    if notice.state != "draft":
        raise Conflict(
            Text(
                "这份材料已经发出，不能再改。要补发，请新建一份，只上传要补的孩子。",
                "These files have left and cannot be changed. To add some, begin anew with those"
                " children alone.",
            ),
            code="notice_left",
        )


def _sendable(uow: UnitOfWork, notice_id: int) -> Notice:
    notice = reach.locked(uow, notice_id)
    if notice is None or notice.reach != reach.CHILDREN or not reach.may_nudge(uow.actor, notice):
        raise NotFound()
    for place in reach.places_of(notice):
        uow.authorize(Action.NOTICE_SEND, place)
    return notice


def send(uow: UnitOfWork, *, notice_id: int, **said: Unpack[services.Said]) -> Notice:
    """Send a draft to the families of the children who have a file; what is said is said anew. A
    second press finds it sent."""
    notice = _sendable(uow, notice_id)
    if notice.state == "sent":
        return notice
    _refuse_left(notice)
    today = uow.now.date()
    # who has left the class meanwhile gets nothing
    _take_out(uow, notice_id, ChildFile.child_id.not_in(children_in(notice.class_ids, today)))
    if (
        uow.session.scalar(select(ChildFile.id).where(ChildFile.notice_id == notice_id).limit(1))
        is None
    ):
        raise handing_in.not_taken(
            "还没有任何孩子的文件，请先上传。", "No child has a file yet; upload some first."
        )
    services.write(uow, notice=notice, **said)
    return notice


# -- what pages show ------------------------------------------------------------------------------


def sendable_of(session: Session, actor: Actor, notice_id: int) -> Notice:
    """A notice with files that the actor may send, or might have sent; NotFound otherwise."""
    found = session.scalar(_sendable_by(actor).where(Notice.id == notice_id))
    if found is None:
        raise NotFound()
    return found


def drafts_of(session: Session, actor: Actor) -> list[Notice]:
    """Drafts that the actor may send, the newest first."""
    query = _sendable_by(actor).where(Notice.state == "draft")
    return list(session.scalars(query.order_by(Notice.id.desc()).limit(20)))


def _sendable_by(actor: Actor) -> Select[Notice]:
    return visible(Notice, actor, Action.NOTICE_SEND).where(Notice.reach == reach.CHILDREN)


def kept_until(notice: Notice) -> datetime:
    """Until when the files of a notice can be opened, and a draft sent."""
    return notice.created_at + DRAFTS_KEPT if notice.sent_at is None else notice.sent_at + KEPT


def can_be_opened(notice: Notice, now: datetime) -> bool:
    """Whether a notice is neither stopped, nor are its files past their time."""
    return notice.state == "sent" and now < kept_until(notice)


def may_look(actor: Actor, notice: Notice) -> bool:
    """Whether the actor may see which file is whose."""
    return notice.reach == reach.CHILDREN and all(
        allowed(actor, Action.FILE_LOOK, place) for place in reach.places_of(notice)
    )


def lines_of(session: Session, notice: Notice, today: date) -> list[FileLine]:
    """Of a draft every child of the class today, of what was sent those who have a file."""
    opener = aliased(Person)
    whose = and_(ChildFile.child_id == Person.id, ChildFile.notice_id == notice.id)
    query = select(
        Person.id,
        Person.name,
        Person.source_id,
        ChildFile.name.label("file"),
        ChildFile.kind,
        ChildFile.size,
        ChildFile.opened_at,
        opener.name.label("opened_by"),
    )
    if notice.state == "draft":
        query = query.outerjoin(ChildFile, whose).where(
            Person.id.in_(children_in(notice.class_ids, today))
        )
    else:
        query = query.join(ChildFile, whose)
    rows = session.execute(
        query.outerjoin(opener, opener.id == ChildFile.opened_by_id).order_by(
            Person.pinyin, Person.id
        )
    )
    return [
        FileLine(
            row.id,
            row.name,
            number_of(row.source_id),
            row.file,
            row.kind,
            row.size or 0,
            row.opened_at,
            row.opened_by,
        )
        for row in rows
    ]


def _pupils(session: Session, notice: Notice, today: date) -> list[Pupil]:
    return [
        Pupil(i, name, number_of(source))
        for i, name, source in session.execute(
            select(Person.id, Person.name, Person.source_id).where(
                Person.id.in_(children_in(notice.class_ids, today))
            )
        )
    ]


# -- opening --------------------------------------------------------------------------------------


def note_opened(uow: UnitOfWork, *, notice_id: int, child_id: int) -> None:
    """A guardian opens the file of their child: the first time is kept, and the notice is read."""
    notice, file = _of_family(uow.session, uow.actor, notice_id, child_id)
    _refuse_closed(notice, uow.now)
    uow.authorize(Action.FILE_OPEN, file)
    uow.session.execute(
        update(ChildFile)
        .where(ChildFile.id == file.id, ChildFile.opened_at.is_(None))
        .values(opened_at=uow.now, opened_by_id=uow.actor.person_id)
    )
    services.acknowledge(uow, notice_id=notice_id, confirm=False)


def opened(
    session: Session, actor: Actor, *, notice_id: int, child_id: int, now: datetime
) -> Content | None:
    """The file for a guardian who may see the child now; None if nobody has pressed to open it."""
    notice, file = _of_family(session, actor, notice_id, child_id)
    _refuse_closed(notice, now)
    return _content(session, notice, file) if file.opened_at is not None else None


def _of_family(
    session: Session, actor: Actor, notice_id: int, child_id: int
) -> tuple[Notice, ChildFile]:
    services.recipient_of(session, notice_id, actor.person_id or 0)
    file = _file(session, notice_id, child_id)
    # the children of the actor are those of this moment, without any that custody keeps from them
    if not allowed(actor, Action.FILE_OPEN, file):
        raise NotFound()
    return session.get_one(Notice, notice_id), file


def _file(session: Session, notice_id: int, child_id: int) -> ChildFile:
    found = session.scalar(
        select(ChildFile).where(ChildFile.notice_id == notice_id, ChildFile.child_id == child_id)
    )
    if found is None:
        raise NotFound()
    return found


def look(uow: UnitOfWork, *, notice_id: int, child_id: int) -> Content:
    """The file of one child for the class teacher or the school; who looked is kept."""
    notice = uow.session.get(Notice, notice_id)
    if notice is None or not may_look(uow.actor, notice):
        raise NotFound()
    for place in reach.places_of(notice):
        uow.authorize(Action.FILE_LOOK, place)
    file = _file(uow.session, notice_id, child_id)
    if notice.state != "draft":
        _refuse_closed(notice, uow.now)
    uow.trail.line("look", "child_file", file.id, None, _whose(notice_id, child_id))
    return _content(uow.session, notice, file)


def _refuse_closed(notice: Notice, now: datetime) -> None:
    if notice.state != "sent":
        raise TooLate(
            Text("学校已收回这份材料，不能再打开。", "The school has taken this file back."),
            code="file_taken_back",
        )
    if not can_be_opened(notice, now):
        raise TooLate(
            Text(
                f"这份材料只保留 {KEPT.days} 天，已按期删除。需要的话，请联系班主任。",
                f"This file was kept for {KEPT.days} days and is erased. Ask the class teacher if you"
                " need it.",
            ),
            code="file_erased",
        )


def _content(session: Session, notice: Notice, file: ChildFile) -> Content:
    body = _bytes(session, notice.id, file.child_id)
    if body is None:
        raise NotFound()
    child = session.get_one(Person, file.child_id).name
    ending = "jpg" if file.kind == "jpeg" else file.kind
    return Content(
        file.kind,
        body,
        Text(f"{notice.title_zh} {child}.{ending}", f"{notice.title_en} {child}.{ending}"),
    )


def _bytes(session: Session, notice_id: int, child_id: int) -> bytes | None:
    sealed = session.scalar(
        select(ChildFile.body_enc).where(
            ChildFile.notice_id == notice_id, ChildFile.child_id == child_id
        )
    )
    return None if sealed is None else crypto.unseal(sealed, _context(notice_id, child_id))


# -- erasing --------------------------------------------------------------------------------------


def erase_due(uow: UnitOfWork) -> None:
    """Erase the files that are past their time or were taken back, and drafts that nobody sent."""
    uow.authorize(Action.SYSTEM_RUN)
    drafts = uow.session.scalars(
        delete(Notice)
        .where(
            Notice.state == "draft",
            Notice.reach == reach.CHILDREN,
            Notice.created_at <= uow.now - DRAFTS_KEPT,
        )
        .returning(Notice.id)
    ).all()
    ended = select(Notice.id).where(
        or_(Notice.state == "cancelled", Notice.sent_at <= uow.now - KEPT)
    )
    files = uow.session.scalars(
        update(ChildFile)
        .where(ChildFile.erased_at.is_(None), ChildFile.notice_id.in_(ended))
        .values(body_enc=None, name="", erased_at=uow.now)
        .returning(ChildFile.id)
    ).all()
    for table, ids in (("notice", drafts), ("child_file", files)):
        if ids:
            uow.trail.line(
                "erase", table, None, {"ids": list(ids)}, None, reason="kept_long_enough"
            )
