"""The school's side: see what is and what should be, take it over or decline it with a sentence."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session, aliased

from coordination.authz.actions import Action
from coordination.authz.visibility import where_visible
from coordination.domain.people import actors, contacts, numbers
from coordination.domain.people.corrections.models import Correction
from coordination.domain.people.corrections.proposing import LABELS, forget, present
from coordination.domain.people.events import CorrectionDecided, PhoneChecked
from coordination.domain.people.models import Guardianship, Person
from coordination.domain.people.roster import normal
from coordination.ground.actor import Actor
from coordination.ground.errors import Conflict, Invalid, NotFound, Stale
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork

STATES = {
    "unproven": Text("待验证新号码", "New number to be proven"),
    "waiting": Text("等学校处理", "Waits for the school"),
    "accepted": Text("已采纳", "Accepted"),
    "declined": Text("未采纳", "Declined"),
    "withdrawn": Text("已撤回", "Withdrawn"),
}
LONGEST_SAID = 120


@dataclass(frozen=True, slots=True)
class Proposed:
    """A correction as both sides see it; `now` is what is registered at this moment."""

    id: int
    state: str
    field: str
    label: Text
    whose: str
    of_child: bool
    by: str
    child: str
    now: str
    shown: str
    reason: str
    said: str | None
    made_at: datetime
    decided_at: datetime | None


def waiting_query(actor: Actor, *, decided: bool = False) -> Select[Correction]:
    """What waits at the actor's schools, the oldest first; or what was decided, the latest first."""
    found = select(Correction).where(where_visible(Correction, actor, Action.CORRECTION_DECIDE))
    if decided:
        return found.where(Correction.state.in_(("accepted", "declined"))).order_by(
            Correction.decided_at.desc(), Correction.id.desc()
        )
    return found.where(Correction.state == "waiting").order_by(Correction.id)


def count_waiting(session: Session, actor: Actor) -> int:
    """How many wait for the actor."""
    waiting = waiting_query(actor).order_by(None).with_only_columns(func.count())
    return session.scalar(waiting) or 0


def own_query(actor: Actor) -> Select[Correction]:
    """What the actor has proposed, the latest first."""
    return (
        select(Correction)
        .where(Correction.proposed_by_id == actor.person_id)
        .order_by(Correction.id.desc())
    )


def lines_of(session: Session, rows: Sequence[Correction]) -> list[Proposed]:
    """The corrections of a page."""
    ids = {i for c in rows for i in (c.person_id, c.proposed_by_id, c.child_id)}
    people = {p.id: p for p in session.scalars(select(Person).where(Person.id.in_(ids)))}
    return [
        Proposed(
            c.id,
            c.state,
            c.field,
            LABELS[c.field],
            people[c.person_id].name,
            c.person_id == c.child_id,
            people[c.proposed_by_id].name,
            people[c.child_id].name,
            present(session, people[c.person_id], c.field)
            if c.state in ("unproven", "waiting")
            else c.before,
            c.shown,
            c.reason,
            c.said,
            c.created_at,
            c.decided_at,
        )
        for c in rows
    ]


def one_of(session: Session, actor: Actor, correction_id: int) -> Proposed:
    """One that the actor may decide, or has decided; NotFound for others."""
    found = session.scalar(
        select(Correction).where(
            Correction.id == correction_id,
            Correction.state.in_(("waiting", "accepted", "declined")),
            where_visible(Correction, actor, Action.CORRECTION_DECIDE),
        )
    )
    if found is None:
        raise NotFound()
    return lines_of(session, [found])[0]


def own_of(session: Session, actor: Actor, correction_id: int) -> Proposed:
    """One that the actor has proposed; NotFound for those of others."""
    found = session.scalar(own_query(actor).where(Correction.id == correction_id))
    if found is None:
        raise NotFound()
    return lines_of(session, [found])[0]


def accept(uow: UnitOfWork, *, correction_id: int, seen: str, said: str, today: date) -> None:
    """Write what was proposed; `seen` is what stood beside it on the page."""
    held = _waiting(uow, correction_id)
    person = uow.session.get_one(Person, held.person_id, with_for_update=True)
    if present(uow.session, person, held.field) != seen:
        raise Stale(
            Text(
                "登记的内容刚刚变了，请对照新的内容再决定。",
                "What is registered has changed just now; compare again before you decide.",
            )
        )
    _refuse_if_limited(uow.session, held, today)
    if held.field == "phone":
        _take_phone(uow, held, today)
    elif held.field == "email":
        contacts.replace(uow.session, person.id, "email", *_contact(held))
    elif held.field == "name":
        person.name, person.pinyin = held.shown, normal.pinyin(held.shown)
    else:
        person.name_en = held.shown
    _decided(uow, held, "accepted", said)


def decline(uow: UnitOfWork, *, correction_id: int, said: str) -> None:
    """Leave it as it is, and say why."""
    held = _waiting(uow, correction_id)
    if not said:
        raise Invalid(fields={"said": Text("请写一句原因。", "Say in a sentence why.")})
    _decided(uow, held, "declined", said)


def _waiting(uow: UnitOfWork, correction_id: int) -> Correction:
    held = _locked(uow.session, correction_id)
    if held is None or held.state in ("unproven", "withdrawn"):
        raise NotFound()
    uow.authorize(Action.CORRECTION_DECIDE, held)
    if held.state != "waiting":
        raise Conflict(
            Text("这条更正已经处理过了。", "This correction has been dealt with already."),
            code="decided",
        )
    return held


def _locked(session: Session, correction_id: int) -> Correction | None:
    # of two who decide at once the second sees what the first did
    return session.scalar(
        select(Correction)
        .where(Correction.id == correction_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )


def _decided(uow: UnitOfWork, held: Correction, state: str, said: str) -> None:
    if len(said) > LONGEST_SAID:
        raise Invalid(
            fields={
                "said": Text(
                    f"最多 {LONGEST_SAID} 个字。", f"Use at most {LONGEST_SAID} characters."
                )
            }
        )
    held.state, held.said = state, said or None
    held.decided_by_id, held.decided_at = uow.actor.person_id, uow.now
    forget(held)
    uow.record(CorrectionDecided(held.id))


def _refuse_if_limited(session: Session, held: Correction, today: date) -> None:
    if held.child_id not in actors.children_open_to(session, held.proposed_by_id, today):
        raise Conflict(
            Text(
                "提交之后，这位家长对孩子的监护关系已结束或被限制，不能采纳。",
                "This guardian's relation to the child has ended or been limited since; it cannot be"
                " accepted.",
            ),
            code="limited",
        )


def _take_phone(uow: UnitOfWork, held: Correction, today: date) -> None:
    kin = uow.session.scalar(
        select(Guardianship)
        .where(Guardianship.child_id == held.child_id, Guardianship.guardian_id == held.person_id)
        .order_by(Guardianship.id.desc())
        .limit(1)
    )
    if kin is None:
        raise NotFound()
    # a phone signs its holder in
    if numbers.is_of_staff(uow.session, kin, contacts.opened("phone", held.sealed or b""), today):
        raise Conflict(
            Text(
                "新号码登记在教职工名下，不能填作家长的号码。请和家长核实。",
                "The new number belongs to a member of staff; speak to the guardian.",
            ),
            code="number_of_staff",
        )
    contacts.replace(uow.session, held.person_id, "phone", *_contact(held))
    uow.record(PhoneChecked(held.person_id))


def _contact(held: Correction) -> tuple[bytes, bytes, str]:
    return held.sealed or b"", held.sealed_index or b"", held.shown


def phones_to_prove(session: Session, correction_ids: Collection[int]) -> dict[int, str]:
    """The new phone of each correction that is not proven yet: where its code goes, and nothing else."""
    proposer = aliased(Person)
    rows = session.execute(
        select(Correction.id, Correction.sealed)
        .join(proposer, proposer.id == Correction.proposed_by_id)
        .where(
            Correction.id.in_(correction_ids),
            Correction.state == "unproven",
            Correction.sealed.is_not(None),
            proposer.status == "active",
        )
    )
    return {ident: contacts.opened("phone", sealed) for ident, sealed in rows if sealed}
