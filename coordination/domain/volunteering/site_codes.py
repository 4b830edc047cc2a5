"""签到码: the four digits shown at the place of a shift. They turn every few minutes and are kept nowhere.

They follow from the installation's key, the shift and the time; who has the code is where it is shown,
or has been told by somebody who is: that is why a person confirms the time afterwards.
"""

from __future__ import annotations

import hmac
from datetime import UTC, datetime, timedelta

from coordination.ground import crypto
from coordination.ground.text import half_width

TURNS = timedelta(minutes=5)
LENGTH = 4
_EPOCH = datetime(2020, 1, 1, tzinfo=UTC)


def code_at(need_id: int, moment: datetime) -> str:
    """The code of a shift at a moment."""
    return crypto.digits_of(f"shift {need_id} {(moment - _EPOCH) // TURNS}", LENGTH)


def turns_at(moment: datetime) -> datetime:
    """When the code of this moment gives way to the next."""
    return _EPOCH + ((moment - _EPOCH) // TURNS + 1) * TURNS


def fits(need_id: int, typed: str, moment: datetime) -> bool:
    """Whether it is the present code, or the one before: reading and typing take their time."""
    digits = half_width(typed).replace(" ", "").encode()
    now, before = (code_at(need_id, moment - turn * TURNS).encode() for turn in (0, 1))
    # both are compared whatever the first says
    return hmac.compare_digest(digits, now) | hmac.compare_digest(digits, before)
