"""What a view may ask about the present request: who, in which language, and a transaction.

The only place of the web side that names the session. Must not know any feature's screens.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import cast

from flask import g, has_request_context, request, session
from sqlalchemy import text as sql
from sqlalchemy.orm import Session
from werkzeug.exceptions import RequestEntityTooLarge

from coordination.authz.actions import Action
from coordination.authz.actor import ANONYMOUS, Actor
from coordination.authz.policy import refuse_unless_allowed
from coordination.domain.people.actors import actor_of_session
from coordination.ground import clock
from coordination.ground.actor import Role
from coordination.ground.errors import Forbidden
from coordination.ground.text import LANGUAGES, Language
from coordination.ground.uow import UnitOfWork
from coordination.reactions.work import begin
from coordination.web import when
from coordination.web.db import db

SESSION_KEY = "sid"
LANGUAGE_COOKIE = "lang"
_READ_ONLY = sql("SET TRANSACTION READ ONLY")


def database() -> Session:
    """The session of this request."""
    return db.session()


def current_actor() -> Actor:
    """Whoever asks: by the signed-in session, or as `act_as` said; else ANONYMOUS."""
    if not has_request_context():
        return ANONYMOUS
    if "actor" not in g:
        token = session.get(SESSION_KEY)
        found = actor_of_session(database(), token, clock.now(), when.today()) if token else None
        g.actor = found or ANONYMOUS
    return cast(Actor, g.actor)


def act_as(actor: Actor) -> None:
    """From here on the request is `actor`'s: for short codes, which carry their own identity."""
    g.actor = actor
    g.pop("language", None)


def language() -> Language:
    """What was just chosen, else the account's, else the cookie's, else the browser's language."""
    if not has_request_context():
        return "zh"
    known: Language | None = g.get("language")
    if known is None:
        known = g.language = _language()
    return known


def chosen_language() -> Language | None:
    """The language this very request asks for, by the form button or by ``?lang=``."""
    asked = request.args.get("lang", "")
    if request.method == "POST":
        # too large a body is refused by the guard; its page still needs a language
        with suppress(RequestEntityTooLarge):
            asked = request.form.get("_lang", asked)
    return as_language(asked)


def as_language(value: str | None) -> Language | None:
    """`value` if it is one of ours."""
    return next((known for known in LANGUAGES if known == value), None)


def _language() -> Language:
    actor = current_actor()
    if chosen := chosen_language():
        return chosen
    if actor.session_id is not None:
        return actor.language
    if remembered := as_language(request.cookies.get(LANGUAGE_COOKIE)):
        return remembered
    if actor.signed_in:
        return actor.language
    best = request.accept_languages.best_match(["zh-CN", "zh", "en"], default="zh")
    return "en" if best == "en" else "zh"


def any_office() -> int | None:
    """The district office that the actor administers; None if none."""
    return min(current_actor().orgs(Role.DISTRICT_ADMIN), default=None)


def own_office() -> int:
    """The same, for pages that are for nobody else; Forbidden if there is none."""
    found = any_office()
    if found is None:
        raise Forbidden()
    return found


def require(action: Action, thing: object = None) -> None:
    """Refuse (Forbidden) before a page is shown whose use case would refuse anyway."""
    refuse_unless_allowed(current_actor(), action, thing)


@contextmanager
def unit_of_work() -> Iterator[UnitOfWork]:
    """One transaction of the current actor, committed at the end of the block."""
    with begin(database(), current_actor()) as uow:
        yield uow


@contextmanager
def reading() -> Iterator[Session]:
    """The session in a read-only transaction; what was loaded stays readable afterwards."""
    current_actor()  # looked up first: it may not be known yet
    held = database()
    held.execute(_READ_ONLY)
    try:
        yield held
    finally:
        held.expunge_all()
        held.rollback()
