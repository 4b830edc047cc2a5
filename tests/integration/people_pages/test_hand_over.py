"""A class that changes hands: what hangs on it goes by the class, so the next teacher has it at once."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from coordination.domain.people import posts
from coordination.domain.people.models import AccountSession, Membership, Person
from coordination.ground import clock, crypto
from coordination.ground.actor import Role
from tests.build import years
from tests.integration.people_pages.conftest import Stage


@pytest.fixture
def handed_over(stage: Stage) -> Stage:
    """Our class has another teacher from today on."""
    with Session(stage.engine) as session:
        post = session.scalars(
            select(Membership.id).where(Membership.person_id == stage.world.people["teacher"])
        ).one()
    stage.act(
        "school_admin",
        posts.end,
        membership_id=post,
        last_day=years.today() - timedelta(days=1),
    )
    stage.act(
        "school_admin",
        posts.grant,
        org_id=stage.world.things["school_a"],
        role=Role.CLASS_TEACHER,
        name="接任老师",
        phone="13700137001",
        starts_on=years.today(),
        class_id=stage.world.things["class_a"],
    )
    with Session(stage.engine) as session:
        person = session.scalars(select(Person.id).where(Person.name == "接任老师")).one()
        session.add(
            AccountSession(
                person_id=person,
                token_hash=crypto.token_hash("token-of-next"),
                route="code",
                last_seen_at=clock.now(),
                expires_at=clock.now() + timedelta(days=1),
            )
        )
        session.commit()
    stage.world.people["next"], stage.world.tokens["next"] = person, "token-of-next"
    return stage


@pytest.mark.parametrize(
    "path",
    [
        "/people/classes/{class_a}",
        "/venues/bookings/{booking}",
        "/notices/{notice}",
        "/activities/sessions/{session}",
        "/consents/{request}/letters",
        "/notices/unreachable",
    ],
)
def test_the_next_teacher_has_what_hangs_on_the_class_and_the_one_before_has_not(
    handed_over: Stage, path: str
) -> None:
    where = path.format(**handed_over.world.things)
    assert handed_over.visit("next").get(where).status_code == 200
    before = handed_over.visit("teacher").get(where)
    assert before.status_code in (302, 403, 404)
    assert "王小雨" not in before.text
