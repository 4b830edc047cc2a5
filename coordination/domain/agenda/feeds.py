"""Secret feed addresses: opening, changing, replacing and closing them.

What a feed shows is read in `polling.py`; whose entries these are, in `audiences.py`.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.authz.rules import Scope
from coordination.domain.agenda import queries
from coordination.domain.agenda.events import FeedChanged, FeedOpened, FeedRevoked
from coordination.domain.agenda.models import FeedToken
from coordination.domain.agenda.options import Options, of_words
from coordination.domain.agenda.polling import IDLE
from coordination.ground import crypto
from coordination.ground.errors import Conflict, Forbidden, NotFound
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork

MOST = 30
SHOWN_AFTER_CLOSING = timedelta(days=30)


def open_feed(
    uow: UnitOfWork,
    *,
    scope: str,
    scope_id: int | None,
    name: str,
    language: str,
    options: Options | None = None,
) -> tuple[FeedToken, str]:
    """A new feed of the actor; returns the row and the secret, which is shown only now."""
    owner = uow.actor.person_id
    uow.authorize(Action.FEED_MANAGE, Scope(person=owner))
    if owner is None or not may_subscribe(uow, scope, scope_id):
        raise Forbidden()
    chosen = options or Options()
    _refuse_foreign_children(uow, chosen)
    if len(feeds_of(uow.session, owner)) >= MOST:
        raise Conflict(
            Text(
                f"最多保留 {MOST} 个订阅，请先停用不用的。",
                f"At most {MOST} subscriptions are kept; close one that you no longer use.",
            )
        )
    secret = crypto.new_token()
    token = FeedToken(
        owner_id=owner,
        scope=scope,
        scope_id=scope_id,
        name=name,
        language=language,
        options=chosen.as_words(),
        changed_at=uow.now,
        token_hash=crypto.token_hash(secret),
    )
    uow.session.add(token)
    uow.session.flush()  # the event carries the id
    uow.record(FeedOpened(token.id))
    return token, secret


def may_subscribe(uow: UnitOfWork, scope: str, scope_id: int | None) -> bool:
    """Whether the actor may have a feed of this scope: whoever may look, may subscribe."""
    actor = uow.actor
    if scope in ("family", "teacher", "volunteer", "district"):
        return scope_id is None
    if scope_id is None:
        return False
    if scope == "child":
        return scope_id in actor.child_ids
    try:
        if scope == "class":
            queries.class_calendar(uow.session, actor, scope_id, uow.now.date())
        elif scope == "school":
            queries.school_calendar(uow.session, actor, scope_id)
        elif scope == "resource":
            queries.venue_calendar(uow.session, actor, scope_id)
        else:
            return False
    except NotFound:
        return False
    return True


def change(
    uow: UnitOfWork, *, token_id: int, name: str, language: str, options: Options
) -> FeedToken:
    """Change what a feed shows and how; its address stays."""
    token = _own(uow, token_id)
    _refuse_foreign_children(uow, options)
    token.name, token.language = name or token.name, language
    token.options = options.as_words()
    token.changed_at = uow.now
    uow.record(FeedChanged(token.id))
    return token


def rotate(uow: UnitOfWork, *, token_id: int) -> tuple[FeedToken, str]:
    """Close a feed's address and open another for the same scope."""
    old = _own(uow, token_id)
    _revoke(uow, old)
    uow.session.flush()  # so that it no longer counts
    return open_feed(
        uow,
        scope=old.scope,
        scope_id=old.scope_id,
        name=old.name,
        language=old.language,
        options=of_words(old.options),
    )


def revoke(uow: UnitOfWork, *, token_id: int) -> None:
    """Close a feed's address; the next fetch finds nothing."""
    _revoke(uow, _own(uow, token_id))


def close_idle(uow: UnitOfWork) -> int:
    """Close addresses that nobody has read for ninety days: a forgotten key is a lost key."""
    uow.authorize(Action.SYSTEM_RUN)
    last_use = func.coalesce(FeedToken.last_fetched_at, FeedToken.created_at)
    closed = uow.session.scalars(
        update(FeedToken)
        .where(FeedToken.revoked_at.is_(None), last_use < uow.now - IDLE)
        .values(revoked_at=uow.now, closed_for="idle")
        .returning(FeedToken.id)
    ).all()
    for token_id in closed:
        uow.record(FeedRevoked(token_id))
    return len(closed)


def feeds_of(session: Session, owner_id: int) -> list[FeedToken]:
    """The open feeds of a person, newest first."""
    return list(
        session.scalars(
            select(FeedToken)
            .where(FeedToken.owner_id == owner_id, FeedToken.revoked_at.is_(None))
            .order_by(FeedToken.id.desc())
        )
    )


def closed_by_themselves(session: Session, owner_id: int, now: datetime) -> list[FeedToken]:
    """Feeds that were closed lately because nobody read them."""
    return list(
        session.scalars(
            select(FeedToken)
            .where(
                FeedToken.owner_id == owner_id,
                FeedToken.closed_for == "idle",
                FeedToken.revoked_at > now - SHOWN_AFTER_CLOSING,
            )
            .order_by(FeedToken.id.desc())
        )
    )


def _own(uow: UnitOfWork, token_id: int) -> FeedToken:
    token = uow.session.get(FeedToken, token_id)
    if token is None or token.owner_id != uow.actor.person_id or token.revoked_at is not None:
        raise NotFound()
    uow.authorize(Action.FEED_MANAGE, token)
    return token


def _revoke(uow: UnitOfWork, token: FeedToken) -> None:
    token.revoked_at = uow.now
    token.closed_for = "owner"
    uow.record(FeedRevoked(token.id))


def _refuse_foreign_children(uow: UnitOfWork, options: Options) -> None:
    named = {child for child, _ in options.names} | ({options.child} - {None})
    if not named <= uow.actor.child_ids:
        raise Forbidden()
