"""A number that failed for good is stopped; a corrected one is written to again, an opt-out is not."""

from __future__ import annotations

import pytest
from sqlalchemy.orm import Session

from coordination.ground import clock
from notifications import suppressions
from notifications.retry import STRIKES_TO_SUPPRESS
from tests.build.roster import Export, Office


def _stopped(office: Office) -> set[int]:
    people = [office.person(source).id for source in ("P1", "P2")]
    with Session(office.engine) as session:
        return {person for person, _ in suppressions.suppressed(session, people)}


@pytest.mark.parametrize("reason", ["30005", "21610"])
def test_a_new_number_starts_afresh_unless_its_holder_opted_out(
    office: Office, reason: str
) -> None:
    office.load(Export())
    changed, same = office.person("P1").id, office.person("P2").id
    with Session(office.engine) as session, session.begin():
        for person in (changed, same):
            if reason in suppressions.OPT_OUTS:
                suppressions.suppress(session, person, "sms", reason, clock.now())
                continue
            for _ in range(STRIKES_TO_SUPPRESS):
                suppressions.strike(session, person, "sms", reason, clock.now())
    assert _stopped(office) == {changed, same}
    corrected = Export()
    corrected.user("P1")[7] = "13900139001"
    office.load(corrected)
    assert _stopped(office) == ({same} if reason == "30005" else {changed, same})
