"""A small district with one of everybody: who may do what is tried on these people and things.

Everything of school A is "ours"; school B, partner Q and their people are the strangers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.orm import Session

from coordination.domain.agenda.models import BusySource, CalendarEntry, EntryAudience
from coordination.domain.bookings.models import (
    Booking,
    BookingOccurrence,
    OpeningRule,
    Resource,
)
from coordination.domain.communication.models import ChildFile, Notice, NoticeRecipient, NoticeRound
from coordination.domain.consents.models import ConsentAsk, ConsentRequest
from coordination.domain.oversight.models import DataRequest
from coordination.domain.partners.models import PartnerProfile
from coordination.domain.people import contacts
from coordination.domain.people.corrections.models import Correction
from coordination.domain.people.models import (
    AccessCode,
    AccountSession,
    ClassGroup,
    ClassMember,
    Guardianship,
    Membership,
    Organisation,
    Person,
    RosterBatch,
)
from coordination.domain.people.year.models import SchoolTurn, TurnClass
from coordination.domain.practice.models import (
    Activity,
    ClassEnrolment,
    Enrolment,
    PracticeSession,
)
from coordination.domain.volunteering.models import (
    ServiceCertificate,
    ShiftAssignment,
    ShiftNeed,
    ShiftObjection,
    ShiftTime,
)
from coordination.ground import crypto

LONG_AGO = date(2020, 9, 1)
CODE = {"notice": "NNNNNNNNNN", "consent": "CCCCCCCCCC"}
# of a certificate
NUMBER = "SSSSSSSSSS"


@dataclass
class World:
    """People by role, things by name, session tokens by role."""

    people: dict[str, int] = field(default_factory=dict)
    things: dict[str, int] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)


def build(session: Session, now: datetime) -> World:
    """Write the world; the caller commits."""
    world = World()

    def add(row: object) -> int:
        session.add(row)
        session.flush()
        return int(row.id)  # type: ignore[attr-defined]

    def org(name: str, kind: str, parent: int | None = None) -> int:
        made = add(
            Organisation(
                kind=kind, code=name, parent_id=parent, name_zh=name, name_en=name, active=True
            )
        )
        world.things[name] = made
        return made

    district = org("district", "district")
    school_a, school_b = org("school_a", "school", district), org("school_b", "school", district)
    partner, other_partner = org("partner_p", "partner"), org("partner_q", "partner")
    for body in (partner, other_partner):
        session.add(PartnerProfile(org_id=body, sector="craft", is_practice_base=True))

    def person(key: str, name: str, *, student_of: int | None = None) -> int:
        made = add(
            Person(
                name=name,
                language="zh",
                pinyin=key,
                is_student=student_of is not None,
                school_id=student_of,
                status="active",
            )
        )
        world.people[key] = made
        return made

    def clazz(key: str, school: int) -> int:
        made = add(
            ClassGroup(
                school_id=school, grade=3, name_zh="三（2）班", name_en="Class 3(2)", active=True
            )
        )
        world.things[key] = made
        return made

    class_a, class_b = clazz("class_a", school_a), clazz("class_b", school_b)
    child, other_child = (
        person("child", "王小雨", student_of=school_a),
        person("child_b", "张珺", student_of=school_b),
    )
    session.add(ClassMember(class_id=class_a, person_id=child, starts_on=LONG_AGO))
    session.add(ClassMember(class_id=class_b, person_id=other_child, starts_on=LONG_AGO))

    def guardian(key: str, name: str, of: int, phone: str, **limits: object) -> int:
        made = person(key, name)
        session.add(
            Guardianship(
                child_id=of,
                guardian_id=made,
                relation="parent",
                starts_on=LONG_AGO,
                contact_order=1,
                legal=True,
                may_consent=True,
                may_pick_up=True,
                receives_notice=True,
                **{"no_disclosure": False, **limits},
            )
        )
        contacts.set_phone(session, made, phone)
        return made

    mother = guardian("guardian", "王敏", child, "13800138001")
    guardian("guardian_b", "张伟", other_child, "13800138002")
    guardian("restricted", "王强", child, "13800138003", no_disclosure=True)
    guardian("former", "赵磊", child, "13800138004", ends_on=now.date() - timedelta(days=30))

    def post(key: str, name: str, role: str, org_id: int, class_id: int | None = None) -> int:
        made = person(key, name)
        session.add(
            Membership(
                person_id=made, org_id=org_id, role=role, class_id=class_id, starts_on=LONG_AGO
            )
        )
        return made

    teacher = post("teacher", "李静", "class_teacher", school_a, class_a)
    post("teacher_b", "陈涛", "class_teacher", school_b, class_b)
    post("school_admin", "刘芳", "school_admin", school_a)
    post("school_admin_b", "周凯", "school_admin", school_b)
    post("district_admin", "孙立", "district_admin", district)
    coordinator = post("coordinator", "何洁", "coordinator", district)
    post("data_officer", "郑宁", "data_officer", district)
    post("partner", "吴师傅", "partner_staff", partner)
    post("partner_b", "冯师傅", "partner_staff", other_partner)
    post("volunteer", "钱进", "volunteer", district)

    resource = add(
        Resource(
            owner_id=partner,
            kind="space",
            title_zh="陶艺坊",
            title_en="Pottery studio",
            capacity_max=40,
            publish_state="published",
        )
    )
    world.things["resource"] = resource
    for weekday in range(7):
        session.add(
            OpeningRule(resource_id=resource, weekday=weekday, opens="09:00", closes="17:00")
        )
    world.things["source"] = add(
        BusySource(resource_id=resource, owner_id=partner, name="工作日历", read_at=now)
    )
    start = (now + timedelta(days=10)).replace(hour=2, minute=0, second=0, microsecond=0)
    booking = add(
        Booking(
            resource_id=resource,
            owner_id=partner,
            school_id=school_a,
            class_id=class_a,
            requested_by_id=teacher,
            purpose="陶艺",
            children=1,
            adults=1,
            state="tentative",
        )
    )
    world.things["booking"] = booking
    session.add(
        BookingOccurrence(
            booking_id=booking,
            resource_id=resource,
            starts_at=start,
            ends_at=start + timedelta(hours=2),
            during=Range(start, start + timedelta(hours=2)),
            status="tentative",
        )
    )
    activity = add(
        Activity(
            type="labour",
            title_zh="种植体验",
            title_en="Planting",
            organiser_id=district,
            base_id=partner,
            grades=[3],
            state="published",
            created_by_id=coordinator,
        )
    )
    world.things["activity"] = activity
    held = add(
        PracticeSession(
            activity_id=activity,
            base_id=partner,
            starts_at=start + timedelta(days=5),
            ends_at=start + timedelta(days=5, hours=4),
            return_at=start + timedelta(days=5, hours=5),
            meeting_point_zh="校门口",
            meeting_point_en="School gate",
            place_zh="绿谷",
            place_en="Green Valley",
            capacity=30,
            taken=1,
            signup_until=start,
            state="open",
        )
    )
    world.things["session"] = held
    session.add(
        ClassEnrolment(
            session_id=held, class_id=class_a, school_id=school_a, signed_up_by_id=teacher, adults=2
        )
    )
    enrolment = add(
        Enrolment(
            session_id=held,
            child_id=child,
            class_id=class_a,
            school_id=school_a,
            during=Range(start + timedelta(days=5), start + timedelta(days=5, hours=5)),
            state="enrolled",
        )
    )
    world.things["enrolment"] = enrolment
    world.things["need"] = add(
        ShiftNeed(
            session_id=held,
            role_zh="带队家长",
            role_en="Parent helper",
            starts_at=start + timedelta(days=5),
            ends_at=start + timedelta(days=5, hours=4),
            min_people=1,
            max_people=2,
        )
    )
    request = add(
        ConsentRequest(
            subject_type="session",
            subject_id=held,
            version=1,
            title_zh="知情同意书",
            title_en="Consent",
            body_zh="……",
            body_en="…",
            text_hash="0" * 64,
            due_at=start,
            state="open",
        )
    )
    world.things["request"] = request
    session.add(
        ConsentAsk(request_id=request, child_id=child, class_id=class_a, school_id=school_a)
    )
    notice = add(
        Notice(
            school_id=school_a,
            class_ids=[class_a],
            class_id=class_a,
            sender_id=teacher,
            draft_key="matrix",
            title_zh="家长会",
            title_en="Parents' meeting",
            body_zh="周五晚七点",
            body_en="Friday, 7 pm",
            level="confirm",
            state="sent",
            sent_at=now,
        )
    )
    world.things["notice"] = notice
    session.add(NoticeRound(notice_id=notice, number=0, started_at=now, done_at=now))
    session.add(
        NoticeRecipient(
            notice_id=notice,
            guardian_id=mother,
            child_ids=[child],
            household_key="h",
            language="zh",
            told_via_id=mother,
        )
    )
    for kind, subject in (("notice", notice), ("consent", request)):
        session.add(
            AccessCode(
                code_hash=crypto.token_hash(CODE[kind]),
                person_id=mother,
                subject_type=kind,
                subject_id=subject,
                child_id=child if kind == "consent" else None,
                expires_at=now + timedelta(days=30),
            )
        )
    world.things["batch"] = add(
        RosterBatch(source_name="roster.csv", format="template", state="previewed", counts={})
    )
    for role, person_id in world.people.items():
        token = f"token-of-{role}"
        session.add(
            AccountSession(
                person_id=person_id,
                token_hash=crypto.token_hash(token),
                route="code",
                last_seen_at=now,
                expires_at=now + timedelta(days=1),
            )
        )
        world.tokens[role] = token
    session.flush()
    return world


def add_files(session: Session, world: World) -> None:
    """Our notice is one with a file for our child; and drafts of such, as `things["draft"]` and, to be
    given up, `things["draft_left"]`."""
    notice = session.get_one(Notice, world.things["notice"])
    notice.reach = "children"
    made = [notice]
    for key in ("draft", "draft_left"):
        draft = Notice(
            school_id=notice.school_id,
            class_ids=notice.class_ids,
            class_id=notice.class_id,
            sender_id=notice.sender_id,
            reach="children",
            draft_key=key,
            title_zh="期末学习情况",
            title_en="Term report",
            body_zh="请打开查看。",
            body_en="Please open it.",
            level="confirm",
            state="draft",
        )
        session.add(draft)
        session.flush()
        world.things[key] = draft.id
        made.append(draft)
    child = world.people["child"]
    for one in made:
        body = crypto.seal(b"%PDF-1.5", f"child_file.{one.id}.{child}")
        session.add(
            ChildFile(
                notice_id=one.id, child_id=child, name="x.pdf", kind="pdf", size=8, body_enc=body
            )
        )
    session.flush()


def add_times(session: Session, world: World, now: datetime) -> None:
    """Our guardian has been on the shift: a time confirmed, an objection to it, and a certificate."""
    need, person = session.get_one(ShiftNeed, world.things["need"]), world.people["guardian"]
    assignment = ShiftAssignment(
        need_id=need.id,
        person_id=person,
        during=Range(need.starts_at, need.ends_at),
        state="signed_out",
    )
    session.add(assignment)
    session.flush()
    row = ShiftTime(
        assignment_id=assignment.id,
        need_id=need.id,
        person_id=person,
        in_at=need.starts_at,
        out_at=need.ends_at,
        minutes=240,
        confirmed_at=now,
        confirmed_by_id=world.people["coordinator"],
    )
    session.add(row)
    session.flush()
    objection = ShiftObjection(time_id=row.id, person_id=person, words="?", minutes_then=240)
    session.add(objection)
    session.add(
        ServiceCertificate(
            number=NUMBER,
            person_id=person,
            services=1,
            minutes=240,
            first_day=need.starts_at.date(),
            last_day=need.starts_at.date(),
        )
    )
    session.flush()
    world.things["objection"] = objection.id


def add_entry(session: Session, world: World, start: datetime) -> None:
    """An entry of our class's staff, as `things["entry"]`."""
    entry = CalendarEntry(
        uid="world@test",
        subject_type="world",
        subject_id=1,
        category="practice",
        sequence=0,
        starts_at=start,
        ends_at=start + timedelta(hours=1),
        summary_zh="教研会",
        summary_en="Staff meeting",
        last_modified=start,
        fragment_zh=b"",
        fragment_en=b"",
    )
    session.add(entry)
    session.flush()
    world.things["entry"] = entry.id
    session.add(
        EntryAudience(
            entry_id=entry.id,
            kind="class_staff",
            audience_id=world.things["class_a"],
            starts_at=start,
            ends_at=start + timedelta(hours=1),
        )
    )


def add_request(session: Session, world: World, now: datetime) -> None:
    """What our guardian asked our school about our child's data, as `things["asked"]`."""
    asked = DataRequest(
        guardian_id=world.people["guardian"],
        child_id=world.people["child"],
        school_id=world.things["school_a"],
        kind="correct",
        words="名字写错了",
        due_at=now + timedelta(days=15),
    )
    session.add(asked)
    session.flush()
    world.things["asked"] = asked.id


def add_years(session: Session, world: World) -> None:
    """Our school's turn of the year in preparation, as `things["turn"]` with `things["line"]`; the other
    school's, to be given up, as `things["turn_left"]`."""
    for key, school in (("turn", "school_a"), ("turn_left", "school_b")):
        turn = SchoolTurn(school_id=world.things[school], year=2026)
        session.add(turn)
        session.flush()
        world.things[key] = turn.id
    line = TurnClass(
        turn_id=world.things["turn"],
        class_id=world.things["class_a"],
        fate="up",
        grade=4,
        name_zh="四（2）班",
        name_en="Class 4(2)",
    )
    session.add(line)
    session.flush()
    world.things["line"] = line.id


def add_corrections(session: Session, world: World) -> None:
    """What our guardian proposes: a name that waits, as `things["correction"]`; a phone that is not
    proven, as `things["correction_phone"]`; an e-mail to be withdrawn, as `things["correction_left"]`."""
    mother = world.people["guardian"]
    for key, which, state in (
        ("correction", "name", "waiting"),
        ("correction_phone", "phone", "unproven"),
        ("correction_left", "email", "waiting"),
    ):
        shown = {"name": "王慜", "phone": "137****7009", "email": "w***@example.com"}[which]
        normal = "+8613700137009" if which == "phone" else "wang@example.com"
        sealed, index, _ = (None, None, "") if which == "name" else contacts.sealed(which, normal)
        made = Correction(
            school_id=world.things["school_a"],
            child_id=world.people["child"],
            person_id=mother,
            proposed_by_id=mother,
            field=which,
            shown=shown,
            value=shown if which == "name" else None,
            sealed=sealed,
            sealed_index=index,
            state=state,
        )
        session.add(made)
        session.flush()
        world.things[key] = made.id


def add_everything(session: Session, world: World, now: datetime) -> None:
    """One of each thing that has a page of its own, for walks over all routes."""
    add_entry(session, world, now)
    add_files(session, world)
    add_request(session, world, now)
    add_years(session, world)
    add_corrections(session, world)
    add_times(session, world, now)
