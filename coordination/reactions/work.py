"""How a unit of work is put together: policy as gate, reaction table as reactions."""

from __future__ import annotations

from sqlalchemy.orm import Session

from coordination.authz.policy import refuse_unless_allowed
from coordination.ground import clock
from coordination.ground.actor import Actor
from coordination.ground.uow import UnitOfWork
from coordination.reactions.table import react


def begin(session: Session, actor: Actor) -> UnitOfWork:
    """A unit of work for `actor` on `session`, at the present moment."""
    return UnitOfWork(session, actor, now=clock.now(), gate=refuse_unless_allowed, react=react)
