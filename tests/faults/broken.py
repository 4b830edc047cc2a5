"""The same worker with one guard taken out, to show what the guard is for.

`python -m tests.faults.broken GUARD worker`; a fault test that stays green with one of these proves
nothing.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from uuid import uuid4

from sqlalchemy import Connection

from coordination.cli import main
from notifications import pump, reconciling
from notifications.channels.base import Channel
from notifications.channels.twilio_sms import TwilioSms
from notifications.recording import record_many
from notifications.values import Answer, Attempt, Claimed, Doubt, Finding, Refused, Sent
from tests.faults.scaled import scale


def send_again_at_once() -> None:
    """Doubt is taken for a no, as a queue with automatic retries does."""
    asend = TwilioSms.asend

    async def broken(self: TwilioSms, attempt: Attempt) -> Answer:
        answer = await asend(self, attempt)
        if isinstance(answer, Doubt):
            return Refused(answer.reason, answer.reason, permanent=False)
        return answer

    TwilioSms.asend = broken  # type: ignore[method-assign]


def trust_a_lease() -> None:
    """Whoever was silent for long is taken for dead, and an old claim is never looked at again."""

    def broken(_connection: Connection, _worker_id: int) -> bool:
        return True

    reconciling.is_dead = broken
    pump.STALE_SECONDS = math.inf


def record_before_sending() -> None:
    """Marked as sent, then sent."""
    call = pump._Run._call

    async def broken(self: pump._Run, claimed: Claimed) -> Answer:
        record_many(self.pump._engine, [(claimed, Sent(f"SM{uuid4().hex}"))])
        return await call(self, claimed)

    pump._Run._call = broken  # type: ignore[method-assign]


def ask_the_preferred_provider() -> None:
    """Doubt is asked of whoever the message's route prefers, not of the one that was called."""
    ask = reconciling._ask

    def broken(channels: Mapping[str, Channel], question: reconciling._Question) -> Finding:
        return ask(channels, replace(question, channel="sms"))

    reconciling._ask = broken


BROKEN: dict[str, Callable[[], None]] = {
    f.__name__: f
    for f in (
        send_again_at_once,
        trust_a_lease,
        record_before_sending,
        ask_the_preferred_provider,
    )
}

if __name__ == "__main__":
    guard = sys.argv.pop(1)
    scale(float(os.environ.get("FAULTS_SCALE", "1")))
    BROKEN[guard]()
    main()
