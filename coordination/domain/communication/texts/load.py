"""How many texts families get in a week, and from whom: numbers only, for the district and its schools.

Counted when somebody looks, from what providers took; nothing is kept for it, and no name or number of
a family is read. A family is a phone, as in `family_budget`, of those who are told of a child of the
roster today. A group of fewer than `FEWEST` families has no figures of its own.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    CTE,
    ColumnElement,
    Subquery,
    and_,
    case,
    func,
    literal,
    null,
    or_,
    select,
    union_all,
)
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.authz.policy import allowed
from coordination.authz.rules import Scope
from coordination.domain.communication.models import Notice
from coordination.domain.communication.texts.family_budget import (
    TO_FAMILIES,
    is_routine,
    readers_of,
    span_of,
)
from coordination.domain.people.models import ClassGroup, ClassMember, Organisation, Person
from coordination.domain.people.recipients import (
    children_of_organisation,
    member_on,
    recipients_query,
)
from coordination.ground.actor import Actor, Role
from coordination.ground.errors import NotFound
from coordination.ground.text import Text
from notifications import taken

# what is said of fewer families says something of each
FEWEST = 5
# from how many texts on a family stands in a band
BANDS = (0, 1, 3, 6)


def places(session: Session, actor: Actor) -> list[Organisation]:
    """The district, or the schools, whose load the actor may look at first."""
    found = session.scalars(
        select(Organisation)
        .where(
            Organisation.id.in_(actor.orgs(Role.DISTRICT_ADMIN, Role.SCHOOL_ADMIN)),
            Organisation.kind.in_(("district", "school")),
            Organisation.active.is_(True),
        )
        .order_by(Organisation.kind, Organisation.id)
    )
    return [org for org in found if allowed(actor, Action.LOAD_READ, Scope(school=org.id))]


def place_of(session: Session, actor: Actor, org_id: int) -> Organisation:
    """A district, or a school of it, whose load the actor may look at; NotFound otherwise."""
    org = session.get(Organisation, org_id)
    if org is None or not org.active or org.kind not in ("district", "school"):
        raise NotFound()
    above = [org.id, org.parent_id] if org.kind == "school" else [org.id]
    if not any(allowed(actor, Action.LOAD_READ, Scope(school=one)) for one in above):
        raise NotFound()
    return org


@dataclass(frozen=True, slots=True)
class Group:
    """So many texts to so many families."""

    families: int
    texts: int

    @property
    def is_small(self) -> bool:
        """Whether figures would speak of single families."""
        return self.families < FEWEST

    @property
    def each(self) -> Decimal:
        """Texts per family, to a tenth."""
        return (Decimal(self.texts) / max(1, self.families)).quantize(Decimal("0.1"))


@dataclass(frozen=True, slots=True)
class Total(Group):
    """All families of a place: how many got more routine texts than the budget, and how many so many
    texts as in `BANDS`."""

    over: int
    bands: tuple[int, ...]

    def percent(self, count: int) -> int:
        """A number of these families in whole percent."""
        return round(count * 100 / max(1, self.families))


@dataclass(frozen=True, slots=True)
class Part(Group):
    """The families of a school or class, whoever wrote to them."""

    id: int
    name: Text
    over: int


@dataclass(frozen=True, slots=True)
class Sender(Group):
    """Who wrote, and how many families got it: OWN has the id of a person where a school is looked at,
    else the id is that of a school or district."""

    kind: str
    id: int | None
    name: Text
    # sent that week, with or without texts
    notices: int


@dataclass(frozen=True, slots=True)
class Week:
    """Which week of which place; `per_week` is the budget, if there is one."""

    org: Organisation
    monday: date
    per_week: int | None
    today: date

    @property
    def span(self) -> tuple[datetime, datetime]:
        """From when until before when it lasts."""
        return span_of(self.monday)


def _families(week: Week) -> CTE:
    """Phones of the place, once for each child whose guardian reads it: household_key, child_id."""
    found = recipients_query(children_of_organisation(week.org.id, week.today), week.today)
    return (
        select(found.c.household_key, func.unnest(found.c.child_ids).label("child_id"))
        .where(found.c.has_phone)
        .cte("family")
    )


def _texts(session: Session, week: Week) -> Subquery:
    """The texts of the week to whomever; of a school, to the people who are there."""
    if week.org.kind == "district":
        return taken.texts(session, *week.span, TO_FAMILIES).subquery("text")
    found = recipients_query(children_of_organisation(week.org.id, week.today), week.today)
    readers = session.scalars(readers_of(select(found.c.household_key).where(found.c.has_phone)))
    return taken.texts_of(readers.all(), *week.span, TO_FAMILIES).subquery("text")


def _got(week: Week, family: CTE, text: Subquery) -> CTE:
    """What each of these phones got: household_key, texts and whether that is `over` the budget."""
    got = (
        select(
            text.c.household_key,
            func.count().label("texts"),
            func.count().filter(is_routine(text.c.message_class)).label("routine"),
        )
        .group_by(text.c.household_key)
        .subquery("got")
    )
    phone = select(family.c.household_key).distinct().subquery("phone")
    over: ColumnElement[bool] = literal(False)
    if week.per_week is not None:
        over = func.coalesce(got.c.routine > week.per_week, False)
    return (
        select(
            phone.c.household_key,
            func.coalesce(got.c.texts, 0).label("texts"),
            over.label("over"),
        )
        .outerjoin(got, got.c.household_key == phone.c.household_key)
        .cte("got_by")
    )


def load_of(session: Session, week: Week) -> tuple[Total, list[Part]]:
    """What all families of a place got, from whomever, and those of each school of a district or of
    each class of a school, the heaviest first."""
    family = _families(week)
    got = _got(week, family, _texts(session, week))
    part = Organisation if week.org.kind == "district" else ClassGroup
    of = (
        select(family.c.household_key, part.id.label("part"))
        .join(ClassMember, and_(ClassMember.person_id == family.c.child_id, member_on(week.today)))
        .join(ClassGroup, ClassGroup.id == ClassMember.class_id)
        .join(Organisation, Organisation.id == ClassGroup.school_id)
        .where(
            ClassGroup.active.is_(True),
            Organisation.active.is_(True),
            or_(Organisation.id == week.org.id, Organisation.parent_id == week.org.id),
        )
        .distinct()
        .subquery("of")
    )
    # one statement: the families are found once for all of it
    both: Any = union_all(
        select(null().label("part"), *_sums(got)).select_from(got),
        select(of.c.part, *_sums(got))
        .join(got, got.c.household_key == of.c.household_key)
        .group_by(of.c.part),
    )
    found = session.execute(both).all()
    whole, rows = next(r for r in found if r.part is None), [r for r in found if r.part is not None]
    names = {
        number: Text(zh, en)
        for number, zh, en in session.execute(
            select(part.id, part.name_zh, part.name_en).where(part.id.in_([r.part for r in rows]))
        )
    }
    total = Total(whole.families, int(whole.texts), whole.over, tuple(whole[-len(BANDS) :]))
    parts = [Part(r.families, int(r.texts), r.part, names[r.part], r.over) for r in rows]
    return total, sorted(parts, key=_heaviest)


def _sums(got: CTE) -> list[ColumnElement[int]]:
    bands = [
        func.count().filter(
            and_(got.c.texts >= first, *([got.c.texts < after] if after is not None else []))
        )
        for first, after in zip(BANDS, (*BANDS[1:], None), strict=True)
    ]
    return [
        func.count().label("families"),
        func.coalesce(func.sum(got.c.texts), 0).label("texts"),
        func.count().filter(got.c.over).label("over"),
        *(count.label(f"from_{first}") for count, first in zip(bands, BANDS, strict=True)),
    ]


# whose words they were, as a page of a place tells them apart
OWN, DISTRICT, OTHER_SCHOOL, AUTOMATIC = "own", "district", "other_school", "automatic"
_NAMES = {
    DISTRICT: Text("教育局", "Education bureau"),
    OTHER_SCHOOL: Text("其他学校", "Other schools"),
    AUTOMATIC: Text("活动和场地预约的自动消息", "Automatic messages on activities and venues"),
}


def senders_of(session: Session, week: Week) -> list[Sender]:
    """Who wrote to the families of a place: of a district, itself and its schools; of a school, its
    people. The heaviest first. A text that says notices of several senders counts for each of them."""
    whole = week.org.kind == "district"
    said = taken.subjects(_texts(session, week)).subquery("said")
    sender = Notice.school_id if whole else Notice.sender_id
    own = sender if whole else case((Notice.school_id == week.org.id, sender))
    kind = case(
        (Notice.id.is_(None), AUTOMATIC),
        (literal(whole) | (Notice.school_id == week.org.id), OWN),
        (Notice.school_id == week.org.parent_id, DISTRICT),
        else_=OTHER_SCHOOL,
    )
    each = (
        select(kind.label("kind"), own.label("id"), said.c.household_key, said.c.id.label("text"))
        .select_from(said)
        .outerjoin(Notice, and_(said.c.subject_type == "notice", Notice.id == said.c.subject_id))
        .distinct()
    )
    if not whole:
        phone = select(_families(week).c.household_key).distinct().subquery("phone")
        each = each.join(phone, phone.c.household_key == said.c.household_key)
    one = each.subquery("one")
    # first by family, so that no text is sorted anew to count families
    by_family = (
        select(one.c.kind, one.c.id, one.c.household_key, func.count().label("texts"))
        .group_by(one.c.kind, one.c.id, one.c.household_key)
        .subquery("by_family")
    )
    reached = {
        (row.kind, row.id): (row.families, int(row.texts))
        for row in session.execute(
            select(
                by_family.c.kind,
                by_family.c.id,
                func.count().label("families"),
                func.sum(by_family.c.texts).label("texts"),
            ).group_by(by_family.c.kind, by_family.c.id)
        )
    }
    begin, end = week.span
    schools = select(Organisation.id).where(
        or_(Organisation.id == week.org.id, Organisation.parent_id == week.org.id)
    )
    written = {
        (OWN, number): count
        for number, count in session.execute(
            select(sender, func.count())
            .where(Notice.sent_at >= begin, Notice.sent_at < end, Notice.school_id.in_(schools))
            .group_by(sender)
        )
    }
    names = _names_of(session, whole, {n for _, n in {*reached, *written} if n is not None})
    senders = [
        Sender(
            *reached.get((kind, number), (0, 0)),
            kind,
            number,
            _NAMES[kind] if number is None else names[number],
            written.get((kind, number), 0),
        )
        for kind, number in {*reached, *written}
    ]
    return sorted(senders, key=_heaviest)


def _names_of(session: Session, whole: bool, ids: Collection[int]) -> dict[int, Text]:
    if whole:
        rows = session.execute(
            select(Organisation.id, Organisation.name_zh, Organisation.name_en).where(
                Organisation.id.in_(ids)
            )
        )
        return {number: Text(zh, en) for number, zh, en in rows}
    people = session.execute(select(Person.id, Person.name).where(Person.id.in_(ids)))
    return {number: Text(name, name) for number, name in people}


def _heaviest(group: Part | Sender) -> tuple[bool, Decimal, int, str]:
    return (group.is_small, -group.each, -group.texts, group.name.zh)
