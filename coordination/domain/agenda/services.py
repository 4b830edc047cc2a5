"""Keeps calendar entries: stable UID, SEQUENCE that rises only with a real change, tombstones.

Called by reactions inside the transaction of the change, so a feed can never disagree with it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import date, datetime, timedelta
from typing import cast

from sqlalchemy import case, delete, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from calendars import feed, revision
from calendars.values import Entry, Status
from calendars.zones import DISTRICT, zone_named
from coordination.authz.actions import Action
from coordination.domain.agenda.audiences import Audience as Audience
from coordination.domain.agenda.models import LONGEST, CalendarEntry, EntryAudience, FeedVersion
from coordination.ground import portal
from coordination.ground.errors import Invalid
from coordination.ground.text import LANGUAGES, Language, Text
from coordination.ground.uow import UnitOfWork

TOMBSTONE_DAYS = 90
# said in the title too: calcurse and the calendars of some phones do not look at STATUS
OFF = Text("已取消：", "Cancelled: ")
NUMBER = Text("日程编号", "entry")
UID_HOST = "coordination"

# latitude, longitude
Place = tuple[float, float]


def put(
    uow: UnitOfWork,
    *,
    subject_type: str,
    subject_id: int,
    category: str,
    starts_at: datetime,
    ends_at: datetime,
    summary: Text,
    location: Text,
    description: Text,
    audiences: Iterable[Audience],
    geo: Place | None = None,
    tentative: bool = False,
    all_day: bool = False,
) -> CalendarEntry:
    """Write or revise the entry of a subject and the audiences it concerns (replaced as a whole).

    What takes whole days starts and ends at midnight on the district's clock. `geo` is latitude and
    longitude of the location in degrees (WGS 84).
    """
    if ends_at - starts_at > LONGEST:
        raise Invalid(Text("日程太长。", "An entry this long is not kept."))
    row = _row_of(uow, subject_type, subject_id)
    old = {lang: as_entry(row, lang) for lang in LANGUAGES} if row is not None else None
    if row is None:
        row = CalendarEntry(
            uid=f"{subject_type}-{subject_id}@{UID_HOST}",
            subject_type=subject_type,
            subject_id=subject_id,
            created_at=uow.now.replace(microsecond=0),
            last_modified=uow.now.replace(microsecond=0),
            sequence=0,
            fragment_zh=b"",
            fragment_en=b"",
        )
        uow.session.add(row)
    row.category = category
    row.starts_at, row.ends_at, row.all_day = starts_at, ends_at, all_day
    row.status = "tentative" if tentative else "confirmed"
    row.cancelled_at = None
    row.summary_zh, row.summary_en = summary.zh, summary.en
    row.location_zh, row.location_en = location.zh, location.en
    row.lat, row.lng = geo or (None, None)
    row.description_zh, row.description_en = description.zh, description.en
    if old is None:
        uow.session.flush()  # the entry's number stands in the entry
    changed = _render(uow, row, old)
    before = {(a.kind, a.audience_id) for a in _audiences(uow, row)}
    wanted = set(audiences)
    _write_audiences(uow, row, before, wanted)
    touched = wanted | before if changed else wanted ^ before
    _raise_versions(uow, touched)
    return row


def cancel(uow: UnitOfWork, *, subject_type: str, subject_id: int) -> None:
    """Turn an entry into a tombstone (STATUS:CANCELLED); nothing happens if there is none."""
    row = _row_of(uow, subject_type, subject_id)
    if row is None or row.status == "cancelled":
        return
    old = {lang: as_entry(row, lang) for lang in LANGUAGES}
    row.status, row.cancelled_at = "cancelled", uow.now
    _render(uow, row, old)
    _raise_versions(uow, {(a.kind, a.audience_id) for a in _audiences(uow, row)})


def add_audience(
    uow: UnitOfWork, *, subject_type: str, subject_id: int, audiences: Collection[Audience]
) -> None:
    """Let an existing entry also stand in the calendars of `audiences`."""
    row = _row_of(uow, subject_type, subject_id)
    if row is None:
        return
    before = {(a.kind, a.audience_id) for a in _audiences(uow, row)}
    _write_audiences(uow, row, before, before | set(audiences))
    _raise_versions(uow, set(audiences) - before)


def remove_audience(
    uow: UnitOfWork, *, subject_type: str, subject_id: int, audiences: Collection[Audience]
) -> None:
    """Take an entry out of the calendars of `audiences`."""
    row = _row_of(uow, subject_type, subject_id)
    if row is None:
        return
    before = {(a.kind, a.audience_id) for a in _audiences(uow, row)}
    _write_audiences(uow, row, before, before - set(audiences))
    _raise_versions(uow, before & set(audiences))


def forget_tombstones(uow: UnitOfWork) -> int:
    """Take entries that were cancelled long ago out of every calendar; their UIDs stay taken."""
    uow.authorize(Action.SYSTEM_RUN)
    old = select(CalendarEntry.id).where(
        CalendarEntry.cancelled_at < uow.now - timedelta(days=TOMBSTONE_DAYS)
    )
    gone = uow.session.execute(
        delete(EntryAudience)
        .where(EntryAudience.entry_id.in_(old))
        .returning(EntryAudience.kind, EntryAudience.audience_id)
    ).all()
    _raise_versions(uow, {(kind, ident) for kind, ident in gone})
    return len(gone)


def render_again(uow: UnitOfWork, *, after: int, limit: int = 1_000) -> int | None:
    """Render a stretch of entries as they would be rendered now, after a new PUBLIC_URL, say.

    The number to go on after; None when all are done. Nothing but the bytes changes.
    """
    uow.authorize(Action.SYSTEM_RUN)
    rows = uow.session.scalars(
        select(CalendarEntry)
        .where(CalendarEntry.id > after)
        .order_by(CalendarEntry.id)
        .limit(limit)
        .with_for_update()
    ).all()
    touched: set[Audience] = set()
    for row in rows:
        if _render(uow, row, {lang: as_entry(row, lang) for lang in LANGUAGES}):
            touched |= {(a.kind, a.audience_id) for a in _audiences(uow, row)}
    _raise_versions(uow, touched)
    return rows[-1].id if rows else None


def as_entry(row: CalendarEntry, language: Language) -> Entry:
    """A stored entry as the calendar library knows it."""
    zh = language == "zh"
    summary = row.summary_zh if zh else row.summary_en
    about = row.description_zh if zh else row.description_en
    if row.status == "cancelled":
        summary = OFF.in_(language) + summary
    if not row.all_day:  # nobody looks a holiday up
        about = f"{about}\n{portal.NAME.in_(language)} · {NUMBER.in_(language)} {row.id}".strip()
    return Entry(
        uid=row.uid,
        sequence=row.sequence,
        summary=summary,
        description=about,
        location=row.location_zh if zh else row.location_en,
        starts_at=_day_of(row.starts_at) if row.all_day else row.starts_at,
        ends_at=_day_of(row.ends_at) if row.all_day else row.ends_at,
        all_day=row.all_day,
        status=cast(Status, row.status),
        last_modified=row.last_modified,
        created=row.created_at,
        categories=(row.category,),
        url=None if row.all_day else portal.address(portal.entry_path(row.id)),
        geo=place(row.lat, row.lng),
    )


def place(lat: float | None, lng: float | None) -> Place | None:
    """Both coordinates or none: half a place is no place."""
    return None if lat is None or lng is None else (lat, lng)


def _day_of(midnight: datetime) -> date:
    return midnight.astimezone(zone_named(DISTRICT)).date()


def _row_of(uow: UnitOfWork, subject_type: str, subject_id: int) -> CalendarEntry | None:
    # locked: two changes of one subject must not both raise SEQUENCE from the same number
    return uow.session.scalar(
        select(CalendarEntry)
        .where(CalendarEntry.subject_type == subject_type, CalendarEntry.subject_id == subject_id)
        .with_for_update()
    )


def _render(uow: UnitOfWork, row: CalendarEntry, old: dict[Language, Entry] | None) -> bool:
    """Revise and render both languages; whether any byte of the entry changed."""
    fragments = {}
    sequence, modified = row.sequence, row.last_modified
    for language in LANGUAGES:
        entry = as_entry(row, language)
        if old is not None:
            entry = revision.revise(old[language], entry, uow.now)
        sequence = max(sequence, entry.sequence)
        modified = max(modified, entry.last_modified)
    row.sequence, row.last_modified = sequence, modified
    for language in LANGUAGES:
        fragments[language] = feed.render_entry(as_entry(row, language))
    changed = row.fragment_zh != fragments["zh"] or row.fragment_en != fragments["en"]
    row.fragment_zh, row.fragment_en = fragments["zh"], fragments["en"]
    return changed


def _audiences(uow: UnitOfWork, row: CalendarEntry) -> list[EntryAudience]:
    return list(uow.session.scalars(select(EntryAudience).where(EntryAudience.entry_id == row.id)))


def _write_audiences(
    uow: UnitOfWork, row: CalendarEntry, before: set[Audience], wanted: set[Audience]
) -> None:
    if wanted & before:
        uow.session.execute(
            update(EntryAudience)
            .where(
                EntryAudience.entry_id == row.id,
                or_(EntryAudience.starts_at != row.starts_at, EntryAudience.ends_at != row.ends_at),
            )
            .values(starts_at=row.starts_at, ends_at=row.ends_at)
        )
    for kind, audience_id in sorted(wanted - before):
        uow.session.add(
            EntryAudience(
                entry_id=row.id,
                kind=kind,
                audience_id=audience_id,
                starts_at=row.starts_at,
                ends_at=row.ends_at,
            )
        )
    for kind, audience_id in before - wanted:
        uow.session.execute(
            delete(EntryAudience).where(
                EntryAudience.entry_id == row.id,
                EntryAudience.kind == kind,
                EntryAudience.audience_id == audience_id,
            )
        )


def _raise_versions(uow: UnitOfWork, audiences: set[Audience]) -> None:
    if not audiences:
        return
    # sorted, so that two transactions meet the rows in one order
    rows = [
        {"kind": kind, "audience_id": audience_id, "changed_at": uow.now}
        for kind, audience_id in sorted(audiences)
    ]
    statement = insert(FeedVersion).values(rows)
    uow.session.execute(
        statement.on_conflict_do_update(
            index_elements=["kind", "audience_id"],
            set_={
                "version": FeedVersion.version + 1,
                "changed_at": case(
                    (
                        statement.excluded.changed_at > FeedVersion.changed_at,
                        statement.excluded.changed_at,
                    ),
                    else_=FeedVersion.changed_at,
                ),
            },
        )
    )
