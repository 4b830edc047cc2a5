"""A term of a synthetic district: bookings, their calendar entries, notices and who read them.

So that list pages are as full as in a district that has used the product. Nothing waits to be sent:
every text of these notices stands as delivered.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, time, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

from calendars import feed
from coordination.domain.agenda.models import CalendarEntry
from coordination.domain.agenda.services import UID_HOST, as_entry
from coordination.ground.text import Text
from coordination.seed.demo import SINCE, ZONE
from coordination.seed.plan import CLASS_SIZE, Cells, Plan, Table, partner_name

NUMBERED = ("booking", "booking_occurrence", "calendar_entry", "notice")

BOOKINGS = 60  # of each resource, one a school day
PAST = 40  # of them, held already
OURS = 3  # every third is of the first class, so that one teacher has a full page
NOTICES = 60  # to the first class; one to the first class of every other school

_HOURS = ((9, 11), (14, 16))
_SUBJECTS = (
    Text("秋季运动会安排", "Arrangements for the sports day"),
    Text("家长会时间", "Time of the parents' evening"),
    Text("校服订购", "Ordering school uniform"),
    Text("流感疫苗接种", "Influenza vaccination"),
    Text("社会实践带物提醒", "What to bring on the outing"),
    Text("课后服务调整", "Change of after-school care"),
)


@dataclass(frozen=True, slots=True)
class _Slot:
    number: int
    resource: int
    group: int
    school: int
    starts: datetime
    ends: datetime
    state: str


def _slots(plan: Plan) -> Iterator[_Slot]:
    for n in range(plan.partners * BOOKINGS):
        resource, turn = divmod(n, BOOKINGS)
        group = 0 if n % OURS == 0 else n * 7 % plan.classes
        day = SINCE + timedelta(days=turn // 5 * 7 + turn % 5 - SINCE.weekday() + 7)
        opens, closes = _HOURS[(resource + turn) % 2]
        yield _Slot(
            number=n + 1,
            resource=resource,
            group=group,
            school=group // plan.per_school,
            starts=datetime.combine(day, time(opens), ZONE),
            ends=datetime.combine(day, time(closes), ZONE),
            state="completed" if turn < PAST else "confirmed",
        )


def tables(plan: Plan) -> tuple[Table, ...]:
    """What is streamed, in the order of the references."""
    return (
        (
            "booking",
            (
                "id",
                "resource_id",
                "owner_id",
                "school_id",
                "class_id",
                "requested_by_id",
                "purpose",
                "children",
                "adults",
                "state",
                "created_at",
            ),
            lambda: (
                (
                    s.number,
                    s.resource + 1,
                    plan.partner(s.resource),
                    plan.school(s.school),
                    s.group + 1,
                    plan.staff(s.group),
                    f"{s.starts:%m}月社会实践课",
                    min(CLASS_SIZE, 36),
                    2,
                    s.state,
                    s.starts - timedelta(days=14),
                )
                for s in _slots(plan)
            ),
        ),
        (
            "booking_occurrence",
            ("id", "booking_id", "resource_id", "starts_at", "ends_at", "during", "status"),
            lambda: (
                (
                    s.number,
                    s.number,
                    s.resource + 1,
                    s.starts,
                    s.ends,
                    f"[{s.starts.isoformat()},{s.ends.isoformat()})",
                    s.state,
                )
                for s in _slots(plan)
            ),
        ),
        (
            "calendar_entry",
            (
                "id",
                "uid",
                "subject_type",
                "subject_id",
                "category",
                "starts_at",
                "ends_at",
                "summary_zh",
                "summary_en",
                "location_zh",
                "location_en",
                "last_modified",
                "fragment_zh",
                "fragment_en",
                "created_at",
            ),
            lambda: (_entry(s) for s in _slots(plan)),
        ),
        (
            "entry_audience",
            ("entry_id", "kind", "audience_id", "starts_at", "ends_at"),
            lambda: (
                (s.number, kind, audience, s.starts, s.ends)
                for s in _slots(plan)
                for kind, audience in (("resource", s.resource + 1), ("class", s.group + 1))
            ),
        ),
        (
            "notice",
            (
                "id",
                "school_id",
                "class_ids",
                "class_id",
                "sender_id",
                "draft_key",
                "title_zh",
                "title_en",
                "body_zh",
                "body_en",
                "level",
                "state",
                "sent_at",
                "created_at",
            ),
            lambda: _notices(plan),
        ),
    )


def _entry(slot: _Slot) -> Cells:
    made = slot.starts - timedelta(days=14)
    place = partner_name(slot.resource)
    row = CalendarEntry(
        id=slot.number,
        uid=f"booking-{slot.number}@{UID_HOST}",
        subject_type="booking",
        subject_id=slot.number,
        category="booking",
        starts_at=slot.starts,
        ends_at=slot.ends,
        summary_zh="活动室",
        summary_en="Activity room",
        location_zh=place.zh,
        location_en=place.en,
        description_zh="",
        description_en="",
        sequence=0,
        status="confirmed",
        last_modified=made,
        created_at=made,
    )
    return (
        slot.number,
        row.uid,
        row.subject_type,
        row.subject_id,
        row.category,
        row.starts_at,
        row.ends_at,
        row.summary_zh,
        row.summary_en,
        row.location_zh,
        row.location_en,
        made,
        feed.render_entry(as_entry(row, "zh")),
        feed.render_entry(as_entry(row, "en")),
        made,
    )


def _notices(plan: Plan) -> Iterator[Cells]:
    for n in range(NOTICES + plan.schools - 1):
        group = max(0, n - NOTICES + 1) * plan.per_school
        subject = _SUBJECTS[n % len(_SUBJECTS)]
        sent = datetime.combine(SINCE + timedelta(days=n % 80), time(16, n % 60), ZONE)
        yield (
            n + 1,
            plan.school(group // plan.per_school),
            [group + 1],
            group + 1,
            plan.staff(group),
            f"synthetic-{n + 1}",
            subject.zh,
            subject.en,
            f"各位家长：{subject.zh}，请您知悉。",
            f"Dear parents, please note: {subject.en}.",
            "confirm" if n % 2 else "info",
            "sent",
            sent,
            sent,
        )


_VERSIONS = """
insert into feed_version (kind, audience_id, changed_at)
select a.kind, a.audience_id, max(e.last_modified)
from entry_audience a join calendar_entry e on e.id = a.entry_id group by 1, 2
"""

_ROUNDS = """
insert into notice_round (notice_id, number, started_at, done_at)
select id, 0, sent_at, sent_at from notice
"""

_RECIPIENTS = """
insert into notice_recipient (notice_id, guardian_id, child_ids, household_key, language,
    told_via_id, skip_reason, read_at, confirmed_at, created_at)
select n.id, g.guardian_id, array_agg(g.child_id order by g.child_id),
    coalesce(encode(c.value_index, 'hex'), 'person-' || g.guardian_id), p.language,
    c.person_id, case when c.id is null then 'no_phone' end,
    case when (g.guardian_id + n.id) % 4 > 0 then n.sent_at + interval '40 minutes' end,
    case when (g.guardian_id + n.id) % 4 > 1 and n.level = 'confirm'
        then n.sent_at + interval '45 minutes' end,
    n.sent_at
from notice n
join class_member m on m.class_id = n.class_id
join guardianship g on g.child_id = m.person_id
join person p on p.id = g.guardian_id
left join contact_point c on c.person_id = g.guardian_id and c.kind = 'phone'
group by n.id, g.guardian_id, c.id, p.id
order by n.id, g.guardian_id
"""

_TEXTS = """
insert into outbox_message (dedupe_key, recipient_id, household_key, template_key, language, body,
    body_hash, message_class, priority, channel, subject_type, subject_id, state, next_at, tries,
    address_mask, created_at, updated_at)
select concat('notice:notice:', n.id, ':1:', r.household_key), r.guardian_id, r.household_key,
    'notice', r.language, w.body, encode(sha256(convert_to(w.body, 'UTF8')), 'hex'),
    n.level, case n.level when 'confirm' then 2 else 3 end, 'sms', 'notice', n.id,
    'delivered', n.sent_at, 1, c.mask, n.sent_at,
    n.sent_at + interval '1 minute'
from notice_recipient r
join notice n on n.id = r.notice_id
join contact_point c on c.person_id = r.guardian_id and c.kind = 'phone'
cross join lateral (select case r.language when 'en' then n.title_en else n.title_zh end as body) w
order by r.id
"""


def derive(session: Session) -> Iterator[tuple[str, int]]:
    """What follows from the rows that are there, each by one statement; table and number of rows."""
    for table, statement in (
        ("feed_version", _VERSIONS),
        ("notice_round", _ROUNDS),
        ("notice_recipient", _RECIPIENTS),
        ("outbox_message", _TEXTS),
    ):
        session.execute(text(statement))
        count = session.scalar(text(f"select count(*) from {table}"))  # noqa: S608 - names of ours
        yield table, count or 0
