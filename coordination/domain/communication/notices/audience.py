"""Whom a notice to some classes reaches: counts before sending, and why somebody is left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date

from sqlalchemy import ColumnElement, Select, Subquery, and_, func, not_, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from coordination.domain.people.contacts import OPTED_OUT
from coordination.domain.people.models import Person
from coordination.domain.people.recipients import (
    Recipient,
    children_of_classes,
    children_of_organisation,
    guardians_of_children,
    recipients_query,
)


@dataclass(frozen=True, slots=True)
class Example:
    """A recipient as the preview shows one: the names of the children."""

    children: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Counts:
    """How many are reached, and how many not; the same for some classes and for a whole district."""

    guardians: int
    texts: int
    without_phone: int
    opted_out: int
    bad_number: int
    languages: Mapping[str, int]
    examples: Mapping[str, Example]
    # not counted for a whole school: only phones matter there
    families: int | None = None


@dataclass(frozen=True, slots=True)
class Audience:
    """The guardians of some classes, and those of them whose phone gets a text."""

    recipients: tuple[Recipient, ...]
    children: dict[int, str]
    told: tuple[Recipient, ...]
    without_phone: tuple[Recipient, ...]
    suppressed: tuple[Recipient, ...]
    unreached_children: tuple[str, ...]

    @property
    def opted_out(self) -> tuple[Recipient, ...]:
        """Those who asked for no texts; what is urgent still reaches them."""
        return tuple(r for r in self.suppressed if r.suppressed == OPTED_OUT)

    @property
    def bad_number(self) -> tuple[Recipient, ...]:
        """Those to whose number no text arrives."""
        return tuple(r for r in self.suppressed if r.suppressed != OPTED_OUT)

    @property
    def households(self) -> int:
        """Families: children who share a guardian belong to one."""
        return _families({r.guardian_id: r.child_ids for r in self.recipients}, set(self.children))

    def counts(self) -> Counts:
        """The counts alone."""
        examples = {
            r.language: Example(tuple(self.children[c] for c in r.child_ids))
            for r in reversed(self.told)
        }
        return Counts(
            guardians=len(self.recipients),
            texts=len(self.told),
            without_phone=len(self.without_phone),
            opted_out=len(self.opted_out),
            bad_number=len(self.suppressed) - len(self.opted_out),
            languages=Counter(r.language for r in self.told),
            examples=examples,
            families=self.households,
        )


def audience_of(session: Session, class_ids: Collection[int], today: date) -> Audience:
    """The audience of some classes."""
    children = {c.id: c.name for c in children_of_classes(session, class_ids, today)}
    return audience_of_children(session, children, today)


def audience_of_children(session: Session, children: dict[int, str], today: date) -> Audience:
    """Resolve the audience; each phone stands once in `told`, whoever shares it."""
    recipients = guardians_of_children(session, children.keys(), today)
    told: dict[str, Recipient] = {}
    for recipient in recipients:
        if recipient.phone_mask and recipient.suppressed is None:
            told.setdefault(recipient.household_key, recipient)
    reached = {child for r in told.values() for child in r.child_ids}
    return Audience(
        recipients=tuple(recipients),
        children=children,
        told=tuple(told.values()),
        without_phone=tuple(r for r in recipients if r.phone_mask is None),
        suppressed=tuple(r for r in recipients if r.phone_mask and r.suppressed is not None),
        unreached_children=tuple(name for c, name in children.items() if c not in reached),
    )


def counts_of_organisation(session: Session, org_id: int, today: date) -> Counts:
    """Counts for everybody of a school or district, by statements whose cost grows with it but whose
    answer does not."""
    found = recipients_query(children_of_organisation(org_id, today), today)
    guardians, without, opted_out, stopped = session.execute(
        select(
            func.count(),
            func.count().filter(not_(found.c.has_phone)),
            func.count().filter(found.c.why == OPTED_OUT),
            func.count().filter(found.c.stopped),
        ).select_from(found)
    ).one()
    first = _first_of_each_phone(found)
    languages: dict[str, int] = {}
    examples: dict[str, Example] = {}
    for language, count, child in session.execute(
        select(first.c.language, func.count(), func.min(first.c.child_ids[1])).group_by(
            first.c.language
        )
    ):
        languages[language] = count
        examples[language] = Example((session.get_one(Person, child).name,))
    return Counts(
        guardians=guardians,
        texts=sum(languages.values()),
        without_phone=without,
        opted_out=opted_out,
        bad_number=stopped - opted_out,
        languages=languages,
        examples=examples,
    )


def texts_by_language(
    session: Session, children: Select[int], today: date, *, urgent: bool = False
) -> dict[str, int]:
    """How many texts a notice about these children is, in each language; an urgent one reaches those
    who opted out, too."""
    first = _first_of_each_phone(recipients_query(children, today), urgent=urgent)
    return {
        language: count
        for language, count in session.execute(
            select(first.c.language, func.count()).group_by(first.c.language)
        )
    }


def _first_of_each_phone(found: Subquery, *, urgent: bool = False) -> Subquery:
    stopped: ColumnElement[bool] = found.c.stopped
    if urgent:
        stopped = and_(stopped, found.c.why != OPTED_OUT)
    return (
        select(found.c.language, found.c.child_ids)
        .where(found.c.has_phone, not_(stopped))
        .ext(distinct_on(found.c.household_key))
        .order_by(found.c.household_key, found.c.rank, found.c.guardian_id)
        .subquery("first")
    )


def _families(children_of: dict[int, tuple[int, ...]], children: set[int]) -> int:
    parent = {c: c for c in children}

    def root(child: int) -> int:
        while parent[child] != child:
            parent[child] = parent[parent[child]]
            child = parent[child]
        return child

    for siblings in children_of.values():
        for other in siblings[1:]:
            parent[root(other)] = root(siblings[0])
    return len({root(c) for c in children})
