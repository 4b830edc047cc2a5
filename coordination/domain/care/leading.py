"""The leader on the day: whose child has something to know, one card, one family's collectors, the sheet.

Leaders are the teachers of an enrolled class, and only while `window` is open. Nothing is handed out
before the look is noted in the same transaction. Everybody else who may see the session gets numbers.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.authz.policy import allowed
from coordination.authz.visibility import where_visible
from coordination.domain.care import cards, content, looks, pickups, standing, window
from coordination.domain.care.content import QUESTIONS, SOME, Card
from coordination.domain.care.models import HealthCard
from coordination.domain.care.pickups import Collector
from coordination.domain.care.standing import Kin
from coordination.domain.people.models import ClassGroup, Organisation, Person
from coordination.domain.practice.models import Enrolment, PracticeSession
from coordination.domain.practice.queries import SessionLine, session_of
from coordination.domain.practice.services import PLACED
from coordination.ground.actor import Actor, Role
from coordination.ground.errors import Conflict, CoordinationError, NotFound
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork

# how the list says what a card holds, without saying it; those to know come first
SOMETHING, NO_CARD, LEFT_OPEN, NOTHING = "something", "no_card", "left_open", "nothing"
ORDER = (SOMETHING, NO_CARD, LEFT_OPEN, NOTHING)


@dataclass(frozen=True, slots=True)
class ChildLine:
    """A child on the leader's list: a sign and masks, no word of a card and no number."""

    child_id: int
    name: str
    class_name: Text
    sign: str
    guardians: tuple[Kin, ...]
    collectors: tuple[Collector, ...]


@dataclass(frozen=True, slots=True)
class DayCards:
    """What the page of a session shows: numbers for everybody, `lines` for its leaders in time."""

    line: SessionLine
    going: int
    with_card: int
    leads: bool
    opens_at: datetime
    closes_at: datetime
    lines: tuple[ChildLine, ...] = ()
    # why the list is shut to a leader
    shut: Text | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """Whom to phone, with the number in full."""

    name: str
    relation: Text
    phone: str


@dataclass(frozen=True, slots=True)
class Fact:
    """One line of a card; `must_know` marks what differs from nothing."""

    asks: Text
    words: Text
    must_know: bool


@dataclass(frozen=True, slots=True)
class OpenedCard:
    """One child's card, opened."""

    child_id: int
    child: str
    facts: tuple[Fact, ...]
    written_at: datetime | None
    calls: tuple[Call, ...]


@dataclass(frozen=True, slots=True)
class SheetRow:
    """A child on the printed roster."""

    opened: OpenedCard
    guardians: tuple[Kin, ...]
    collectors: tuple[Collector, ...]


@dataclass(frozen=True, slots=True)
class SheetClass:
    """A class on the printed roster, a table for itself."""

    name: Text
    school: Text
    rows: tuple[SheetRow, ...]


def _placed(session_id: int) -> Select[int]:
    return (
        select(Enrolment.child_id)
        .join(Person, Person.id == Enrolment.child_id)
        .where(
            Enrolment.session_id == session_id,
            Enrolment.state.in_(PLACED),
            Person.status == "active",
        )
    )


def counts_of(session: Session, actor: Actor, line: SessionLine) -> tuple[int, int]:
    """(children who go, of them with a card), of those whom the actor may count."""
    query = _placed(line.session.id)
    if line.session.base_id not in actor.orgs(Role.PARTNER_STAFF):
        query = query.where(where_visible(Enrolment, actor, Action.CARD_COUNT))
    children = query.subquery()
    row = session.execute(
        select(func.count(), func.count(HealthCard.id))
        .select_from(children)
        .outerjoin(HealthCard, HealthCard.child_id == children.c.child_id)
    ).one()
    return row[0], row[1]


def leads(session: Session, actor: Actor, session_id: int) -> bool:
    """Whether the actor leads children of this session."""
    return (
        session.scalar(
            _placed(session_id).where(where_visible(Enrolment, actor, Action.CARD_OPEN)).limit(1)
        )
        is not None
    )


def cards_of(
    session: Session, actor: Actor, session_id: int, now: datetime, today: date
) -> DayCards:
    """The page of a session's cards; NotFound for staff who have no children in it."""
    line = session_of(session, actor, session_id)
    going, with_card = counts_of(session, actor, line)
    hosts = line.session.base_id in actor.orgs(Role.PARTNER_STAFF)
    if not (going or hosts or allowed(actor, Action.ACTIVITY_PLAN)):
        raise NotFound()
    held = line.session
    leading = leads(session, actor, session_id)
    shut = _why_shut(held, now) if leading else None
    return DayCards(
        line,
        going,
        with_card,
        leading,
        window.opens_at(held.starts_at),
        window.closes_at(held.return_at),
        _lines(session, actor, session_id, today) if leading and shut is None else (),
        shut,
    )


def _why_shut(held: PracticeSession, now: datetime) -> Text | None:
    try:
        window.refuse_closed(held.state, held.starts_at, held.return_at, now)
    except CoordinationError as refusal:
        return refusal.message
    return None


def _led(session_id: int, actor: Actor) -> Select[Enrolment, str, ClassGroup]:
    """The children whom the actor leads in a session, in the order of their names."""
    return (
        select(Enrolment, Person.name, ClassGroup)
        .join(Person, Person.id == Enrolment.child_id)
        .join(ClassGroup, ClassGroup.id == Enrolment.class_id)
        .where(
            Enrolment.session_id == session_id,
            Enrolment.state.in_(PLACED),
            Person.status == "active",
            where_visible(Enrolment, actor, Action.CARD_OPEN),
        )
        .order_by(ClassGroup.grade, ClassGroup.id, Person.pinyin, Person.id)
    )


def _lines(session: Session, actor: Actor, session_id: int, today: date) -> tuple[ChildLine, ...]:
    rows = session.execute(_led(session_id, actor)).all()
    ids = [e.child_id for e, _, _ in rows]
    signs = {
        child: _sign(cards.opened(row)) for child, row in _cards_by_child(session, ids).items()
    }
    kin = standing.kin_of(session, ids, today)
    collectors = pickups.collectors_of(session, ids, today)
    lines = [
        ChildLine(
            e.child_id,
            name,
            Text(group.name_zh, group.name_en),
            signs.get(e.child_id, NO_CARD),
            tuple(k for k in kin[e.child_id] if k.may_pick_up),
            tuple(collectors.get(e.child_id, ())),
        )
        for e, name, group in rows
    ]
    return tuple(sorted(lines, key=lambda line: ORDER.index(line.sign)))


def _sign(card: Card) -> str:
    if card.says_something:
        return SOMETHING
    return NOTHING if card.says_nothing_is_known else LEFT_OPEN


def _cards_by_child(session: Session, ids: Collection[int]) -> dict[int, HealthCard]:
    return {
        row.child_id: row
        for row in session.scalars(select(HealthCard).where(HealthCard.child_id.in_(ids)))
    }


def _opening(uow: UnitOfWork, session_id: int, child_id: int) -> str:
    """The name of a child whom the actor leads, in time; NotFound for every other child."""
    row = uow.session.execute(
        _led(session_id, uow.actor).where(Enrolment.child_id == child_id)
    ).one_or_none()
    if row is None:
        raise NotFound()
    uow.authorize(Action.CARD_OPEN, row[0])
    _refuse_closed(uow, session_id)
    return row[1]


def _refuse_closed(uow: UnitOfWork, session_id: int) -> None:
    held = uow.session.get_one(PracticeSession, session_id)
    window.refuse_closed(held.state, held.starts_at, held.return_at, uow.now)


def open_card(uow: UnitOfWork, *, session_id: int, child_id: int, today: date) -> OpenedCard:
    """What a child's card says and whom to phone; the look is kept and shown to the family."""
    name = _opening(uow, session_id, child_id)
    looks.note(uow, session_id=session_id, child_ids=[child_id], kind="card")
    row = _cards_by_child(uow.session, [child_id]).get(child_id)
    kin = standing.kin_of(uow.session, [child_id], today)[child_id]
    return _as_opened(child_id, name, row, kin, standing.numbers_of(uow.session, kin))


def _as_opened(
    child_id: int, name: str, row: HealthCard | None, kin: list[Kin], numbers: dict[int, str]
) -> OpenedCard:
    if row is None:
        return OpenedCard(child_id, name, (), None, _calls(None, kin, numbers))
    card = cards.opened(row)
    facts = tuple(
        Fact(q.asks, content.in_words(key, card.answer(key)), card.answer(key).state == SOME)
        for key, q in QUESTIONS.items()
    )
    return OpenedCard(child_id, name, facts, row.confirmed_at, _calls(card, kin, numbers))


def _calls(card: Card | None, kin: list[Kin], numbers: dict[int, str]) -> tuple[Call, ...]:
    """Whom to phone in which order; a guardian whom custody has kept out since is passed over."""
    by_id = {k.id: k for k in kin if k.id in numbers}
    chosen = [by_id[i] for i in card.calls if i in by_id] if card is not None else []
    calls = [Call(k.name, k.relation, numbers[k.id]) for k in chosen or by_id.values()]
    if card is not None and card.other is not None:
        other = card.other
        calls.append(Call(other.name, Text(other.relation, other.relation), other.phone))
    return tuple(calls)


def open_pickup(
    uow: UnitOfWork, *, session_id: int, child_id: int, today: date
) -> tuple[Collector, ...]:
    """The numbers of those who may collect a child today; the look is kept."""
    _opening(uow, session_id, child_id)
    found = pickups.collectors_of(uow.session, [child_id], today).get(child_id, [])
    if not found:
        raise Conflict(
            Text(
                "这个孩子今天没有登记代接人，请只交给名单上的监护人。",
                "Nobody but the guardians on the list may collect this child today.",
            ),
            code="no_collector",
        )
    looks.note(uow, session_id=session_id, child_ids=[child_id], kind="pickup")
    return tuple(found)


def print_sheet(uow: UnitOfWork, *, session_id: int, today: date) -> tuple[SheetClass, ...]:
    """The field roster of the actor's classes; every child on it counts as looked at."""
    rows = uow.session.execute(_led(session_id, uow.actor)).all()
    if not rows:
        raise NotFound()
    for enrolment, _, _ in rows:
        uow.authorize(Action.CARD_OPEN, enrolment)
    _refuse_closed(uow, session_id)
    ids = [e.child_id for e, _, _ in rows]
    looks.note(uow, session_id=session_id, child_ids=ids, kind="sheet")
    kept = _cards_by_child(uow.session, ids)
    kin = standing.kin_of(uow.session, ids, today)
    numbers = standing.numbers_of(uow.session, [k for one in kin.values() for k in one])
    collectors = pickups.collectors_of(uow.session, ids, today)
    by_class: dict[int, list[SheetRow]] = {}
    groups: dict[int, ClassGroup] = {}
    for enrolment, name, group in rows:
        child = enrolment.child_id
        groups[group.id] = group
        by_class.setdefault(group.id, []).append(
            SheetRow(
                _as_opened(child, name, kept.get(child), kin[child], numbers),
                tuple(k for k in kin[child] if k.may_pick_up),
                tuple(collectors.get(child, ())),
            )
        )
    made = []
    for class_id, found in by_class.items():
        group = groups[class_id]
        school = uow.session.get_one(Organisation, group.school_id)
        made.append(
            SheetClass(
                Text(group.name_zh, group.name_en),
                Text(school.name_zh, school.name_en),
                tuple(found),
            )
        )
    return tuple(made)
