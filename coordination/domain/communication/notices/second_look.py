"""双人复核: a notice to very many families leaves only after a second person has looked at it.

The district says from how many guardians on; what counts is how many there are, not how they were
chosen, so that ticking every class is no way round it. Who looks sees the text and the numbers, never
the families.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import date

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.authz.rules import Scope
from coordination.authz.visibility import visible
from coordination.domain.communication import policies
from coordination.domain.communication.events import NoticeReturned, NoticeToLookAt
from coordination.domain.communication.models import Notice, SecondLookPolicy
from coordination.domain.communication.notices import reach
from coordination.domain.communication.notices.dispatch import let_go
from coordination.domain.communication.notices.reach import children_of, places_of
from coordination.domain.people.actors import held_on
from coordination.domain.people.models import Membership, Person
from coordination.domain.people.recipients import recipients_query
from coordination.ground.actor import Actor, Role
from coordination.ground.errors import Conflict, Invalid, NotFound
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork

# until the district sets its own there is none; this many are proposed to it
PROPOSED = 500
MOST = 1_000_000
SHORTEST_REASON, LONGEST_REASON = 4, 200


def policy_of(session: Session) -> SecondLookPolicy | None:
    """What the district has set; None if it has not."""
    return policies.chosen(session, SecondLookPolicy)


def set_policy(uow: UnitOfWork, *, org_id: int, above: int | None, urgent_too: bool) -> None:
    """Set above how many guardians a second person looks first, and whether at urgent notices too;
    None: nobody does. What is already under way stays as it is."""
    uow.authorize(Action.LIMIT_SET, Scope(school=org_id))
    if above is not None and not 1 <= above <= MOST:
        raise Invalid(
            fields={
                "above": Text(
                    f"请填写 1 到 {MOST} 之间的整数；不需要复核请留空。",
                    f"Enter a whole number from 1 to {MOST}; leave it empty for no second look.",
                )
            }
        )
    policy = policies.to_set(uow, SecondLookPolicy, org_id)
    policy.above, policy.urgent_too = above, urgent_too


def is_needed(policy: SecondLookPolicy | None, guardians: int, *, urgent: bool) -> bool:
    """Whether so many may be written to by one person alone."""
    if policy is None or policy.above is None or (urgent and not policy.urgent_too):
        return False
    return guardians > policy.above


def needs(session: Session, notice: Notice, today: date, *, urgent: bool) -> bool:
    """Whether a notice to whom this one is for waits for a second person."""
    policy = policy_of(session)
    if policy is None or policy.above is None:
        return False  # nobody is counted for nothing
    return is_needed(policy, guardians_of(session, notice, today), urgent=urgent)


def guardians_of(session: Session, notice: Notice, today: date) -> int:
    """How many guardians the notice is for."""
    found = recipients_query(children_of(notice, today), today)
    return session.scalar(select(func.count()).select_from(found)) or 0


def hand_over(uow: UnitOfWork, notice: Notice) -> None:
    """Let a written notice wait for its second person."""
    notice.state = "awaiting"
    uow.session.add(notice)
    uow.session.flush()
    uow.record(NoticeToLookAt(notice.id, seal_of(notice)))


def seal_of(notice: Notice) -> str:
    """Names what a second person saw: any change of it is another one."""
    seen = (
        *(notice.title_zh, notice.title_en, notice.body_zh, notice.body_en, notice.level),
        *(notice.reach, notice.school_id, sorted(notice.class_ids), notice.sender_id),
        *(notice.due_at, notice.send_at, notice.urgent_reason),
        *(notice.page_first, notice.ladder_hours, notice.options_zh, notice.options_en),
    )
    return hashlib.sha256(repr(seen).encode()).hexdigest()[:32]


# -- who looks -----------------------------------------------------------------------------------


def seconds_of(session: Session, *, org_id: int, writer_id: int, today: date) -> list[Person]:
    """For whom a notice of this school or district would wait: its other leaders; of a school that
    has no other, the district's."""
    leads = and_(
        Membership.org_id == org_id,
        Membership.role.in_((Role.SCHOOL_ADMIN.value, Role.DISTRICT_ADMIN.value)),
    )
    own = _others(session, leads, writer_id, today)
    return own or _others(session, Membership.role == Role.DISTRICT_ADMIN.value, writer_id, today)


def _others(
    session: Session, post: ColumnElement[bool], writer_id: int, today: date
) -> list[Person]:
    held = held_on(Membership, today)
    return list(
        session.scalars(
            select(Person)
            .where(
                Person.status == "active",
                Person.id != writer_id,
                Person.id.in_(select(Membership.person_id).where(held, post)),
            )
            .order_by(Person.pinyin, Person.id)
        )
    )


def awaiting(session: Session, actor: Actor, today: date) -> list[Notice]:
    """Notices that wait for the actor, the longest waiting first."""
    found = session.scalars(
        visible(Notice, actor, Action.NOTICE_APPROVE)
        .where(Notice.state == "awaiting", Notice.sender_id != actor.person_id)
        .order_by(Notice.id)
        .limit(20)
    )
    return [
        notice
        for notice in found
        if any(
            person.id == actor.person_id
            for person in seconds_of(
                session, org_id=notice.school_id, writer_id=notice.sender_id, today=today
            )
        )
    ]


def returned(session: Session, actor: Actor) -> Sequence[Notice]:
    """Notices of the actor that came back to be changed."""
    return session.scalars(
        select(Notice)
        .where(Notice.state == "returned", Notice.sender_id == actor.person_id)
        .order_by(Notice.id)
        .limit(20)
    ).all()


def notice_to_look_at(session: Session, actor: Actor, notice_id: int) -> Notice:
    """A notice that waits, or waited, for a second person, and at which the actor may be that."""
    found = session.scalar(
        visible(Notice, actor, Action.NOTICE_APPROVE).where(
            Notice.id == notice_id,
            or_(
                Notice.state.in_(("awaiting", "returned")),
                Notice.approved_by_id.is_not(None),
            ),
        )
    )
    if found is None:
        raise NotFound()
    return found


def name_of(session: Session, person_id: int | None) -> str:
    """The name of a second person; empty if there was none."""
    return session.get_one(Person, person_id).name if person_id else ""


# -- looking -------------------------------------------------------------------------------------


def approve(uow: UnitOfWork, *, notice_id: int, seal: str) -> Notice:
    """Let the notice leave, or wait for its time, as the actor saw it."""
    notice = _seen(uow, notice_id, seal)
    if notice.due_at is not None and notice.due_at <= uow.now:
        raise Conflict(
            Text(
                "最晚回复的时间已过，家长来不及回复。请退回，让写的人改日期。",
                "Its time to answer has passed. Send it back, so that its writer changes the date.",
            ),
            code="too_late",
        )
    notice.approved_by_id, notice.approved_at = uow.actor.person_id, uow.now
    let_go(uow, notice)
    return notice


def send_back(uow: UnitOfWork, *, notice_id: int, seal: str, reason: str) -> Notice:
    """Give the notice back to its writer, with what should be changed."""
    notice = _seen(uow, notice_id, seal)
    said = reason.strip()
    if not SHORTEST_REASON <= len(said) <= LONGEST_REASON:
        raise Invalid(
            fields={
                "reason": Text(
                    f"请用 {SHORTEST_REASON} 到 {LONGEST_REASON} 个字写明要改什么。",
                    f"Say in {SHORTEST_REASON} to {LONGEST_REASON} characters what to change.",
                )
            }
        )
    notice.state = "returned"
    notice.returned_by_id, notice.returned_reason = uow.actor.person_id, said
    uow.record(NoticeReturned(notice.id))
    return notice


def _seen(uow: UnitOfWork, notice_id: int, seal: str) -> Notice:
    """The notice, if it still waits for a second person, is theirs to look at, and is what they saw."""
    notice = reach.locked(uow, notice_id)
    if notice is None:
        raise NotFound()
    for place in places_of(notice):
        uow.authorize(Action.NOTICE_APPROVE, place)
    if notice.state != "awaiting":
        raise Conflict(
            Text(
                "这条通知已不在待复核状态：可能已由别人复核，或被撤回、修改。请看最新情况。",
                "This notice no longer waits for a second person: somebody has looked at it, or it "
                "was withdrawn. See where it stands now.",
            ),
            code="not_awaiting",
        )
    if notice.sender_id == uow.actor.person_id:
        raise Conflict(
            Text(
                "自己写的通知要由另一位复核。",
                "You wrote this notice; somebody else has to look at it.",
            ),
            code="own_notice",
        )
    if seal != seal_of(notice):
        raise Conflict(
            Text(
                "您看的时候，这条通知被改过。请看下面最新的内容再决定。",
                "The notice was changed while you looked. Read it as it is now, then decide.",
            ),
            code="changed_meanwhile",
        )
    return notice
