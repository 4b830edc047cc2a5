"""Writing a notice to its recipients, a stretch at a time.

A round is the first text or a reminder; it is one row however many recipients it has.
"""

from __future__ import annotations

from datetime import date

from sqlalchemy import BigInteger, ColumnElement, and_, case, func, literal, not_, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.domain.communication.events import NoticeStretchDue
from coordination.domain.communication.models import Notice, NoticeRecipient, NoticeRound
from coordination.domain.communication.notices.reach import WIDE, children_of
from coordination.domain.communication.texts import family_budget
from coordination.domain.people.contacts import OPTED_OUT
from coordination.domain.people.recipients import recipients_query
from coordination.ground.uow import UnitOfWork

STRETCH = 1000


def begin_round(
    uow: UnitOfWork,
    notice: Notice,
    number: int,
    segments: tuple[int, int] = (0, 0),
    today: date | None = None,
) -> None:
    """Start a round. Some classes are written to at once; a whole school is left to the clock, so
    that the sender need not wait. `segments` are those of all texts and of one of them."""
    begun = NoticeRound(
        notice_id=notice.id,
        number=number,
        started_at=uow.now,
        upto=0,
        reserved=segments[0],
        segments_each=segments[1],
    )
    uow.session.add(begun)
    uow.session.flush()
    while notice.reach not in WIDE and begun.done_at is None:
        _stretch(uow, notice, begun, today)


def open_rounds(session: Session) -> list[int]:
    """Rounds that still have recipients to be written to, the oldest first."""
    return list(
        session.scalars(
            select(NoticeRound.id).where(NoticeRound.done_at.is_(None)).order_by(NoticeRound.id)
        )
    )


def write_stretch(uow: UnitOfWork, *, round_id: int, today: date | None = None) -> bool:
    """Write to the next stretch of an open round; whether there is more to do. `today` is that of
    the district."""
    uow.authorize(Action.SYSTEM_RUN)
    found = uow.session.get(NoticeRound, round_id, with_for_update=True)
    if found is None or found.done_at is not None:
        return False
    notice = uow.session.get_one(Notice, found.notice_id, with_for_update={"read": True})
    _stretch(uow, notice, found, today)
    return found.done_at is None


def _stretch(
    uow: UnitOfWork, notice: Notice, begun: NoticeRound, today: date | None = None
) -> None:
    if notice.state == "cancelled":
        begun.done_at = uow.now
        return
    if begun.number == 0 and begun.upto == 0:
        _fill_recipients(uow, notice, today or uow.now.date())
        begun.families_over = _too_many(uow, notice)
    if begun.number < notice.first_text:
        begun.done_at = uow.now  # they find it on the platform
        return
    told: ColumnElement[bool] = NoticeRecipient.told_via_id == NoticeRecipient.guardian_id
    first_alert = bool(notice.alert) and begun.number == notice.first_text
    if first_alert:
        told = or_(told, NoticeRecipient.skip_reason.is_not(None))  # they may have a mailbox
    query = (
        select(NoticeRecipient.id, NoticeRecipient.skip_reason.is_(None))
        .where(NoticeRecipient.notice_id == notice.id, told, NoticeRecipient.id > begun.upto)
        .order_by(NoticeRecipient.id)
        .limit(STRETCH)
    )
    if begun.number:
        query = query.where(NoticeRecipient.nudges == begun.number)
    rows = uow.session.execute(query).all()
    ids = tuple(number for number, _ in rows)
    if ids:
        begun.upto = ids[-1]
        begun.reserved = max(
            0, begun.reserved - sum(texted for _, texted in rows) * begun.segments_each
        )
        uow.record(NoticeStretchDue(notice.id, begun.number, ids))
    if len(ids) < STRETCH:
        begun.done_at = uow.now


def _too_many(uow: UnitOfWork, notice: Notice) -> int | None:
    """For how many families a notice that leaves now is more than they should get in a week, if that
    is counted: what is urgent is not, and of what begins on the platform most families get no text."""
    if notice.urgent_reason or notice.page_first:
        return None
    told = select(NoticeRecipient.household_key).where(
        NoticeRecipient.notice_id == notice.id,
        NoticeRecipient.told_via_id == NoticeRecipient.guardian_id,
    )
    wide = notice.reach == "district"
    seen = family_budget.outlook(uow.session, told, at=uow.now, now=uow.now, wide=wide)
    return seen.over if seen else None


def _fill_recipients(uow: UnitOfWork, notice: Notice, today: date) -> None:
    """One row per guardian, by one statement; each phone is told once, whoever shares it."""
    found = recipients_query(children_of(notice, today), today)
    stopped: ColumnElement[bool] = found.c.stopped
    if notice.urgent_reason:
        # an opt-out stops what is routine
        stopped = and_(stopped, found.c.why != OPTED_OUT)
    reachable = and_(found.c.has_phone, not_(stopped))
    via = func.first_value(case((reachable, found.c.guardian_id))).over(
        partition_by=found.c.household_key,
        order_by=(reachable.desc(), found.c.rank, found.c.guardian_id),
    )
    row = select(found, via.label("via")).subquery("row")
    uow.session.execute(
        insert(NoticeRecipient)
        .from_select(
            [
                "notice_id",
                "guardian_id",
                "child_ids",
                "household_key",
                "language",
                "told_via_id",
                "skip_reason",
            ],
            select(
                literal(notice.id, BigInteger),
                row.c.guardian_id,
                row.c.child_ids,
                row.c.household_key,
                row.c.language,
                row.c.via,
                case(
                    (row.c.via.is_not(None), None),
                    (row.c.has_phone, row.c.why),
                    else_="no_phone",
                ),
            ).order_by(row.c.rank, row.c.guardian_id),
            include_defaults=False,
        )
        .on_conflict_do_nothing(index_elements=["notice_id", "guardian_id"])
    )
