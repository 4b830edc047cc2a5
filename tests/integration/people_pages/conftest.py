"""The small district with a class that can be filled, and browsers of everybody in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import Session

from coordination.app import create_app
from coordination.authz.actor import Actor
from coordination.domain.people import contacts
from coordination.domain.people.actors import actor_of
from coordination.domain.people.models import ClassMember, Guardianship, Person
from coordination.ground import clock
from coordination.reactions.work import begin
from coordination.settings import load
from coordination.web.request import SESSION_KEY
from tests.build import world as worlds


@dataclass
class Stage:
    """The world on its database, with short ways to act."""

    engine: Engine
    app: Flask
    world: worlds.World

    def visit(self, role: str) -> FlaskClient:
        """A browser in which `role` is signed in."""
        client = self.app.test_client()
        with client.session_transaction() as held:
            held[SESSION_KEY] = self.world.tokens[role]
        return client

    def actor(self, role: str) -> Actor:
        """The actor of `role` as of now."""
        with Session(self.engine) as session:
            return actor_of(session, self.world.people[role], clock.now().date())

    def act(self, by: str, use: Callable[..., object], /, **values: object) -> None:
        """Run a use case as the person of that role."""
        actor = self.actor(by)
        with Session(self.engine) as session, begin(session, actor) as uow:
            use(uow, **values)

    def fill(self, children: int, *, start: int = 0) -> None:
        """Put children with two guardians each into our class; every tenth family has no phone."""
        with Session(self.engine) as session:
            for n in range(start, start + children):
                child = Person(
                    name=f"学生{n}",
                    pinyin=f"xuesheng{n:03}",
                    is_student=True,
                    school_id=self.world.things["school_a"],
                )
                session.add(child)
                session.flush()
                session.add(
                    ClassMember(
                        class_id=self.world.things["class_a"],
                        person_id=child.id,
                        starts_on=worlds.LONG_AGO,
                    )
                )
                for order in (1, 2):
                    adult = Person(name=f"家长{n}-{order}", pinyin=f"jiazhang{n}")
                    session.add(adult)
                    session.flush()
                    session.add(
                        Guardianship(
                            child_id=child.id,
                            guardian_id=adult.id,
                            relation="mother" if order == 1 else "grandparent",
                            contact_order=order,
                            starts_on=worlds.LONG_AGO,
                        )
                    )
                    if n % 10 != 9:
                        contacts.set_phone(session, adult.id, f"139{n:04}{order:04}")
            session.commit()


@pytest.fixture
def stage(fresh_url: str, tmp_path: Path) -> Iterator[Stage]:
    """A district of one's own; CSRF is tried elsewhere."""
    engine = create_engine(fresh_url)
    with Session(engine) as session:
        world = worlds.build(session, clock.now())
        session.commit()
    app = create_app(
        load(
            {
                "DATABASE_URL": fresh_url,
                "FIELD_KEY": "a field key for tests only",
                "INSTANCE_DIR": str(tmp_path),
            }
        )
    )
    app.config["WTF_CSRF_ENABLED"] = False
    app.testing = True
    yield Stage(engine, app, world)
    engine.dispose()
