"""A partner's own calendar: when a resource is taken outside of here.

A file is uploaded, or an address is read again and again by the worker. What is not understood as
a whole changes nothing: the busy times known before stay, and the owner sees why.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from sqlalchemy import Select, and_, delete, func, insert, or_, select, update
from sqlalchemy.orm import Session

from calendars import busy, fetch
from calendars.errors import FailedFetch, RefusedAddress, RefusedCalendar
from calendars.values import Span
from coordination.authz.actions import Action
from coordination.authz.rules import Scope
from coordination.domain.agenda.audiences import RESOURCE, resource_owner
from coordination.domain.agenda.events import (
    BusySourceAdded,
    BusySourceFailed,
    BusySourceRead,
    BusySourceRemoved,
    BusySourceTakenIntoUse,
)
from coordination.domain.agenda.models import BusySource, BusySpan
from coordination.domain.agenda.refusals import whole_sentence
from coordination.domain.agenda.services import UID_HOST
from coordination.ground import crypto
from coordination.ground.errors import Conflict, Invalid, NotFound
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork

BEHIND, AHEAD = timedelta(days=1), timedelta(days=400)
EVERY, LONGEST_WAIT = timedelta(hours=1), timedelta(hours=6)
# so that a thousand calendars at one provider are not all asked at the same minute
JITTER = timedelta(minutes=10)
# how long a worker may take before another one tries
LEASE = timedelta(minutes=15)
# what is far ahead comes into sight even if the file never changes
READ_WHOLE_EVERY = timedelta(days=7)
MOST_SOURCES = 5
TOLD_AFTER = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Due:
    """An address to be read now."""

    source_id: int
    address: str
    etag: str
    modified: str


@dataclass(frozen=True, slots=True)
class Understood:
    """What one calendar says, for its owner: how many busy times, the first of them, until when."""

    source: BusySource
    count: int
    first: tuple[Span, ...]
    until: datetime


@dataclass(frozen=True, slots=True)
class Reading:
    """What reading it gave: busy times, nothing new (`spans` is None), or a failure."""

    spans: tuple[Span, ...] | None
    etag: str = ""
    modified: str = ""
    failed_part: str | None = None
    failed_reason: str | None = None


# -- what the owner does --------------------------------------------------------------------------


def follow(uow: UnitOfWork, *, resource_id: int, address: str, name: str) -> BusySource:
    """Read an address from now on, as a proposal; the first reading is the worker's next."""
    owner = _authorized(uow, resource_id)
    try:
        plain = fetch.clean_address(address)
    except RefusedAddress as error:
        said = whole_sentence(None, error.reason)
        raise Invalid(fields={"address": said}) from error
    source = _added(uow, resource_id, owner, name or (urlsplit(plain).hostname or ""))
    source.address_enc = crypto.encrypt(plain, _context(resource_id))
    source.next_at = uow.now
    uow.session.flush()  # the event carries the id
    uow.record(BusySourceAdded(source.id))
    return source


def upload(
    uow: UnitOfWork, *, resource_id: int, content: bytes, name: str, zone: ZoneInfo
) -> BusySource:
    """Propose the busy times of a file; Invalid with part, reason and remedy if not understood."""
    owner = _authorized(uow, resource_id)
    try:
        spans = _spans(content, uow.now, zone)
    except RefusedCalendar as error:
        said = whole_sentence(error.component, error.reason)
        raise Invalid(fields={"file": said}) from error
    source = _added(uow, resource_id, owner, name)
    uow.session.flush()  # the spans refer to it
    _replace(uow, source, spans)
    uow.record(BusySourceAdded(source.id))
    return source


def take_into_use(uow: UnitOfWork, *, source_id: int) -> None:
    """The owner has looked at what was understood: from now on it takes time away."""
    source = _own(uow, source_id)
    lock_venues(uow.session, [source.resource_id])
    uow.session.refresh(source)
    if source.read_at is None:
        raise Conflict(
            Text("这个日历还没有读取成功。", "This calendar has not been read yet."), code="unread"
        )
    if not source.in_use:
        source.in_use = True
        uow.record(BusySourceTakenIntoUse(source.id))


def remove(uow: UnitOfWork, *, source_id: int) -> None:
    """Forget a calendar and its busy times."""
    source = _own(uow, source_id)
    uow.session.delete(source)
    uow.record(BusySourceRemoved(source_id))


def read_now(uow: UnitOfWork, *, source_id: int) -> None:
    """Let the worker read an address at once, and as a whole."""
    source = _own(uow, source_id)
    if source.address_enc is None:
        raise Conflict(
            Text("这是上传的文件，请重新上传。", "This is a file; hand it in again."), code="a_file"
        )
    source.next_at, source.etag, source.modified = uow.now, "", ""


def _authorized(uow: UnitOfWork, resource_id: int) -> int:
    owner = resource_owner(uow.session, resource_id)
    if owner is None:
        raise NotFound()
    uow.authorize(Action.RESOURCE_MANAGE, Scope(owner=owner))
    return owner


def _own(uow: UnitOfWork, source_id: int) -> BusySource:
    source = uow.session.get(BusySource, source_id)
    if source is None:
        raise NotFound()
    uow.authorize(Action.RESOURCE_MANAGE, source)
    return source


def _added(uow: UnitOfWork, resource_id: int, owner: int, name: str) -> BusySource:
    if len(sources_of(uow.session, resource_id)) >= MOST_SOURCES:
        raise Conflict(
            Text(
                f"一个场地最多接入 {MOST_SOURCES} 个日历。",
                f"A venue follows at most {MOST_SOURCES} calendars.",
            )
        )
    source = BusySource(resource_id=resource_id, owner_id=owner, name=name[:80])
    uow.session.add(source)
    return source


# -- what the worker does -------------------------------------------------------------------------


def claim_due(uow: UnitOfWork) -> Due | None:
    """The address that has waited longest; it is this worker's for the length of the lease."""
    uow.authorize(Action.SYSTEM_RUN)
    source = uow.session.scalar(
        select(BusySource)
        .where(BusySource.address_enc.is_not(None), BusySource.next_at <= uow.now)
        .order_by(BusySource.next_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    if source is None or source.address_enc is None:
        return None
    _note(uow, source, next_at=uow.now + LEASE, tried_at=uow.now)
    stale = source.read_at is None or source.read_at < uow.now - READ_WHOLE_EVERY
    return Due(
        source.id,
        crypto.decrypt(source.address_enc, _context(source.resource_id)),
        "" if stale else source.etag,
        "" if stale else source.modified,
    )


def read(due: Due, now: datetime, zone: ZoneInfo, network: fetch.Network | None = None) -> Reading:
    """Fetch and understand; no transaction is open meanwhile."""
    try:
        found = fetch.fetch(
            due.address,
            etag=due.etag,
            modified=due.modified,
            network=network or fetch.Network(),
        )
        spans = None if found.content is None else _spans(found.content, now, zone)
    except (RefusedAddress, FailedFetch) as error:
        return Reading(None, failed_reason=error.reason)
    except RefusedCalendar as error:
        return Reading(None, failed_part=error.component, failed_reason=error.reason)
    return Reading(spans, found.etag, found.modified)


def keep(uow: UnitOfWork, *, source_id: int, reading: Reading) -> None:
    """Keep what was read; after a failure what was known before stays."""
    uow.authorize(Action.SYSTEM_RUN)
    # the venue first, as everybody does: the other order would end as a deadlock
    lock_venues(uow.session, uow.session.scalars(_venue_of(source_id)).all())
    source = uow.session.get(BusySource, source_id, with_for_update=True, populate_existing=True)
    if source is None:
        return  # removed meanwhile
    # a second reader, whose lease ran out, may come late: it says only what is true anyway
    if reading.failed_reason is not None:
        since = source.failing_since or uow.now
        tell = source.told_at is None and since <= uow.now - TOLD_AFTER
        _note(
            uow,
            source,
            failures=source.failures + 1,
            failing_since=since,
            failed_part=reading.failed_part,
            failed_reason=reading.failed_reason,
            next_at=_next_time(uow.now, min(EVERY * 2 ** min(source.failures, 10), LONGEST_WAIT)),
            told_at=uow.now if tell else source.told_at,
        )
        if tell:
            uow.record(BusySourceFailed(source.id))
        return
    _note(
        uow,
        source,
        etag=reading.etag,
        modified=reading.modified,
        next_at=_next_time(uow.now, EVERY),
    )
    if reading.spans is None:
        _well(uow, source)
        return
    _replace(uow, source, reading.spans)
    uow.record(BusySourceRead(source.id))


def _venue_of(source_id: int) -> Select[int]:
    return select(BusySource.resource_id).where(BusySource.id == source_id)


def _next_time(now: datetime, wait: timedelta) -> datetime:
    return now + wait + timedelta(seconds=secrets.randbelow(int(JITTER.total_seconds())))


def _note(uow: UnitOfWork, source: BusySource, **values: datetime | str | int | None) -> None:
    """Book-keeping of the worker: an audit line each hour and calendar would bury all others."""
    uow.session.execute(update(BusySource).where(BusySource.id == source.id).values(**values))


def _well(uow: UnitOfWork, source: BusySource) -> None:
    _note(
        uow,
        source,
        checked_at=uow.now,
        tried_at=uow.now,
        failures=0,
        failing_since=None,
        told_at=None,
        failed_part=None,
        failed_reason=None,
    )


def _replace(uow: UnitOfWork, source: BusySource, spans: Sequence[Span]) -> None:
    # whoever books or approves at this very moment waits, and then sees these times
    lock_venues(uow.session, [source.resource_id])
    _well(uow, source)
    _note(uow, source, read_at=uow.now)
    uow.trail.line("change", "busy_source", source.id, None, {"busy_times": len(spans)})
    uow.session.execute(delete(BusySpan).where(BusySpan.source_id == source.id))
    if spans:
        uow.session.execute(
            insert(BusySpan),
            [
                {
                    "source_id": source.id,
                    "resource_id": source.resource_id,
                    "starts_at": span.starts_at,
                    "ends_at": span.ends_at,
                }
                for span in spans
            ],
        )


def _spans(content: bytes, now: datetime, zone: ZoneInfo) -> tuple[Span, ...]:
    found = busy.busy_times(
        content,
        starts_at=now - BEHIND,
        ends_at=now + AHEAD,
        zone=zone.key,
        # a partner who subscribes to our feed hands our own bookings back
        ours=f"@{UID_HOST}",
    )
    return busy.merged(found)


def _context(resource_id: int) -> str:
    return f"busy-source:{resource_id}"


# -- what is read ---------------------------------------------------------------------------------


def sources_of(session: Session, resource_id: int) -> list[BusySource]:
    """The calendars a resource follows, oldest first."""
    return list(
        session.scalars(
            select(BusySource).where(BusySource.resource_id == resource_id).order_by(BusySource.id)
        )
    )


def source_of(session: Session, source_id: int) -> BusySource:
    """One calendar."""
    found = session.get(BusySource, source_id)
    if found is None:
        raise NotFound()
    return found


def understood(session: Session, source: BusySource, now: datetime, shown: int) -> Understood:
    """What a calendar says about the time to come."""
    ahead = and_(BusySpan.source_id == source.id, BusySpan.ends_at > now)
    count, until = session.execute(
        select(func.count(), func.max(BusySpan.ends_at)).where(ahead)
    ).one()
    rows = session.execute(
        select(BusySpan.starts_at, BusySpan.ends_at)
        .where(ahead)
        .order_by(BusySpan.starts_at)
        .limit(shown)
    )
    return Understood(source, count, tuple(Span(a, b) for a, b in rows), until or now)


def busy_of(session: Session, source_id: int, since: datetime) -> list[Span]:
    """What one calendar says from a moment on, in use or not."""
    rows = session.execute(
        select(BusySpan.starts_at, BusySpan.ends_at)
        .where(BusySpan.source_id == source_id, BusySpan.ends_at > since)
        .order_by(BusySpan.starts_at)
    )
    return [Span(start, end) for start, end in rows]


def failing(session: Session, owner_ids: Collection[int]) -> list[BusySource]:
    """Calendars of these owners that cannot be read at present."""
    return list(
        session.scalars(
            select(BusySource)
            .where(BusySource.owner_id.in_(owner_ids), BusySource.failing_since.is_not(None))
            .order_by(BusySource.id)
        )
    )


def lock_venues(session: Session, resource_ids: Collection[int]) -> None:
    """Queue up for resources: busy times change, and are relied upon, one after the other."""
    session.execute(
        select(RESOURCE.c.id)
        .where(RESOURCE.c.id.in_(resource_ids))
        .order_by(RESOURCE.c.id)
        .with_for_update(key_share=True)
    ).all()


def busy_between(
    session: Session, resource_ids: Collection[int], since: datetime, until: datetime
) -> list[tuple[int, Span]]:
    """(resource, span) of every calendar in use that touches [since, until)."""
    if not resource_ids:
        return []
    rows = session.execute(
        select(BusySpan.resource_id, BusySpan.starts_at, BusySpan.ends_at)
        .join(BusySource, and_(BusySource.id == BusySpan.source_id, BusySource.in_use))
        .where(
            BusySpan.resource_id.in_(resource_ids),
            BusySpan.starts_at < until,
            BusySpan.ends_at > since,
        )
        .order_by(BusySpan.starts_at)
    )
    return [(resource, Span(start, end)) for resource, start, end in rows]


def busy_within(
    session: Session, resource_ids: Collection[int], spans: Collection[Span]
) -> list[Span]:
    """What the calendars in use say at any of these times, each stretch once."""
    if not resource_ids or not spans:
        return []
    rows = session.execute(
        select(BusySpan.starts_at, BusySpan.ends_at)
        .join(BusySource, and_(BusySource.id == BusySpan.source_id, BusySource.in_use))
        .where(
            BusySpan.resource_id.in_(resource_ids),
            or_(
                *(
                    and_(BusySpan.starts_at < one.ends_at, BusySpan.ends_at > one.starts_at)
                    for one in spans
                )
            ),
        )
    )
    return sorted({Span(start, end) for start, end in rows})
