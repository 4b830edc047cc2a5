"""Class 3(2) with siblings, a shared phone, a guardian without one and an English reader."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, time
from typing import TypeVar

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, create_engine, select, text
from sqlalchemy.orm import Session

from coordination.app import create_app
from coordination.authz.actor import Actor
from coordination.domain.communication.models import Notice
from coordination.domain.communication.notices import reach, services
from coordination.domain.communication.texts import quiet
from coordination.domain.communication.unanswered import silence
from coordination.domain.people import contacts
from coordination.domain.people.actors import actor_of
from coordination.domain.people.models import ClassMember, Guardianship, Person
from coordination.ground import clock
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork
from coordination.reactions.work import begin
from coordination.settings import Settings, load
from coordination.web.request import SESSION_KEY
from coordination.worker import drain
from notifications.models import OutboxMessage
from tests.build import world as worlds
from tests.build.outing import meet

T = TypeVar("T")
FIELD_KEY = "a field key for tests only"
TITLE = Text("秋游通知", "Autumn outing")
BODY = Text("周五八点校门口集合。", "Meet at the gate on Friday at eight.")


@dataclass
class Stage:
    """The people and short ways to act."""

    engine: Engine
    url: str
    world: worlds.World

    def actor(self, role: str) -> Actor:
        with Session(self.engine) as session:
            return actor_of(session, self.world.people[role], clock.now().date())

    def act(self, role: str, use: Callable[[UnitOfWork], T]) -> T:
        actor = self.actor(role)
        with Session(self.engine) as session, begin(session, actor) as uow:
            return use(uow)

    def send(
        self,
        *,
        role: str = "teacher",
        key: str = "draft-1",
        classes: tuple[str, ...] = ("class_a",),
        level: str = "confirm",
        title: Text = TITLE,
        urgent_reason: str = "",
    ) -> int:
        return self.act(
            role,
            lambda uow: (
                services.send_notice(
                    uow,
                    draft_key=key,
                    class_ids=[self.world.things[c] for c in classes],
                    title=title,
                    body=BODY,
                    level=level,
                    urgent_reason=urgent_reason,
                ).id
            ),
        )

    def deliver(self, at: datetime | None = None) -> None:
        """A worker sends all that is due, at that time or now."""
        if at is not None:
            clock.travel_to(at)
        drain(self.engine, replace(Settings(), database_url=self.url))

    def acknowledge(self, role: str, notice_id: int, *, confirm: bool = True) -> None:
        self.act(role, lambda uow: services.acknowledge(uow, notice_id=notice_id, confirm=confirm))

    def nudge(self, notice_id: int, role: str = "teacher") -> int:
        return self.act(role, lambda uow: silence.nudge_silent(uow, notice_id=notice_id))

    def messages(self, notice_id: int, key: str = "notice") -> list[OutboxMessage]:
        with Session(self.engine, expire_on_commit=False) as session:
            return list(
                session.scalars(
                    select(OutboxMessage)
                    .where(
                        OutboxMessage.subject_type == "notice",
                        OutboxMessage.subject_id == notice_id,
                        OutboxMessage.template_key == key,
                    )
                    .order_by(OutboxMessage.id)
                )
            )

    def texts_to(self, role: str) -> list[OutboxMessage]:
        """All that was written to somebody, however it stands."""
        with Session(self.engine, expire_on_commit=False) as session:
            return list(
                session.scalars(
                    select(OutboxMessage)
                    .where(OutboxMessage.recipient_id == self.world.people[role])
                    .order_by(OutboxMessage.id)
                )
            )

    def phone(self, role: str) -> list[str]:
        """What came to somebody's phone."""
        gone = ("accepted", "delivered")
        return [m.body or "" for m in self.texts_to(role) if m.state in gone]

    def told(self, notice_id: int, key: str = "notice") -> set[str]:
        """Roles of those who were written to."""
        names = {person: role for role, person in self.world.people.items()}
        return {names[m.recipient_id] for m in self.messages(notice_id, key)}

    def keep_nights_quiet(
        self,
        role: str = "district_admin",
        *,
        until: time = time(7, 30),
        rest_days: bool = False,
        evening: tuple[time, time] | None = None,
    ) -> None:
        """Quiet hours from nine in the evening on; between the times of an evening notices wait."""
        self.act(
            role,
            lambda uow: quiet.set_policy(
                uow,
                org_id=self.world.things["district"],
                quiet_from=time(21),
                quiet_until=until,
                rest_days=rest_days,
                gather_from=evening[0] if evening else None,
                gather_at=evening[1] if evening else None,
            ),
        )

    def settle(self, role: str, state: str, reason: str | None = None) -> None:
        """Let the messages of one person stand as a provider would have left them."""
        with self.engine.begin() as connection:
            connection.execute(
                text(
                    "update outbox_message set state = :state, reason_code = :reason"
                    " where recipient_id = :person"
                ),
                {"state": state, "reason": reason, "person": self.world.people[role]},
            )

    def fingerprint(self) -> dict[str, str]:
        """A hash of every table."""
        with self.engine.connect() as connection:
            tables = connection.scalars(
                text("select tablename from pg_tables where schemaname = 'public'")
            ).all()
            return {
                name: connection.scalar(
                    text(
                        f"select md5(coalesce(string_agg(r::text, '' order by r::text), ''))"
                        f' from "{name}" r'
                    )
                )
                or ""
                for name in tables
            }


@pytest.fixture
def stage(fresh_url: str) -> Iterator[Stage]:
    """Two children more in class A: 王小宇 is 王小雨's brother; 李想's parents share one phone."""
    engine = create_engine(fresh_url)
    with Session(engine) as session:
        world = worlds.build(session, clock.now())
        _more_people(session, world)
        session.commit()
    yield Stage(engine, fresh_url, world)
    engine.dispose()


def _more_people(session: Session, world: worlds.World) -> None:
    def person(key: str, name: str, language: str = "zh", *, student: bool = False) -> int:
        row = Person(
            name=name,
            language=language,
            pinyin=key,
            is_student=student,
            school_id=world.things["school_a"] if student else None,
            status="active",
        )
        session.add(row)
        session.flush()
        world.people[key] = row.id
        return row.id

    def guards(guardian: int, child: int) -> None:
        session.add(
            Guardianship(
                child_id=child,
                guardian_id=guardian,
                relation="parent",
                starts_on=worlds.LONG_AGO,
                contact_order=1,
                legal=True,
                may_consent=True,
                may_pick_up=True,
                receives_notice=True,
                no_disclosure=False,
            )
        )

    brother = person("brother", "王小宇", student=True)
    friend = person("friend", "李想", student=True)
    for child in (brother, friend):
        session.add(
            ClassMember(
                class_id=world.things["class_a"], person_id=child, starts_on=worlds.LONG_AGO
            )
        )
    guards(world.people["guardian"], brother)
    for key, name in (("friend_mother", "赵兰"), ("friend_father", "李刚")):
        shared = person(key, name)
        guards(shared, friend)
        contacts.set_phone(session, shared, "13800138055")
    grandfather = person("no_phone", "李爷爷")
    guards(grandfather, friend)
    english = person("english", "Anna Smith", "en")
    guards(english, friend)
    contacts.set_phone(session, english, "13800138066")


@pytest.fixture
def app(stage: Stage) -> Flask:
    """The application on the stage's database; CSRF is tried elsewhere."""
    made = create_app(load({"DATABASE_URL": stage.url, "FIELD_KEY": FIELD_KEY}))
    made.config["WTF_CSRF_ENABLED"] = False
    return made


@pytest.fixture
def visit(app: Flask, stage: Stage) -> Callable[[str], FlaskClient]:
    """A browser of somebody who is signed in (or of nobody)."""

    def make(role: str) -> FlaskClient:
        client = app.test_client()
        if role in stage.world.tokens:
            with client.session_transaction() as held:
                held[SESSION_KEY] = stage.world.tokens[role]
        return client

    return make


def meeting_at_the_notice(monkeypatch: pytest.MonkeyPatch, *, locked: bool = True) -> None:
    """Those of one `all_at_once` who work with one notice have all read it before any goes on.

    With the lock only one can; `locked=False` takes it away, as the negative control.
    """
    hold = reach.locked

    def held(uow: UnitOfWork, notice_id: int) -> Notice | None:
        found = hold(uow, notice_id) if locked else uow.session.get(Notice, notice_id)
        meet()
        return found

    monkeypatch.setattr(reach, "locked", held)
