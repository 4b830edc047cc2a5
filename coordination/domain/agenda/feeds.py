"""Secret feed addresses and what each of them shows.

A feed reads entries by audience; its ETag comes from audience versions, so an unchanged feed is
answered without reading an entry. Custody limits are applied at every fetch.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import ColumnElement, and_, column, false, func, or_, select, table, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from coordination.authz.actions import Action
from coordination.authz.policy import allowed
from coordination.authz.rules import Scope
from coordination.domain.agenda.events import FeedOpened, FeedRevoked
from coordination.domain.agenda.models import (
    CalendarEntry,
    EntryAudience,
    FeedToken,
    FeedVersion,
)
from coordination.domain.people.actors import actor_of, children_open_to
from coordination.domain.people.models import ClassGroup, ClassMember, Organisation
from coordination.ground import crypto
from coordination.ground.actor import Actor
from coordination.ground.errors import Forbidden, NotFound
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork

TOMBSTONE_DAYS = 90
Audience = tuple[str, int]
_RESOURCE = table(
    "resource", column("id"), column("owner_id"), column("title_zh"), column("title_en")
)


@dataclass(frozen=True, slots=True)
class Feed:
    """What one fetch needs before the body: title, version over all audiences, last change."""

    token_id: int
    language: str
    title: Text
    audiences: tuple[Audience, ...]
    version: str
    changed_at: datetime
    show_cancelled: bool


def open_feed(
    uow: UnitOfWork, *, scope: str, scope_id: int | None, name: str, language: str
) -> tuple[FeedToken, str]:
    """A new feed of the actor; returns the row and the secret, which is shown only now."""
    owner = uow.actor.person_id
    uow.authorize(Action.FEED_MANAGE, Scope(person=owner))
    if owner is None:
        raise Forbidden()
    if not may_subscribe(uow, scope, scope_id):
        raise Forbidden()
    secret = crypto.new_token()
    token = FeedToken(
        owner_id=owner,
        scope=scope,
        scope_id=scope_id,
        name=name,
        language=language,
        token_hash=crypto.token_hash(secret),
    )
    uow.session.add(token)
    uow.session.flush()  # the event carries the id
    uow.record(FeedOpened(token.id))
    return token, secret


def may_subscribe(uow: UnitOfWork, scope: str, scope_id: int | None) -> bool:
    """Whether the actor may have a feed of this scope."""
    actor = uow.actor
    if scope in ("family", "teacher", "volunteer", "district"):
        return scope_id is None
    if scope_id is None:
        return False
    if scope == "child":
        return scope_id in actor.child_ids
    if scope == "class":
        group = uow.session.get(ClassGroup, scope_id)
        return group is not None and allowed(actor, Action.CLASS_READ, group)
    if scope == "school":
        return scope_id in actor.orgs()
    if scope == "resource":
        return resource_owner(uow.session, scope_id) in actor.orgs()
    return False


def resource_owner(session: Session, resource_id: int) -> int | None:
    """The owner organisation of a resource, by its table name: this floor may not import upwards."""
    owner: int | None = session.scalar(
        select(_RESOURCE.c.owner_id).where(_RESOURCE.c.id == resource_id)
    )
    return owner


def rotate(uow: UnitOfWork, *, token_id: int) -> tuple[FeedToken, str]:
    """Close a feed's address and open another for the same scope."""
    old = _own(uow, token_id)
    _revoke(uow, old)
    return open_feed(
        uow, scope=old.scope, scope_id=old.scope_id, name=old.name, language=old.language
    )


def revoke(uow: UnitOfWork, *, token_id: int) -> None:
    """Close a feed's address; the next fetch finds nothing."""
    _revoke(uow, _own(uow, token_id))


def _own(uow: UnitOfWork, token_id: int) -> FeedToken:
    token = uow.session.get(FeedToken, token_id)
    if token is None or token.owner_id != uow.actor.person_id:
        raise NotFound()
    uow.authorize(Action.FEED_MANAGE, token)
    return token


def _revoke(uow: UnitOfWork, token: FeedToken) -> None:
    if token.revoked_at is None:
        token.revoked_at = uow.now
        uow.record(FeedRevoked(token.id))


def feeds_of(session: Session, owner_id: int) -> list[FeedToken]:
    """The open feeds of a person, newest first."""
    return list(
        session.scalars(
            select(FeedToken)
            .where(FeedToken.owner_id == owner_id, FeedToken.revoked_at.is_(None))
            .order_by(FeedToken.id.desc())
        )
    )


def look_up(session: Session, secret: str, today: date) -> Feed:
    """The feed behind a secret; NotFound alike for wrong, revoked and no longer allowed."""
    token = session.scalar(
        select(FeedToken).where(
            FeedToken.token_hash == crypto.token_hash(secret), FeedToken.revoked_at.is_(None)
        )
    )
    if token is None:
        raise NotFound()
    audiences = tuple(audiences_of(session, token, today))
    version, changed = session.execute(
        select(
            func.coalesce(func.sum(FeedVersion.version), 0), func.max(FeedVersion.changed_at)
        ).where(_versions_of(audiences))
    ).one()
    # the audiences themselves are part of the version: a sibling who changes class changes the feed
    stamp = crypto.blind_index(repr(sorted(audiences))).hex()[:12]
    return Feed(
        token_id=token.id,
        language=token.language,
        title=title_of(session, token),
        audiences=audiences,
        version=f"{token.id}-{version}-{stamp}",
        changed_at=changed or token.created_at,
        show_cancelled=token.options.get("cancelled", "show") == "show",
    )


def _versions_of(audiences: tuple[Audience, ...]) -> ColumnElement[bool]:
    return _among(FeedVersion.kind, FeedVersion.audience_id, audiences)


def _among(
    kind: InstrumentedAttribute[str],
    ident: InstrumentedAttribute[int],
    audiences: tuple[Audience, ...],
) -> ColumnElement[bool]:
    groups: dict[str, list[int]] = {}
    for word, audience_id in audiences:
        groups.setdefault(word, []).append(audience_id)
    return or_(false(), *(and_(kind == word, ident.in_(ids)) for word, ids in groups.items()))


def audiences_of(session: Session, token: FeedToken, today: date) -> list[Audience]:
    """Whose entries a feed shows today; empty if the owner lost the right."""
    owner = token.owner_id
    scope_id = token.scope_id
    if token.scope == "volunteer":
        return [("person", owner)]
    if token.scope == "family":
        return family_audiences(session, children_open_to(session, owner, today), owner, today)
    if token.scope == "child":
        children = [c for c in children_open_to(session, owner, today) if c == scope_id]
        return family_audiences(session, children, None, today)
    try:
        actor = actor_of(session, owner, today)
    except LookupError:
        return []
    if token.scope == "teacher":
        classes = sorted(actor.class_ids)
        return [("person", owner), *((k, c) for c in classes for k in ("class", "class_staff"))]
    if token.scope == "district":
        return [("district", 1)]
    if scope_id is None:
        return []
    if token.scope == "class":
        group = session.get(ClassGroup, scope_id)
        fit = group is not None and allowed(actor, Action.CLASS_READ, group)
        return [("class", scope_id), ("class_staff", scope_id)] if fit else []
    if token.scope == "school":
        return [("school", scope_id)] if scope_id in actor.orgs() else []
    owner_org = resource_owner(session, scope_id)
    return [("resource", scope_id)] if owner_org in actor.orgs() else []


def family_audiences(
    session: Session, children: list[int], owner: int | None, today: date
) -> list[Audience]:
    """The children, the classes they are in today, and the guardian's own shifts and meetings."""
    classes = session.scalars(
        select(ClassMember.class_id)
        .where(ClassMember.person_id.in_(children), member_on(today))
        .distinct()
    ).all()
    own = [("person", owner)] if owner is not None else []
    return [*(("child", c) for c in children), *(("class", c) for c in classes), *own]


def member_on(today: date) -> ColumnElement[bool]:
    """Whether a child is in a class today."""
    return and_(
        ClassMember.starts_on <= today,
        or_(ClassMember.ends_on.is_(None), ClassMember.ends_on >= today),
    )


def fragments(session: Session, feed: Feed, now: datetime) -> list[bytes]:
    """The stored VEVENTs of a feed, in order of start; tombstones for TOMBSTONE_DAYS."""
    column = CalendarEntry.fragment_zh if feed.language == "zh" else CalendarEntry.fragment_en
    statement = (
        select(column)
        .where(_shown(feed.audiences, now, show_cancelled=feed.show_cancelled))
        .order_by(CalendarEntry.starts_at, CalendarEntry.id)
    )
    return [bytes(f) for f in session.scalars(statement)]


def entries_between(
    session: Session, audiences: tuple[Audience, ...], since: datetime, until: datetime
) -> list[CalendarEntry]:
    """Entries for the calendar pages, cancelled ones included, in order of start."""
    return list(
        session.scalars(
            select(CalendarEntry)
            .where(
                _shown(audiences, since, show_cancelled=True),
                CalendarEntry.starts_at < until,
                CalendarEntry.ends_at > since,
            )
            .order_by(CalendarEntry.starts_at, CalendarEntry.id)
        )
    )


def _shown(
    audiences: tuple[Audience, ...], now: datetime, *, show_cancelled: bool
) -> ColumnElement[bool]:
    concerned = CalendarEntry.id.in_(
        select(EntryAudience.entry_id).where(
            _among(EntryAudience.kind, EntryAudience.audience_id, audiences)
        )
    )
    if not show_cancelled:
        return and_(concerned, CalendarEntry.status != "cancelled")
    return and_(
        concerned,
        or_(
            CalendarEntry.status != "cancelled",
            CalendarEntry.cancelled_at > now - timedelta(days=TOMBSTONE_DAYS),
        ),
    )


def title_of(session: Session, token: FeedToken) -> Text:
    """The calendar's name in both languages."""
    if token.scope == "class" and token.scope_id is not None:
        group = session.get(ClassGroup, token.scope_id)
        if group is not None:
            return Text(f"{group.name_zh}日历", f"{group.name_en} calendar")
    if token.scope == "school" and token.scope_id is not None:
        org = session.get(Organisation, token.scope_id)
        if org is not None:
            return Text(f"{org.name_zh}日历", f"{org.name_en} calendar")
    return TITLES[token.scope]


TITLES = {
    "family": Text("家庭日历", "Family calendar"),
    "child": Text("孩子的日历", "Child's calendar"),
    "teacher": Text("我的工作日历", "My teaching calendar"),
    "volunteer": Text("我的志愿班次", "My volunteer shifts"),
    "class": Text("班级日历", "Class calendar"),
    "resource": Text("场地日历", "Venue calendar"),
    "school": Text("学校日历", "School calendar"),
    "district": Text("全区校历", "District calendar"),
}


def note_fetch(uow: UnitOfWork, *, token_id: int, client: str) -> None:
    """Remember when and by which client a feed was fetched; at most once an hour, to stay cheap."""
    uow.authorize(Action.FEED_FETCH)
    uow.session.execute(
        update(FeedToken)
        .where(
            FeedToken.id == token_id,
            or_(
                FeedToken.last_fetched_at.is_(None),
                FeedToken.last_fetched_at < uow.now - timedelta(hours=1),
            ),
        )
        .values(last_fetched_at=uow.now, last_client=client)
    )


def audiences_for(session: Session, actor: Actor, today: date) -> list[Audience]:
    """Whose entries stand on the actor's own calendar page."""
    if actor.person_id is None:
        return []
    found: list[Audience] = [("person", actor.person_id)]
    if actor.child_ids:
        found += family_audiences(session, sorted(actor.child_ids), None, today)
    found += [(kind, c) for c in sorted(actor.class_ids) for kind in ("class", "class_staff")]
    found += [("resource", r) for r, _ in resources_of(session, actor.orgs())]
    found += [("school", o) for o in sorted(actor.orgs())]
    return list(dict.fromkeys(found))


def resources_of(session: Session, owner_ids: Collection[int]) -> list[tuple[int, Text]]:
    """Resources of these owners with their titles; by table name, for the same reason."""
    rows = session.execute(
        select(_RESOURCE.c.id, _RESOURCE.c.title_zh, _RESOURCE.c.title_en)
        .where(_RESOURCE.c.owner_id.in_(owner_ids))
        .order_by(_RESOURCE.c.id)
    )
    return [(ident, Text(zh, en)) for ident, zh, en in rows]


def classes_of(session: Session, actor: Actor) -> list[tuple[int, Text]]:
    """Classes of the actor's own posts; a district role alone opens no list of every class."""
    groups = session.scalars(
        select(ClassGroup)
        .where(
            ClassGroup.active.is_(True),
            or_(ClassGroup.id.in_(actor.class_ids), ClassGroup.school_id.in_(actor.orgs())),
        )
        .order_by(ClassGroup.grade, ClassGroup.id)
    )
    return [
        (g.id, Text(g.name_zh, g.name_en)) for g in groups if allowed(actor, Action.CLASS_READ, g)
    ]
