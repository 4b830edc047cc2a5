"""A real database with a few people, and a browser to try it with."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import pytest
from flask import Flask
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from coordination.app import create_app
from coordination.domain import tables
from coordination.domain.people.accounts import hash_password
from coordination.domain.people.contacts import set_phone
from coordination.domain.people.models import (
    AccessCode,
    Account,
    ClassGroup,
    ClassMember,
    Guardianship,
    Membership,
    Organisation,
    Person,
)
from coordination.ground import crypto
from coordination.settings import Settings
from notifications.models import SimulatedMessage
from notifications.models import metadata as notification_tables
from tests.integration.web.talking import PASSWORD, PHONE, Browser

FIELD_KEY = "a field key for tests only"


@pytest.fixture
def server_url(pg_url: str) -> str:
    """The module's migrated database."""
    return pg_url


@pytest.fixture
def app(engine: Engine, server_url: str) -> Flask:
    """The application on an emptied database with a few people."""
    made = create_app(
        Settings(database_url=server_url, public_url="http://localhost", field_key=FIELD_KEY)
    )
    names = ", ".join(
        t.name for m in (tables.metadata, notification_tables) for t in m.sorted_tables
    )
    with engine.begin() as connection:
        connection.execute(text(f"truncate {names} restart identity cascade"))
    with Session(engine) as session:
        _people(session)
        session.commit()
    made.testing = True
    return made


def _people(session: Session) -> None:
    since = date(2026, 9, 1)

    def add(row: Organisation | ClassGroup | Person) -> int:
        session.add(row)
        session.flush()
        return row.id

    school = add(Organisation(kind="school", code="S1", name_zh="光明小学", name_en="Guangming"))
    group = add(ClassGroup(school_id=school, grade=3, name_zh="三（2）班", name_en="Class 3(2)"))
    teacher = add(Person(name="李老师"))
    guardian = add(Person(name="王建国"))
    child = add(Person(name="王珺雨", is_student=True, school_id=school))
    session.add_all(
        [
            Membership(
                person_id=teacher,
                org_id=school,
                role="class_teacher",
                class_id=group,
                starts_on=since,
            ),
            ClassMember(class_id=group, person_id=child, starts_on=since),
            Guardianship(child_id=child, guardian_id=guardian, relation="father", starts_on=since),
            Account(person_id=teacher, login="li", password_hash=hash_password(PASSWORD)),
            AccessCode(
                code_hash=crypto.token_hash("7K3QX9MD2F"),
                person_id=guardian,
                subject_type="nothing-yet",
                subject_id=1,
                expires_at=datetime.now(UTC) + timedelta(days=1),
            ),
            SimulatedMessage(
                attempt_id=uuid4(),
                recipient_id=guardian,
                address_mask="138****0001",
                body="<b>打开 http://localhost/a/7K3QX9MD2F 或输入 7K3QX-9MD2F",
                language="zh",
                at=datetime.now(UTC),
            ),
        ]
    )
    set_phone(session, guardian, PHONE)


@pytest.fixture
def browser(app: Flask) -> Browser:
    """A fresh browser."""
    return Browser(app.test_client())
