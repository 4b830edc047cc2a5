"""Say several messages that are due for one recipient in one. Must not know what they say.

In the claiming transaction, and by statements for all families of a batch: whoever claims holds the
rows of the messages, so two workers never take the same one, and each goes into one other only, by
the key of its row in `merged_message`. What is gathered keeps its row with the reason `merged`;
where the one stands that says it, it stands too (`merged`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Connection,
    Select,
    any_,
    func,
    literal,
    select,
    text,
)

from notifications import outbox
from notifications.models import OutboxMessage
from notifications.resolving import Gatherer, Resolver
from notifications.states import WAITING, State
from notifications.values import Address, DueMessage, Outgoing, Skip

Answers = Mapping[int, Address | Skip | State]
# what waits for longer has a reason of its own
LOOK_BACK = timedelta(days=40)


def gather(
    connection: Connection,
    resolver: Resolver,
    rows: Sequence[DueMessage],
    answers: Answers,
    at: datetime,
    *,
    columns: Sequence[Any],
    check: Callable[[Sequence[DueMessage]], Answers],
) -> set[int]:
    """Merge what of these claimed rows, and of what else is due for the same recipients, can be said
    in one; returns the ids that are said by another now. That other is due, and claimed like any.
    """
    if not isinstance(resolver, Gatherer):
        return set()
    held = any(r.state == State.HELD for r in rows)
    if not held and len({r.recipient_id for r in rows}) == len(rows):
        # a wide notice: as a rule nothing more has to be looked at
        return set()
    fit = [r for r in rows if isinstance(answers[r.id], Address) and _alone(r, resolver)]
    # what was held is released at one moment, in the order of its notices: the rest of a family's may
    # stand far behind. What has just been written is looked for in this batch alone.
    released = {r.recipient_id for r in fit if r.state == State.HELD}
    if released:
        more = [
            r
            for r in map(
                DueMessage._make,
                connection.execute(_others(columns, released, [r.id for r in rows], at)),
            )
            if _alone(r, resolver)
        ]
        theirs = check(more) if more else {}
        fit += [r for r in more if isinstance(theirs[r.id], Address)]
    families: dict[tuple[object, ...], list[DueMessage]] = defaultdict(list)
    for row in sorted(fit, key=lambda r: r.id):
        families[row.household_key, row.recipient_id, row.channel, row.language].append(row)
    several = [f for f in families.values() if len({(r.subject_type, r.subject_id) for r in f}) > 1]
    if not several:
        return set()
    said = resolver.gather(connection, several)
    return _merge(connection, list(zip(several, said, strict=True)), at)


def _alone(row: DueMessage, resolver: Gatherer) -> bool:
    """Whether a row may be merged: a kind that may, never tried, and useful at any time."""
    return (
        row.tries == 0
        and row.valid_until is None
        and resolver.may_gather(row.template_key, row.message_class)
    )


def _others(
    columns: Sequence[Any],
    recipients: Collection[int],
    claimed: Collection[int],
    at: datetime,
) -> Select[Any]:
    """What else is due for these recipients; locked, and what another worker has is left to it."""
    return (
        select(*columns)
        .where(
            OutboxMessage.recipient_id == any_(literal(list(recipients), ARRAY(BigInteger))),
            OutboxMessage.created_at > at - LOOK_BACK,
            OutboxMessage.state.in_(WAITING),
            OutboxMessage.next_at <= at,
            OutboxMessage.id != func.all(literal(list(claimed), ARRAY(BigInteger))),
        )
        .order_by(OutboxMessage.id)
        .with_for_update(skip_locked=True)
    )


_INTO = text(
    """
    with meant as (
        select * from unnest(cast(:ids as bigint[]), cast(:keys as text[])) as t (id, key)
    ), put as (
        insert into merged_message (message_id, into_id, at)
        select t.id, m.id, :at from meant t join outbox_message m on m.dedupe_key = t.key
        returning message_id
    )
    update outbox_message m
    set state = 'merged', reason_code = 'merged', updated_at = :at
    from put where m.id = put.message_id
    returning m.id
    """
)


def _merge(
    connection: Connection,
    found: Sequence[tuple[Sequence[DueMessage], Outgoing | None]],
    at: datetime,
) -> set[int]:
    messages = [(rows, said) for rows, said in found if said is not None]
    if not messages:
        return set()
    written = [outbox.row_of(said, at) for _, said in messages]
    connection.execute(outbox.INSERT, {"rows": written})
    done = connection.execute(
        _INTO,
        {
            "ids": [row.id for rows, _ in messages for row in rows],
            "keys": [said.dedupe_key for rows, said in messages for _ in rows],
            "at": at,
        },
    )
    return {row.id for row in done}
