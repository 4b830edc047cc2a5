"""A guardian asks the school to correct or erase what is kept; the school office answers in words.

Must not know pages, nor what exactly is erased (`erasing`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session, aliased

from coordination.authz.actions import Action
from coordination.authz.policy import allowed
from coordination.authz.visibility import visible
from coordination.domain.oversight.erasing import erase_child
from coordination.domain.oversight.events import DataAnswered, DataAsked
from coordination.domain.oversight.models import DataRequest
from coordination.domain.people.directory import RELATIONS
from coordination.domain.people.models import Guardianship, Person
from coordination.ground.actor import Actor
from coordination.ground.errors import Conflict, Invalid, NotFound
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork

# the law says "in time" without a number; fifteen days is what regulators expect of apps (working days
# there, calendar days here), and is not for a district to lengthen
ANSWERED_WITHIN = timedelta(days=15)
SHOWN_ANSWERED = timedelta(days=30)
LONGEST = 500

KINDS = {
    "correct": Text("更正", "Correct something"),
    "erase": Text("删除", "Erase"),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as the school office works on it."""

    request: DataRequest
    guardian: str
    relation: Text | None
    child: str | None
    child_left: bool

    @property
    def about(self) -> Text:
        """Whom it is about."""
        return Text(self.child, self.child) if self.child else Text("家长本人", "The guardian")


def ask(uow: UnitOfWork, *, kind: str, child_id: int | None, words: str) -> DataRequest:
    """Ask for a correction or an erasure of what is kept about a child, or about oneself."""
    actor = uow.actor
    uow.authorize(Action.DATA_ASK, uow.session.get_one(Person, actor.person_id))
    if kind not in KINDS:
        raise Invalid(fields={"kind": Text("请选择要更正还是删除。", "Choose correct or erase.")})
    if child_id is not None and child_id not in actor.child_ids:
        raise Invalid(fields={"about": Text("请选择自己的孩子。", "Choose one of your children.")})
    if not words.strip():
        raise Invalid(
            fields={
                "words": Text(
                    "请写明哪一项、应该怎样，学校才知道怎么办。",
                    "Say which item, and how it should be, so that the school knows what to do.",
                )
            }
        )
    made = DataRequest(
        guardian_id=actor.person_id,
        child_id=child_id,
        school_id=_school(uow.session, actor, child_id),
        kind=kind,
        words=words.strip(),
        due_at=uow.now + ANSWERED_WITHIN,
        state="open",
    )
    uow.session.add(made)
    uow.session.flush()
    uow.record(DataAsked(made.id))
    return made


def _school(session: Session, actor: Actor, child_id: int | None) -> int:
    """Whose office answers: the child's school; about the guardian, that of their first child."""
    wanted = [child_id] if child_id is not None else sorted(actor.child_ids)
    found = session.scalar(
        select(Person.school_id)
        .where(Person.id.in_(wanted), Person.school_id.is_not(None))
        .order_by(Person.id)
        .limit(1)
    )
    if found is None:
        raise Conflict(
            Text(
                "名册里没有孩子的学校，请直接联系学校。",
                "The roster names no school of your child; please ask the school directly.",
            ),
            code="no_school",
        )
    return found


def own_requests(session: Session, actor: Actor) -> list[DataRequest]:
    """The actor's own requests, the latest first."""
    return list(
        session.scalars(
            select(DataRequest)
            .where(DataRequest.guardian_id == actor.person_id)
            .order_by(DataRequest.id.desc())
        )
    )


def requests_query(actor: Actor) -> Select[DataRequest]:
    """Requests that the actor may answer, the open ones first, by their deadline."""
    return visible(DataRequest, actor, Action.DATA_ANSWER).order_by(
        DataRequest.state != "open", DataRequest.due_at, DataRequest.id
    )


def open_requests(session: Session, actor: Actor) -> tuple[int, datetime | None]:
    """How many wait for the actor, and by when the first must be answered."""
    mine = (
        visible(DataRequest, actor, Action.DATA_ANSWER)
        .where(DataRequest.state == "open")
        .subquery()
    )
    row = session.execute(select(func.count(), func.min(mine.c.due_at)).select_from(mine)).one()
    return row[0], row[1]


def lines(session: Session, requests: Sequence[DataRequest]) -> list[Asked]:
    """The requests of a page, with whom they are about."""
    guardian, child = aliased(Person), aliased(Person)
    rows = session.execute(
        select(DataRequest.id, guardian.name, Guardianship.relation, child.name, child.status)
        .join(guardian, guardian.id == DataRequest.guardian_id)
        .outerjoin(child, child.id == DataRequest.child_id)
        .outerjoin(
            Guardianship,
            (Guardianship.guardian_id == guardian.id)
            & (Guardianship.child_id == child.id)
            & Guardianship.ends_on.is_(None),
        )
        .where(DataRequest.id.in_([r.id for r in requests]))
    )
    known = {row[0]: row for row in rows}
    return [
        Asked(
            request,
            known[request.id][1],
            RELATIONS.get(known[request.id][2] or ""),
            known[request.id][3],
            known[request.id][4] == "left",
        )
        for request in requests
    ]


def request_of(session: Session, actor: Actor, request_id: int) -> Asked:
    """One that the actor may answer; NotFound for one of others."""
    found = session.get(DataRequest, request_id)
    if found is None or not allowed(actor, Action.DATA_ANSWER, found):
        raise NotFound()
    return lines(session, [found])[0]


def answer(uow: UnitOfWork, *, request_id: int, agreed: bool, words: str) -> None:
    """Say what was done, or why not. An erasure that is agreed to is carried out at once if the child
    has left the school, else by itself on the night after they leave."""
    found = _locked(uow, request_id)
    uow.authorize(Action.DATA_ANSWER, found)
    if found.state != "open":
        raise Conflict(
            Text("这条申请已经答复过了。", "This request has been answered already."),
            code="answered",
        )
    if not words.strip():
        raise Invalid(
            fields={
                "words": Text(
                    "请用一两句话告诉家长做了什么，或为什么不能。",
                    "Tell the guardian in a sentence what was done, or why not.",
                )
            }
        )
    found.state = "done" if agreed else "declined"
    found.answer, found.answered_at = words.strip(), uow.now
    found.answered_by_id = uow.actor.person_id
    uow.session.flush()
    if agreed and found.kind == "erase" and found.child_id is not None:
        child = uow.session.get_one(Person, found.child_id, with_for_update=True)
        if child.status == "left":
            erase_child(uow, child)
    uow.record(DataAnswered(found.id))


def _locked(uow: UnitOfWork, request_id: int) -> DataRequest:
    """The request, held: of two who answer at once, the second sees that it was answered."""
    found = uow.session.get(DataRequest, request_id, with_for_update=True)
    if found is None:
        raise NotFound()
    return found
