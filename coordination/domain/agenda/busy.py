"""A partner's own calendar: when a resource is taken outside of here.

A file is uploaded, or an address is read again and again by the worker. What is not understood as
a whole changes nothing: the busy times known before stay, and the owner sees why.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from calendars import busy, fetch
from calendars.errors import FailedFetch, RefusedAddress, RefusedCalendar
from calendars.values import Span
from coordination.authz.actions import Action
from coordination.authz.rules import Scope
from coordination.domain.agenda.audiences import resource_owner
from coordination.domain.agenda.events import (
    BusySourceAdded,
    BusySourceFailed,
    BusySourceRead,
    BusySourceRemoved,
)
from coordination.domain.agenda.models import BusySource, BusySpan
from coordination.domain.agenda.refusals import in_words
from coordination.domain.agenda.services import UID_HOST
from coordination.ground import crypto
from coordination.ground.errors import Conflict, Invalid, NotFound
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork

BEHIND, AHEAD = timedelta(days=1), timedelta(days=400)
EVERY, LONGEST_WAIT = timedelta(hours=1), timedelta(hours=24)
# how long a worker may take before another one tries
LEASE = timedelta(minutes=15)
# what is far ahead comes into sight even if the file never changes
READ_WHOLE_EVERY = timedelta(days=7)
MOST_SOURCES = 5
TOLD_AFTER = 3


@dataclass(frozen=True, slots=True)
class Due:
    """An address to be read now."""

    source_id: int
    address: str
    etag: str
    modified: str


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
    """Read an address from now on; the first reading is the worker's next."""
    owner = _authorized(uow, resource_id)
    try:
        plain = fetch.clean_address(address)
    except RefusedAddress as error:
        said = in_words(None, error.reason)
        raise Invalid(said, fields={"address": said}) from error
    source = _added(uow, resource_id, owner, name or (urlsplit(plain).hostname or ""))
    source.address_enc = crypto.encrypt(plain, _context(resource_id))
    source.next_at = uow.now
    uow.session.flush()  # the event carries the id
    uow.record(BusySourceAdded(source.id))
    return source


def upload(
    uow: UnitOfWork, *, resource_id: int, content: bytes, name: str, zone: ZoneInfo
) -> BusySource:
    """Take the busy times of a file; Invalid with the part and the reason if it is not understood."""
    owner = _authorized(uow, resource_id)
    try:
        spans = _spans(content, uow.now, zone)
    except RefusedCalendar as error:
        said = in_words(error.component, error.reason)
        raise Invalid(said, fields={"file": said}) from error
    source = _added(uow, resource_id, owner, name)
    uow.session.flush()  # the spans refer to it
    _replace(uow, source, spans)
    uow.record(BusySourceAdded(source.id))
    return source


def remove(uow: UnitOfWork, *, source_id: int) -> None:
    """Forget a calendar and its busy times."""
    source = _own(uow, source_id)
    uow.session.delete(source)
    uow.record(BusySourceRemoved(source_id))


def read_now(uow: UnitOfWork, *, source_id: int) -> None:
    """Let the worker read an address at once, and as a whole."""
    source = _own(uow, source_id)
    if source.address_enc is None:
        raise NotFound()
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
    source.next_at, source.tried_at = uow.now + LEASE, uow.now
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
    source = uow.session.get(BusySource, source_id, with_for_update=True)
    if source is None:
        return  # removed meanwhile
    if reading.failed_reason is not None:
        source.failures += 1
        source.failed_part, source.failed_reason = reading.failed_part, reading.failed_reason
        source.next_at = uow.now + min(EVERY * 2 ** min(source.failures, 10), LONGEST_WAIT)
        if source.failures == TOLD_AFTER:
            uow.record(BusySourceFailed(source.id))
        return
    source.etag, source.modified = reading.etag, reading.modified
    source.next_at = uow.now + EVERY
    if reading.spans is None:
        source.failures, source.failed_part, source.failed_reason = 0, None, None
        return
    _replace(uow, source, reading.spans)
    uow.record(BusySourceRead(source.id))


def _replace(uow: UnitOfWork, source: BusySource, spans: Sequence[Span]) -> None:
    source.read_at = source.tried_at = uow.now
    source.failures, source.failed_part, source.failed_reason = 0, None, None
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


def failing(session: Session, owner_ids: Collection[int]) -> list[BusySource]:
    """Calendars of these owners that could not be read several times running."""
    return list(
        session.scalars(
            select(BusySource)
            .where(BusySource.owner_id.in_(owner_ids), BusySource.failures >= TOLD_AFTER)
            .order_by(BusySource.id)
        )
    )


def busy_between(
    session: Session, resource_ids: Collection[int], since: datetime, until: datetime
) -> list[tuple[int, Span]]:
    """(resource, span) of everything that touches [since, until)."""
    if not resource_ids:
        return []
    rows = session.execute(
        select(BusySpan.resource_id, BusySpan.starts_at, BusySpan.ends_at)
        .where(
            BusySpan.resource_id.in_(resource_ids),
            BusySpan.starts_at < until,
            BusySpan.ends_at > since,
        )
        .order_by(BusySpan.starts_at)
    )
    return [(resource, Span(start, end)) for resource, start, end in rows]
