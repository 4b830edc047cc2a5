"""Who must not be written to on a channel, and why. Must not know addresses."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Connection,
    Select,
    Text,
    any_,
    bindparam,
    case,
    cast,
    delete,
    func,
    literal,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from notifications.arrays import array_text
from notifications.models import Suppression
from notifications.retry import STRIKES_TO_SUPPRESS
from notifications.values import PROOF, ROUTINE

# about the person, not the number: another number does not undo them
OPTED_OUT = "opted_out"
OPT_OUTS = frozenset({"21610", OPTED_OUT})
# why a number is stopped whose strikes outlive an opt-out
STRUCK = "suppressed"


def stops(reason: str, message_class: str) -> bool:
    """Whether a recipient who is stopped for `reason` must not have a message of this class."""
    if message_class == PROOF:
        return False
    return reason not in OPT_OUTS or message_class in ROUTINE


def suppress(
    connection: Connection | Session,
    recipient_id: int,
    channel: str,
    reason: str,
    now: datetime,
) -> None:
    """Stop a recipient on a channel at once."""
    values = {"active": True, "reason_code": reason, "updated_at": now}
    connection.execute(
        insert(Suppression)
        .values(recipient_id=recipient_id, channel=channel, **values)
        .on_conflict_do_update(index_elements=["recipient_id", "channel"], set_=values)
    )


def strike(
    connection: Connection | Session,
    recipient_id: int,
    channel: str,
    reason: str,
    now: datetime,
) -> None:
    """Count one permanent failure; the third stops the recipient on this channel."""
    count = Suppression.strikes + 1
    connection.execute(
        insert(Suppression)
        .values(
            recipient_id=recipient_id,
            channel=channel,
            strikes=1,
            reason_code=reason,
            updated_at=now,
        )
        .on_conflict_do_update(
            index_elements=["recipient_id", "channel"],
            set_={
                "strikes": count,
                "active": Suppression.active | (count >= literal(STRIKES_TO_SUPPRESS)),
                # that somebody opted out must not be forgotten with the number
                "reason_code": case(
                    (Suppression.reason_code.in_(OPT_OUTS), Suppression.reason_code), else_=reason
                ),
                "updated_at": now,
            },
        )
    )


def forgive(connection: Connection | Session, recipient_id: int, channel: str) -> None:
    """A delivered message shows that the address is good: forget strikes, keep opt-outs."""
    connection.execute(
        update(Suppression)
        .where(
            Suppression.recipient_id == recipient_id,
            Suppression.channel == channel,
            Suppression.active.is_(False),
            Suppression.strikes > 0,
        )
        .values(strikes=0, updated_at=func.now())
    )


def opt_in(session: Session, recipient_id: int, channel: str, now: datetime) -> bool:
    """The person asks for messages again: forget the opt-out, keep the strikes; False if none."""
    struck = Suppression.strikes >= literal(STRIKES_TO_SUPPRESS)
    done = session.execute(
        update(Suppression)
        .where(
            Suppression.recipient_id == recipient_id,
            Suppression.channel == channel,
            Suppression.reason_code.in_(OPT_OUTS),
        )
        .values(active=struck, reason_code=case((struck, STRUCK), else_=None), updated_at=now)
        .returning(Suppression.id)
    )
    return done.first() is not None


def lift(session: Session, recipient_id: int, channel: str) -> None:
    """Write to a recipient again: the person asked for it."""
    session.execute(
        delete(Suppression).where(
            Suppression.recipient_id == recipient_id, Suppression.channel == channel
        )
    )


def forgive_new_addresses(
    session: Session, recipients: Select[int] | Collection[int], channel: str
) -> int:
    """Forget what was held against the old addresses of `recipients`; returns of how many.

    An opt-out stays; the strikes beside it go.
    """
    theirs = (Suppression.recipient_id.in_(recipients), Suppression.channel == channel)
    session.execute(
        update(Suppression).where(*theirs, Suppression.reason_code.in_(OPT_OUTS)).values(strikes=0)
    )
    forgiven = session.execute(
        delete(Suppression)
        .where(*theirs, func.coalesce(Suppression.reason_code, "").not_in(OPT_OUTS))
        .returning(Suppression.id)
    )
    return len(forgiven.all())


def stopped(
    session: Session, channel: str, among: Select[int], limit: int
) -> list[tuple[int, str]]:
    """(recipient, reason) of those `among` some who are stopped on a channel.

    Their rows are locked: who forgives them meanwhile waits, or was first and they are not here.
    """
    rows = session.execute(
        select(Suppression.recipient_id, func.coalesce(Suppression.reason_code, STRUCK))
        .where(
            Suppression.channel == channel,
            Suppression.active,
            Suppression.recipient_id.in_(among),
        )
        .order_by(Suppression.recipient_id)
        .limit(limit)
        .with_for_update()
    )
    return [(recipient, reason) for recipient, reason in rows]


_STOPPED = select(Suppression.recipient_id, Suppression.channel, Suppression.reason_code).where(
    Suppression.recipient_id == any_(cast(bindparam("recipients", type_=Text), ARRAY(BigInteger))),
    Suppression.active,
)


def suppressed(
    connection: Connection | Session, recipients: Collection[int]
) -> dict[tuple[int, str], str]:
    """Return (recipient, channel) -> reason for those who must not be written to."""
    rows = connection.execute(_STOPPED, {"recipients": array_text(recipients)})
    return {(row.recipient_id, row.channel): row.reason_code or "suppressed" for row in rows}
