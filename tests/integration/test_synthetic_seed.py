"""The synthetic district: its size, its families, and that it is the same every time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

from coordination.domain.communication.notices.queries import notices_of
from coordination.domain.people import contacts
from coordination.domain.people.accounts import sign_in
from coordination.domain.people.actors import actor_of
from coordination.ground.actor import ANONYMOUS
from coordination.ground.errors import Conflict
from coordination.reactions.work import begin
from coordination.seed.demo import PASSWORD
from coordination.seed.synthetic import seed

_PEOPLE = """
select md5(string_agg(concat_ws('|', p.id, p.name, p.pinyin, p.language, p.school_id, c.mask,
    encode(c.value_index, 'hex')), ',' order by p.id))
from person p left join contact_point c on c.person_id = p.id
"""


def test_the_same_arguments_make_the_same_people(new_database: Callable[[], str]) -> None:
    hashes = set()
    for _ in range(2):
        url = new_database()
        seed(url, schools=3, students=500)
        engine = create_engine(url)
        with engine.connect() as connection:
            hashes.add(connection.scalar(text(_PEOPLE)))
        engine.dispose()
    assert len(hashes) == 1


def test_a_district_has_the_size_that_was_asked_for(fresh_url: str) -> None:
    seed(fresh_url, schools=4, students=800)
    engine = create_engine(fresh_url)
    with Session(engine) as session:

        def count(query: str) -> object:
            return session.scalar(text(f"select count(*) from {query}"))

        assert count("organisation where kind = 'school'") == 4
        assert count("person where is_student") == 800
        assert count("(select distinct guardian_id from guardianship) g") == 1200
        # children have two guardians each, and some guardians two children
        assert count("guardianship") == 1600
        assert count("class_member") == 800
        assert (
            count(
                "class_group g where not exists (select from membership m where m.class_id = g.id)"
            )
            == 0
        )
        # whoever is added later gets a number of their own
        assert session.scalar(text("select nextval(pg_get_serial_sequence('person', 'id'))")) > 2000
        guardian = session.scalar(text("select min(person_id) from contact_point"))
        assert contacts.phones_of(session, [guardian])[guardian].startswith("+8611")
    engine.dispose()


def test_the_administrator_of_the_district_can_sign_in(fresh_url: str) -> None:
    seed(fresh_url, schools=1, students=40)
    engine = create_engine(fresh_url)
    with Session(engine) as session, begin(session, ANONYMOUS) as uow:
        assert sign_in(uow, login="admin", password=PASSWORD, address="127.0.0.1")
    engine.dispose()


def test_the_first_teacher_finds_lists_that_are_full(fresh_url: str) -> None:
    seed(fresh_url, schools=2, students=800)
    engine = create_engine(fresh_url)
    with Session(engine) as session:
        teacher = session.scalar(text("select person_id from account where login = 'teacher1'"))
        actor = actor_of(session, teacher, date(2026, 11, 20))
        notices = notices_of(session, actor)
        assert len(notices) == 50
        assert all(n.done > 0 and n.delivered == n.told for n in notices)
        booked = session.scalar(
            text("select count(*) from booking where requested_by_id = :me"), {"me": teacher}
        )
        assert booked >= 20
        # nobody is written to when the workers start
        assert not session.scalar(
            text("select exists (select from outbox_message where state <> 'delivered')")
        )
        subject = "select subject_id from calendar_entry"
        assert not session.scalar(
            text(f"select exists (select id from booking_occurrence except {subject})")
        )
    engine.dispose()


def test_a_database_with_people_in_it_is_left_alone(fresh_url: str) -> None:
    seed(fresh_url, schools=1, students=40)
    with pytest.raises(Conflict, match="not empty"):
        seed(fresh_url, schools=1, students=40)
