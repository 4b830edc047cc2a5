"""How many routine texts a family should get in a week: set, and held up to who writes one more.

A family is a phone here: what several guardians read on one is one text, and two phones of a household
are two. The budget warns and never refuses: what must be said is said, and what is urgent is neither
counted nor warned of. A week is that in which the texts leave, from Monday on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from sqlalchemy import (
    ColumnElement,
    DateTime,
    Select,
    case,
    cast,
    func,
    literal,
    not_,
    null,
    or_,
    select,
    union_all,
)
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.authz.rules import Scope
from coordination.domain.communication import policies
from coordination.domain.communication.models import FamilyBudget
from coordination.domain.communication.texts import budgets
from coordination.domain.people.models import ContactPoint
from coordination.domain.people.recipients import recipients_query
from coordination.ground.errors import Invalid
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork
from notifications import taken
from notifications.values import UNLIMITED

MOST_PER_WEEK = 50

# the wordings by which families are spoken to; what staff, partners and volunteers are told of their
# work, and codes for signing in, are no load of a family
TO_FAMILIES = frozenset(
    {
        "booking_cancelled_family",
        "consent_asked",
        "consent_recorded",
        "consent_reminder",
        "enrolment_place",
        "notice",
        "notice_nudge",
        "notices_together",
        "safe_return",
        "session_cancelled",
        "session_moved",
        "session_moved_family",
        "session_reminder",
        "session_return",
    }
)

# (session, when a notice is due) -> until when its texts wait; None: they leave at once
Waits = Callable[[Session, datetime], datetime | None]
_waits: list[Waits] = []


def held_by(waits: Waits) -> None:
    """Say who knows until when a notice has to wait."""
    _waits[:] = [waits]


def chosen(session: Session) -> int | None:
    """What the district has set; None if it has not."""
    found = policies.chosen(session, FamilyBudget)
    return found.per_week if found is not None else None


def set_per_week(uow: UnitOfWork, *, org_id: int, per_week: int | None) -> None:
    """Set how many routine texts a family should get in a week; None or 0 lifts it."""
    uow.authorize(Action.LIMIT_SET, Scope(school=org_id))
    if per_week is not None and not 0 <= per_week <= MOST_PER_WEEK:
        raise Invalid(
            fields={
                "per_week": Text(
                    f"请填写 0 到 {MOST_PER_WEEK} 之间的整数；0 或留空表示不设。",
                    f"Enter a whole number from 0 to {MOST_PER_WEEK}; 0 or empty means none.",
                )
            }
        )
    if per_week:
        policies.to_set(uow, FamilyBudget, org_id).per_week = per_week
    elif (known := policies.chosen(uow.session, FamilyBudget)) is not None:
        uow.session.delete(known)


def monday_of(at: datetime) -> date:
    """The week in which a text that leaves at `at` is counted, as its Monday."""
    day = at.astimezone(budgets.zone()).date()
    return day - timedelta(days=day.weekday())


def span_of(monday: date) -> tuple[datetime, datetime]:
    """From when until before when a week lasts."""
    begin, end = (
        datetime.combine(day, time(), budgets.zone()).astimezone(UTC)
        for day in (monday, monday + timedelta(days=7))
    )
    return begin, end


def is_routine(message_class: ColumnElement[str]) -> ColumnElement[bool]:
    """The condition under which a text counts against the budget."""
    return message_class.not_in(UNLIMITED)


@dataclass(frozen=True, slots=True)
class Outlook:
    """What one more notice would be to the families it is texted to."""

    per_week: int
    families: int
    # that would get more than the budget in the week in which it leaves
    over: int
    # how many routine texts that week it would make for whom it makes most
    most: int


def families_of(children: Select[int], today: date) -> Select[str]:
    """The families to whom a routine notice about these children would be texted, by household key."""
    found = recipients_query(children, today)
    return select(found.c.household_key).where(found.c.has_phone, not_(found.c.stopped)).distinct()


def outlook(
    session: Session, families: Select[str], *, at: datetime, now: datetime, wide: bool = False
) -> Outlook | None:
    """What a routine notice to these families, due at `at`, would be to them; None without a budget.

    What waits to leave that week counts; notices that wait for one moment leave as one text, so one
    that joins them adds none. For a whole district (`wide`) all texts of the week are gone through
    once, else only those to the people who read these phones.
    """
    per_week = chosen(session)
    if per_week is None:
        return None
    until = next((wait(session, at) for wait in _waits), None)
    leaves = until or at
    begin, end = span_of(monday_of(leaves))
    family = families.cte("family")
    if wide:
        had, waits = taken.texts(session, begin, end, TO_FAMILIES), taken.waiting(TO_FAMILIES)
    else:
        readers = session.scalars(readers_of(families)).all()
        had = taken.texts_of(readers, begin, end, TO_FAMILIES)
        waits = taken.waiting_of(readers, begin, TO_FAMILIES)
    text, message = had.subquery("text"), waits.subquery("message")
    notice = message.c.subject_type == "notice"
    # one heap of rows, counted by family: no join whose size anybody has to guess
    rows = union_all(
        select(family.c.household_key, *_columns(family=True)),
        select(text.c.household_key, *_columns(count=1)).where(is_routine(text.c.message_class)),
        select(
            message.c.household_key,
            *_columns(
                count=case((notice, 0), else_=1),
                moment=case((notice, func.greatest(message.c.next_at, leaves))),
            ),
        ).where(
            is_routine(message.c.message_class),
            message.c.next_at < end,
            # what is due by now leaves now, and not in a week to come
            or_(message.c.next_at >= begin, literal(begin <= now)),
        ),
    ).subquery("rows")
    moments = func.count(rows.c.moment.distinct())
    more: ColumnElement[int] = literal(1)
    if until is not None:
        more = case((func.bool_or(rows.c.moment == leaves), 0), else_=1)
    each = (
        select((func.sum(rows.c.count) + moments + more).label("total"))
        .group_by(rows.c.household_key)
        .having(func.bool_or(rows.c.family))
        .subquery("each")
    )
    count, over, most = session.execute(
        select(
            func.count(),
            func.count().filter(each.c.total > per_week),
            func.coalesce(func.max(each.c.total), 0),
        ).select_from(each)
    ).one()
    return Outlook(per_week, count, over, int(most))


def _columns(
    *,
    family: bool = False,
    count: ColumnElement[int] | int = 0,
    moment: ColumnElement[datetime] | None = None,
) -> tuple[ColumnElement[bool], ColumnElement[int], ColumnElement[datetime]]:
    """What a row of the heap says beside its family: that it is one of ours, a text, or the moment at
    which notices leave as one."""
    return (
        literal(family).label("family"),
        (literal(count) if isinstance(count, int) else count).label("count"),
        cast(null() if moment is None else moment, DateTime(timezone=True)).label("moment"),
    )


def readers_of(families: Select[str]) -> Select[int]:
    """Whoever reads these phones: a text may have been addressed to another of them."""
    family = families.subquery("phone")
    return (
        select(ContactPoint.person_id)
        .join(family, ContactPoint.value_index == func.decode(family.c.household_key, "hex"))
        .where(ContactPoint.kind == "phone")
    )
