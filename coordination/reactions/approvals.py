"""Which wordings a gateway that takes no text may send by now, as the district has entered it.

Must not know which gateway.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from coordination.domain.communication.texts import approvals
from coordination.ground import clock
from coordination.reactions import catalogue
from notifications.channels.aliyun_sms import Approved

log = logging.getLogger(__name__)

# an approval is in force this soon everywhere, without a restart
FRESH = timedelta(seconds=15)


class Approvals:
    """(message, language) -> what may be sent; read again when it is old. Any thread may ask."""

    def __init__(self, engine: Engine, site: str) -> None:
        self._engine, self._site = engine, site
        self._known: Mapping[tuple[str, str], Approved] = {}
        self._read_at: datetime | None = None
        self._lock = threading.Lock()

    def get(self, name: tuple[str, str], /) -> Approved | None:
        """What was approved for this message in this language; None if nothing that holds."""
        now = clock.now()
        with self._lock:
            if self._read_at is None or not timedelta(0) <= now - self._read_at < FRESH:
                try:
                    self._known = usable(self._engine, self._site)
                except SQLAlchemyError as error:
                    # what was known before is as good; who asked is told no, and asks again
                    log.warning("approvals could not be read: %s", type(error).__name__)
                self._read_at = now
            return self._known.get(name)


def usable(engine: Engine, site: str) -> dict[tuple[str, str], Approved]:
    """Approved, with an id, for exactly the text that is in force."""
    known = set(catalogue.messages())
    with Session(engine) as session:
        return {
            name: Approved(row.template_id, catalogue.needed(*name))
            for name, row in approvals.entered(session).items()
            if name[0] in known
            and approvals.standing(row, catalogue.version_of(*name, site)) == "approved"
        }
