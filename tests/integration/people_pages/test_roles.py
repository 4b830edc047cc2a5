"""Granting and ending roles: what each office may give, and that the district keeps its key."""

from __future__ import annotations

import threading
from datetime import date, timedelta

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from coordination.domain.people import contacts, posts
from coordination.domain.people.models import Membership, OneTimeCode, Organisation, Person
from coordination.ground import clock
from coordination.ground.actor import Role
from coordination.ground.audit import AuditEntry
from coordination.ground.errors import Conflict, CoordinationError, Forbidden, Invalid
from tests.integration.people_pages.conftest import Stage

PHONE = "13700137001"


def grant(stage: Stage, by: str, org: str, role: Role, **more: object) -> None:
    values: dict[str, object] = {
        "org_id": org_of(stage, org),
        "role": role,
        "name": "新老师",
        "phone": PHONE,
        "starts_on": clock.now().date(),
        **more,
    }
    stage.act(by, posts.grant, **values)


def org_of(stage: Stage, name: str) -> int:
    with Session(stage.engine) as session:
        return session.scalars(select(Organisation.id).where(Organisation.code == name)).one()


def held_by(stage: Stage, name: str = "新老师") -> list[Membership]:
    with Session(stage.engine) as session:
        return list(
            session.scalars(
                select(Membership)
                .join(Person, Person.id == Membership.person_id)
                .where(Person.name == name)
                .order_by(Membership.id)
            )
        )


def post_of(stage: Stage, role: str) -> int:
    with Session(stage.engine) as session:
        return session.scalars(
            select(Membership.id).where(Membership.person_id == stage.world.people[role])
        ).one()


def test_whoever_is_granted_a_role_holds_it_and_signs_in_by_phone(stage: Stage) -> None:
    office, school = stage.visit("school_admin"), stage.world.things["school_a"]
    answer = office.post(
        f"/people/organisations/{school}/grant",
        data={
            "name": "新老师",
            "phone": PHONE,
            "role": "class_teacher",
            "class_id": stage.world.things["class_a"],
            "starts_on": clock.now().date().isoformat(),
            "ends_on": (clock.now().date() + timedelta(days=200)).isoformat(),
        },
    )
    assert answer.status_code == 303
    listed = office.get(f"/people/organisations/{school}").text
    assert "新老师" in listed and "137****7001" in listed and PHONE not in listed
    newcomer = stage.app.test_client()
    newcomer.post("/sign-in/phone", data={"phone": PHONE})
    with Session(stage.engine) as session:
        made = held_by(stage)[0]
        assert session.scalars(select(OneTimeCode.person_id)).all() == [made.person_id]
        assert contacts.phones_of(session, [made.person_id]) == {made.person_id: "+86" + PHONE}


def test_a_role_holds_from_its_first_to_its_last_day(stage: Stage) -> None:
    today = clock.now().date()
    grant(
        stage,
        "district_admin",
        "district",
        Role.COORDINATOR,
        starts_on=today - timedelta(days=3),
        ends_on=today,
    )
    stage.world.people["newcomer"] = held_by(stage)[0].person_id
    assert Role.COORDINATOR in stage.actor("newcomer").roles
    clock.travel_to(clock.now() + timedelta(days=1))
    assert stage.actor("newcomer").roles == frozenset()


def test_a_known_adult_gets_a_second_role_and_stays_one_person(stage: Stage) -> None:
    grant(stage, "school_admin", "school_a", Role.VOLUNTEER, name="王敏", phone="138 0013 8001")
    made = held_by(stage, "王敏")
    assert [m.person_id for m in made] == [stage.world.people["guardian"]]


def test_a_phone_of_somebody_else_is_refused(stage: Stage) -> None:
    with pytest.raises(Conflict, match="phone_of_another"):
        grant(stage, "school_admin", "school_a", Role.VOLUNTEER, phone="13800138001")
    assert held_by(stage) == []


@pytest.mark.parametrize(
    ("by", "org", "role"),
    [
        ("school_admin", "school_a", Role.DISTRICT_ADMIN),
        ("school_admin", "school_a", Role.COORDINATOR),
        ("school_admin", "school_a", Role.DATA_OFFICER),
        ("school_admin", "school_a", Role.PARTNER_STAFF),
        ("school_admin", "school_b", Role.SCHOOL_ADMIN),
        ("school_admin", "district", Role.DISTRICT_ADMIN),
        ("school_admin", "partner_p", Role.PARTNER_STAFF),
        ("coordinator", "district", Role.DISTRICT_ADMIN),
        ("coordinator", "school_a", Role.SCHOOL_ADMIN),
        ("teacher", "school_a", Role.VOLUNTEER),
        ("partner", "partner_q", Role.PARTNER_STAFF),
        ("partner", "partner_p", Role.DISTRICT_ADMIN),
        ("guardian", "school_a", Role.VOLUNTEER),
    ],
)
def test_nobody_gives_what_their_office_does_not_hold(
    stage: Stage, by: str, org: str, role: Role
) -> None:
    with pytest.raises(Forbidden):
        grant(stage, by, org, role)
    assert held_by(stage) == []


@pytest.mark.parametrize(
    ("by", "org", "role"),
    [
        ("district_admin", "district", Role.DATA_OFFICER),
        ("district_admin", "school_b", Role.SCHOOL_ADMIN),
        ("district_admin", "partner_q", Role.PARTNER_STAFF),
        ("coordinator", "partner_p", Role.PARTNER_STAFF),
        ("school_admin", "school_a", Role.SCHOOL_ADMIN),
    ],
)
def test_each_office_gives_its_own(stage: Stage, by: str, org: str, role: Role) -> None:
    grant(stage, by, org, role)
    assert [m.role for m in held_by(stage)] == [role.value]


def test_a_form_that_names_a_foreign_role_is_refused(stage: Stage) -> None:
    school = stage.world.things["school_a"]
    answer = stage.visit("school_admin").post(
        f"/people/organisations/{school}/grant",
        data={
            "name": "新老师",
            "phone": PHONE,
            "role": "district_admin",
            "class_id": 0,
            "starts_on": "2026-09-01",
        },
    )
    assert answer.status_code == 422 and held_by(stage) == []


def test_a_class_teacher_needs_a_class_of_the_same_school(stage: Stage) -> None:
    with pytest.raises(Invalid):
        grant(stage, "school_admin", "school_a", Role.CLASS_TEACHER)
    with pytest.raises(Invalid):
        grant(
            stage,
            "school_admin",
            "school_a",
            Role.CLASS_TEACHER,
            class_id=stage.world.things["class_b"],
        )
    with pytest.raises(Invalid):
        grant(
            stage,
            "school_admin",
            "school_a",
            Role.SCHOOL_ADMIN,
            class_id=stage.world.things["class_a"],
        )
    assert held_by(stage) == []


def test_the_same_role_is_not_held_twice_at_one_time_but_may_come_again(stage: Stage) -> None:
    today = clock.now().date()
    until = today + timedelta(days=30)
    grant(stage, "school_admin", "school_a", Role.VOLUNTEER, ends_on=until)
    with pytest.raises(Conflict, match="role_held"):
        grant(stage, "school_admin", "school_a", Role.VOLUNTEER, starts_on=until)
    grant(stage, "school_admin", "school_a", Role.VOLUNTEER, starts_on=until + timedelta(days=1))
    assert len(held_by(stage)) == 2


def test_an_ended_role_opens_nothing_and_stays_in_the_list(stage: Stage) -> None:
    office, teacher = stage.visit("school_admin"), stage.visit("teacher")
    path = f"/people/roles/{post_of(stage, 'teacher')}/end"
    assert teacher.get("/people/").status_code == 200
    yesterday = clock.now().date() - timedelta(days=1)
    answer = office.post(path, data={"last_day": yesterday.isoformat()})
    assert answer.status_code == 303
    assert teacher.get("/people/").status_code == 403
    school = f"/people/organisations/{stage.world.things['school_a']}"
    office.get(school)  # says once what was done
    assert "李静" not in office.get(school).text
    assert "李静" in office.get(f"{school}?show=ended").text
    with Session(stage.engine) as session:
        line = session.scalars(
            select(AuditEntry).where(AuditEntry.table_name == "membership")
        ).one()
        assert (line.actor, line.after) == ("刘芳", {"ends_on": yesterday.isoformat()})


def test_a_role_cannot_end_before_it_began_nor_be_stretched(stage: Stage) -> None:
    held = post_of(stage, "teacher")
    with pytest.raises(Invalid):
        stage.act("school_admin", posts.end, membership_id=held, last_day=date(2019, 1, 1))
    soon = clock.now().date() + timedelta(days=5)
    stage.act("school_admin", posts.end, membership_id=held, last_day=soon)
    with pytest.raises(Conflict, match="ends_earlier"):
        stage.act("school_admin", posts.end, membership_id=held, last_day=soon + timedelta(days=1))


@pytest.mark.parametrize("by", ["school_admin_b", "coordinator", "teacher", "partner"])
def test_nobody_ends_the_roles_of_others(stage: Stage, by: str) -> None:
    with pytest.raises(Forbidden):
        stage.act(
            by,
            posts.end,
            membership_id=post_of(stage, "teacher"),
            last_day=clock.now().date(),
        )


def test_the_district_keeps_one_administrator(stage: Stage) -> None:
    today, own = clock.now().date(), post_of(stage, "district_admin")
    with pytest.raises(Conflict, match="last_administrator"):
        stage.act("district_admin", posts.end, membership_id=own, last_day=today)
    # somebody whose own role ends is no successor
    grant(
        stage,
        "district_admin",
        "district",
        Role.DISTRICT_ADMIN,
        name="临时",
        phone="13700137002",
        ends_on=today + timedelta(days=9),
    )
    with pytest.raises(Conflict, match="last_administrator"):
        stage.act("district_admin", posts.end, membership_id=own, last_day=today)
    grant(stage, "district_admin", "district", Role.DISTRICT_ADMIN)
    stage.act("district_admin", posts.end, membership_id=own, last_day=today)
    assert held_by(stage)[0].ends_on is None


def _end_each_other(stage: Stage) -> list[str]:
    """Two administrators end each other's role at the same moment; what each was told."""
    grant(stage, "district_admin", "district", Role.DISTRICT_ADMIN)
    stage.world.people["second"] = held_by(stage)[0].person_id
    both = {"district_admin": held_by(stage)[0].id, "second": post_of(stage, "district_admin")}
    start, told = threading.Barrier(2), []

    def end(by: str, other: int) -> None:
        start.wait(10)
        try:
            stage.act(by, posts.end, membership_id=other, last_day=clock.now().date())
            told.append("ended")
        except CoordinationError as refusal:
            told.append(refusal.code)

    threads = [threading.Thread(target=end, args=pair) for pair in both.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return sorted(told)


def _administrators(stage: Stage) -> int:
    with Session(stage.engine) as session:
        return (
            session.scalar(
                select(func.count()).where(
                    Membership.role == "district_admin", Membership.ends_on.is_(None)
                )
            )
            or 0
        )


def test_two_administrators_who_end_each_other_leave_one(stage: Stage) -> None:
    assert _end_each_other(stage) == ["ended", "last_administrator"]
    assert _administrators(stage) == 1


def test_without_the_lock_they_would_leave_none(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    # negative control: the same reading without the lock, and both see the other still there
    seen = threading.Barrier(2)

    def unlocked(session: Session) -> list[Membership]:
        found = list(session.scalars(select(Membership).where(Membership.role == "district_admin")))
        seen.wait(10)
        return found

    monkeypatch.setattr(posts, "_hold_administrators", unlocked)
    assert _end_each_other(stage) == ["ended", "ended"]
    assert _administrators(stage) == 0
