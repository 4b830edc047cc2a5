"""A school with more classes than one, and short ways to turn its year."""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from coordination.domain.people import contacts
from coordination.domain.people.models import (
    ClassGroup,
    ClassMember,
    Guardianship,
    Membership,
    Person,
)
from coordination.domain.people.year import plan
from coordination.domain.people.year.models import SchoolTurn
from coordination.ground import clock
from tests.build import world as worlds

ZONE = ZoneInfo("Asia/Shanghai")


def today() -> date:
    """The present date where the school is."""
    return clock.now().astimezone(ZONE).date()


def begins() -> datetime:
    """The first moment of today."""
    return clock.now().astimezone(ZONE).replace(hour=0, minute=0, second=0, microsecond=0)


def add_class(
    engine: Engine,
    world: worlds.World,
    key: str,
    grade: int | None,
    zh: str,
    en: str,
    children: int,
) -> None:
    """A class of our school with children who have a guardian with a phone each, and a teacher."""
    with Session(engine) as session:
        school = world.things["school_a"]
        group = ClassGroup(school_id=school, grade=grade, name_zh=zh, name_en=en)
        session.add(group)
        session.flush()
        world.things[key] = group.id
        teacher = Person(name=f"{zh}班主任", pinyin=f"t{key}")
        session.add(teacher)
        session.flush()
        world.people[f"teacher_{key}"] = teacher.id
        session.add(
            Membership(
                person_id=teacher.id,
                org_id=school,
                role="class_teacher",
                class_id=group.id,
                starts_on=worlds.LONG_AGO,
            )
        )
        for n in range(children):
            child = Person(
                name=f"{zh}{n}", pinyin=f"{key}{n}", is_student=True, school_id=school, grade=grade
            )
            adult = Person(name=f"{zh}{n}的家长", pinyin=f"{key}{n}p", language="en")
            session.add_all([child, adult])
            session.flush()
            world.people[f"{key}_{n}"] = child.id
            world.people[f"{key}_{n}_parent"] = adult.id
            session.add(
                ClassMember(class_id=group.id, person_id=child.id, starts_on=worlds.LONG_AGO)
            )
            session.add(
                Guardianship(
                    child_id=child.id,
                    guardian_id=adult.id,
                    relation="mother",
                    starts_on=worlds.LONG_AGO,
                )
            )
            contacts.set_phone(session, adult.id, f"137{group.id % 10000:04}{n:04}")
        session.commit()


def classes(engine: Engine, world: worlds.World, day: date) -> dict[str, list[str]]:
    """Class name -> the names of who is in it on a day, of our school."""
    found: dict[str, list[str]] = {}
    with Session(engine) as session:
        for name, child in session.execute(
            select(ClassGroup.name_zh, Person.name)
            .join(ClassMember, ClassMember.class_id == ClassGroup.id)
            .join(Person, Person.id == ClassMember.person_id)
            .where(
                ClassGroup.school_id == world.things["school_a"],
                ClassMember.starts_on <= day,
                (ClassMember.ends_on.is_(None)) | (ClassMember.ends_on >= day),
            )
            .order_by(Person.pinyin)
        ):
            found.setdefault(name, []).append(child)
    return found


def draft_of(session: Session, world: worlds.World) -> tuple[SchoolTurn, plan.Plan]:
    """The draft of our school and what it would do."""
    turn = session.scalars(
        select(SchoolTurn).where(
            SchoolTurn.school_id == world.things["school_a"], SchoolTurn.state == "draft"
        )
    ).one()
    return turn, plan.plan_of(session, turn, today())
