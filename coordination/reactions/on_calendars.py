"""What follows from calendars of others: a partner's that fails is told to its staff, once; the
district's school year goes into everybody's.
"""

from __future__ import annotations

from coordination.domain.agenda import schoolyear
from coordination.domain.agenda.audiences import resources_of
from coordination.domain.agenda.events import BusySourceFailed
from coordination.domain.agenda.models import BusySource
from coordination.domain.agenda.refusals import in_words
from coordination.domain.people.events import SchoolYearChanged
from coordination.domain.people.recipients import partner_staff
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork
from coordination.reactions.notices import tell
from coordination.reactions.reminders import zone
from coordination.reactions.wording import when


def source_failed(uow: UnitOfWork, event: BusySourceFailed) -> None:
    """One text per failure, however long it lasts."""
    source = uow.session.get_one(BusySource, event.source_id)
    titles = dict(resources_of(uow.session, [source.owner_id]))
    since, known = source.failing_since or uow.now, source.checked_at
    tell(
        uow,
        "calendar_failing",
        partner_staff(uow.session, source.owner_id, uow.now.date()),
        {
            "resource": titles[source.resource_id],
            "calendar": source.name,
            "reason": in_words(source.failed_part, source.failed_reason or ""),
            "since": when(known, zone()) if known else Text("（从未读取成功）", "(never read)"),
        },
        subject=("busy_source", source.id),
        version=since.isoformat(),
    )


def school_year_changed(uow: UnitOfWork, _event: SchoolYearChanged) -> None:
    """The district's calendar follows at once."""
    schoolyear.write(uow)
