"""What a poll reads: the feed behind a secret, its version, and only if asked for, its entries.

A family's poll is one statement over indexes: token, children open to the owner today, their
classes, the versions of all these. Custody limits therefore hold at the very next poll, without
anything having to be told. Must not know HTTP.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any, NamedTuple
from typing import cast as cast_to

import psycopg
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    LargeBinary,
    Select,
    String,
    and_,
    bindparam,
    cast,
    func,
    literal,
    or_,
    select,
    text,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY, aggregate_order_by
from sqlalchemy.dialects.postgresql import psycopg as dialects
from sqlalchemy.orm import Session
from sqlalchemy.types import Date

from calendars import adapt
from coordination.domain.agenda import options as feed_options
from coordination.domain.agenda import queries
from coordination.domain.agenda.audiences import Audience, among, classes_with
from coordination.domain.agenda.models import (
    CalendarEntry,
    EntryAudience,
    FeedToken,
    FeedVersion,
)
from coordination.domain.agenda.options import Options
from coordination.domain.people.actors import actor_of, open_children
from coordination.domain.people.models import ClassMember
from coordination.domain.people.recipients import member_on
from coordination.ground import crypto
from coordination.ground.errors import NotFound
from coordination.ground.text import Text

IDLE = timedelta(days=90)
NOTED_EVERY = timedelta(hours=1)
TAKEN = Text("已占用", "Taken")
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
# their audiences follow from the token alone; the others need to know what the owner is today
_PLAIN = ("family", "child", "volunteer", "district")


@dataclass(frozen=True, slots=True)
class Feed:
    """What one poll needs before the body: title, version over all audiences, last change."""

    token_id: int
    language: str
    title: Text
    audiences: tuple[Audience, ...]
    version: str
    changed_at: datetime
    options: Options
    opaque: bool
    last_fetched_at: datetime | None


@dataclass(frozen=True, slots=True)
class Fetch:
    """When and by what a feed was fetched."""

    at: datetime
    client: str


def look_up(held: Session | Connection, secret: str, today: date) -> Feed:
    """The feed behind a secret; NotFound alike for wrong, revoked and no longer allowed."""
    row = _token_row(held, crypto.token_hash(secret), today)
    if row is None:
        raise NotFound()
    options = feed_options.of_words(row.options)
    if row.scope in _PLAIN:
        title, opaque, stamp, changed = TITLES[row.scope], False, row.stamp or "", row.changed
    else:
        title, opaque, stamp, of_entries = _by_rights(held, row, today)
        changed = max(filter(None, (row.changed, of_entries)))
    # what the bytes depend on, and nothing of whose feed it is: like feeds share one body
    version = f"{row.scope} {title.in_(row.language)} {opaque} {stamp}"
    return Feed(
        token_id=row.id,
        language=row.language,
        title=title,
        audiences=_audiences(stamp),
        version=version,
        changed_at=changed,
        options=options,
        opaque=opaque,
        last_fetched_at=row.last_fetched_at,
    )


def fragments(held: Session | Connection, feed: Feed) -> list[bytes]:
    """The stored VEVENTs of a feed in order of start, changed only as its options ask."""
    name = "fragment_zh" if feed.language == "zh" else "fragment_en"
    fragment = getattr(CalendarEntry, name)
    shown = _shown(feed)
    order = (CalendarEntry.starts_at, CalendarEntry.id)
    options = feed.options
    called = dict(options.names)
    if not called and options.alarm_minutes is None and not feed.opaque:
        # one value instead of a row each
        joined = func.string_agg(fragment, aggregate_order_by(literal(b"", LargeBinary), *order))
        body = held.execute(select(joined).where(shown)).scalar()
        return [bytes(body)] if body else []
    if not called:
        rows = [(f, ()) for (f,) in held.execute(select(fragment).where(shown).order_by(*order))]
    else:
        whose = _whose(called).scalar_subquery()
        rows = [
            (f, c or ())
            for f, c in held.execute(select(fragment, whose).where(shown).order_by(*order))
        ]
    return [_adapted(bytes(f), feed, called, children) for f, children in rows]


def note_fetches(held: Session | Connection, fetches: Mapping[int, Fetch]) -> None:
    """Remember when and by which client feeds (by token id) were fetched."""
    ids = sorted(fetches)
    held.execute(
        _NOTE,
        {
            "ids": ids,
            "ats": [fetches[i].at for i in ids],
            "clients": [fetches[i].client for i in ids],
        },
    )


# two processes may have seen the same feed: neither waits for the other
_NOTE = text(
    """
    update feed_token set last_fetched_at = seen.at, last_client = seen.client
    from unnest(cast(:ids as bigint[]), cast(:ats as timestamptz[]), cast(:clients as text[]))
      as seen (id, at, client)
    where feed_token.id = seen.id
      and feed_token.id in (
        select id from feed_token where id = any(:ids) for update skip locked
      )
    """
)


def _adapted(
    fragment: bytes, feed: Feed, called: dict[int, str], children: list[int] | tuple[int, ...]
) -> bytes:
    if feed.opaque:
        return adapt.opaque(fragment, TAKEN.in_(feed.language))
    names = [called[c] for c in sorted(children) if c in called]
    if names:
        joint = "、" if feed.language == "zh" else ", "
        end = "：" if feed.language == "zh" else ": "
        fragment = adapt.with_prefix(fragment, joint.join(names) + end)
    if feed.options.alarm_minutes is not None:
        fragment = adapt.with_alarm(fragment, feed.options.alarm_minutes)
    return fragment


def _shown(feed: Feed) -> ColumnElement[bool]:
    shown: ColumnElement[bool] = CalendarEntry.id.in_(
        select(EntryAudience.entry_id).where(
            among(EntryAudience.kind, EntryAudience.audience_id, feed.audiences)
        )
    )
    if not feed.options.cancelled or feed.opaque:
        shown = and_(shown, CalendarEntry.status != "cancelled")
    if feed.options.kinds:
        shown = and_(shown, CalendarEntry.category.in_(feed.options.kinds))
    return shown


def _whose(called: dict[int, str]) -> Select[Any]:
    """Which of the named children an entry concerns: by itself or by the class."""
    named = sorted(called)
    own = (EntryAudience.kind == "child") & EntryAudience.audience_id.in_(named)
    by_class = (
        select(func.array_agg(ClassMember.person_id.distinct()))
        .select_from(EntryAudience)
        .join(ClassMember, ClassMember.class_id == EntryAudience.audience_id)
        .where(
            EntryAudience.entry_id == CalendarEntry.id,
            EntryAudience.kind == "class",
            ClassMember.person_id.in_(named),
            # on the entry's own day: a child who changed class keeps the past under the old one
            member_on(cast(CalendarEntry.starts_at, Date)),
        )
        .correlate(CalendarEntry)
        .scalar_subquery()
    )
    by_self = (
        select(func.array_agg(EntryAudience.audience_id))
        .where(EntryAudience.entry_id == CalendarEntry.id, own)
        .correlate(CalendarEntry)
        .scalar_subquery()
    )
    return select(func.coalesce(by_self, by_class, cast([], ARRAY(BigInteger))))


def _by_rights(held: Session | Connection, row: Any, today: date) -> tuple[Text, bool, str, Any]:
    """The feeds of staff: what the owner may look at today is what the feed shows."""
    session = held if isinstance(held, Session) else Session(bind=held)
    try:
        actor = actor_of(session, row.owner_id, today)
        match row.scope:
            case "class":
                viewed = queries.class_calendar(session, actor, row.scope_id, today)
            case "school":
                viewed = queries.school_calendar(session, actor, row.scope_id)
            case "resource":
                viewed = queries.venue_calendar(session, actor, row.scope_id)
            case _:
                viewed = queries.own_calendar(actor)
    except (LookupError, NotFound):
        return TITLES[row.scope], False, "", None
    title = TITLES["teacher"] if row.scope == "teacher" else viewed.title
    versions = {
        (kind, ident): (version, changed)
        for kind, ident, version, changed in session.execute(
            select(
                FeedVersion.kind,
                FeedVersion.audience_id,
                FeedVersion.version,
                FeedVersion.changed_at,
            ).where(among(FeedVersion.kind, FeedVersion.audience_id, viewed.audiences))
        )
    }
    stamp = ",".join(
        f"{kind}.{ident}.{versions.get((kind, ident), (0, None))[0]}"
        for kind, ident in sorted(viewed.audiences)
    )
    return title, viewed.opaque, stamp, max((c for _, c in versions.values()), default=None)


def _audiences(stamp: str) -> tuple[Audience, ...]:
    found = []
    for part in stamp.split(",") if stamp else ():
        kind, ident, _ = part.split(".")
        found.append((kind, int(ident)))
    return tuple(found)


class _Token(NamedTuple):
    """What the statement of a poll gives, in its order."""

    id: int
    owner_id: int
    scope: str
    scope_id: int | None
    language: str
    options: dict[str, Any]
    last_fetched_at: datetime | None
    stamp: str | None
    changed: datetime


def _token_row(held: Session | Connection, token_hash: bytes, today: date) -> _Token | None:
    connection = held.connection() if isinstance(held, Session) else held
    written, values = _written()
    asked = {**values, "hash": token_hash, "today": today}
    row: Any
    try:
        # the driver's own cursor: SQLAlchemy's result costs a poll more than the question itself
        driver = connection.connection.driver_connection
        row = cast_to(psycopg.Connection[Any], driver).execute(written, asked).fetchone()
    except psycopg.Error:
        # asked again by way of SQLAlchemy, which knows a broken connection and says so
        row = connection.exec_driver_sql(written, asked).one_or_none()
    return None if row is None else _Token(*row)


@cache
def _written() -> tuple[str, dict[str, Any]]:
    """The statement as text: putting it together anew costs a poll a quarter of its time."""
    dialect = dialects.dialect()  # type: ignore[no-untyped-call]
    compiled = _statement().compile(dialect=dialect)
    return str(compiled), dict(compiled.params)


def _statement() -> Select[Any]:
    """Token, audiences and versions of a family's feed at once."""
    today = bindparam("today", type_=Date())
    token = (
        select(
            FeedToken.id,
            FeedToken.owner_id,
            FeedToken.scope,
            FeedToken.scope_id,
            FeedToken.language,
            FeedToken.options,
            FeedToken.changed_at,
            FeedToken.last_fetched_at,
            # the child a family's feed is cut down to, or that a child's feed is of
            func.coalesce(
                cast(FeedToken.options["child"].astext, BigInteger),
                FeedToken.scope_id,
            ).label("only"),
        )
        .where(FeedToken.token_hash == bindparam("hash"), FeedToken.revoked_at.is_(None))
        .cte("token")
    )
    open_now = open_children(token.c.owner_id, today).correlate(token).lateral("open_now")
    children = (
        select(open_now.c.child_id)
        .select_from(token)
        .join(open_now, literal(True))
        .where(
            or_(token.c.scope == "family", token.c.scope == "child"),
            or_(token.c.only.is_(None), token.c.only == open_now.c.child_id),
        )
        .cte("children")
    )
    classes = classes_with(select(children.c.child_id), today).subquery()
    audiences = union_all(
        select(literal("person", String).label("kind"), token.c.owner_id.label("id")).where(
            or_(
                token.c.scope == "volunteer",
                and_(token.c.scope == "family", token.c.only.is_(None)),
            )
        ),
        select(literal("child", String), children.c.child_id),
        select(literal("class", String), classes.c.class_id),
        select(literal("district", String), literal(1)).where(token.c.scope == "district"),
    ).cte("audiences")
    of_each = select(audiences.c.kind, audiences.c.id, FeedVersion.version, FeedVersion.changed_at)
    read = of_each.select_from(audiences).outerjoin(
        FeedVersion,
        and_(FeedVersion.kind == audiences.c.kind, FeedVersion.audience_id == audiences.c.id),
    )
    each = read.subquery()
    written = (
        each.c.kind
        + "."
        + cast(each.c.id, String)
        + "."
        + cast(func.coalesce(each.c.version, 0), String)
    )
    stamped = select(
        func.string_agg(written, aggregate_order_by(literal(","), each.c.kind, each.c.id)).label(
            "stamp"
        ),
        func.max(each.c.changed_at).label("changed"),
    ).subquery()
    return select(
        token.c.id,
        token.c.owner_id,
        token.c.scope,
        token.c.scope_id,
        token.c.language,
        token.c.options,
        token.c.last_fetched_at,
        stamped.c.stamp,
        func.greatest(token.c.changed_at, stamped.c.changed).label("changed"),
    ).select_from(token.join(stamped, literal(True)))
