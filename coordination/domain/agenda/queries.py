"""What the calendar pages read: which calendars somebody may look at, and the entries of a stretch.

The same audiences as the feeds, so that a page and a subscription cannot disagree.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session, defer

from calendars.workdays import week_of_term
from coordination.authz.actions import Action
from coordination.authz.policy import allowed
from coordination.domain.agenda.audiences import (
    DISTRICT as OF_DISTRICT,
)
from coordination.domain.agenda.audiences import (
    RESOURCE,
    Audience,
    among,
    classes_of,
    classes_with,
    family_audiences,
    resource_owner,
    resources_of,
)
from coordination.domain.agenda.models import LONGEST, CalendarEntry, EntryAudience
from coordination.domain.people.family import OwnChild, children_of
from coordination.domain.people.models import ClassGroup, ClassMember, Organisation, Person, Term
from coordination.domain.people.recipients import member_on
from coordination.ground.actor import Actor, Role
from coordination.ground.errors import NotFound
from coordination.ground.text import Text

_DISTRICT = frozenset({Role.DISTRICT_ADMIN, Role.COORDINATOR})
FAMILY = Text("家庭日历", "Family calendar")
MINE = Text("我的工作日历", "My calendar")
DISTRICT = Text("全区校历", "District calendar")


@dataclass(frozen=True, slots=True)
class Viewed:
    """A calendar as one person may see it. `opaque`: that it is taken, but not by whom."""

    scope: str
    scope_id: int | None
    title: Text
    audiences: tuple[Audience, ...]
    children: tuple[OwnChild, ...] = ()
    opaque: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """One entry of a page and whose children it concerns; a family sees that at once."""

    entry: CalendarEntry
    child_ids: frozenset[int]


@dataclass(frozen=True, slots=True)
class Choice:
    """A calendar that somebody may open."""

    scope: str
    scope_id: int | None
    title: Text


def choices_of(session: Session, actor: Actor, today: date) -> list[Choice]:
    """Every calendar that is the actor's own business, nearest first."""
    found: list[Choice] = []
    if actor.is_guardian:
        found.append(Choice("family", None, FAMILY))
    if actor.posts:
        found.append(Choice("mine", None, MINE))
    classes = [g.id for g in _groups(session, _own_classes(session, actor, today))]
    classes += [c for c, _ in classes_of(session, actor) if c not in classes]
    names = {g.id: g for g in _groups(session, classes)}
    found += [Choice("class", c, _class_title(names[c])) for c in classes if c in names]
    schools = _schools(session, _own_schools(session, actor))
    found += [Choice("school", org.id, _school_title(org)) for org in schools]
    venues = resources_of(session, actor.orgs())
    found += [Choice("venue", ident, title) for ident, title in venues]
    found.append(Choice("district", None, DISTRICT))
    return found


def family_calendar(session: Session, actor: Actor, child_id: int | None, today: date) -> Viewed:
    """The actor's children, or one of them, and the actor's own shifts and meetings."""
    children = children_of(session, actor, today)
    chosen = [c.id for c in children if child_id in (None, c.id)]
    if not chosen:
        raise NotFound()
    own = actor.person_id if child_id is None else None
    audiences = family_audiences(session, chosen, own, today)
    return Viewed("family", None, FAMILY, tuple(audiences), tuple(children))


def own_calendar(actor: Actor) -> Viewed:
    """What the actor leads, takes part in as staff, and the classes of the actor's own posts."""
    if actor.person_id is None:
        raise NotFound()
    classes = sorted(actor.class_ids)
    audiences: list[Audience] = [("person", actor.person_id)]
    audiences += [(kind, c) for c in classes for kind in ("class", "class_staff")]
    audiences += [("school", o) for o in sorted(actor.orgs(Role.PARTNER_STAFF))]
    return Viewed("mine", None, MINE, tuple(audiences))


def class_calendar(session: Session, actor: Actor, class_id: int, today: date) -> Viewed:
    """A class: all of it for its staff, what stands in every family's calendar for a family."""
    group = session.get(ClassGroup, class_id)
    if group is None:
        raise NotFound()
    shared: Audience = ("class", class_id)
    if allowed(actor, Action.CLASS_READ, group):
        audiences: tuple[Audience, ...] = (shared, ("class_staff", class_id))
    elif class_id in _own_classes(session, actor, today):
        audiences = (shared,)
    else:
        raise NotFound()
    return Viewed("class", class_id, _class_title(group), audiences)


def school_calendar(session: Session, actor: Actor, school_id: int) -> Viewed:
    """A school: its public part for its families and staff, all its classes do for its office."""
    found = _schools(session, [school_id])
    own = _own_schools(session, actor)
    if not found or (school_id not in own and not actor.roles & _DISTRICT):
        raise NotFound()
    audiences: list[Audience] = [("school", school_id), OF_DISTRICT]
    if school_id in actor.orgs(Role.SCHOOL_ADMIN):
        audiences += _classes_in(session, school_id)
    return Viewed("school", school_id, _school_title(found[0]), tuple(audiences))


def venue_calendar(session: Session, actor: Actor, resource_id: int) -> Viewed:
    """A venue: everything for its owner and the district, taken or not for who may book it."""
    row = session.execute(select(RESOURCE).where(RESOURCE.c.id == resource_id)).one_or_none()
    if row is None or not actor.posts:
        raise NotFound()
    roles = actor.roles
    full = row.owner_id in actor.orgs() or bool(roles & _DISTRICT)
    may_book = bool(roles & {Role.SCHOOL_ADMIN, Role.CLASS_TEACHER, Role.PARTNER_STAFF})
    if not full and not (may_book and row.publish_state == "published"):
        raise NotFound()
    title = Text(row.title_zh, row.title_en)
    return Viewed("venue", resource_id, title, (("resource", resource_id),), opaque=not full)


def district_calendar() -> Viewed:
    """The district's school calendar."""
    return Viewed("district", None, DISTRICT, (OF_DISTRICT,))


def lines_between(
    session: Session, viewed: Viewed, since: datetime, until: datetime, today: date
) -> list[Line]:
    """The entries of a calendar that touch [since, until), in order of start."""
    entries = entries_between(session, viewed.audiences, since, until)
    whose = _children_of_entries(session, viewed, [e.id for e in entries], today)
    return [Line(e, frozenset(whose.get(e.id, ()))) for e in entries]


def entries_between(
    session: Session, audiences: Collection[Audience], since: datetime, until: datetime
) -> list[CalendarEntry]:
    """Entries for the calendar pages, cancelled ones included, in order of start.

    One range of one index: the pairs are looked up with the span, and nothing else is visited.
    """
    if not audiences:
        return []
    near = (
        select(EntryAudience.entry_id)
        .where(
            EntryAudience.kind.in_(sorted({kind for kind, _ in audiences})),
            EntryAudience.audience_id.in_(sorted({ident for _, ident in audiences})),
            EntryAudience.starts_at > since - LONGEST,
            EntryAudience.starts_at < until,
            EntryAudience.ends_at > since,
            among(EntryAudience.kind, EntryAudience.audience_id, audiences),
        )
        .distinct()
        .subquery()
    )
    return list(
        session.scalars(
            select(CalendarEntry)
            .join(near, near.c.entry_id == CalendarEntry.id)
            # a page writes no calendar file
            .options(
                defer(CalendarEntry.fragment_zh, raiseload=True),
                defer(CalendarEntry.fragment_en, raiseload=True),
            )
            .order_by(CalendarEntry.starts_at, CalendarEntry.id)
        )
    )


def entry_open_to(session: Session, actor: Actor, entry_id: int, today: date) -> CalendarEntry:
    """One entry, if it stands in a calendar that the actor may read in full; else NotFound."""
    entry = session.get(CalendarEntry, entry_id)
    if entry is None:
        raise NotFound()
    concerned = session.execute(
        select(EntryAudience.kind, EntryAudience.audience_id).where(
            EntryAudience.entry_id == entry_id
        )
    )
    if not any(_reads(session, actor, kind, ident, today) for kind, ident in concerned):
        raise NotFound()
    return entry


def term_of(session: Session, day: date) -> Term | None:
    """The term that `day` lies in, or the next one."""
    return session.scalar(select(Term).where(Term.ends_on >= day).order_by(Term.starts_on).limit(1))


def week_of(session: Session, day: date) -> int | None:
    """The week of the term (第13周) that `day` lies in; None in the holidays."""
    term = term_of(session, day)
    return week_of_term(day, term.starts_on, term.ends_on) if term else None


def _reads(session: Session, actor: Actor, kind: str, ident: int, today: date) -> bool:
    match kind:
        case "person":
            return ident == actor.person_id
        case "child":
            return ident in actor.child_ids
        case "district":
            return actor.signed_in
        case "class" | "class_staff":
            group = session.get(ClassGroup, ident)
            if group is None:
                return False
            return allowed(actor, Action.CLASS_READ, group) or (
                kind == "class" and ident in _own_classes(session, actor, today)
            )
        case "school":
            return ident in actor.orgs() or ident in _own_schools(session, actor)
        case "resource":
            return resource_owner(session, ident) in actor.orgs()
    return False


def _children_of_entries(
    session: Session, viewed: Viewed, entry_ids: Collection[int], today: date
) -> dict[int, set[int]]:
    if not viewed.children or not entry_ids:
        return {}
    children = {c.id for c in viewed.children}
    classes: dict[int, set[int]] = {}
    for class_id, child in session.execute(
        select(ClassMember.class_id, ClassMember.person_id).where(
            ClassMember.person_id.in_(children), member_on(today)
        )
    ):
        classes.setdefault(class_id, set()).add(child)
    found: dict[int, set[int]] = {}
    for entry_id, kind, ident in session.execute(
        select(EntryAudience.entry_id, EntryAudience.kind, EntryAudience.audience_id).where(
            EntryAudience.entry_id.in_(entry_ids), EntryAudience.kind.in_(("child", "class"))
        )
    ):
        concerned = {ident} & children if kind == "child" else classes.get(ident, set())
        found.setdefault(entry_id, set()).update(concerned)
    return found


def _own_classes(session: Session, actor: Actor, today: date) -> list[int]:
    """Classes of the actor's children today."""
    return list(session.scalars(classes_with(actor.child_ids, today)))


def _own_schools(session: Session, actor: Actor) -> set[int]:
    of_children = session.scalars(
        select(Person.school_id).where(Person.id.in_(actor.child_ids)).distinct()
    )
    return {s for s in of_children if s is not None} | set(
        actor.orgs(Role.SCHOOL_ADMIN, Role.CLASS_TEACHER)
    )


def _groups(session: Session, ids: Collection[int]) -> list[ClassGroup]:
    return list(
        session.scalars(
            select(ClassGroup)
            .where(ClassGroup.id.in_(ids), ClassGroup.active.is_(True))
            .order_by(ClassGroup.grade, ClassGroup.id)
        )
    )


def _schools(session: Session, ids: Collection[int]) -> list[Organisation]:
    return list(
        session.scalars(
            select(Organisation)
            .where(Organisation.id.in_(ids), Organisation.kind == "school")
            .order_by(Organisation.id)
        )
    )


def _classes_in(session: Session, school_id: int) -> list[Audience]:
    ids = session.scalars(
        select(ClassGroup.id).where(ClassGroup.school_id == school_id, ClassGroup.active.is_(True))
    )
    return [(kind, c) for c in ids for kind in ("class", "class_staff")]


def _class_title(group: ClassGroup) -> Text:
    return Text(f"{group.name_zh}日历", f"{group.name_en} calendar")


def _school_title(org: Organisation) -> Text:
    return Text(f"{org.name_zh}日历", f"{org.name_en} calendar")
