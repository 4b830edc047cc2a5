"""Claiming: the first step of the protocol that neither loses a message nor repeats one.

1. Claim (here): rows are locked, everything that may have changed is checked again, an attempt with
   its id is written, commit.  2. Send (`pump`): no transaction is open while the provider is asked.
3. Record (`recording`): acceptance first and alone.  4. Doubt becomes `unknown` and is never sent
   again until the provider, or a receipt, has answered and the sender is proven dead (`reconciling`).

Must not know any provider, nor where addresses live: the application's `Resolver` tells them.
"""

from __future__ import annotations

import json
import zlib
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from os import urandom
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    Connection,
    Engine,
    Text,
    any_,
    bindparam,
    func,
    literal,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB

from notifications import clock, holding, retry, suppressions
from notifications.arrays import array_text
from notifications.gathering import gather
from notifications.models import DeliveryAttempt, DeliveryCircuit, OutboxMessage
from notifications.resolving import Resolver
from notifications.states import BURDENS, WAITING, AttemptState, State
from notifications.values import UNLIMITED, Address, Attempt, Claimed, DueMessage, Skip, mask
from notifications.ways import Ways, choose, patience
from notifications.workers import refuse_dead_worker


@dataclass(frozen=True, slots=True)
class Batch:
    """What was claimed, how many messages were looked at for it, and who serves each route now."""

    claimed: list[Claimed]
    seen: int
    using: Mapping[str, str] = field(default_factory=dict)


def claim(
    engine: Engine,
    worker_id: int,
    limit: int,
    *,
    resolver: Resolver,
    routes: Collection[str],
    ids: Sequence[int] | None = None,
    now: datetime | None = None,
) -> list[Claimed]:
    """Take up to `limit` due messages for this worker and commit the intent to send them."""
    ways = Ways({route: (route,) for route in routes})
    return take(engine, worker_id, limit, resolver=resolver, ways=ways, ids=ids, now=now).claimed


def take(
    engine: Engine,
    worker_id: int,
    limit: int,
    *,
    resolver: Resolver,
    ways: Ways,
    ids: Sequence[int] | None = None,
    now: datetime | None = None,
) -> Batch:
    """Claim for the channel that should carry each message (see `ways`)."""
    at = now or clock.now()
    with engine.begin() as connection:
        refuse_dead_worker(connection, worker_id)
        shut = _shut(connection, at)
        using = ways.open_routes(shut)
        hold = holding.standing(connection)
        rows = _due(connection, at, limit, using, ids, hold)
        claimed: list[Claimed] = []
        # who asks for certain messages wants these, not others that say them; and what is held after
        # a restore must not leave in one that is not
        alone = ids is not None or hold is not None
        for row, attempt, able in _to_send(connection, resolver, ways, rows, at, alone=alone):
            faults = able.faults
            name = choose(able.names, shut, faults, patience(row.message_class))
            if name is None:
                # who could carry it is shut; the one that is not could only refuse it
                _wait(connection, row.id, min(shut[n] for n in able.names), at)
            else:
                claimed.append(_claimed(row, attempt, able, name, shut))
        _write_intents(connection, worker_id, claimed, at)
    return Batch(claimed, len(rows), using)


def take_late(
    engine: Engine,
    worker_id: int,
    limit: int,
    *,
    resolver: Resolver,
    ways: Ways,
    route: str,
    by: str,
    late: timedelta,
    now: datetime | None = None,
) -> Batch:
    """Claim for `by` what has been due for longer than `late`: the one before it does not keep up.

    What `by` cannot carry stays where it is, and what has been refused by it as well.
    """
    at = now or clock.now()
    with engine.begin() as connection:
        refuse_dead_worker(connection, worker_id)
        if by in _shut(connection, at):
            return Batch([], 0)
        hold = holding.standing(connection)
        rows = _due(connection, at - late, limit, [route], hold=hold)
        claimed = [
            _claimed(row, attempt, able, by, {})
            for row, attempt, able in _to_send(connection, resolver, ways, rows, at, alone=True)
            if by in able.names and not able.faults.get(by)
        ]
        _write_intents(connection, worker_id, claimed, at)
    return Batch(claimed, len(rows))


_SHUT = select(DeliveryCircuit.channel, DeliveryCircuit.open_until).where(
    DeliveryCircuit.open_until > bindparam("at")
)


def _shut(connection: Connection, at: datetime) -> dict[str, datetime]:
    """Halted channel -> until when."""
    return {row.channel: row.open_until for row in connection.execute(_SHUT, {"at": at})}


class _Able(NamedTuple):
    """Channels that can carry a message, and how often each has failed at it."""

    names: Sequence[str]
    faults: Mapping[str, int]


def _to_send(
    connection: Connection,
    resolver: Resolver,
    ways: Ways,
    rows: Sequence[DueMessage],
    at: datetime,
    *,
    alone: bool,
) -> list[tuple[DueMessage, Attempt, _Able]]:
    """What may go now, and by which channels; the rest is set aside with its reason."""
    answers = _checked(connection, resolver, rows, at)
    if not alone:
        check = partial(_checked, connection, resolver, at=at)
        merged = gather(connection, resolver, rows, answers, at, columns=_READ, check=check)
        if merged:
            rows = [row for row in rows if row.id not in merged]
    _hold_excess(connection, resolver, rows, answers, at)
    # where there is no choice, there is one answer for all messages
    only = {route: _Able(names, {}) for route, names in ways.order.items() if len(names) == 1}
    tried = [row.id for row in rows if row.tries and row.channel not in only]
    faults = _faults(connection, tried)
    found, aside = [], {}
    for row, attempt_id in zip(rows, _new_ids(len(rows)), strict=True):
        answer = answers[row.id]
        if isinstance(answer, Address):
            attempt = _attempt(row, answer, attempt_id, at)
            able = only.get(row.channel) or _Able(
                ways.able(row.channel, attempt), faults.get(row.id, {})
            )
            found.append((row, attempt, able))
        else:
            aside[row.id] = answer
    if aside:
        _set_aside(connection, aside, at)
    return found


def _faults(connection: Connection, ids: Sequence[int]) -> dict[int, dict[str, int]]:
    """Message -> channel -> how often that one said no through a fault of its own."""
    found: dict[int, dict[str, int]] = defaultdict(dict)
    if not ids:
        return found
    for message_id, channel, count in connection.execute(
        select(DeliveryAttempt.message_id, DeliveryAttempt.channel, func.count())
        .where(
            DeliveryAttempt.message_id.in_(ids),
            DeliveryAttempt.state == AttemptState.REFUSED,
            DeliveryAttempt.provider_fault,
        )
        .group_by(DeliveryAttempt.message_id, DeliveryAttempt.channel)
    ):
        found[message_id][channel] = count
    return found


# no more than the claim reads: what is left out need not be decoded for every message
_READ = [
    # only a gateway that takes no text has values
    func.nullif(OutboxMessage.params, literal({}, JSONB)).label(name)
    if name == "params"
    else OutboxMessage.__table__.c[name]
    for name in DueMessage._fields
]


# made once: a statement that is put together anew costs more than what a message of the batch does
_DUE = (
    select(*_READ)
    .where(
        OutboxMessage.state.in_(WAITING),
        OutboxMessage.next_at <= bindparam("at"),
        OutboxMessage.channel.in_(bindparam("routes", expanding=True)),
    )
    .order_by(OutboxMessage.priority, OutboxMessage.next_at, OutboxMessage.id)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)
_DUE_OF = _DUE.where(OutboxMessage.id.in_(bindparam("ids", expanding=True)))


def _due(
    connection: Connection,
    at: datetime,
    most: int,
    routes: Collection[str],
    ids: Sequence[int] | None = None,
    hold: holding.Hold | None = None,
) -> list[DueMessage]:
    """Lock up to `most` messages that are due; with `ids`, of these; with a hold, none that it holds."""
    given = {"at": at, "most": most, "routes": list(routes)}
    statement = _DUE
    if ids is not None:
        statement, given = _DUE_OF, {**given, "ids": list(ids)}
    if hold is not None:
        statement = statement.where(OutboxMessage.id > hold.upto)
    return list(map(DueMessage._make, connection.execute(statement, given)))


def _checked(
    connection: Connection,
    resolver: Resolver,
    rows: Sequence[DueMessage],
    at: datetime,
) -> dict[int, Address | Skip | State]:
    """Check again all that may have changed since the message was written."""
    answers: dict[int, Address | Skip | State] = {}
    stopped = suppressions.suppressed(connection, {row.recipient_id for row in rows})
    open_rows = []
    for row in rows:
        if row.valid_until is not None and row.valid_until <= at:
            answers[row.id] = State.EXPIRED
        elif row.body is None:
            answers[row.id] = Skip("body_erased")
        elif (
            stopped
            and (reason := stopped.get((row.recipient_id, row.channel)))
            and suppressions.stops(reason, row.message_class)
        ):
            answers[row.id] = Skip(reason)
        else:
            open_rows.append(row)
    if open_rows:
        resolved, nowhere = resolver.resolve(connection, open_rows), Skip("no_address")
        for row in open_rows:
            answers[row.id] = resolved.get(row.id, nowhere)
    return answers


# the class of the advisory locks of addresses; workers have another
ADDRESS_LOCKS = 4243


def _counts(message_class: str, address: Address) -> bool:
    """Whether a message uses up its address's day."""
    return bool(address.key) and address.kind == "sms" and message_class not in UNLIMITED


def _hold_excess(
    connection: Connection,
    resolver: Resolver,
    rows: Sequence[DueMessage],
    answers: dict[int, Address | Skip | State],
    at: datetime,
) -> None:
    """Hold until morning what is beyond an address's day; `answers` is changed in place.

    What would be too late by then goes all the same: one text too many is less than none.
    """
    routine = [
        (row, answer.key)
        for row in rows
        if isinstance(answer := answers[row.id], Address)
        and answer.key is not None
        and _counts(row.message_class, answer)
    ]
    limit = resolver.day_limit(connection, at) if routine else None
    if limit is None:
        return
    keys = {key for _, key in routine}
    # the locks first, and the count in a statement of its own: it then sees what the worker before
    # us, who held them until its commit, has claimed for the same addresses
    _lock_addresses(connection, keys)
    used = _used(connection, keys, limit.since)
    for row, key in routine:
        if used.get(key, 0) < limit.most or (
            row.valid_until is not None and row.valid_until <= limit.until
        ):
            used[key] = used.get(key, 0) + 1
        else:
            answers[row.id] = Skip("daily_cap", limit.until)


_LOCK_ADDRESSES = text(
    "select pg_advisory_xact_lock(:class, n) from unnest(cast(:numbers as int[])) as t (n)"
)


def _lock_addresses(connection: Connection, keys: Collection[str]) -> None:
    """Keep other workers from counting for these addresses until the transaction ends.

    Always in the same order, so that two workers never wait for each other.
    """
    numbers = sorted(
        {
            # two addresses that fall on one number only wait for each other
            zlib.crc32(key.encode()) - 2**31
            for key in keys
        }
    )
    connection.execute(_LOCK_ADDRESSES, {"class": ADDRESS_LOCKS, "numbers": array_text(numbers)})


_USED = (
    select(DeliveryAttempt.address_key, func.count())
    .where(
        DeliveryAttempt.address_key == any_(bindparam("keys", type_=ARRAY(Text))),
        DeliveryAttempt.intent_at >= bindparam("since"),
        DeliveryAttempt.state.in_(BURDENS),
    )
    .group_by(DeliveryAttempt.address_key)
)


def _used(connection: Connection, keys: Collection[str], since: datetime) -> dict[str, int]:
    """How many routine messages each of these addresses has had, or may have had, since then."""
    rows = connection.execute(_USED, {"keys": list(keys), "since": since})
    return {key: count for key, count in rows if key is not None}


def _claimed(
    row: DueMessage,
    attempt: Attempt,
    able: _Able,
    name: str,
    shut: Collection[str],
) -> Claimed:
    return Claimed(
        name,
        attempt,
        row.tries + 1,
        route=row.channel,
        spare=len(able.names) > 1
        and any(other not in shut for other in able.names if other != name),
        bears=patience(row.message_class) - able.faults.get(name, 0),
    )


def _new_ids(count: int) -> list[UUID]:
    """Random ids; the system is asked once for all of them."""
    random = urandom(16 * count)
    return [UUID(bytes=random[n : n + 16], version=4) for n in range(0, len(random), 16)]


def _attempt(row: DueMessage, address: Address, attempt_id: UUID, at: datetime) -> Attempt:
    return Attempt(
        id=attempt_id,
        message_id=row.id,
        recipient_id=row.recipient_id,
        address=address,
        template_key=row.template_key,
        params=row.params or {},
        body=row.body or "",  # what was erased is set aside before
        language=row.language,
        link=row.link,
        message_class=row.message_class,
        subject_type=row.subject_type,
        subject_id=row.subject_id,
        intent_at=at,
        valid_until=row.valid_until,
    )


def _wait(connection: Connection, message_id: int, until: datetime, at: datetime) -> None:
    connection.execute(
        update(OutboxMessage)
        .where(OutboxMessage.id == message_id)
        .values(state=State.QUEUED, next_at=until, reason_code="provider_halted", updated_at=at)
    )


# a policy that is lifted and set again at one instant holds a message once
_ASIDE = text(
    """
    with aside as (
        select * from jsonb_to_recordset(cast(:rows as jsonb))
            as t (id bigint, state text, reason text, until timestamptz)
    ), left_out as (
        update outbox_message m
        set state = t.state, reason_code = t.reason, next_at = coalesce(t.until, m.next_at),
            updated_at = :at
        from aside t where m.id = t.id
    )
    insert into held_message (message_id, at, until, reason_code)
    select t.id, :at, t.until, t.reason from aside t where t.until is not null
    on conflict do nothing
    """
)


def _set_aside(connection: Connection, answers: Mapping[int, Skip | State], at: datetime) -> None:
    rows = [{"id": number, **_aside(answer, at)} for number, answer in answers.items()]
    connection.execute(_ASIDE, {"rows": json.dumps(rows), "at": at})


def _aside(answer: Skip | State, at: datetime) -> dict[str, str | None]:
    if isinstance(answer, State):
        return {"state": answer, "reason": "too_late", "until": None}
    if answer.until is not None and answer.until > at:
        until = answer.until.isoformat()
        return {"state": State.HELD, "reason": answer.reason_code, "until": until}
    return {"state": State.SUPPRESSED, "reason": answer.reason_code, "until": None}


# one statement for the intents of a batch; JSON is written by C, an array's cells one by one by Python
_INTENTS = text(
    """
    with meant as (
        select * from jsonb_to_recordset(cast(:rows as jsonb))
            as t (id uuid, message_id bigint, mask text, channel text, key text)
    ), claimed as (
        update outbox_message m
        set state = 'sending', reason_code = null, tries = m.tries + 1, address_mask = t.mask,
            updated_at = :at
        from meant t where m.id = t.message_id
    )
    insert into delivery_attempt
        (id, message_id, worker_id, channel, address_mask, address_key, intent_at, next_check_at)
    select t.id, t.message_id, :worker, t.channel, t.mask, t.key, :at, :check from meant t
    """
)


def _write_intents(
    connection: Connection, worker_id: int, claimed: Sequence[Claimed], at: datetime
) -> None:
    if not claimed:
        return
    connection.execute(
        _INTENTS,
        {
            "rows": json.dumps(
                [
                    {
                        "id": c.attempt.id.hex,
                        "message_id": c.attempt.message_id,
                        "mask": mask(c.attempt.address),
                        "channel": c.channel,
                        "key": c.attempt.address.key
                        if _counts(c.attempt.message_class, c.attempt.address)
                        else None,
                    }
                    for c in claimed
                ]
            ),
            "worker": worker_id,
            "at": at,
            "check": at + retry.CHECKS[0],
        },
    )
