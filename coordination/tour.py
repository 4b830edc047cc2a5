"""The whole story in a terminal: a district's week on a throw-away database, time moved forward.

Prints what each person received (every text, every calendar change) and checks that nothing
expected is missing and nothing came twice. Composition root: uses what web and worker use.
"""

from __future__ import annotations

import logging
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from pathlib import Path

from icalendar import Calendar, Component
from rich.console import Console
from sqlalchemy import Engine, String, cast, create_engine, func, literal_column, select
from sqlalchemy.orm import Session

from calendars import feed as ics
from calendars.values import FeedHead
from coordination.authz.actor import ANONYMOUS, SYSTEM, Actor
from coordination.domain.agenda import feeds, polling
from coordination.domain.bookings import services as bookings
from coordination.domain.bookings.models import Resource
from coordination.domain.communication.notices import services as communication
from coordination.domain.communication.unanswered import silence
from coordination.domain.consents import services as consents
from coordination.domain.people import accounts, links
from coordination.domain.people.actors import actor_of
from coordination.domain.people.contacts import phones_of
from coordination.domain.people.models import (
    Account,
    ClassMember,
    ContactPoint,
    Guardianship,
    OneTimeCode,
    Person,
)
from coordination.domain.people.roster import batches
from coordination.domain.people.roster import queries as rosters
from coordination.domain.practice import services as practice
from coordination.domain.practice.models import Enrolment, PracticeSession
from coordination.domain.volunteering import services as volunteering
from coordination.domain.volunteering.models import ShiftNeed
from coordination.embedded import EmbeddedPostgres
from coordination.ground import clock
from coordination.ground.errors import CoordinationError, SlotTaken
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork
from coordination.reactions import reminders
from coordination.reactions.work import begin
from coordination.seed.demo import ZONE, load_demo
from coordination.settings import Settings
from coordination.supervisor import migrate
from coordination.worker import configure, drain
from notifications.models import DeliveryAttempt, OutboxMessage, SimulatedMessage

START = datetime(2026, 11, 24, 8, 0, tzinfo=ZONE)
CODE = re.compile(r"[0-9A-Z]{5}-[0-9A-Z]{5}")
_SHOWN = 2


@dataclass
class Story:
    """One telling: the database, what was seen so far, and what was found missing."""

    engine: Engine
    settings: Settings
    console: Console
    seen_messages: int = 0
    seen_entries: dict[str, dict[str, tuple[int, str, str]]] = field(default_factory=dict)
    feeds: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    texts: int = 0
    changes: int = 0

    # -- acting -----------------------------------------------------------------------------------

    @contextmanager
    def acting(self, actor: Actor) -> Iterator[UnitOfWork]:
        """A unit of work of `actor` at the present moment of the story."""
        with Session(self.engine) as session, begin(session, actor) as uow:
            yield uow

    def staff(self, login: str) -> Actor:
        """Whoever signs in with `login`."""
        with Session(self.engine) as session:
            person = session.scalars(select(Account.person_id).where(Account.login == login)).one()
            return actor_of(session, person, clock.today(ZONE))

    def person(self, person_id: int) -> Actor:
        """A person by id."""
        with Session(self.engine) as session:
            return actor_of(session, person_id, clock.today(ZONE))

    def travel(self, moment: datetime, why: str) -> None:
        """Move time forward."""
        clock.travel_to(moment)
        self.console.print(f"\n[bold]{moment.astimezone(ZONE):%Y-%m-%d %H:%M}[/]  {why}")

    def expect(self, condition: bool, what: str) -> None:
        """Note what is missing; the tour goes on, and fails at the end."""
        if not condition:
            self.missing.append(what)
            self.console.print(f"  [red]missing: {what}[/]")

    # -- what people receive ----------------------------------------------------------------------

    def deliver(self) -> list[SimulatedMessage]:
        """Let the worker send what is due, and print what arrived on which phone."""
        drain(self.engine, self.settings)
        with Session(self.engine) as session:
            fresh = list(
                session.scalars(
                    select(SimulatedMessage)
                    .where(SimulatedMessage.id > self.seen_messages)
                    .order_by(SimulatedMessage.id)
                )
            )
            names = {
                p: n
                for p, n in session.execute(
                    select(Person.id, Person.name).where(
                        Person.id.in_({m.recipient_id for m in fresh})
                    )
                )
            }
            kinds = {
                attempt: key
                for attempt, key in session.execute(
                    select(DeliveryAttempt.id, OutboxMessage.template_key)
                    .join(OutboxMessage, OutboxMessage.id == DeliveryAttempt.message_id)
                    .where(DeliveryAttempt.id.in_([m.attempt_id for m in fresh]))
                )
            }
        if fresh:
            self.seen_messages = fresh[-1].id
        self.texts += len(fresh)
        shown: dict[tuple[str, str], int] = {}
        for message in fresh:
            # families differ in names and codes only: a few of each kind and language tell it
            kind = (message.language, kinds[message.attempt_id])
            shown[kind] = shown.get(kind, 0) + 1
            if shown[kind] <= _SHOWN:
                self.console.print(
                    f"  SMS  {names.get(message.recipient_id, '?')} {message.address_mask}:"
                    f" {message.body}",
                    highlight=False,
                )
        rest = sum(max(0, n - _SHOWN) for n in shown.values())
        if rest:
            self.console.print(f"  SMS  … and {rest} more of the same")
        twice = len(fresh) - len({m.address_mask for m in fresh})
        self.expect(twice == 0, f"one text per phone ({twice} phones got two)")
        return fresh

    def watch(self, name: str, actor: Actor, scope: str, scope_id: int | None = None) -> None:
        """Subscribe somebody to a feed whose changes are printed from now on."""
        with self.acting(actor) as uow:
            _, secret = feeds.open_feed(
                uow, scope=scope, scope_id=scope_id, name=name, language=actor.language
            )
        self.feeds[name] = secret
        self.seen_entries[name] = {}

    def feed_changes(self) -> dict[str, int]:
        """Fetch every watched feed as a client would; print and count what changed."""
        counts: dict[str, int] = {}
        for name, secret in self.feeds.items():
            with Session(self.engine) as session:
                found = polling.look_up(session, secret, clock.today(ZONE))
                body = ics.assemble(
                    FeedHead(found.title.zh, "", str(ZONE), 6, None),
                    polling.fragments(session, found),
                )
            now: dict[str, tuple[int, str, str]] = {}
            for event in Calendar.from_ical(body).walk("VEVENT"):
                starts = _moment(event)
                now[str(event["uid"])] = (
                    int(str(event["sequence"])),
                    str(event["status"]),
                    f"{starts:%m-%d %H:%M} {event['summary']}",
                )
            before = self.seen_entries[name]
            for uid, entry in now.items():
                if before.get(uid) != entry:
                    counts[name] = counts.get(name, 0) + 1
                    word = "new" if uid not in before else "changed"
                    self.console.print(
                        f"  ICS  {name}: {word}, {entry[1]}, SEQUENCE {entry[0]}, {entry[2]}",
                        highlight=False,
                    )
            for uid in before.keys() - now.keys():
                counts[name] = counts.get(name, 0) + 1
                self.console.print(f"  ICS  {name}: gone, {before[uid][2]}", highlight=False)
            self.seen_entries[name] = now
        self.changes += sum(counts.values())
        return counts


def main() -> int:
    """Tell it; 0 if everything expected arrived."""
    console = Console(soft_wrap=True)
    logging.getLogger().setLevel(logging.WARNING)  # the story itself is the output
    folder = Path(tempfile.mkdtemp(prefix="coordination-tour-"))
    try:
        with EmbeddedPostgres(folder, durable=False) as server:
            migrate(server.url())
            settings = Settings(
                public_url="https://gm.example.cn", instance_dir=folder / "instance"
            ).with_database(server.url())
            configure(settings)
            clock.travel_to(START)
            engine = create_engine(settings.database_url)
            with Session(engine) as session, session.begin():
                load_demo(session, clock.now())
            story = Story(engine, settings, console)
            tell(story)
            engine.dispose()
    finally:
        clock.travel_to(None)
        shutil.rmtree(folder, ignore_errors=True)
    console.print(
        f"\n{story.texts} texts and {story.changes} calendar changes reached the right people."
        if not story.missing
        else f"\n[red]{len(story.missing)} expected things are missing.[/]"
    )
    for what in story.missing:
        print(f"missing: {what}", file=sys.stderr)
    return 1 if story.missing else 0


def tell(story: Story) -> None:
    """The chapters, in order of time."""
    teacher = story.staff("lijing")
    (class_id,) = teacher.class_ids
    families = _families(story)
    story.watch("family of 王小雨", families["first"], "family")
    story.watch("李静 (teacher)", teacher, "teacher")
    story.watch("class 3(2)", teacher, "class", class_id)
    story.watch("restricted father", families["restricted"], "family")
    roster(story)
    sign_in(story, families["first"])
    notice(story, teacher, class_id)
    studio(story, teacher, class_id)
    practice_day(story, teacher, class_id, families)
    story.expect(
        story.seen_entries["restricted father"] == {},
        "the restricted guardian's calendar stays empty",
    )


def _families(story: Story) -> dict[str, Actor]:
    with Session(story.engine) as session:
        first = session.scalars(
            select(Guardianship.guardian_id)
            .join(Person, Person.id == Guardianship.child_id)
            .where(Person.name == "王小雨", Guardianship.relation == "mother")
        ).first()
        hidden = session.scalars(
            select(Guardianship.guardian_id).where(Guardianship.no_disclosure.is_(True))
        ).one()
    return {"first": story.person(first or 0), "restricted": story.person(hidden)}


ROSTER = """\
学校,班级,年级,学号,学生姓名,状态,监护人1姓名,监护人1关系,监护人1手机
光明实验小学,三（2）班,三年级,20260301,王小雨,在读,,,
光明实验小学,三（２）班,三年级,20260302,林小满,在读,林海,父亲,１３７００１３７００１／13700137002
光明实验小学,三（2）班,三年级,20260303,周念,在读,周明,父亲,1370013700
光明实验小学,三（2）班,三年级,20260302,林大满,在读,,,
"""


def roster(story: Story) -> None:
    """A roster is previewed with its refusals, written, handed in again, and taken back."""
    story.travel(START + timedelta(minutes=1), "The district's office hands in a roster (GBK)")
    office = story.staff("admin")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "三年级.csv"
        path.write_bytes(ROSTER.encode("gbk"))

        def preview() -> int:
            with story.acting(office) as uow:
                return batches.preview(uow, path=path, name=path.name)

        first = preview()
        before = _people(story)
        with Session(story.engine) as session:
            _tell_batch(story, session, first)
            refused = rosters.refusals_page(session, first)
        story.expect(
            {(r.line, r.code) for r in refused.lines} == {(4, "phone"), (5, "duplicate")},
            "the two bad cells by line and reason",
        )
        with story.acting(office) as uow:
            written = batches.apply(uow, batch_id=first)
        story.console.print(f"  written: {written} rows")
        story.expect(written == 11, "two children with their fathers, phones and class")
        again = preview()
        with story.acting(office) as uow:
            written = batches.apply(uow, batch_id=again)
        story.console.print(f"  the same file once more: {written} rows")
        story.expect(written == 0, "an unchanged roster writes no row")
    with story.acting(office) as uow:
        undone = batches.undo(uow, batch_id=first)
    story.console.print(f"  taken back: {undone.removed} rows removed, {undone.restored} restored")
    story.expect(_people(story) == before, "everything as it was before the roster")
    story.expect(story.deliver() == [], "no text about a roster")


def _tell_batch(story: Story, session: Session, batch_id: int) -> None:
    for entity in rosters.batch_summary(session, batch_id).entities:
        if entity.add or entity.change or entity.end:
            story.console.print(
                f"  {entity.label.en}: {entity.add} added, {entity.change} changed,"
                f" {entity.end} ended"
            )
    for refusal in rosters.refusals_page(session, batch_id).lines:
        story.console.print(
            f"  refused: line {refusal.line}, {refusal.column}: {refusal.reason.en}",
            highlight=False,
        )


def _people(story: Story) -> list[str]:
    tables = (Person, ContactPoint, ClassMember, Guardianship)
    with Session(story.engine) as session:
        return [
            row
            for table in tables
            for row in session.scalars(
                select(cast(func.to_jsonb(literal_column(table.__tablename__)), String))
                .select_from(table)
                .order_by(table.id)
            )
        ]


def sign_in(story: Story, mother: Actor) -> None:
    """A parent signs in by phone and code."""
    story.travel(START + timedelta(minutes=5), "A mother signs in with her phone and a code")
    with Session(story.engine) as session:
        phone = phones_of(session, [mother.person_id or 0])[mother.person_id or 0]
    with story.acting(ANONYMOUS) as uow:
        accounts.request_code(uow, phone=phone, address="127.0.0.1")
    digits = re.search(r"\d{6}", "".join(t.body for t in story.deliver()))
    story.expect(digits is not None, "the sign-in code")
    with Session(story.engine) as session:
        code_id = session.scalars(select(OneTimeCode.id).order_by(OneTimeCode.id.desc())).first()
    with story.acting(ANONYMOUS) as uow:
        token = accounts.verify_code(
            uow, code_id=code_id or 0, typed=digits[0] if digits else "", address="127.0.0.1"
        )
    story.expect(token is not None, "a session for the right code")


def notice(story: Story, teacher: Actor, class_id: int) -> None:
    """A notice in two languages, one text per phone; confirm by code; nudge only the silent."""
    story.travel(START + timedelta(hours=1), "The class teacher writes to class 3(2)")
    with story.acting(teacher) as uow:
        sent = communication.send_notice(
            uow,
            draft_key="tour",
            class_ids=[class_id],
            title=Text(
                "家长会，12月4日（周五）19:00，阶梯教室",
                "Parents' meeting, Fri 4 Dec, 19:00, lecture hall",
            ),
            body=Text(
                "请准时到会，带上孩子的阅读记录。", "Please be on time; bring the reading log."
            ),
            level="confirm",
        )
        notice_id = sent.id
    texts = story.deliver()
    phones = {t.address_mask for t in texts}
    story.expect(len(texts) > 30 and len(phones) == len(texts), "one text per phone")
    story.expect({t.language for t in texts} == {"zh", "en"}, "texts in both languages")
    confirmed = 0
    for text in texts[:5]:
        found = CODE.search(text.body)
        if found is None:
            story.expect(False, "a code in the text")
            continue
        with Session(story.engine) as session:
            row = links.open_code(session, found[0])
            reader, subject = row.person_id, row.subject_id
        with story.acting(story.person(reader)) as uow:
            communication.acknowledge(uow, notice_id=subject, confirm=True)
        confirmed += 1
    story.console.print(f"  {confirmed} guardians open the code and confirm, without a password")
    story.travel(START + timedelta(hours=10), "She reminds only the silent")
    with story.acting(teacher) as uow:
        silent = silence.nudge_silent(uow, notice_id=notice_id)
    reminded = story.deliver()
    story.expect(len(reminded) == silent == len(texts) - confirmed, "a reminder to the silent only")


def studio(story: Story, teacher: Actor, class_id: int) -> None:
    """The pottery studio is requested and approved; an overlap is refused; then it moves."""
    story.travel(START + timedelta(days=1), "She asks for the pottery studio")
    day = _weekday(START.date() + timedelta(days=7), 2)
    starts = datetime.combine(day, time(14, 0), tzinfo=ZONE)

    def ask(key: str, at: datetime) -> int:
        with story.acting(teacher) as uow:
            return bookings.request_booking(
                uow,
                resource_id=studio_id,
                starts_at=at,
                ends_at=at + timedelta(hours=2),
                class_id=class_id,
                children=36,
                adults=2,
                purpose="传统工艺：拉坯",
                needs="",
                request_key=key,
                zone=ZONE,
            ).id

    with Session(story.engine) as session:
        studio_id = session.scalars(
            select(Resource.id).where(Resource.title_zh == "陶艺工作室")
        ).one()
    owner = story.staff("clayhouse")
    story.watch("pottery studio", owner, "resource", studio_id)
    booking = ask("tour-1", starts)
    story.expect(len(story.deliver()) == 1, "a text to the studio")
    story.feed_changes()
    try:
        ask("tour-2", starts + timedelta(hours=1))
        story.expect(False, "the overlapping request is refused")
    except SlotTaken as refusal:
        story.console.print(f"  an overlapping request is refused: {refusal.message.en}")
    with story.acting(owner) as uow:
        bookings.approve(uow, booking_id=booking)
    story.expect(len(story.deliver()) == 1, "a text to the teacher")
    changed = story.feed_changes()
    story.expect(
        {"family of 王小雨", "class 3(2)", "pottery studio"} <= changed.keys(),
        "the booking in the family's, the class's and the studio's calendars",
    )


def practice_day(story: Story, teacher: Actor, class_id: int, families: dict[str, Actor]) -> None:
    """Enrol, consent, volunteer, move, remind, attend; and cancel the other session."""
    story.travel(
        START + timedelta(days=1, hours=2), "She signs class 3(2) up for the practice base"
    )
    with Session(story.engine) as session:
        first, second = session.scalars(
            select(PracticeSession).order_by(PracticeSession.starts_at)
        ).all()
        session_id, other_id = first.id, second.id
        starts, ends, back = first.starts_at, first.ends_at, first.return_at
    with story.acting(teacher) as uow:
        practice.enrol_class(
            uow, session_id=session_id, class_id=class_id, adults=2, needs="1 名学生花生过敏"
        )
    asked = story.deliver()
    story.expect(len(asked) > 30, "a question to every family, and the numbers to the base")
    story.expect(
        all("花生" not in t.body or "人" in t.body for t in asked), "no child's data to the base"
    )
    story.feed_changes()
    _answer(story, asked[:6])
    story.deliver()
    story.feed_changes()

    story.console.print("  a mother takes the volunteer shift")
    with Session(story.engine) as session:
        need = session.scalars(select(ShiftNeed.id).where(ShiftNeed.session_id == session_id)).one()
    with story.acting(families["first"]) as uow:
        volunteering.take_shift(uow, need_id=need)
    story.expect(len(story.deliver()) == 1, "a text to the volunteer")
    story.feed_changes()

    story.travel(START + timedelta(days=3), "The coordinator moves the session by an hour")
    coordinator = story.staff("coordinator")
    hour = timedelta(hours=1)
    with story.acting(coordinator) as uow:
        practice.move_session(
            uow,
            session_id=session_id,
            starts_at=starts + hour,
            ends_at=ends + hour,
            return_at=back + hour,
        )
    moved = story.deliver()
    with Session(story.engine) as session:
        going = session.scalars(
            select(Enrolment.child_id).where(
                Enrolment.session_id == session_id, Enrolment.state.in_(("enrolled", "cleared"))
            )
        ).all()
    story.expect(len(moved) >= len(going), "a text to every family that goes")
    changed = story.feed_changes()
    story.expect("family of 王小雨" in changed, "the new time in the family's calendar")
    sequences = [e[0] for e in story.seen_entries["family of 王小雨"].values()]
    story.expect(max(sequences, default=0) >= 1, "a higher SEQUENCE under the same UID")

    due = datetime.combine(
        (starts + hour).astimezone(ZONE).date() - timedelta(days=3), time(18, 0), tzinfo=ZONE
    )
    story.travel(due + timedelta(seconds=5), "Three days before, at 18:00")
    story.expect(_remind(story) > 30, "the reminder three days before")
    story.travel(due + timedelta(days=2, seconds=5), "The day before, at 18:00")
    story.expect(_remind(story) > 30, "the reminder one day before")

    story.travel(starts + hour + timedelta(minutes=10), "On the day: the roll is called")
    with Session(story.engine) as session:
        rows = session.scalars(
            select(Enrolment.id).where(
                Enrolment.session_id == session_id, Enrolment.state.in_(("enrolled", "cleared"))
            )
        ).all()
    with story.acting(teacher) as uow:
        count = practice.take_attendance(
            uow,
            session_id=session_id,
            marks={r: "absent" if i == 0 else "present" for i, r in enumerate(rows)},
        )
    story.console.print(f"  {count} marked, 1 of them absent")

    story.console.print("  she signs the class up for the second session, which is then cancelled")
    with story.acting(teacher) as uow:
        practice.enrol_class(uow, session_id=other_id, class_id=class_id, adults=2, needs="")
    story.deliver()
    story.feed_changes()
    with story.acting(coordinator) as uow:
        note = Text("橙色大风预警", "storm warning")
        practice.cancel_session(uow, session_id=other_id, code="weather", note=note)
    story.expect(len(story.deliver()) > 30, "the cancellation to everybody concerned")
    story.feed_changes()
    states = {e[1] for e in story.seen_entries["family of 王小雨"].values()}
    story.expect("CANCELLED" in states, "a cancelled entry in the family's calendar")


def _answer(story: Story, texts: list[SimulatedMessage]) -> None:
    said = {"given": 0, "refused": 0}
    for number, text in enumerate(texts):
        found = CODE.search(text.body)
        if found is None:
            continue
        response = "refused" if number == 3 else "given"
        with Session(story.engine) as session:
            row = links.open_code(session, found[0])
            guardian, request_id = row.person_id, row.subject_id
            children = session.scalars(
                select(Guardianship.child_id).where(Guardianship.guardian_id == guardian)
            ).all()
        actor = story.person(guardian)
        for child in children:
            try:
                with story.acting(actor) as uow:
                    consents.answer(
                        uow,
                        request_id=request_id,
                        child_id=child,
                        response=response,
                        signed_name=actor.name,
                        route="code",
                        language=actor.language,
                    )
                said[response] += 1
            except CoordinationError:
                continue  # a sibling who is not asked
    story.console.print(
        f"  guardians answer by code: {said['given']} agree, {said['refused']} do not"
    )
    story.expect(said["given"] > 0 and said["refused"] > 0, "consents by code")


def _remind(story: Story) -> int:
    with story.acting(SYSTEM) as uow:
        reminders.send_due(uow)
    return len(story.deliver())


def _moment(event: Component) -> datetime:
    starts = event.decoded("dtstart")
    if not isinstance(starts, datetime):
        raise TypeError("our entries have times")
    return starts.astimezone(ZONE)


def _weekday(after: date, weekday: int) -> date:
    return after + timedelta(days=(weekday - after.weekday()) % 7)
