"""Reads of consents for guardians."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from coordination.domain.consents.models import ConsentAnswer, ConsentAsk, ConsentRequest
from coordination.domain.consents.rules import answers_until
from coordination.domain.consents.services import state_for
from coordination.domain.people.models import Organisation, Person
from coordination.ground.actor import Actor
from coordination.ground.errors import NotFound
from coordination.ground.text import Text


@dataclass(frozen=True, slots=True)
class AskedChild:
    """One of a guardian's children in a request, with the family's state and the own last answer."""

    child_id: int
    name: str
    state: str
    own: ConsentAnswer | None
    # who of the school wrote the own answer down, if it came on paper or by word of mouth
    recorded_by: str | None
    # the own answer may be given or changed until then
    until: datetime


@dataclass(frozen=True, slots=True)
class AskedFamily:
    """A request as one guardian sees it."""

    request: ConsentRequest
    school: Text
    children: tuple[AskedChild, ...]


def request_for(session: Session, actor: Actor, request_id: int) -> AskedFamily:
    """A request with the actor's own children in it; NotFound if there are none."""
    request = session.get(ConsentRequest, request_id)
    rows = session.execute(
        select(ConsentAsk.child_id, Person.name, ConsentAsk.school_id)
        .join(Person, Person.id == ConsentAsk.child_id)
        .where(ConsentAsk.request_id == request_id, ConsentAsk.child_id.in_(actor.child_ids))
        .order_by(ConsentAsk.id)
    ).all()
    if request is None or not rows:
        raise NotFound()
    states = state_for(session, request_id, [r.child_id for r in rows])
    own = {
        a.child_id: (a, by)
        for a, by in session.execute(
            select(ConsentAnswer, Person.name)
            .outerjoin(Person, Person.id == ConsentAnswer.recorded_by_id)
            .where(
                ConsentAnswer.request_id == request_id,
                ConsentAnswer.guardian_id == actor.person_id,
            )
            .order_by(ConsentAnswer.id)
        )
    }
    school = session.get_one(Organisation, rows[0].school_id)
    children = []
    for row in rows:
        answer, by = own.get(row.child_id, (None, None))
        until = answers_until(request.due_at, answer.at if answer and by else None)
        children.append(AskedChild(row.child_id, row.name, states[row.child_id], answer, by, until))
    return AskedFamily(request, Text(school.name_zh, school.name_en), tuple(children))


def requests_of(session: Session, actor: Actor) -> list[AskedFamily]:
    """Open requests about the actor's children, the most urgent first."""
    ids = session.scalars(
        select(ConsentRequest.id)
        .join(ConsentAsk, ConsentAsk.request_id == ConsentRequest.id)
        .where(ConsentRequest.state == "open", ConsentAsk.child_id.in_(actor.child_ids))
        .group_by(ConsentRequest.id)
        .order_by(ConsentRequest.due_at)
        .limit(30)
    ).all()
    return [request_for(session, actor, i) for i in ids]
