"""The call list: children none of whose guardians answered a notice, and telling them by phone.

By child, because a teacher thinks so, and because one guardian who knows is enough. Of a notice to
a whole school or district each teacher sees the own class. A phone is masked until somebody asks for
it, and who asked is kept.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import BigInteger, and_, cast, or_, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session, aliased

from coordination.authz.actions import Action
from coordination.authz.policy import allowed
from coordination.authz.rules import Scope
from coordination.authz.visibility import visible
from coordination.domain.communication.events import FamilyCalled
from coordination.domain.communication.models import Notice, NoticeRecipient
from coordination.domain.communication.notices import queries
from coordination.domain.communication.notices.reach import WIDE
from coordination.domain.people import contacts
from coordination.domain.people.directory import RELATIONS
from coordination.domain.people.models import (
    ClassGroup,
    ClassMember,
    Guardianship,
    Organisation,
    Person,
)
from coordination.domain.people.recipients import children_in, is_told, may_have
from coordination.ground.actor import Actor
from coordination.ground.errors import Conflict, NotFound
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork

# states in which no text lies on the phone, nor is on its way
UNREACHED = frozenset({"failed", "undelivered", "suppressed", "expired", "needs_human"})


@dataclass(frozen=True, slots=True)
class ToCall:
    """A guardian to phone."""

    recipient_id: int
    name: str
    language: str
    relation: Text
    phone: str | None
    state: str
    reason: str | None
    reminded: int


@dataclass(frozen=True, slots=True)
class CallLine:
    """A child whose family has not answered, with the guardians in the order to phone them."""

    child_id: int
    child: str
    class_name: Text
    guardians: tuple[ToCall, ...]
    # the text itself was the reminder, and stayed unanswered
    overdue: bool = False

    @property
    def language(self) -> str:
        """What a letter to the family is written in: English if nobody there reads Chinese."""
        return "en" if all(g.language == "en" for g in self.guardians) else "zh"

    @property
    def pressing(self) -> bool:
        """No text reached any of them, or a reminder stayed unanswered."""
        return (
            self.overdue
            or all(g.state in UNREACHED for g in self.guardians)
            or any(g.reminded for g in self.guardians)
        )


@dataclass(frozen=True, slots=True)
class Reached:
    """A family that was told by phone, or whose slip came back."""

    recipient_id: int
    guardian: str
    children: str
    by: str
    at: datetime
    by_letter: bool


@dataclass(frozen=True, slots=True)
class CallList:
    """Whom to phone for one notice, and who has been."""

    notice: Notice
    sender: Text
    lines: tuple[CallLine, ...]
    reached: tuple[Reached, ...]
    # children of the actor's classes to whose families the notice went
    children: int

    @property
    def pressing(self) -> list[CallLine]:
        """Those to phone now."""
        return [line for line in self.lines if line.pressing]

    @property
    def waiting(self) -> list[CallLine]:
        """Those who have their text, or will get it, and may still answer by themselves."""
        return [line for line in self.lines if not line.pressing]


def calls_of(session: Session, actor: Actor, notice_id: int, today: date) -> CallList:
    """The call list of a notice for the actor's classes; NotFound if it went to none of them."""
    notice = session.get(Notice, notice_id)
    if notice is None or notice.sent_at is None:
        raise NotFound()
    classes = classes_to_call(session, actor, notice)
    rows = session.scalars(
        select(NoticeRecipient)
        .where(
            NoticeRecipient.notice_id == notice_id,
            NoticeRecipient.guardian_id.in_(
                select(Guardianship.guardian_id).where(
                    Guardianship.child_id.in_(children_in(classes, today)), is_told(today)
                )
            ),
        )
        .order_by(NoticeRecipient.id)
    ).all()
    places = _places(session, classes, {c for row in rows for c in row.child_ids}, today)
    if not places:
        raise NotFound()
    answered = {c for row in rows if _answered(notice, row) for c in row.child_ids}
    silent = [row for row in rows if any(c in places and c not in answered for c in row.child_ids)]
    sender = session.get_one(Organisation, notice.school_id)
    return CallList(
        notice,
        Text(sender.name_zh, sender.name_en),
        tuple(_lines(session, notice, silent, places, answered, today)),
        tuple(_reached(session, rows, places)),
        len(places),
    )


def _answered(notice: Notice, row: NoticeRecipient) -> bool:
    own = row.confirmed_at if notice.level == "confirm" else row.read_at
    return (own or row.reached_at) is not None


def classes_to_call(session: Session, actor: Actor, notice: Notice) -> list[int]:
    """The actor's classes among those to which the notice went."""
    query = visible(ClassGroup, actor, Action.NOTICE_CALL).where(ClassGroup.active.is_(True))
    if notice.reach not in WIDE:
        query = query.where(ClassGroup.id.in_(notice.class_ids))
    return [group.id for group in session.scalars(query)]


def _places(
    session: Session, classes: Collection[int], children: Collection[int], today: date
) -> dict[int, tuple[str, Text]]:
    """Child -> name and class, in the order of the list."""
    rows = session.execute(
        select(Person.id, Person.name, ClassGroup.name_zh, ClassGroup.name_en)
        .join(ClassMember, ClassMember.person_id == Person.id)
        .join(ClassGroup, ClassGroup.id == ClassMember.class_id)
        .where(
            ClassMember.class_id.in_(classes),
            Person.id.in_(children),
            Person.id.in_(children_in(classes, today)),
        )
        .order_by(ClassGroup.grade, ClassGroup.id, Person.pinyin, Person.id)
    )
    return {i: (name, Text(zh, en)) for i, name, zh, en in rows}


def _lines(
    session: Session,
    notice: Notice,
    rows: Sequence[NoticeRecipient],
    places: dict[int, tuple[str, Text]],
    answered: Collection[int],
    today: date,
) -> list[CallLine]:
    people = {row.guardian_id for row in rows}
    told = {row.told_via_id for row in rows if row.told_via_id is not None}
    standing = queries.standing_of(session, notice.id, told)
    masks = contacts.masks_of(session, people)
    by_guardian = {row.guardian_id: row for row in rows}
    rounds: dict[str, int] = defaultdict(int)
    for row in rows:
        rounds[row.household_key] = max(rounds[row.household_key], row.nudges)
    guardians: dict[int, list[ToCall]] = defaultdict(list)
    for child, guardian, relation, name in session.execute(
        select(Guardianship.child_id, Guardianship.guardian_id, Guardianship.relation, Person.name)
        .join(Person, Person.id == Guardianship.guardian_id)
        .where(
            Guardianship.child_id.in_(places),
            Guardianship.guardian_id.in_(people),
            is_told(today),
        )
        .order_by(Guardianship.contact_order, Guardianship.guardian_id)
    ):
        row = by_guardian[guardian]
        written = rounds[row.household_key]
        unwritten = queries.ON_PAGE if notice.page_first and not written else "queued"
        state, reason = standing.get(row.household_key, (unwritten, None))
        if row.skip_reason is not None:
            state, reason = "suppressed", row.skip_reason
        guardians[child].append(
            ToCall(
                row.id,
                name,
                row.language,
                RELATIONS[relation],
                masks.get(guardian),
                state,
                reason,
                queries.reminders_left(max(written - notice.first_text, 0), state),
            )
        )
    return [
        CallLine(child, name, group, tuple(guardians[child]), notice.calls_all)
        for child, (name, group) in places.items()
        if child not in answered and guardians[child]
    ]


def _reached(
    session: Session, rows: Sequence[NoticeRecipient], places: dict[int, tuple[str, Text]]
) -> list[Reached]:
    called = [row for row in rows if row.reached_at is not None]
    guardian, staff = aliased(Person), aliased(Person)
    names = {
        i: (name, by)
        for i, name, by in session.execute(
            select(NoticeRecipient.id, guardian.name, staff.name)
            .join(guardian, guardian.id == NoticeRecipient.guardian_id)
            .join(staff, staff.id == NoticeRecipient.reached_by_id)
            .where(NoticeRecipient.id.in_([row.id for row in called]))
        )
    }
    return [
        Reached(
            row.id,
            names[row.id][0],
            "、".join(places[c][0] for c in row.child_ids if c in places),
            names[row.id][1],
            row.reached_at,
            row.by_letter,
        )
        for row in called
        if row.reached_at is not None and any(c in places for c in row.child_ids)
    ]


HOME_DAYS = timedelta(days=14)
# the newest are enough for a day
HOME_MOST = 5


def to_call(session: Session, actor: Actor, now: datetime, today: date) -> list[CallList]:
    """Call lists that are due for the actor's classes and not empty, the newest notice first."""
    classes = visible(ClassGroup, actor, Action.NOTICE_CALL).where(ClassGroup.active.is_(True))
    mine = session.scalars(classes).all()
    if not mine:
        return []
    schools = {group.school_id for group in mine}
    above = select(Organisation.parent_id).where(Organisation.id.in_(schools))
    ids = session.scalars(
        select(Notice.id)
        .where(
            Notice.calls_since > now - HOME_DAYS,
            Notice.state == "sent",
            or_(
                Notice.class_ids.op("&&")(cast([g.id for g in mine], ARRAY(BigInteger))),
                and_(
                    Notice.reach.in_(WIDE),
                    or_(Notice.school_id.in_(schools), Notice.school_id.in_(above)),
                ),
            ),
        )
        .order_by(Notice.calls_since.desc())
        .limit(HOME_MOST)
    ).all()
    found = []
    for notice_id in ids:
        try:
            found.append(calls_of(session, actor, notice_id, today))
        except NotFound:
            continue  # it went to none of these children
    return [one for one in found if one.lines]


# -- acting ---------------------------------------------------------------------------------------


def show_number(uow: UnitOfWork, *, notice_id: int, recipient_id: int, today: date) -> str:
    """The number of a guardian on the list, to phone it now; who asked is kept in the audit trail."""
    row = _to_call(uow, notice_id, recipient_id, today)
    found = contacts.phone_to_call(uow.session, row.guardian_id)
    if found is None:
        raise Conflict(
            Text(
                "这位家长没有登记手机号，请联系孩子的其他监护人。",
                "No phone is known of this guardian; try another guardian of the child.",
            ),
            code="no_phone",
        )
    point_id, number = found
    uow.trail.line(
        "look", "contact_point", point_id, None, {"notice_id": notice_id}, reason="call_list"
    )
    return number


def mark_reached(
    uow: UnitOfWork, *, notice_id: int, recipient_id: int, today: date, by_letter: bool = False
) -> bool:
    """Note that a guardian was told by phone, or that the slip of a letter came back.

    False if somebody has noted either before.
    """
    row = _to_call(uow, notice_id, recipient_id, today)
    if row.reached_at is not None:
        return False
    if uow.actor.person_id is None:
        raise NotFound()
    row.reached_at, row.reached_by_id, row.by_letter = uow.now, uow.actor.person_id, by_letter
    uow.record(FamilyCalled(notice_id, row.guardian_id))
    return True


def unmark_reached(uow: UnitOfWork, *, notice_id: int, recipient_id: int, today: date) -> None:
    """Take back a tick at the wrong name; the audit trail keeps both."""
    row = _to_call(uow, notice_id, recipient_id, today)
    if row.reached_at is not None:
        row.reached_at, row.reached_by_id, row.by_letter = None, None, False
        uow.record(FamilyCalled(notice_id, row.guardian_id))


def _to_call(uow: UnitOfWork, notice_id: int, recipient_id: int, today: date) -> NoticeRecipient:
    """The row of a guardian whom the actor may phone about a child of the own classes."""
    row = uow.session.get(NoticeRecipient, recipient_id, with_for_update=True)
    if row is None or row.notice_id != notice_id:
        raise NotFound()
    notice = uow.session.get_one(Notice, notice_id)
    groups = uow.session.execute(
        select(ClassGroup.id, ClassGroup.school_id, ClassMember.person_id)
        .join(ClassMember, ClassMember.class_id == ClassGroup.id)
        .where(
            ClassMember.person_id.in_(row.child_ids),
            ClassMember.person_id.in_(children_in(_all_of(row, uow.session), today)),
        )
    ).all()
    mine = [
        (place, child)
        for class_id, school_id, child in groups
        if notice.reach in WIDE or class_id in notice.class_ids
        if allowed(uow.actor, Action.NOTICE_CALL, place := Scope(school=school_id, class_=class_id))
    ]
    if not mine:
        raise NotFound()
    uow.authorize(Action.NOTICE_CALL, mine[0][0])
    # custody may have changed since the notice was sent
    if not may_have(uow.session, row.guardian_id, {child for _, child in mine}, today):
        raise NotFound()
    return row


def _all_of(row: NoticeRecipient, session: Session) -> list[int]:
    return list(
        session.scalars(
            select(ClassMember.class_id).where(ClassMember.person_id.in_(row.child_ids))
        )
    )
