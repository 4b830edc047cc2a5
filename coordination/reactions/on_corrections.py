"""What follows from corrections: a code to the phone that is to be proven, and the school's answer."""

from __future__ import annotations

from datetime import timedelta

from coordination.domain.people.corrections.models import Correction
from coordination.domain.people.corrections.proposing import CODE_LIFE, LABELS
from coordination.domain.people.events import CorrectionCodeIssued, CorrectionDecided
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork
from coordination.reactions.notices import tell

# the one message that goes to a number that is nobody's yet (`deliveries.Resolver`)
PHONE_CODE = "phone_code"
_LEAST_USE = timedelta(seconds=30)


def send_code(uow: UnitOfWork, event: CorrectionCodeIssued) -> None:
    """The code to the new phone; not once it is of no use any more."""
    tell(
        uow,
        PHONE_CODE,
        [event.person_id],
        {"code": event.code},
        subject=("correction", event.correction_id),
        version=uow.now.isoformat(),
        message_class="proof",
        valid_until=uow.now + CODE_LIFE - _LEAST_USE,
    )


def decided(uow: UnitOfWork, event: CorrectionDecided) -> None:
    """The school's answer to whoever proposed it."""
    held = uow.session.get_one(Correction, event.correction_id)
    said = held.said or ""
    outcome = (
        Text(f"已采纳{'，' + said if said else ''}", f"accepted{'; ' + said if said else ''}")
        if held.state == "accepted"
        else Text(f"未采纳，{said}", f"not accepted: {said}")
    )
    tell(
        uow,
        "correction_decided",
        [held.proposed_by_id],
        {"what": LABELS[held.field], "outcome": outcome},
        subject=("correction", held.id),
        version="1",
        payer=held.school_id,
    )
