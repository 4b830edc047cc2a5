"""What the clock deletes of signing in: only what has no use any more."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from coordination.authz.actor import SYSTEM
from coordination.domain.people.accounts import forget_expired
from coordination.domain.people.models import AccountSession, OneTimeCode
from coordination.ground import clock, crypto
from coordination.ground.throttle import Throttle, admit
from coordination.reactions.work import begin
from tests.build import world as worlds


def test_only_what_has_expired_is_forgotten(session: Session) -> None:
    now = clock.now()
    world = worlds.build(session, now)
    person = world.people["teacher"]
    session.query(AccountSession).delete()
    for name, expires in (("old", now - timedelta(days=2)), ("live", now + timedelta(hours=1))):
        session.add(
            AccountSession(
                person_id=person,
                token_hash=crypto.token_hash(name),
                route="password",
                last_seen_at=now,
                expires_at=expires,
            )
        )
        session.add(
            OneTimeCode(
                phone_index=name.encode(),
                person_id=person,
                code_hash=name.encode(),
                expires_at=expires,
                tries_left=5,
            )
        )
    then = now - timedelta(days=3)
    admit(session, "try", "old", limit=5, window=timedelta(hours=1), now=then)
    admit(session, "try", "live", limit=5, window=timedelta(hours=1), now=now)
    session.commit()
    with begin(session, SYSTEM) as uow:
        forget_expired(uow)
    assert session.scalars(select(AccountSession.token_hash)).all() == [crypto.token_hash("live")]
    assert session.scalars(select(OneTimeCode.phone_index)).all() == [b"live"]
    assert len(session.scalars(select(Throttle)).all()) == 1
