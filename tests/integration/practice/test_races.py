"""Many at once, in real transactions; and the same again with the guard taken out, to see the harm.

Every use case is slowed at its lock; without the lock they meet there, so that all of them have
read before one writes.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection
from functools import partial
from threading import Barrier

import pytest
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from coordination.domain.people.models import ClassGroup, ClassMember, Person
from coordination.domain.people.recipients import Child
from coordination.domain.practice import services as practice
from coordination.domain.practice.events import AttendanceTaken
from coordination.domain.practice.models import Enrolment, PracticeSession
from coordination.ground import clock
from coordination.ground.uow import UnitOfWork
from tests.build import world as worlds
from tests.build.outing import FRIDAY, HOUR, Outing, all_at_once, meet, outstay

PAUSE = 0.2
CLASSES = 6


def first_look(uow: UnitOfWork) -> bool:
    before = uow.session.info.get("has_looked", False)
    uow.session.info["has_looked"] = True
    return not before


@pytest.fixture(autouse=True)
def _slow(monkeypatch: pytest.MonkeyPatch) -> None:
    lock = practice.lock_session

    def slowly(uow: UnitOfWork, *, session_id: int) -> PracticeSession:
        held = lock(uow, session_id=session_id)
        if first_look(uow):
            time.sleep(PAUSE)
        return held

    monkeypatch.setattr(practice, "lock_session", slowly)


@pytest.fixture
def no_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The session is read and not locked."""

    def unlocked(uow: UnitOfWork, *, session_id: int) -> PracticeSession:
        held = uow.session.get_one(PracticeSession, session_id)
        if first_look(uow):
            meet()  # all have looked and none has written
        return held

    monkeypatch.setattr(practice, "lock_session", unlocked)


@pytest.fixture
def classes(stage: Outing) -> list[str]:
    """Six classes with three children each."""
    keys = []
    with Session(stage.engine) as session:
        for number in range(CLASSES):
            key = f"class_r{number}"
            group = ClassGroup(
                school_id=stage.world.things["school_a"], grade=3, name_zh=key, name_en=key
            )
            session.add(group)
            session.flush()
            stage.world.things[key] = group.id
            keys.append(key)
            for child in range(3):
                name = f"r{number}_{child}"
                person = Person(
                    name=name,
                    pinyin=name,
                    language="zh",
                    is_student=True,
                    school_id=group.school_id,
                    status="active",
                )
                session.add(person)
                session.flush()
                stage.world.people[name] = person.id
                session.add(
                    ClassMember(class_id=group.id, person_id=person.id, starts_on=worlds.LONG_AGO)
                )
        session.commit()
    return keys


def placed(stage: Outing, session_id: int) -> int:
    return sum(state in ("enrolled", "cleared") for state in stage.states(session_id).values())


def everybody_enrols(stage: Outing, session_id: int, classes: list[str]) -> Counter[str]:
    return Counter(
        all_at_once(
            *(partial(stage.enrol, session_id, key, role="school_admin") for key in classes)
        )
    )


def test_six_classes_at_once_never_take_more_places_than_there_are(
    stage: Outing, classes: list[str]
) -> None:
    session = stage.plan(capacity=7)
    assert everybody_enrols(stage, session, classes) == {"ok": 6}
    assert placed(stage, session) == stage.session(session).taken == 7
    states = Counter(stage.states(session).values())
    assert states == {"enrolled": 7, "waiting": 11}
    positions = stage.sql(
        "select position from enrolment where session_id = :s and state = 'waiting'", s=session
    )
    assert sorted(int(str(p)) for (p,) in positions) == list(range(1, 12))  # nobody shares a number


@pytest.mark.usefixtures("no_lock")
def test_without_the_lock_the_count_still_refuses_what_is_too_much(
    stage: Outing, classes: list[str]
) -> None:
    session = stage.plan(capacity=7)
    found = everybody_enrols(stage, session, classes)
    assert found["full"] > 0  # refused by the CHECK, where the lock would have let them wait
    assert placed(stage, session) <= 7


@pytest.mark.usefixtures("no_lock")
def test_without_lock_and_check_the_same_race_overfills(stage: Outing, classes: list[str]) -> None:
    stage.sql("alter table practice_session drop constraint ck_practice_session_capacity")
    session = stage.plan(capacity=7)
    everybody_enrols(stage, session, classes)
    assert placed(stage, session) > 7


def test_a_double_click_signs_a_class_up_once(stage: Outing) -> None:
    session = stage.plan()
    found = Counter(all_at_once(*[partial(stage.enrol, session)] * 4))
    assert found == {"ok": 1, "already_enrolled": 3}
    assert placed(stage, session) == stage.session(session).taken == 4
    assert stage.told("consent_asked", session) == ["english", "friend_mother", "guardian"]


def test_one_class_in_two_sessions_at_one_time_gets_one_of_them(stage: Outing) -> None:
    sessions = [stage.plan(), stage.plan(FRIDAY + HOUR)]
    found = Counter(all_at_once(*(partial(stage.enrol, s) for s in sessions)))
    assert found == {"ok": 1, "child_clash": 1}


def test_without_class_lock_and_constraint_a_child_is_in_two_places(
    stage: Outing, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.sql("alter table enrolment drop constraint ex_enrolment_one_place_at_a_time")
    monkeypatch.setattr(
        practice, "_lock_class", lambda uow, class_id: uow.session.get(ClassGroup, class_id)
    )
    refuse = practice._refuse_clashing

    def refuse_clashing(
        uow: UnitOfWork, held: PracticeSession, children: Collection[Child]
    ) -> None:
        refuse(uow, held, children)
        meet()  # neither has seen the other

    monkeypatch.setattr(practice, "_refuse_clashing", refuse_clashing)
    sessions = [stage.plan(), stage.plan(FRIDAY + HOUR)]
    found = Counter(all_at_once(*(partial(stage.enrol, s) for s in sessions)))
    assert found == {"ok": 2}
    assert [placed(stage, s) for s in sessions] == [4, 4]


def three_refuse(stage: Outing) -> int:
    session = stage.plan(capacity=4)
    stage.enrol(session)
    stage.enrol(session, "class_c", role="teacher_c")
    all_at_once(
        partial(stage.answer, session, "friend_mother", "friend", "refused"),
        partial(stage.answer, session, "english", "reader", "refused"),
        partial(stage.answer, session, "guardian", "child", "refused"),
    )
    return session


def test_three_refusals_at_once_let_three_move_up_once_each(stage: Outing) -> None:
    session = three_refuse(stage)
    states = stage.states(session)
    assert [states[f"kid_{n}"] for n in range(3)] == ["enrolled"] * 3
    assert placed(stage, session) == stage.session(session).taken == 4
    assert stage.told("enrolment_place", session) == [f"kid_{n}_mother" for n in range(3)]
    assert {key for kind, key in stage.audience("session", session) if kind == "child"} == {
        "brother",
        "kid_0",
        "kid_1",
        "kid_2",
    }


@pytest.fixture
def long_class_list(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading the class takes longer than a family needs to refuse."""
    read = practice.children_of_classes

    def slowly(*args: object) -> object:
        found = read(*args)
        time.sleep(2 * PAUSE)
        return found

    monkeypatch.setattr(practice, "children_of_classes", slowly)


def enrol_while_one_refuses(stage: Outing) -> int:
    session = stage.plan(capacity=4)
    stage.enrol(session)
    found = all_at_once(
        partial(stage.answer, session, "friend_mother", "friend", "refused"),
        partial(stage.enrol, session, "class_c", role="teacher_c"),
    )
    assert found == ["ok", "ok"]
    return session


@pytest.mark.usefixtures("long_class_list")
def test_enrolling_and_refusing_at_once_loses_no_place(stage: Outing) -> None:
    session = enrol_while_one_refuses(stage)
    assert placed(stage, session) == stage.session(session).taken == 4
    assert Counter(stage.states(session).values())["waiting"] == 2


@pytest.mark.usefixtures("no_lock")
def test_without_the_lock_a_place_stays_empty_while_children_wait(
    stage: Outing, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = practice.children_of_classes

    def slowly(*args: object) -> object:
        found = read(*args)
        outstay()  # the family has refused and left
        return found

    monkeypatch.setattr(practice, "children_of_classes", slowly)
    session = enrol_while_one_refuses(stage)
    assert placed(stage, session) == 3
    assert Counter(stage.states(session).values())["waiting"] == 3


def at_the_gate(stage: Outing) -> tuple[int, int]:
    session = stage.plan()
    stage.enrol(session)
    clock.travel_to(FRIDAY)
    ((enrolment,),) = stage.sql(
        "select id from enrolment where session_id = :s and child_id = :c",
        s=session,
        c=stage.world.people["child"],
    )
    return session, int(str(enrolment))


def two_mark(stage: Outing, session_id: int, enrolment_id: int) -> list[str]:
    def mark(role: str, status: str) -> None:
        stage.act(
            role,
            lambda uow: practice.take_attendance(
                uow, session_id=session_id, marks={enrolment_id: status}
            ),
        )

    return all_at_once(partial(mark, "teacher", "present"), partial(mark, "school_admin", "absent"))


def test_two_who_mark_one_child_at_once_leave_one_mark(stage: Outing) -> None:
    session, enrolment = at_the_gate(stage)
    assert two_mark(stage, session, enrolment) == ["ok", "ok"]
    ((status, state),) = stage.sql(
        "select a.status, e.state from attendance a join enrolment e on e.id = a.enrolment_id"
    )
    assert (status, state) in (("present", "attended"), ("absent", "absent"))


@pytest.mark.usefixtures("no_lock")
def test_without_the_locks_one_of_two_marks_breaks(
    stage: Outing, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, enrolment = at_the_gate(stage)
    both = Barrier(2)

    def unlocked(uow: UnitOfWork, session_id: int, ids: Collection[int]) -> list[Enrolment]:
        return [uow.session.get_one(Enrolment, i) for i in ids]

    def taken(session_id: int) -> AttendanceTaken:
        both.wait()  # both have looked and neither has written
        return AttendanceTaken(session_id)

    monkeypatch.setattr(practice, "_lock_marked", unlocked)
    monkeypatch.setattr(practice, "AttendanceTaken", taken)
    with pytest.raises(IntegrityError):
        two_mark(stage, session, enrolment)
