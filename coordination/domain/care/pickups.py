"""Who may collect a child besides its guardians (代接人): added for a time, ended by one button.

A permit holds only while the guardian who gave it may speak for the child, and never for somebody
whom the roster or a custody limit keeps from collecting it: both are asked again at every reading.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, timedelta

from sqlalchemy import and_, exists, select
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.authz.policy import allowed
from coordination.authz.rules import Scope
from coordination.domain.care import standing
from coordination.domain.care.content import LONGEST_NAME, LONGEST_RELATION
from coordination.domain.care.models import PickupPermit
from coordination.domain.people import contacts
from coordination.domain.people.models import Guardianship, Person
from coordination.ground import crypto
from coordination.ground.actor import Actor
from coordination.ground.errors import Conflict, Invalid, NotFound
from coordination.ground.phones import mask_phone, normal_phone
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork

LONGEST = timedelta(days=366)
MOST = 5


@dataclass(frozen=True, slots=True)
class Collector:
    """Somebody who may collect a child; callers show the mask until the number is asked for."""

    id: int
    child_id: int
    name: str
    relation: str
    phone: str
    starts_on: date
    ends_on: date
    given_by: str
    # False: it does not hold now (custody, or who gave it may no longer decide); the school knows
    holds: bool = True

    @property
    def mask(self) -> str:
        """138****0001."""
        return mask_phone(self.phone)


def collectors_of(
    session: Session, child_ids: Collection[int], today: date
) -> dict[int, list[Collector]]:
    """Who may collect each child today."""
    return {
        child: [c for c in kept if c.holds and c.starts_on <= today <= c.ends_on]
        for child, kept in _kept(session, child_ids, today).items()
    }


def _kept(session: Session, child_ids: Collection[int], today: date) -> dict[int, list[Collector]]:
    never = standing.never_to_collect(session, child_ids, today)
    backed = (
        exists()
        .where(
            Guardianship.child_id == PickupPermit.child_id,
            Guardianship.guardian_id == PickupPermit.given_by_id,
            standing.speaks_for(today),
        )
        .correlate(PickupPermit)
    )
    found: dict[int, list[Collector]] = defaultdict(list)
    for row, given_by, stands in session.execute(
        select(PickupPermit, Person.name, and_(backed, Person.status == "active"))
        .join(Person, Person.id == PickupPermit.given_by_id)
        .where(PickupPermit.child_id.in_(child_ids), PickupPermit.ends_on >= today)
        .order_by(PickupPermit.id)
    ):
        name, relation = json.loads(crypto.unseal(row.body_enc, _context(row.child_id)))
        found[row.child_id].append(
            Collector(
                row.id,
                row.child_id,
                name,
                relation,
                contacts.open_number(row.phone_enc, _context(row.child_id)),
                row.starts_on,
                row.ends_on,
                given_by,
                holds=stands and not never[row.child_id].means(bytes(row.phone_index), name),
            )
        )
    return found


def _context(child_id: int) -> str:
    return f"pickup_permit.{child_id}"


@dataclass(frozen=True, slots=True)
class FamilyPickup:
    """The page of a child's collectors."""

    child_id: int
    child: str
    may_write: bool
    guardians: tuple[standing.Kin, ...]
    collectors: tuple[Collector, ...]


def pickup_of(session: Session, actor: Actor, child_id: int, today: date) -> FamilyPickup:
    """A child's collectors for a guardian; NotFound for whom custody keeps out."""
    child = session.get(Person, child_id)
    if child is None or not allowed(actor, Action.PICKUP_GRANT, Scope(child=child_id)):
        raise NotFound()
    kin = standing.kin_of(session, [child_id], today)[child_id]
    return FamilyPickup(
        child_id,
        child.name,
        standing.may_speak(session, actor.person_id, child_id, today),
        tuple(k for k in kin if k.may_pick_up),
        tuple(_kept(session, [child_id], today)[child_id]),
    )


def add(
    uow: UnitOfWork,
    *,
    child_id: int,
    name: str,
    relation: str,
    phone: str,
    starts_on: date | None,
    ends_on: date | None,
    today: date,
) -> None:
    """Let somebody collect the child from a day until a day."""
    uow.authorize(Action.PICKUP_GRANT, Scope(child=child_id))
    guardian = standing.speaker(uow, child_id, today)
    standing.lock_child(uow, child_id)
    number = normal_phone(phone)
    starts_on = starts_on or today
    _refuse_unfit(name, relation, number, starts_on, ends_on, today)
    if number is None or ends_on is None:
        raise Invalid()
    index = crypto.blind_index(number)
    if standing.never_to_collect(uow.session, [child_id], today)[child_id].means(index, name):
        # says nothing of why: a limit is known to the school alone
        raise Conflict(
            Text(
                "这个人不能在这里登记为代接人，请联系学校办公室。",
                "This person cannot be added here; please ask the school office.",
            ),
            code="never_to_collect",
        )
    _make_room(uow, child_id, index, today)
    uow.session.add(
        PickupPermit(
            child_id=child_id,
            given_by_id=guardian,
            body_enc=crypto.seal(
                json.dumps([name, relation], ensure_ascii=False).encode(), _context(child_id)
            ),
            phone_enc=contacts.seal_number(number, _context(child_id)),
            phone_index=index,
            starts_on=starts_on,
            ends_on=ends_on,
        )
    )


def _make_room(uow: UnitOfWork, child_id: int, index: bytes, today: date) -> None:
    """Refuse a number that is there, and more than anybody can look through at the gate."""
    running = 0
    for row in uow.session.scalars(select(PickupPermit).where(PickupPermit.child_id == child_id)):
        if row.ends_on < today:
            uow.session.delete(row)  # over; the nightly tick would do it
            continue
        running += 1
        if bytes(row.phone_index) == index:
            raise Conflict(
                Text(
                    "这个手机号已经登记过，见下面的名单。要改日期，请先结束原来的。",
                    "This number is on the list already. To change its dates, end that one first.",
                ),
                code="collector_known",
            )
    if running >= MOST:
        raise Conflict(
            Text(
                f"一个孩子最多登记 {MOST} 位代接人，请先结束一位。",
                f"A child has at most {MOST} collectors; end one first.",
            ),
            code="too_many_collectors",
        )
    uow.session.flush()  # what is over goes before the same number comes again


def _refuse_unfit(
    name: str,
    relation: str,
    number: str | None,
    starts_on: date,
    ends_on: date | None,
    today: date,
) -> None:
    wrong: dict[str, Text] = {}
    for field, value, longest in (
        ("name", name, LONGEST_NAME),
        ("relation", relation, LONGEST_RELATION),
    ):
        if not value:
            wrong[field] = Text("请填写。", "Fill this in.")
        elif len(value) > longest:
            wrong[field] = Text(f"最多 {longest} 个字。", f"At most {longest} characters.")
    if number is None:
        wrong["phone"] = Text(
            "手机号无效，请填写 11 位手机号码。", "Enter a valid mobile number, all its digits."
        )
    if starts_on < today:
        wrong["starts_on"] = Text("开始日期不能早于今天。", "It cannot begin before today.")
    if ends_on is None:
        wrong["ends_on"] = Text("请填写截止日期。", "Say until when.")
    elif ends_on < starts_on:
        wrong["ends_on"] = Text("截止日期不能早于开始日期。", "It cannot end before it begins.")
    elif ends_on - starts_on > LONGEST:
        wrong["ends_on"] = Text("最长一年，到期可以再登记。", "A year at most; add it again then.")
    if wrong:
        raise Invalid(fields=wrong)


def end(uow: UnitOfWork, *, child_id: int, permit_id: int, today: date) -> bool:
    """From now on this person may not collect the child; False if that was so already."""
    uow.authorize(Action.PICKUP_GRANT, Scope(child=child_id))
    standing.speaker(uow, child_id, today)
    standing.lock_child(uow, child_id)
    row = uow.session.scalar(
        select(PickupPermit).where(PickupPermit.id == permit_id, PickupPermit.child_id == child_id)
    )
    if row is None:
        return False
    uow.session.delete(row)
    return True
