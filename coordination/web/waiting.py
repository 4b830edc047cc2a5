"""What waits for a person today. Features contribute, the home page shows; neither knows the other.

A contributor is called with the read-only session, the actor and the present moment, and answers
with the things that wait, oldest first. It is registered where the feature's routes are declared.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from coordination.authz.actor import Actor
from coordination.ground.text import Text


@dataclass(frozen=True, slots=True)
class Waiting:
    """One thing (or one count of things) that waits for the actor."""

    title: Text
    url: str
    detail: Text | None = None
    due: datetime | None = None
    urgent: bool = False
    # whom it concerns, for pages that show one child; empty: the whole family
    child_ids: frozenset[int] = frozenset()


Contributor = Callable[[Session, Actor, datetime], Sequence[Waiting]]

_staff: list[Contributor] = []
_family: list[Contributor] = []


def waits_for_staff(contributor: Contributor) -> Contributor:
    """Show what `contributor` finds on the staff home page."""
    _staff.append(contributor)
    return contributor


def waits_for_family(contributor: Contributor) -> Contributor:
    """Show what `contributor` finds on the family's home page."""
    _family.append(contributor)
    return contributor


def waiting_for_staff(session: Session, actor: Actor, now: datetime) -> list[Waiting]:
    """Everything that waits for a member of staff or a partner, urgent things first."""
    return _collect(_staff, session, actor, now)


def waiting_for_family(session: Session, actor: Actor, now: datetime) -> list[Waiting]:
    """Everything that waits for a guardian, urgent things first."""
    return _collect(_family, session, actor, now)


def _collect(
    contributors: Sequence[Contributor], session: Session, actor: Actor, now: datetime
) -> list[Waiting]:
    found = [w for c in contributors for w in c(session, actor, now)]
    return sorted(found, key=lambda w: (not w.urgent, w.due is None, w.due or now))
