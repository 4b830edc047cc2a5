"""志愿服务记录证明 (B116): what somebody's confirmed time comes to, under a number anybody can check.

Free of charge. It stands for what was confirmed when it was made; when one of its hours changes it is
void, and the page of its number says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.authz.rules import Scope
from coordination.domain.people.models import Person
from coordination.domain.volunteering.models import ServiceCertificate, ShiftNeed, ShiftTime
from coordination.ground import crypto
from coordination.ground.errors import Conflict, Forbidden, NotFound
from coordination.ground.text import Text, mask_name
from coordination.ground.uow import UnitOfWork

NUMBER = 10


@dataclass(frozen=True, slots=True)
class Checked:
    """What anybody learns from a number: enough to compare with the paper, and no more."""

    number: str
    name: str
    services: int
    minutes: int
    first_day: date
    last_day: date
    made_at: datetime
    void_at: datetime | None


def issue(uow: UnitOfWork, *, zone: ZoneInfo) -> ServiceCertificate:
    """A certificate of all the actor's confirmed time; the present one, if nothing was added since."""
    person = uow.actor.person_id
    uow.authorize(Action.SHIFT_CERTIFY, Scope(person=person))
    # one at a time for each person: two presses are one number
    if (
        person is None
        or uow.session.get(Person, person, with_for_update={"key_share": True}) is None
    ):
        raise Forbidden()
    services, minutes, first, last = uow.session.execute(
        select(
            func.count(),
            func.sum(ShiftTime.minutes),
            func.min(ShiftNeed.starts_at),
            func.max(ShiftNeed.starts_at),
        )
        .join(ShiftNeed, ShiftNeed.id == ShiftTime.need_id)
        .where(ShiftTime.person_id == person, ShiftTime.minutes > 0)
    ).one()
    if not services:
        raise Conflict(
            Text(
                "还没有核定的志愿时长，核定后就可以开具。",
                "None of your time is confirmed yet; a certificate can be made once it is.",
            ),
            code="nothing_confirmed",
        )
    said = {
        "services": services,
        "minutes": int(minutes or 0),
        "first_day": first.astimezone(zone).date(),
        "last_day": last.astimezone(zone).date(),
    }
    known = uow.session.scalar(
        select(ServiceCertificate)
        .filter_by(person_id=person, void_at=None, **said)
        .order_by(ServiceCertificate.id.desc())
        .limit(1)
    )
    if known is not None:
        return known
    made = ServiceCertificate(number=crypto.new_code(NUMBER), person_id=person, **said)
    made.created_at = uow.now
    uow.session.add(made)
    uow.session.flush()  # the caller goes on to its page
    return made


def void(uow: UnitOfWork, *, person_id: int, since: datetime) -> None:
    """An hour that was confirmed at `since` is another now: what was certified after that is void."""
    for row in uow.session.scalars(
        select(ServiceCertificate)
        .where(
            ServiceCertificate.person_id == person_id,
            ServiceCertificate.void_at.is_(None),
            ServiceCertificate.created_at >= since,
        )
        .order_by(ServiceCertificate.id)
        .with_for_update()
    ):
        row.void_at = uow.now


def own(session: Session, person_id: int | None) -> list[ServiceCertificate]:
    """Somebody's certificates, the latest first."""
    return list(
        session.scalars(
            select(ServiceCertificate)
            .where(ServiceCertificate.person_id == person_id)
            .order_by(ServiceCertificate.id.desc())
            .limit(20)
        )
    )


def own_one(session: Session, person_id: int | None, number: str) -> ServiceCertificate:
    """One of somebody's certificates; NotFound for one of others."""
    found = session.scalar(
        select(ServiceCertificate).where(
            ServiceCertificate.number == crypto.normal_code(number),
            ServiceCertificate.person_id == person_id,
        )
    )
    if found is None:
        raise NotFound()
    return found


def check(session: Session, number: str) -> Checked | None:
    """What stands behind a number that somebody reads off a paper; None if nothing does."""
    row = session.execute(
        select(ServiceCertificate, Person.name)
        .join(Person, Person.id == ServiceCertificate.person_id)
        .where(ServiceCertificate.number == crypto.normal_code(number))
    ).one_or_none()
    if row is None:
        return None
    found, name = row
    return Checked(
        found.number,
        mask_name(name),
        found.services,
        found.minutes,
        found.first_day,
        found.last_day,
        found.created_at,
        found.void_at,
    )
