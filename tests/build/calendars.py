"""The application on a database of its own with the small district in it, and ways to act there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from flask import Flask
from flask.testing import FlaskClient
from icalendar import Calendar, Event
from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import Session

from coordination.app import create_app
from coordination.authz.actions import Action
from coordination.authz.actor import SYSTEM, Actor
from coordination.domain.agenda import feeds, polling, services
from coordination.domain.people.actors import actor_of
from coordination.ground import clock
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork
from coordination.reactions.work import begin
from coordination.settings import Settings
from coordination.web.feed_door import FeedDoor
from coordination.web.request import SESSION_KEY
from tests.build import world as worlds

START = datetime(2026, 12, 4, 11, 0, tzinfo=UTC)


def entries_of(session: Session, secret: str) -> tuple[str, list[Event]]:
    """The version of a feed and its entries, as one poll would find them."""
    found = polling.look_up(session, secret, clock.now().date())
    body = b"".join(polling.fragments(session, found))
    calendar = Calendar.from_ical(b"BEGIN:VCALENDAR\r\n" + body + b"END:VCALENDAR\r\n")
    return found.version, [e for e in calendar.walk("VEVENT") if isinstance(e, Event)]


class Town:
    """The application and whoever lives there."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.app: Flask = create_app(
            Settings(database_url=url, field_key="a field key for tests only")
        )
        self.app.config["WTF_CSRF_ENABLED"] = False
        self.engine: Engine = create_engine(url)
        with Session(self.engine) as session:
            self.world = worlds.build(session, clock.now())
            session.commit()

    def person(self, role: str) -> int:
        return self.world.people[role]

    def thing(self, name: str) -> int:
        return self.world.things[name]

    @contextmanager
    def acting(self, role: str | None = None) -> Iterator[UnitOfWork]:
        """A unit of work of `role`, or of the system."""
        actor = self.actor(role) if role else SYSTEM
        with Session(self.engine) as session, begin(session, actor) as uow:
            if role is None:
                uow.authorize(Action.SYSTEM_RUN)
            yield uow

    def actor(self, role: str) -> Actor:
        with Session(self.engine) as session:
            return actor_of(session, self.world.people[role], clock.now().date())

    def browser(self, role: str | None = None) -> FlaskClient:
        """A browser, signed in as `role`."""
        made = self.app.test_client()
        if role:
            with made.session_transaction() as held:
                held[SESSION_KEY] = self.world.tokens[role]
        return made

    @property
    def door(self) -> FeedDoor:
        """What answers polls."""
        door = self.app.wsgi_app.__self__  # type: ignore[attr-defined]
        assert isinstance(door, FeedDoor)
        return door

    def write(
        self,
        subject: int = 7,
        *,
        starts_at: datetime = START,
        hours: float = 2,
        zh: str = "种植体验",
        en: str = "Planting",
        place: str = "绿谷",
        category: str = "practice",
        audiences: list[tuple[str, int]] | None = None,
        tentative: bool = False,
    ) -> int:
        """Put, or change, an entry; it concerns the child unless said otherwise."""
        with self.acting() as uow:
            row = services.put(
                uow,
                subject_type="session",
                subject_id=subject,
                category=category,
                starts_at=starts_at,
                ends_at=starts_at + timedelta(hours=hours),
                summary=Text(zh, en),
                location=Text(place, place),
                description=Text("", ""),
                audiences=audiences or [("child", self.person("child"))],
                tentative=tentative,
            )
            return row.id

    def cancel(self, subject: int = 7) -> None:
        with self.acting() as uow:
            services.cancel(uow, subject_type="session", subject_id=subject)

    def open(
        self, role: str, scope: str = "family", scope_id: int | None = None
    ) -> tuple[int, str]:
        """A feed of `role`: its id and its secret."""
        with self.acting(role) as uow:
            token, secret = feeds.open_feed(
                uow, scope=scope, scope_id=scope_id, name="f", language="zh"
            )
            return token.id, secret
