"""Who has looked at what a family says of a child (谁看过): written before it is shown, read by the family."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.authz.policy import allowed
from coordination.authz.rules import Scope
from coordination.domain.care.models import CardLook
from coordination.domain.people.models import Person
from coordination.domain.practice.models import Activity, PracticeSession
from coordination.ground.actor import Actor
from coordination.ground.errors import NotFound
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork

KINDS = {
    "card": Text("打开了健康提示卡和紧急电话", "opened the health card and emergency numbers"),
    "pickup": Text("查看了代接人电话", "looked at the collectors' numbers"),
    "sheet": Text("打印了带队名册", "printed the field roster"),
}
SHOWN = 30


@dataclass(frozen=True, slots=True)
class Look:
    """One look, as the family reads it."""

    at: datetime
    who: str
    what: Text
    activity: Text
    starts_at: datetime


def note(uow: UnitOfWork, *, session_id: int, child_ids: Iterable[int], kind: str) -> None:
    """Keep that the actor looks; what they look at is handed out by the same transaction."""
    if uow.actor.person_id is None:
        raise NotFound()
    for child in child_ids:
        uow.session.add(
            CardLook(
                child_id=child,
                session_id=session_id,
                person_id=uow.actor.person_id,
                kind=kind,
                at=uow.now,
            )
        )


def looks_at(session: Session, actor: Actor, child_id: int) -> list[Look]:
    """The latest looks at a child's data, the newest first, for its guardians."""
    if not allowed(actor, Action.CARD_WRITE, Scope(child=child_id)):
        raise NotFound()
    rows = session.execute(
        select(
            CardLook.at,
            Person.name,
            CardLook.kind,
            Activity.title_zh,
            Activity.title_en,
            PracticeSession.starts_at,
        )
        .join(Person, Person.id == CardLook.person_id)
        .join(PracticeSession, PracticeSession.id == CardLook.session_id)
        .join(Activity, Activity.id == PracticeSession.activity_id)
        .where(CardLook.child_id == child_id)
        .order_by(CardLook.at.desc(), CardLook.id.desc())
        .limit(SHOWN)
    )
    return [Look(at, who, KINDS[k], Text(zh, en), starts) for at, who, k, zh, en, starts in rows]
