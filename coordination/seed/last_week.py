"""Last week of the demo district: class 3(2) was at the practice base, with three parents to help.

So that a visitor finds hours that count, one that waits to be confirmed, an objection and a certificate.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import Range

from coordination.domain.people.models import Account, ClassMember, Guardianship
from coordination.domain.practice import ledger
from coordination.domain.practice.models import (
    Activity,
    Attendance,
    ClassEnrolment,
    Enrolment,
    HourRule,
    PracticeSession,
)
from coordination.domain.volunteering.models import (
    ServiceCertificate,
    ShiftAssignment,
    ShiftNeed,
    ShiftObjection,
    ShiftTime,
)
from coordination.ground.uow import UnitOfWork

# when they came and left, and what was confirmed: eight hours are the plan
HELPERS = (
    (time(8, 22), time(16, 28), 480),
    (time(8, 30), time(15, 0), 390),
    (time(8, 25), time(14, 40), None),
)
CERTIFICATE = "7K3QX9MD2F"


def write(
    uow: UnitOfWork,
    *,
    today: date,
    zone: ZoneInfo,
    org: dict[str, int],
    class_id: int,
    school_id: int,
) -> None:
    """The district's rule, a session of last Thursday with its roll, and the time of its helpers."""
    session = uow.session
    staff = {
        login: person for login, person in session.execute(select(Account.login, Account.person_id))
    }
    session.add(
        HourRule(
            org_id=org["GMQ"],
            starts_on=date(2026, 9, 1),
            minutes=40,
            most_a_day=6,
            periods=[6, 6, *[12] * 7],
            times=[1, 1, *[2] * 7],
            source="光教〔2026〕12号《关于做好本学年综合实践活动的通知》",
        )
    )
    activity = Activity(
        type="career",
        title_zh="秋收与食农体验",
        title_en="Autumn harvest and food",
        purpose_zh="收割、脱粒、磨面，知道一碗面从哪里来。",
        purpose_en="Reap, thresh and mill, and learn where a bowl of noodles comes from.",
        organiser_id=org["GMQ"],
        base_id=org["LG"],
        grades=[3, 4, 5],
        state="published",
        created_by_id=staff["coordinator"],
    )
    session.add(activity)
    session.flush()  # the session refers to it
    day = today - timedelta(days=today.weekday() + 4)
    starts = datetime.combine(day, time(8, 30), tzinfo=zone)
    held = PracticeSession(
        activity_id=activity.id,
        base_id=org["LG"],
        starts_at=starts,
        ends_at=starts + timedelta(hours=7),
        return_at=starts + timedelta(hours=8),
        meeting_point_zh="学校南门大巴停车处",
        meeting_point_en="Coach stop at the south gate",
        place_zh="绿谷劳动实践基地",
        place_en="Green Valley Practice Base",
        capacity=40,
        taken=0,
        signup_until=starts - timedelta(days=4),
        waitlist=True,
        state="returned",
    )
    session.add(held)
    session.flush()
    _roll(uow, held, class_id, school_id, staff["lijing"])
    ledger.write(uow, session_id=held.id, zone=zone)
    _helpers(uow, held, class_id, staff, zone)


def _roll(
    uow: UnitOfWork, held: PracticeSession, class_id: int, school_id: int, teacher: int
) -> None:
    session = uow.session
    session.add(
        ClassEnrolment(
            session_id=held.id,
            class_id=class_id,
            school_id=school_id,
            signed_up_by_id=teacher,
            adults=3,
            asked_at=held.starts_at - timedelta(days=10),
        )
    )
    children = session.scalars(
        select(ClassMember.person_id)
        .where(ClassMember.class_id == class_id)
        .order_by(ClassMember.person_id)
    ).all()
    for number, child in enumerate(children):
        mark = {7: "absent", 12: "left_early", 20: "late"}.get(number, "present")
        enrolment = Enrolment(
            session_id=held.id,
            child_id=child,
            class_id=class_id,
            school_id=school_id,
            during=Range(held.starts_at, held.return_at, bounds="[)"),
            state="absent" if mark == "absent" else "attended",
        )
        session.add(enrolment)
        session.flush()
        session.add(
            Attendance(
                enrolment_id=enrolment.id,
                status=mark,
                marked_by_id=teacher,
                marked_at=held.starts_at,
            )
        )
    held.taken = len(children) - 1
    session.flush()


def _helpers(
    uow: UnitOfWork, held: PracticeSession, class_id: int, staff: dict[str, int], zone: ZoneInfo
) -> None:
    session = uow.session
    need = ShiftNeed(
        session_id=held.id,
        role_zh="随队家长志愿者",
        role_en="Parent helper on the day",
        starts_at=held.starts_at,
        ends_at=held.return_at,
        min_people=2,
        max_people=4,
        filled=len(HELPERS),
        state="open",
    )
    session.add(need)
    session.flush()
    parents = session.scalars(
        select(Guardianship.guardian_id)
        .join(ClassMember, ClassMember.person_id == Guardianship.child_id)
        .where(ClassMember.class_id == class_id, Guardianship.contact_order == 1)
        .order_by(Guardianship.id)
        .limit(len(HELPERS))
    ).all()
    day = held.starts_at.astimezone(zone).date()
    next_day = held.starts_at + timedelta(days=1)
    for parent, (came, left, minutes) in zip(parents, HELPERS, strict=True):
        assignment = ShiftAssignment(
            need_id=need.id,
            person_id=parent,
            during=Range(need.starts_at, need.ends_at, bounds="[)"),
            state="signed_out",
        )
        session.add(assignment)
        session.flush()
        row = ShiftTime(
            assignment_id=assignment.id,
            need_id=need.id,
            person_id=parent,
            in_at=datetime.combine(day, came, tzinfo=zone),
            out_at=datetime.combine(day, left, tzinfo=zone),
            minutes=minutes,
            confirmed_at=next_day if minutes else None,
            confirmed_by_id=staff["coordinator"] if minutes else None,
        )
        session.add(row)
        session.flush()
        if minutes == 390:
            session.add(
                ShiftObjection(
                    time_id=row.id,
                    person_id=parent,
                    words="I stayed until the coach was back at school, at 16:30.",
                    minutes_then=minutes,
                    created_at=next_day + timedelta(hours=3),
                )
            )
    session.add(
        ServiceCertificate(
            number=CERTIFICATE,
            person_id=parents[0],
            services=1,
            minutes=480,
            first_day=day,
            last_day=day,
            created_at=next_day + timedelta(hours=5),
        )
    )
    session.flush()
