"""The demo district on a working day: something of everything, with a session token for everybody.

For tests that walk all pages of all people; nothing in here is looked at twice by itself.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from pathlib import Path

from rich.console import Console
from sqlalchemy import Engine, create_engine, select, text
from sqlalchemy.orm import Session

from coordination.authz.actor import Actor
from coordination.domain.agenda import feeds
from coordination.domain.bookings import services as bookings
from coordination.domain.bookings.models import Resource
from coordination.domain.communication.files import child_files
from coordination.domain.communication.files.handing_in import Handed
from coordination.domain.communication.notices import services as communication
from coordination.domain.people import links
from coordination.domain.people.actors import actor_of
from coordination.domain.people.corrections import proposing
from coordination.domain.people.models import Account, AccountSession, Guardianship, Person
from coordination.domain.people.roster import batches
from coordination.domain.people.year import preparing
from coordination.domain.practice import services as practice
from coordination.domain.practice.models import PracticeSession
from coordination.domain.volunteering import services as volunteering
from coordination.domain.volunteering.models import ShiftNeed
from coordination.ground import clock, crypto
from coordination.ground.text import Text
from coordination.seed.demo import STAFF, ZONE, load_demo
from coordination.settings import load
from coordination.tour import CODE, Story
from tests.build.papers import pdf

FIELD_KEY = "a field key for tests only"
ROSTER = (
    "学校,学校代码,班级,年级,学号,学生姓名,监护人1姓名,监护人1关系,监护人1手机\n"
    "光明实验小学,,四（2）班,四年级,20269001,钱多多,钱明,父亲,13800990001\n"
    "光明实验小学,,四（2）班,四年级,20269002,白素,白明,父亲,12345\n"
)


@dataclass
class Town:
    """Where it is, who is in it, and the codes and addresses that were sent out."""

    engine: Engine
    url: str
    people: dict[str, int] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    codes: dict[str, list[str]] = field(default_factory=dict)
    feeds: list[str] = field(default_factory=list)
    # of those who hold the first codes
    children: list[int] = field(default_factory=list)

    def ids(self, table: str) -> list[int]:
        """First, last and one in between."""
        with self.engine.connect() as connection:
            found = list(connection.scalars(text(f"select id from {table} order by id")))
        return sorted({found[0], found[len(found) // 2], found[-1]}) if found else []


def busy(url: str) -> Town:
    """Write the day; everything is committed."""
    engine = create_engine(url)
    settings = load({"DATABASE_URL": url, "FIELD_KEY": FIELD_KEY})
    story = Story(engine, settings, Console(quiet=True))
    town = Town(engine, url)
    with Session(engine) as session, session.begin():
        load_demo(session, clock.now())
    teacher = story.staff("lijing")
    (class_id,) = teacher.class_ids
    said = Text("家长会", "Parents' meeting"), Text("周五晚七点", "Friday, 7 pm")
    for key in ("busy-unsent", "busy-draft"):
        _files(story, teacher, class_id, key, *said)
    _files(story, teacher, class_id, "busy", *said, send=True)
    with Session(engine) as session:
        resources = session.scalars(select(Resource.id).order_by(Resource.id)).all()
        held = session.scalars(select(PracticeSession.id).order_by(PracticeSession.id)).all()
        need = session.scalars(select(ShiftNeed.id).order_by(ShiftNeed.id)).first() or 0
    for number, resource in enumerate(resources[:2]):
        _book(story, teacher, resource, class_id, number)
    with story.acting(teacher) as uow:
        practice.enrol_class(uow, session_id=held[0], class_id=class_id, adults=3, needs="2 名过敏")
    texts = [CODE.findall(t.body)[-1] for t in story.deliver() if CODE.search(t.body)]
    with Session(engine) as session:
        for code in texts:
            town.codes.setdefault(links.open_code(session, code).subject_type, []).append(code)
    # two that are due at one time: one text for each family, and a code for both
    with story.acting(teacher) as uow:
        communication.send_notice(
            uow,
            draft_key="busy-1",
            class_ids=[class_id],
            title=Text("通知1", "Notice 1"),
            body=Text("请带水壶。", "Please bring a bottle."),
            level="confirm",
        )
    _files(story, teacher, class_id, "busy-2", *said, send=True)
    texts = [CODE.findall(t.body)[-1] for t in story.deliver() if CODE.search(t.body)]
    with Session(engine) as session:
        town.codes["together"] = [
            code for code in texts if links.open_code(session, code).subject_type == "together"
        ]
        holders = [
            links.open_code(session, code).person_id
            for kind in ("notice", "together")
            for code in town.codes[kind][:2]
        ]
        town.children = sorted(
            session.scalars(
                select(Guardianship.child_id)
                .where(Guardianship.guardian_id.in_(holders))
                .distinct()
            )
        )
    _turn_and_corrections(story)
    batches.use_zone(ZONE)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "roster.csv"
        path.write_text(ROSTER, encoding="utf-8")
        with story.acting(story.staff("admin")) as uow:
            batches.preview(uow, path=path, name="四年级.csv")
    with Session(engine) as session:
        for login, *_ in STAFF:
            town.people[login] = session.scalars(
                select(Account.person_id).where(Account.login == login)
            ).one()
        for key, child in (("parent", "王小雨"), ("parent_en", "阿依古丽·买买提")):
            town.people[key] = _guardian(session, child)
        town.people["hidden_father"] = session.scalars(
            select(Guardianship.guardian_id).where(Guardianship.no_disclosure.is_(True))
        ).first()
        for key, person in town.people.items():
            town.tokens[key] = f"token-of-{key}"
            session.add(
                AccountSession(
                    person_id=person,
                    token_hash=crypto.token_hash(town.tokens[key]),
                    route="code",
                    last_seen_at=clock.now(),
                    expires_at=clock.now() + timedelta(days=1),
                )
            )
        session.commit()
    parent = story.person(town.people["parent"])
    with story.acting(parent) as uow:
        volunteering.take_shift(uow, need_id=need)
    with Session(engine) as session:
        row = links.open_code(session, town.codes["notice"][0])
    with story.acting(story.person(row.person_id)) as uow:
        communication.acknowledge(uow, notice_id=row.subject_id, confirm=False)
    for key in ("lijing", "parent"):
        with story.acting(story.person(town.people[key])) as uow:
            scope = "teacher" if key == "lijing" else "family"
            _, secret = feeds.open_feed(uow, scope=scope, scope_id=None, name=key, language="zh")
            town.feeds.append(secret)
    return town


def _turn_and_corrections(story: Story) -> None:
    """A school's turn of the year in preparation, a name that a family puts right, and a number."""
    office = story.staff("liufang")
    with story.acting(office) as uow:
        preparing.begin(uow, school_id=next(iter(office.orgs())), day=clock.now().date())
    with Session(story.engine) as session:
        guardian = actor_of(session, _guardian(session, "王小雨"), clock.now().date())
        child = session.scalars(select(Person.id).where(Person.name == "王小雨")).one()
    for which, typed in (("name_en", "Wang Min"), ("phone", "13700137009")):
        with story.acting(guardian) as uow:
            proposing.propose(
                uow, child_id=child, of_child=False, field=which, typed=typed, reason="passport"
            )


def _files(
    story: Story,
    teacher: Actor,
    class_id: int,
    key: str,
    title: Text,
    body: Text,
    *,
    send: bool = False,
) -> None:
    """A file for every child of the class, sent or not."""
    with story.acting(teacher) as uow:
        notice = child_files.begin(
            uow, draft_key=key, class_id=class_id, title=title, body=body, level="confirm"
        )
        for line in child_files.lines_of(uow.session, notice, clock.today(ZONE)):
            handed = [Handed("scan.pdf", pdf())]
            child_files.add(uow, notice_id=notice.id, handed=handed, child_id=line.child_id)
        if send:
            child_files.send(uow, notice_id=notice.id, title=title, body=body, level="confirm")


def _guardian(session: Session, child: str) -> int:
    return (
        session.scalars(
            select(Guardianship.guardian_id)
            .join(Person, Person.id == Guardianship.child_id)
            .where(Person.name == child, Guardianship.no_disclosure.is_(False))
            .order_by(Guardianship.contact_order, Guardianship.id)
        ).first()
        or 0
    )


def _book(story: Story, teacher: Actor, resource: int, class_id: int, number: int) -> None:
    today = clock.today(ZONE)
    day = today + timedelta(days=(2 - today.weekday()) % 7 + 7)
    starts = datetime.combine(day, time(10 + 3 * number), tzinfo=ZONE)
    with story.acting(teacher) as uow:
        bookings.request_booking(
            uow,
            resource_id=resource,
            starts_at=starts,
            ends_at=starts + timedelta(hours=1),
            class_id=class_id,
            children=36,
            adults=2,
            purpose="拉坯",
            needs="",
            request_key=f"busy-{number}",
            zone=ZONE,
        )
