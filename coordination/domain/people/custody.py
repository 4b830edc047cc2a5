"""Custody limits (B9): a guardian who may not be told anything of a child, with the ground for it.

The limit itself is enforced where actors, recipients and deliveries are made; here it is set and
lifted, each time with a reason. Must not know pages or messages.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select, update
from sqlalchemy.orm import Session, aliased

from coordination.authz.actions import Action
from coordination.authz.policy import allowed
from coordination.domain.people.models import AccessCode, Guardianship, Person
from coordination.ground.actor import Actor
from coordination.ground.errors import Conflict, Invalid, NotFound
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork

LONGEST_REASON = 300


@dataclass(frozen=True, slots=True)
class Limit:
    """A guardianship as the page of its limit shows it."""

    guardianship_id: int
    child_id: int
    child: str
    guardian: str
    relation: str
    limited: bool
    reason: str | None


def limit_of(session: Session, actor: Actor, guardianship_id: int) -> Limit:
    """A guardianship whose limit the actor may set; NotFound for one of others."""
    guardian = aliased(Person)
    row = session.execute(
        select(Guardianship, Person, guardian.name)
        .join(Person, Person.id == Guardianship.child_id)
        .join(guardian, guardian.id == Guardianship.guardian_id)
        .where(Guardianship.id == guardianship_id)
    ).one_or_none()
    if row is None or not allowed(actor, Action.CUSTODY_LIMIT, row[1]):
        raise NotFound()
    kin, child, name = row
    return Limit(
        kin.id, child.id, child.name, name, kin.relation, kin.no_disclosure, kin.limit_reason
    )


def limit(uow: UnitOfWork, *, guardianship_id: int, reason: str) -> None:
    """From now on this guardian is told and shown nothing of the child; open codes are closed."""
    kin = _locked(uow, guardianship_id)
    _needs(reason)
    if kin.no_disclosure:
        raise Conflict(
            Text("这位家长已经设为限制。", "This guardian is limited already."),
            code="limited_already",
        )
    kin.no_disclosure, kin.limit_reason = True, reason
    uow.session.execute(
        update(AccessCode)
        .where(
            AccessCode.person_id == kin.guardian_id,
            AccessCode.child_id == kin.child_id,
            AccessCode.revoked_at.is_(None),
        )
        .values(revoked_at=uow.now)
    )


def lift(uow: UnitOfWork, *, guardianship_id: int, reason: str) -> None:
    """The limit no longer holds; what was withheld meanwhile is not sent afterwards."""
    kin = _locked(uow, guardianship_id)
    _needs(reason)
    if not kin.no_disclosure:
        raise Conflict(
            Text("这位家长没有被限制。", "This guardian is not limited."), code="not_limited"
        )
    # ended rows of the pair too: a roster that brings the pair back goes by them
    for row in uow.session.scalars(
        select(Guardianship).where(
            Guardianship.child_id == kin.child_id,
            Guardianship.guardian_id == kin.guardian_id,
            Guardianship.no_disclosure.is_(True),
        )
    ):
        row.no_disclosure, row.limit_reason = False, reason


def _needs(reason: str) -> None:
    if not reason:
        raise Invalid(fields={"reason": Text("请写明依据。", "Say on what ground.")})
    if len(reason) > LONGEST_REASON:
        raise Invalid(
            fields={
                "reason": Text(
                    f"最多 {LONGEST_REASON} 个字。", f"Use at most {LONGEST_REASON} characters."
                )
            }
        )


def _locked(uow: UnitOfWork, guardianship_id: int) -> Guardianship:
    kin = uow.session.scalar(
        select(Guardianship).where(Guardianship.id == guardianship_id).with_for_update()
    )
    if kin is None:
        raise NotFound()
    uow.authorize(Action.CUSTODY_LIMIT, uow.session.get_one(Person, kin.child_id))
    return kin
