"""Calendar polls in front of Flask: no session, no cookie, no page, one statement for a 304.

A whole district polls at the full hour, nearly always for nothing new. Which entries a feed shows
is decided in `domain/agenda`; here are HTTP, the bodies kept ready and the limits for guessers.
Secrets are looked up by their hash and never logged.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.exc import (
    DBAPIError,
    InterfaceError,
    OperationalError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session
from werkzeug.http import http_date

from calendars import feed as ics
from calendars.shelf import Body, Shelf, body_of
from calendars.values import FeedHead
from coordination.domain.agenda import polling
from coordination.domain.agenda.polling import Feed
from coordination.ground import clock, throttle
from coordination.ground.errors import NotFound
from coordination.ground.text import Text
from coordination.settings import WEB_THREADS
from coordination.web.feed_notes import FetchNotes

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

log = logging.getLogger(__name__)

PREFIX, SUFFIX = "/c/", ".ics"
SHELF_BYTES = 48 * 1024 * 1024
REFRESH_HOURS = 6
GUESSES, WINDOW = 60, timedelta(minutes=10)
BACK_SOON, BACK_LATER = "300", "600"
_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")
_PRINTABLE = re.compile(r"[^ -~]")
ABOUT = Text(
    "由家校社协同平台提供。临时变动会同时发短信通知。",
    "From the home-school-community platform. Late changes are also sent by SMS.",
)
_ALWAYS = (
    ("Referrer-Policy", "no-referrer"),
    ("X-Robots-Tag", "noindex"),
    ("X-Content-Type-Options", "nosniff"),
)

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Poll:
    """What a calendar client sends along."""

    secret: str
    address: str
    client: str = ""
    if_none_match: str = ""
    packed: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What it gets."""

    status: str
    headers: Headers = ()
    body: bytes = b""


class FeedDoor:
    """WSGI: answers `/c/<secret>.ics`, hands everything else on."""

    def __init__(self, app: WSGIApplication, engine: Engine, zone: ZoneInfo) -> None:
        self._app, self._engine, self._zone = app, engine, zone
        self._shelf = Shelf(SHELF_BYTES)
        self.notes = FetchNotes(engine)

    def serve(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """The WSGI application."""
        path = str(environ.get("PATH_INFO", ""))
        if not path.startswith(PREFIX) or not path.endswith(SUFFIX):
            return self._app(environ, start_response)
        method = environ.get("REQUEST_METHOD")
        if method not in ("GET", "HEAD"):
            return self._app(environ, start_response)
        answer = self.answer(
            Poll(
                secret=path[len(PREFIX) : -len(SUFFIX)],
                address=str(environ.get("REMOTE_ADDR", "")),
                client=str(environ.get("HTTP_USER_AGENT", "")),
                if_none_match=str(environ.get("HTTP_IF_NONE_MATCH", "")),
                packed="gzip" in str(environ.get("HTTP_ACCEPT_ENCODING", "")),
            )
        )
        headers = [*answer.headers, *_ALWAYS]
        if not answer.status.startswith("304"):
            headers.append(("Content-Length", str(len(answer.body))))
        start_response(answer.status, headers)
        return [answer.body] if method == "GET" and answer.body else []

    def answer(self, poll: Poll) -> Answer:
        """404 alike for wrong, expired and revoked; 503, never an empty calendar."""
        try:
            try:
                return self._asked(poll)
            except DBAPIError as error:
                # the server was restarted since: the pool is fresh now
                if not error.connection_invalidated:
                    raise
                return self._asked(poll)
        except (OperationalError, InterfaceError, PoolTimeout) as error:
            # an empty or broken answer would make clients delete every entry
            log.warning("feed not served: %s", type(error).__name__)
            return Answer("503 SERVICE UNAVAILABLE", (("Retry-After", BACK_SOON),))

    def _asked(self, poll: Poll) -> Answer:
        now = clock.now()
        with self._engine.connect() as held:
            try:
                if not _SECRET.fullmatch(poll.secret):
                    raise NotFound()
                found = polling.look_up(held, poll.secret, now.astimezone(self._zone).date())
            except NotFound:
                return _missed(held, poll, now)
            answer = self._found(held, poll, found)
        self.notes.add(found, _PRINTABLE.sub("", poll.client)[:120], now)
        return answer

    def _found(self, held: Connection, poll: Poll, found: Feed) -> Answer:
        tag = ics.etag(found.version, [found.language, found.options.as_words()])
        headers: Headers = (
            ("ETag", tag),
            ("Last-Modified", _when(found.changed_at)),
            ("Cache-Control", "private, no-cache"),
            ("Vary", "Accept-Encoding"),
        )
        if _matches(poll.if_none_match, tag):
            return Answer("304 NOT MODIFIED", headers)
        body = self._shelf.get(tag)
        if body is None:
            body = self._made(held, found)
            self._shelf.put(tag, body)
        headers += (("Content-Type", "text/calendar; charset=utf-8"),)
        if poll.packed:
            return Answer("200 OK", (*headers, ("Content-Encoding", "gzip")), body.packed)
        return Answer("200 OK", headers, body.plain)

    def _made(self, held: Connection, found: Feed) -> Body:
        head = FeedHead(
            name=found.title.in_(found.language),
            description=ABOUT.in_(found.language),
            zone=str(self._zone),
            refresh_hours=REFRESH_HOURS,
            color="teal",
        )
        return body_of(ics.assemble(head, polling.fragments(held, found)))


def engine_for_polls(url: str) -> Engine:
    """A small pool of its own: no transaction and no extra question to the server per poll.

    As many as the server has threads: what is over the pool's size is opened and closed at every
    poll, and that costs more than the poll.
    """
    return create_engine(
        url,
        isolation_level="AUTOCOMMIT",
        pool_size=WEB_THREADS,
        max_overflow=8,
        pool_timeout=5,
        pool_reset_on_return=None,
        hide_parameters=True,
        connect_args={"connect_timeout": 5},
    )


@lru_cache(maxsize=1024)
def _when(at: datetime) -> str:
    return http_date(at)


def _matches(asked: str, tag: str) -> bool:
    if not asked:
        return False
    return asked == tag or any(
        part.strip().removeprefix("W/") in (tag, "*") for part in asked.split(",")
    )


def _missed(held: Connection, poll: Poll, now: datetime) -> Answer:
    """Wrong, revoked and expired alike, and small: guessers ask often."""
    admitted = throttle.admit(
        Session(bind=held), "feed", poll.address, limit=GUESSES, window=WINDOW, now=now
    )
    if not admitted:
        return Answer("429 TOO MANY REQUESTS", (("Retry-After", BACK_LATER),))
    return Answer("404 NOT FOUND", (("Content-Type", "text/plain"),))
