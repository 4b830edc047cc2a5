"""An outing: class 3(2) with four families, class 3(1) beside it, and sessions made as one likes.

王小雨 and 王小宇 are siblings (one mother, a father whom custody keeps out); 李想's parents share one
phone; 赵一诺's mother reads English. Class 3(1) has three children with one mother each.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Barrier, Condition
from typing import TypeVar
from zoneinfo import ZoneInfo

from sqlalchemy import Engine, create_engine, select, text
from sqlalchemy.orm import Session

from coordination.authz.actor import Actor
from coordination.domain.agenda.models import CalendarEntry, EntryAudience
from coordination.domain.consents import services as consents
from coordination.domain.consents.models import ConsentRequest
from coordination.domain.people import contacts
from coordination.domain.people.actors import actor_of
from coordination.domain.people.models import (
    ClassGroup,
    ClassMember,
    Guardianship,
    Membership,
    Person,
)
from coordination.domain.practice import services as practice
from coordination.domain.practice.models import Enrolment, PracticeSession
from coordination.domain.volunteering import services as volunteering
from coordination.ground import clock
from coordination.ground.actor import SYSTEM
from coordination.ground.errors import CoordinationError
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork
from coordination.reactions.work import begin
from notifications.models import OutboxMessage
from tests.build import world as worlds

T = TypeVar("T")
ZONE = ZoneInfo("Asia/Shanghai")
NOW = datetime(2026, 11, 24, 9, 0, tzinfo=ZONE)
FRIDAY = datetime(2026, 12, 11, 8, 30, tzinfo=ZONE)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
STORM = Text("大风", "storm")


@dataclass
class Outing:
    """The people and short ways to act."""

    engine: Engine
    url: str
    world: worlds.World

    def actor(self, role: str) -> Actor:
        with Session(self.engine) as session:
            return actor_of(session, self.world.people[role], clock.today(ZONE))

    def act(self, role: str, use: Callable[[UnitOfWork], T]) -> T:
        actor = self.actor(role)
        with Session(self.engine) as session, begin(session, actor) as uow:
            return use(uow)

    def system(self, use: Callable[[UnitOfWork], T]) -> T:
        with Session(self.engine) as session, begin(session, SYSTEM) as uow:
            return use(uow)

    def plan(
        self,
        starts_at: datetime = FRIDAY,
        *,
        capacity: int = 10,
        helpers: int = 0,
        role: str = "coordinator",
        activity: int | None = None,
        signup_until: datetime | None = None,
        ends_at: datetime | None = None,
        return_at: datetime | None = None,
    ) -> int:
        def use(uow: UnitOfWork) -> int:
            made = practice.add_session(
                uow,
                activity_id=activity or self.world.things["activity"],
                starts_at=starts_at,
                ends_at=ends_at or starts_at + 7 * HOUR,
                return_at=return_at or starts_at + 8 * HOUR,
                capacity=capacity,
                meeting_point=Text("南门", "South gate"),
                signup_until=signup_until or starts_at - 3 * DAY,
            )
            if helpers:
                self.world.things[f"need-{made.id}"] = volunteering.open_shift(
                    uow,
                    session_id=made.id,
                    role=Text("家长志愿者", "Parent helper"),
                    min_people=1,
                    max_people=helpers,
                ).id
            return made.id

        return self.act(role, use)

    def enrol(
        self,
        session_id: int,
        class_key: str = "class_a",
        *,
        role: str = "teacher",
        adults: int = 2,
        leave_out: Collection[str] = (),
    ) -> tuple[int, int]:
        return self.act(
            role,
            lambda uow: practice.enrol_class(
                uow,
                session_id=session_id,
                class_id=self.world.things[class_key],
                adults=adults,
                needs="1 名花生过敏",
                leave_out=[self.world.people[c] for c in leave_out],
            ),
        )

    def move(self, session_id: int, starts_at: datetime, role: str = "coordinator") -> None:
        self.act(
            role,
            lambda uow: practice.move_session(
                uow,
                session_id=session_id,
                starts_at=starts_at,
                ends_at=starts_at + 7 * HOUR,
                return_at=starts_at + 8 * HOUR,
            ),
        )

    def cancel(self, session_id: int, note: Text = STORM, role: str = "coordinator") -> None:
        self.act(
            role,
            lambda uow: practice.cancel_session(
                uow, session_id=session_id, code="weather", note=note
            ),
        )

    def request_of(self, session_id: int) -> int:
        """The consent in force for a session."""
        with Session(self.engine) as session:
            return (
                session.scalars(
                    select(ConsentRequest.id)
                    .where(
                        ConsentRequest.subject_type == "session",
                        ConsentRequest.subject_id == session_id,
                    )
                    .order_by(ConsentRequest.version.desc())
                ).first()
                or 0
            )

    def answer(
        self,
        session_id: int,
        role: str,
        child: str,
        response: str = "given",
        *,
        request_id: int | None = None,
        signed: str = "王敏",
    ) -> str:
        return self.act(
            role,
            lambda uow: consents.answer(
                uow,
                request_id=request_id or self.request_of(session_id),
                child_id=self.world.people[child],
                response=response,
                signed_name=signed,
                route="code",
                language="zh",
            ),
        )

    def take(self, session_id: int, role: str) -> int:
        need = self.world.things[f"need-{session_id}"]
        return self.act(role, lambda uow: volunteering.take_shift(uow, need_id=need).id)

    def leave(self, session_id: int, role: str) -> None:
        need = self.world.things[f"need-{session_id}"]
        self.act(role, lambda uow: volunteering.leave_shift(uow, need_id=need))

    # -- what came of it -------------------------------------------------------------------------

    def session(self, session_id: int) -> PracticeSession:
        with Session(self.engine, expire_on_commit=False) as session:
            return session.get_one(PracticeSession, session_id)

    def states(self, session_id: int) -> dict[str, str]:
        """State of every child in a session, by the child's key."""
        names = {person: key for key, person in self.world.people.items()}
        with Session(self.engine) as session:
            rows = session.execute(
                select(Enrolment.child_id, Enrolment.state).where(
                    Enrolment.session_id == session_id
                )
            )
            return {names[child]: state for child, state in rows}

    def messages(self, key: str, subject_id: int | None = None) -> list[OutboxMessage]:
        with Session(self.engine, expire_on_commit=False) as session:
            query = select(OutboxMessage).where(OutboxMessage.template_key == key)
            if subject_id is not None:
                query = query.where(OutboxMessage.subject_id == subject_id)
            return list(session.scalars(query.order_by(OutboxMessage.id)))

    def told(self, key: str, subject_id: int | None = None) -> list[str]:
        """Keys of those written to with a template, sorted; somebody told twice stands there twice."""
        names = {person: role for role, person in self.world.people.items()}
        return sorted(names[m.recipient_id] for m in self.messages(key, subject_id))

    def forget_messages(self) -> None:
        """So that only what comes next, a minute later, is seen."""
        clock.travel_to(clock.now() + timedelta(minutes=1))
        with self.engine.begin() as connection:
            connection.execute(
                text(
                    "update outbox_message set template_key = 'before:' || template_key"
                    " where template_key not like 'before:%'"
                )
            )

    def entry(self, subject_type: str, subject_id: int) -> CalendarEntry:
        with Session(self.engine, expire_on_commit=False) as session:
            return session.scalars(
                select(CalendarEntry).where(
                    CalendarEntry.subject_type == subject_type,
                    CalendarEntry.subject_id == subject_id,
                )
            ).one()

    def audience(self, subject_type: str, subject_id: int) -> set[tuple[str, str]]:
        """(kind, key) of the calendars in which an entry stands."""
        entry = self.entry(subject_type, subject_id)
        people = {i: k for k, i in self.world.people.items()}
        classes = {i: k for k, i in self.world.things.items() if k.startswith("class_")}
        bodies = {
            i: k for k, i in self.world.things.items() if k.startswith(("partner_", "school_"))
        }
        named = {"child": people, "person": people, "class_staff": classes, "school": bodies}
        with Session(self.engine) as session:
            return {
                (a.kind, named[a.kind][a.audience_id])
                for a in session.scalars(
                    select(EntryAudience).where(EntryAudience.entry_id == entry.id)
                )
            }

    def sql(self, statement: str, **values: object) -> list[tuple[object, ...]]:
        """Rows of a statement; for looks at the tables and for taking guards away."""
        with self.engine.begin() as connection:
            found = connection.execute(text(statement), values)
            return [tuple(row) for row in found] if found.returns_rows else []


class Crowd:
    """Those of one `all_at_once`, who can wait for each other in the middle of what they do."""

    def __init__(self, size: int) -> None:
        self._size, self._here, self._gone = size, 0, 0
        self._changed = Condition()

    def meet(self) -> None:
        """Go on when everybody else has come here as well, or is through.

        The seconds are for those whom another one keeps at a lock: they come when we go on.
        """
        with self._changed:
            self._here += 1
            wanted = -(-self._here // self._size) * self._size  # the second time, all twice
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._here + self._gone >= wanted, timeout=3)

    def outstay(self) -> None:
        """Go on when all others are through."""
        with self._changed:
            self._changed.wait_for(lambda: self._gone >= self._size - 1, timeout=30)

    def leave(self) -> None:
        with self._changed:
            self._gone += 1
            self._changed.notify_all()


_crowd = Crowd(1)


def meet() -> None:
    """Wait for the others of the running `all_at_once`: how a race is lost on any machine."""
    _crowd.meet()


def outstay() -> None:
    """Wait until the others of the running `all_at_once` are through."""
    _crowd.outstay()


def all_at_once(*uses: Callable[[], object]) -> list[str]:
    """Run the calls in threads that start together; `ok` or the refusal's code of each."""
    global _crowd  # one race at a time
    _crowd = Crowd(len(uses))
    start = Barrier(len(uses))

    def one(use: Callable[[], object]) -> str:
        start.wait()
        try:
            use()
        except CoordinationError as refused:
            return refused.code
        finally:
            _crowd.leave()
        return "ok"

    with ThreadPoolExecutor(len(uses)) as pool:
        return list(pool.map(one, uses))


@contextmanager
def outing(url: str) -> Iterator[Outing]:
    """The world with more families, on a database of the test's own; the clock stands at NOW."""
    clock.travel_to(NOW)
    engine = create_engine(url, pool_size=20, max_overflow=20)
    with Session(engine) as session:
        world = worlds.build(session, NOW)
        _more_people(session, world)
        session.commit()
    yield Outing(engine, url, world)
    engine.dispose()


def _more_people(session: Session, world: worlds.World) -> None:
    def person(key: str, name: str, language: str = "zh", *, student: bool = False) -> int:
        row = Person(
            name=name,
            language=language,
            pinyin=f"z {key}",
            is_student=student,
            school_id=world.things["school_a"] if student else None,
            status="active",
        )
        session.add(row)
        session.flush()
        world.people[key] = row.id
        return row.id

    def child(key: str, name: str, class_key: str) -> int:
        made = person(key, name, student=True)
        session.add(
            ClassMember(class_id=world.things[class_key], person_id=made, starts_on=worlds.LONG_AGO)
        )
        return made

    def guards(guardian: int, child_id: int, *, order: int = 1, **limits: object) -> None:
        session.add(
            Guardianship(
                child_id=child_id,
                guardian_id=guardian,
                relation="parent",
                starts_on=worlds.LONG_AGO,
                contact_order=order,
                legal=True,
                **{
                    "may_consent": True,
                    "may_pick_up": True,
                    "receives_notice": True,
                    "no_disclosure": False,
                    **limits,
                },
            )
        )

    def clazz(key: str, name: str, grade: int) -> int:
        row = ClassGroup(
            school_id=world.things["school_a"], grade=grade, name_zh=name, name_en=key, active=True
        )
        session.add(row)
        session.flush()
        world.things[key] = row.id
        return row.id

    brother = child("brother", "王小宇", "class_a")
    guards(world.people["guardian"], brother)
    guards(world.people["restricted"], brother, order=2, no_disclosure=True)
    friend = child("friend", "李想", "class_a")
    for number, (key, name) in enumerate((("friend_mother", "赵兰"), ("friend_father", "李刚"))):
        parent = person(key, name)
        guards(parent, friend, order=number + 1)
        contacts.set_phone(session, parent, "13800138055")
    reader = child("reader", "赵一诺", "class_a")
    english = person("english", "Anna Smith", "en")
    guards(english, reader)
    contacts.set_phone(session, english, "13800138066")

    clazz("class_c", "三（1）班", 3)
    clazz("class_five", "五（1）班", 5)
    for number in range(3):
        kid = child(f"kid_{number}", f"孙{'一二三'[number]}", "class_c")
        mother = person(f"kid_{number}_mother", f"周{'一二三'[number]}")
        guards(mother, kid)
        contacts.set_phone(session, mother, f"1380013807{number}")
    session.flush()
    _teacher(session, world, "teacher_c", "class_c", person("teacher_c", "王浩"))
    _teacher(session, world, "teacher_five", "class_five", person("teacher_five", "高洁"))
    for number, key in enumerate(("teacher", "teacher_c", "coordinator", "partner")):
        contacts.set_phone(session, world.people[key], f"1380013809{number}")


def _teacher(
    session: Session, world: worlds.World, key: str, class_key: str, person_id: int
) -> None:
    session.add(
        Membership(
            person_id=person_id,
            org_id=world.things["school_a"],
            role="class_teacher",
            class_id=world.things[class_key],
            starts_on=worlds.LONG_AGO,
        )
    )
    world.people[key] = person_id
