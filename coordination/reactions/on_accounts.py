"""What follows from signing in: the one-time code travels the same outbox as everything else."""

from __future__ import annotations

from datetime import timedelta

from coordination.domain.people.accounts import CODE_LIFE
from coordination.domain.people.events import SignInCodeIssued
from coordination.ground.uow import UnitOfWork
from coordination.reactions.notices import tell

_LEAST_USE = timedelta(seconds=30)


def send_code(uow: UnitOfWork, event: SignInCodeIssued) -> None:
    """The code to its holder's phone, ahead of everything; not once it is of no use any more."""
    tell(
        uow,
        "sign_in_code",
        [event.person_id],
        {"code": event.code},
        subject=("sign_in", event.code_id),
        version="1",
        message_class="otp",
        valid_until=uow.now + CODE_LIFE - _LEAST_USE,
    )
