"""A text of a notice that ended without a provider having taken it is given back to its account, once.

By the clock and for many at a time, so that those who claim and record know nothing of budgets. What
is in doubt stays counted until the doubt is settled. Only notices: of other happenings some texts are
on no account, and their rows do not tell which.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import date, timedelta

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from coordination.authz.actions import Action
from coordination.domain.communication.models import TextReturned
from coordination.domain.communication.texts import budgets
from coordination.ground.uow import UnitOfWork
from notifications import outbox
from notifications.models import OutboxMessage
from notifications.segments import segments

# beyond that nobody can spend of the month any more
LOOKED_BACK = timedelta(days=40)
AT_ONCE = 2000


def give_back(uow: UnitOfWork) -> int:
    """Give back what has ended unsent since the last time; how many texts."""
    uow.authorize(Action.SYSTEM_RUN)
    unsent = outbox.ended_unsent("notice", uow.now - LOOKED_BACK)
    known = select(TextReturned.message_id).where(TextReturned.message_id == unsent.c.id)
    # of two clocks the second waits for the first's keys, and then has none of these texts
    ids = uow.session.scalars(
        insert(TextReturned)
        .from_select(
            ["message_id"],
            select(unsent.c.id).where(~known.exists()).order_by(unsent.c.id).limit(AT_ONCE),
        )
        .on_conflict_do_nothing()
        .returning(TextReturned.message_id)
    ).all()
    sizes: dict[tuple[int, date], list[int]] = defaultdict(list)
    for notice_id, written, body in uow.session.execute(
        select(OutboxMessage.subject_id, OutboxMessage.created_at, OutboxMessage.body).where(
            OutboxMessage.id.in_(ids), OutboxMessage.body.is_not(None)
        )
    ):
        sizes[notice_id, budgets.month_of(written)].append(segments(body or "").count)
    for (notice_id, month), counts in sorted(sizes.items()):
        budgets.give_back(uow, ("notice", notice_id), len(counts), sum(counts), month=month)
    return len(ids)
