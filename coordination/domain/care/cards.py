"""A family's health card of a child: consent, write, confirm, withdraw, and what its page shows.

A card stands on a guardian's consent and goes with it. Two guardians do not write over one another:
whoever saves says which version was on the page.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.authz.policy import allowed
from coordination.authz.rules import Scope
from coordination.domain.care import content, keeping, standing
from coordination.domain.care.content import Card
from coordination.domain.care.models import CardConsent, HealthCard
from coordination.domain.care.standing import Kin
from coordination.domain.people import contacts
from coordination.domain.people.models import Person, Term
from coordination.ground import crypto
from coordination.ground.actor import Actor
from coordination.ground.errors import Conflict, NotFound, Stale
from coordination.ground.text import Language, Text
from coordination.ground.uow import UnitOfWork


@dataclass(frozen=True, slots=True)
class FamilyCard:
    """A child's card as its family sees it; `card` is None as long as there is none."""

    child_id: int
    child: str
    may_write: bool
    # who can be phoned: guardians that custody does not keep out and that have a number
    kin: tuple[Kin, ...]
    card: Card | None = None
    version: int = 0
    written_by: str = ""
    written_at: datetime | None = None
    confirmed_at: datetime | None = None
    consented_by: str = ""
    consented_at: datetime | None = None
    kept_until: datetime | None = None
    asks_again: bool = False


def opened(row: HealthCard) -> Card:
    """What a card says; callers have noted who asks, or are the family."""
    phone = row.other_phone_enc
    return content.from_body(
        crypto.unseal(row.body_enc, _context(row.child_id)),
        contacts.open_number(phone, _context(row.child_id)) if phone is not None else None,
    )


def _context(child_id: int) -> str:
    return f"health_card.{child_id}"


def card_of(
    session: Session, actor: Actor, child_id: int, today: date, zone: ZoneInfo
) -> FamilyCard:
    """A child's card for a guardian; NotFound for whom custody keeps out, and for everybody else."""
    child = session.get(Person, child_id)
    if child is None or not allowed(actor, Action.CARD_WRITE, Scope(child=child_id)):
        raise NotFound()
    kin = standing.kin_of(session, [child_id], today)[child_id]
    numbers = standing.numbers_of(session, kin)
    head = FamilyCard(
        child_id,
        child.name,
        standing.may_speak(session, actor.person_id, child_id, today),
        tuple(k for k in kin if k.id in numbers),
    )
    row = session.scalar(select(HealthCard).where(HealthCard.child_id == child_id))
    if row is None:
        return head
    consent = session.get_one(CardConsent, row.consent_id)
    return FamilyCard(
        head.child_id,
        head.child,
        head.may_write,
        head.kin,
        card=opened(row),
        version=row.version,
        written_by=session.get_one(Person, row.written_by_id).name,
        written_at=row.written_at,
        confirmed_at=row.confirmed_at,
        consented_by=session.get_one(Person, consent.guardian_id).name,
        consented_at=consent.at,
        kept_until=keeping.kept_until(row.confirmed_at),
        asks_again=keeping.asks_again(
            row.confirmed_at.astimezone(zone).date(), today, _term_began(session, today)
        ),
    )


def _term_began(session: Session, today: date) -> date | None:
    return session.scalar(select(func.max(Term.starts_on)).where(Term.starts_on <= today))


def standing_of(
    session: Session, actor: Actor, today: date, zone: ZoneInfo
) -> dict[int, bool | None]:
    """Child -> whether the card should be looked at again, for the family's page; None: no card."""
    began = _term_began(session, today)
    found: dict[int, bool | None] = dict.fromkeys(actor.child_ids)
    for child, at in session.execute(
        select(HealthCard.child_id, HealthCard.confirmed_at).where(
            HealthCard.child_id.in_(actor.child_ids)
        )
    ):
        found[child] = keeping.asks_again(at.astimezone(zone).date(), today, began)
    return found


def write(
    uow: UnitOfWork,
    *,
    child_id: int,
    card: Card,
    version: int,
    agreed: bool,
    language: Language,
    today: date,
) -> None:
    """Write a card, or write it anew. `version` is the one on the page (0: there was none).

    The first one needs the consent, which is kept apart and says which wording was agreed to.
    """
    guardian, child = _own(uow, child_id, today)
    row = _card(uow, child_id)
    known = {k.id for k in standing.kin_of(uow.session, [child_id], today)[child_id]}
    # from the very page that they have just saved: the same words are a second press
    again = row is not None and (row.written_by_id, row.version) == (guardian, version + 1)
    if row is not None and again and content.sound(card, known) == opened(row):
        return
    refuse_stale(row, version)
    card = content.sound(card, known, agreed=agreed or row is not None)
    if row is None:
        row = HealthCard(
            child_id=child_id,
            school_id=_school(child),
            consent_id=_said(uow, child_id, guardian, "given", language).id,
            version=0,
        )
        uow.session.add(row)
    row.body_enc = crypto.seal(content.to_body(card), _context(child_id))
    row.other_phone_enc = (
        contacts.seal_number(card.other.phone, _context(child_id)) if card.other else None
    )
    row.version += 1
    row.written_by_id, row.written_at, row.confirmed_at = guardian, uow.now, uow.now


def _own(uow: UnitOfWork, child_id: int, today: date) -> tuple[int, Person]:
    """The actor and the child, locked."""
    uow.authorize(Action.CARD_WRITE, Scope(child=child_id))
    guardian = standing.speaker(uow, child_id, today)
    return guardian, standing.lock_child(uow, child_id)


def _card(uow: UnitOfWork, child_id: int) -> HealthCard | None:
    return uow.session.scalar(
        select(HealthCard)
        .where(HealthCard.child_id == child_id)
        .execution_options(populate_existing=True)
    )


def refuse_stale(row: HealthCard | None, version: int) -> None:
    """Refuse to change what was not on the page from which the change comes."""
    if (row.version if row is not None else 0) == version:
        return
    if row is None:
        raise Stale(
            Text(
                "这张卡刚刚被撤回并删除了。要重新建卡，请看清说明、勾选同意后再保存。",
                "This card has just been withdrawn and erased. To begin a new one, read the terms, "
                "tick that you agree and save again.",
            )
        )
    raise Stale(
        Text(
            "您填写的时候，这张卡保存了新的内容，列在下面。请核对；仍按您填的保存，请再按一次。",
            "While you were writing, something else was saved on this card; it is shown below. Check "
            "it, and press again to keep yours.",
        )
    )


def _school(child: Person) -> int:
    if child.school_id is None or child.status != "active":
        raise Conflict(
            Text(
                "孩子目前没有登记学校，不能建卡。请联系学校核对名册。",
                "No school is known for your child; ask the school to check its roster.",
            ),
            code="no_school",
        )
    return child.school_id


def _said(
    uow: UnitOfWork, child_id: int, guardian: int, response: str, language: Language
) -> CardConsent:
    said = CardConsent(
        child_id=child_id,
        guardian_id=guardian,
        response=response,
        text_hash=content.CONSENT_HASH,
        language=language,
        at=uow.now,
    )
    uow.session.add(said)
    uow.session.flush()  # the card refers to it
    return said


def confirm(uow: UnitOfWork, *, child_id: int, version: int, today: date) -> None:
    """It still holds, as it was on the page."""
    _own(uow, child_id, today)
    row = _card(uow, child_id)
    refuse_stale(row, version)
    if row is None:
        raise NotFound()
    row.confirmed_at = uow.now


def withdraw(uow: UnitOfWork, *, child_id: int, language: Language, today: date) -> bool:
    """Take the consent back: the card is gone with this transaction. False if there was none."""
    guardian, _ = _own(uow, child_id, today)
    row = _card(uow, child_id)
    if row is None:
        return False
    _said(uow, child_id, guardian, "withdrawn", language)
    uow.session.delete(row)
    return True
