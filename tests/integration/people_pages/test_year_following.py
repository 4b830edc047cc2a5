"""What is open goes along with its class into the new year, and comes back with it."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from coordination.domain.people.year import following, preparing, taking_back
from tests.build import years
from tests.integration.people_pages.conftest import Stage
from tests.integration.people_pages.test_year import _lines_done, _school, _turn, apply

# tables that point at classes and are the roster's own business
# what was done with a class stays with it: hours follow a sign-up, which is looked at
ROSTER = {
    *("class_group", "class_member", "membership", "turn_class", "turn_move"),
    "practice_hour",
}


@pytest.fixture
def school(stage: Stage) -> Stage:
    with Session(stage.engine) as session:
        session.execute(
            text(
                "insert into notice (school_id, class_ids, class_id, sender_id, draft_key, title_zh,"
                " title_en, body_zh, body_en, level, state, send_at) values (:s, array[:c, :b]::bigint[],"
                " null, :p, 'later', '开学', 'Start', '开学', 'Start', 'info', 'scheduled',"
                " now() + interval '3 days')"
            ),
            {
                "s": _school(stage),
                "c": stage.world.things["class_a"],
                "b": stage.world.things["class_b"],
                "p": stage.world.people["teacher"],
            },
        )
        session.execute(
            text(
                "insert into feed_token (owner_id, scope, scope_id, name, token_hash)"
                " values (:p, 'class', :c, 'x', '\\x01')"
            ),
            {"c": stage.world.things["class_a"], "p": stage.world.people["teacher"]},
        )
        session.commit()
    stage.act("school_admin", preparing.begin, school_id=_school(stage), day=years.today())
    return stage


def _classes_of(stage: Stage) -> dict[str, object]:
    with Session(stage.engine) as session:
        return {
            "booking": session.scalar(text("select class_id from booking")),
            "class_enrolment": session.scalar(text("select class_id from class_enrolment")),
            "enrolment": session.scalar(text("select class_id from enrolment")),
            "consent_ask": session.scalar(text("select class_id from consent_ask")),
            "scheduled": session.scalar(
                text("select class_ids from notice where state = 'scheduled'")
            ),
            "sent": session.scalar(text("select class_ids from notice where state = 'sent'")),
            "feed": session.scalar(text("select scope_id from feed_token")),
        }


def test_what_is_open_goes_along_and_comes_back(school: Stage) -> None:
    old, other = school.world.things["class_a"], school.world.things["class_b"]
    before = _classes_of(school)
    apply(school)
    new = next(x.made_id for x in _lines_done(school) if x.name.zh == "四（2）班")
    assert new is not None
    assert _classes_of(school) == {
        "booking": new,
        "class_enrolment": new,
        "enrolment": new,
        "consent_ask": new,
        "scheduled": sorted([other, new]),
        "sent": [old],  # what is past stays with the class it happened in
        "feed": new,
    }
    teacher = school.visit("teacher")
    booking = school.world.things["booking"]
    assert teacher.get(f"/venues/bookings/{booking}").status_code == 200
    school.act("school_admin", taking_back.take_back, turn_id=_turn(school).id, today=years.today())
    assert _classes_of(school) == before


def test_what_is_over_stays_with_its_class(school: Stage) -> None:
    with Session(school.engine) as session:
        session.execute(text("update booking set state = 'completed'"))
        session.execute(text("update practice_session set state = 'cancelled'"))
        session.commit()
    apply(school)
    found, old = _classes_of(school), school.world.things["class_a"]
    assert found["booking"] == found["class_enrolment"] == found["enrolment"] == old


def test_every_table_that_points_at_a_class_is_thought_of(school: Stage) -> None:
    with Session(school.engine) as session:
        pointing = set(
            session.scalars(
                text(
                    "select conrelid::regclass::text from pg_constraint"
                    " where contype = 'f' and confrelid = 'class_group'::regclass"
                )
            )
        )
    assert pointing - ROSTER - set(following.OPEN) == set()
    # and each of those that can hang on a new class is looked at before it is torn away
    assert (set(following.OPEN) & pointing) - set(taking_back.HANGING) == set()
