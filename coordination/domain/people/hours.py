"""收通知的时间: from when on in a day a guardian wants what can wait. What cannot is not asked about."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import time

from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.authz.rules import Scope
from coordination.domain.people.events import NoticeHourChosen
from coordination.domain.people.models import Person
from coordination.ground.errors import Invalid
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork

# None: whenever they come
HOURS: Sequence[time | None] = (None, time(12, 30), time(18, 0))


def chosen_hour(session: Session, person_id: int | None) -> time | None:
    """What somebody has chosen."""
    person = session.get(Person, person_id) if person_id else None
    return person.notices_from if person is not None else None


def choose_hour(uow: UnitOfWork, *, hour: time | None) -> None:
    """Let the actor's routine notices wait until this time of day; None: they do not."""
    uow.authorize(Action.NOTICE_HOUR_CHOOSE, Scope(person=uow.actor.person_id))
    if hour not in HOURS:
        raise Invalid(fields={"hour": Text("请选择列出的一项。", "Choose one of those listed.")})
    person = uow.session.get(Person, uow.actor.person_id)
    if person is not None and person.notices_from != hour:
        person.notices_from = hour
        uow.record(NoticeHourChosen(person.id))
