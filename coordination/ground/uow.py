"""The unit of work: one transaction, one actor, one commit. Nobody else commits.

A use case gets it as first argument and never builds one. A unit of work that nobody authorized
refuses to commit. Events are handed to the reactions in the same transaction, until none is left.
The gate and the reactions are given by the composition, so that this floor knows neither.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import datetime
from types import TracebackType
from typing import Self

from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from coordination.ground.actor import Actor
from coordination.ground.audit import Trail
from coordination.ground.constraints import translate
from coordination.ground.events import Event

Gate = Callable[[Actor, str, object], None]
React = Callable[["UnitOfWork", Event], None]


class NobodyAuthorized(RuntimeError):
    """A use case changed something without asking the policy: a bug, never a refusal."""


class UnitOfWork:
    """`with UnitOfWork(...) as uow: use_case(uow, ...)`; commits at the end of the block."""

    def __init__(
        self, session: Session, actor: Actor, *, now: datetime, gate: Gate, react: React
    ) -> None:
        self.session, self.actor, self.now = session, actor, now
        self._gate, self._react = gate, react
        self._events: deque[Event] = deque()
        self._authorized = False
        self.trail = Trail(session, actor.person_id, actor.name, now)

    def authorize(self, action: str, thing: object = None) -> None:
        """Refuse (Forbidden) unless the actor may do `action` to `thing`."""
        self._gate(self.actor, action, thing)
        self._authorized = True

    def record(self, event: Event) -> None:
        """Note that something happened; reactions run before the commit."""
        self._events.append(event)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        try:
            if error is not None:
                self.session.rollback()
                if isinstance(error, DBAPIError) and (refusal := translate(error)):
                    raise refusal from error
                return
            self._finish()
        finally:
            self.trail.close()

    def _finish(self) -> None:
        try:
            self.session.flush()
            while self._events:
                self._react(self, self._events.popleft())
                self.session.flush()
            self.trail.write()
            changed = bool(self.session.new or self.session.dirty or self.session.deleted)
            if not self._authorized and (changed or self.session.in_transaction()):
                raise NobodyAuthorized("this unit of work was never authorized")
            self.session.commit()
        except DBAPIError as error:
            self.session.rollback()
            if refusal := translate(error):
                raise refusal from error
            raise
        except BaseException:
            self.session.rollback()
            raise
