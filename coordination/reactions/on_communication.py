"""What follows from notices: one text per phone, with a code that opens the notice for its reader."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import func, not_, select
from sqlalchemy.orm import Session

from coordination.domain.communication.events import (
    NoticeReturned,
    NoticeStopped,
    NoticeStretchDue,
    NoticeTested,
    NoticeToLookAt,
    QuietPolicySet,
)
from coordination.domain.communication.models import Notice, NoticeRecipient
from coordination.domain.communication.notices import second_look
from coordination.domain.communication.texts import budgets
from coordination.domain.people import links
from coordination.domain.people.events import SchoolYearChanged
from coordination.domain.people.models import ClassGroup, Organisation, Person
from coordination.ground.errors import TooMany
from coordination.ground.text import LANGUAGES, Text, mask_name
from coordination.ground.uow import UnitOfWork
from coordination.reactions import by_mail
from coordination.reactions.notices import render, tell
from coordination.reactions.quiet_hours import HELD_FOR
from notifications import outbox
from notifications.models import OutboxMessage
from notifications.segments import segments
from notifications.values import MessageClass

OPEN_FOR = timedelta(days=60)
TESTED = "notice_test"
LOOKED_AT = "notice_look"
# stands where a family reads the names of its children
MARK = Text("测试", "TEST")
# nobody looks at the code of a test, and it opens nothing
TEST_CODE = "0000000000"
MOST_TESTS, TESTS_WITHIN = 10, timedelta(hours=1)
TEST_LASTS = timedelta(minutes=30)


def write(uow: UnitOfWork, event: NoticeStretchDue) -> None:
    """One text to each of these recipients, with a code that opens the notice for its reader."""
    notice = uow.session.get_one(Notice, event.notice_id)
    rows = uow.session.scalars(
        select(NoticeRecipient)
        .where(NoticeRecipient.id.in_(event.recipient_ids))
        .order_by(NoticeRecipient.id)
    ).all()
    names = {
        person: name
        for person, name in uow.session.execute(
            select(Person.id, Person.name).where(
                Person.id.in_({c for row in rows for c in row.child_ids})
            )
        )
    }
    everybody = [row.guardian_id for row in rows]
    # of an alert those come too to whom no text goes
    readers = [row.guardian_id for row in rows if row.skip_reason is None]
    codes = links.issue_many(uow, everybody, "notice", notice.id, expires_at=uow.now + OPEN_FOR)
    own = {
        row.guardian_id: {"children": _children([names[c] for c in row.child_ids if c in names])}
        for row in rows
    }
    message_class: MessageClass = "confirm" if notice.level == "confirm" else "info"
    first = event.round == notice.first_text
    if notice.urgent_reason and first:
        message_class = "urgent"
    shared = {
        "sender": sender_of(uow.session, notice),
        "title": Text(notice.title_zh, notice.title_en),
    }
    tell(
        uow,
        "notice" if first else "notice_nudge",
        readers,
        shared,
        subject=("notice", notice.id),
        version="1" if first else f"nudge-{event.round}",
        message_class=message_class,
        codes=codes,
        own_params=own,
        payer=notice.school_id,
    )
    if notice.alert and first:
        by_mail.write_at_once(
            uow,
            notice.id,
            {
                row.guardian_id: by_mail.Reader(
                    row.language,
                    row.household_key,
                    render(
                        "notice",
                        row.language,
                        {**shared, **own[row.guardian_id]},
                        codes[row.guardian_id],
                    ),
                )
                for row in rows
            },
        )


def try_out(uow: UnitOfWork, event: NoticeTested) -> None:
    """The same wording by the same way to the writer alone, now: they asked for it."""
    same = f"notice:{TESTED}:{event.person_id}:{event.test_key}"
    recent = uow.session.scalar(
        select(func.count()).where(
            OutboxMessage.recipient_id == event.person_id,
            OutboxMessage.created_at > uow.now - TESTS_WITHIN,
            OutboxMessage.subject_type == TESTED,
            # a press that comes again is no other one
            not_(OutboxMessage.dedupe_key.startswith(f"{same}:", autoescape=True)),
        )
    )
    if (recent or 0) >= MOST_TESTS:
        raise TooMany(
            Text(
                f"一小时内最多试发 {MOST_TESTS} 次，请稍后再试。",
                f"At most {MOST_TESTS} tests an hour; please wait a little.",
            )
        )
    tell(
        uow,
        "notice",
        [event.person_id],
        {
            "sender": _sender(uow.session, event.school_id, event.class_id),
            "title": event.title,
            "children": MARK,
        },
        subject=(TESTED, event.person_id),
        version=event.test_key,
        message_class="otp",
        codes={event.person_id: TEST_CODE},
        valid_until=uow.now + TEST_LASTS,
    )


def to_look_at(uow: UnitOfWork, event: NoticeToLookAt) -> None:
    """Tell those for whom a notice waits; of another text of it again."""
    notice = uow.session.get_one(Notice, event.notice_id)
    seconds = second_look.seconds_of(
        uow.session,
        org_id=notice.school_id,
        writer_id=notice.sender_id,
        today=uow.now.date(),
    )
    tell(
        uow,
        "notice_to_look_at",
        [person.id for person in seconds],
        {
            "writer": uow.session.get_one(Person, notice.sender_id).name,
            "title": Text(notice.title_zh, notice.title_en),
        },
        subject=(LOOKED_AT, notice.id),
        version=event.seal,
        message_class="urgent" if notice.urgent_reason else "info",
        payer=notice.school_id,
    )


def returned(uow: UnitOfWork, event: NoticeReturned) -> None:
    """Tell the writer that the notice came back."""
    notice = uow.session.get_one(Notice, event.notice_id)
    tell(
        uow,
        "notice_returned",
        [notice.sender_id],
        {
            "title": Text(notice.title_zh, notice.title_en),
            "reason": notice.returned_reason or "",
        },
        subject=(LOOKED_AT, notice.id),
        version=second_look.seal_of(notice) + uow.now.isoformat(),
        payer=notice.school_id,
    )


def stop(uow: UnitOfWork, event: NoticeStopped) -> None:
    """Nothing more leaves; what a provider has already is on its way."""
    subject = ("notice", event.notice_id)
    kept = outbox.withdraw(uow.session, *subject)
    budgets.give_back(
        uow,
        subject,
        sum(count for count, _ in kept),
        sum(count * segments(body).count for count, body in kept),
    )


def look_again(uow: UnitOfWork, _event: QuietPolicySet | SchoolYearChanged) -> None:
    """What waits by the old policy comes to a claim, which leaves it waiting or not by the new one."""
    outbox.look_again(uow.session, HELD_FOR)


def _children(names: Sequence[str]) -> Text:
    masked = [mask_name(name) for name in names]
    return Text("、".join(masked), ", ".join(masked))


def sender_of(session: Session, notice: Notice) -> Text:
    """Who signs: the school, and the class if there is one."""
    return _sender(session, notice.school_id, notice.class_id)


def _sender(session: Session, school_id: int, class_id: int | None) -> Text:
    school = session.get_one(Organisation, school_id)
    group = session.get(ClassGroup, class_id) if class_id else None
    if group is None:
        return Text(school.name_zh, school.name_en)
    return Text(f"{school.name_zh}{group.name_zh}", f"{school.name_en}, {group.name_en}")


# a name and a code as long as most
SAMPLE = {"children": Text("王*雨", "王*雨")}
SAMPLE_CODE = "7K3QX9MD2F"


def segments_of(session: Session, notice: Notice, key: str) -> dict[str, int]:
    """How many segments one text of a notice has in each language, before any is written."""
    values = {
        **SAMPLE,
        "sender": sender_of(session, notice),
        "title": Text(notice.title_zh, notice.title_en),
    }
    return {lang: segments(render(key, lang, values, SAMPLE_CODE)).count for lang in LANGUAGES}


budgets.estimated_by(segments_of)
