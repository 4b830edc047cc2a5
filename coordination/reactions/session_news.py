"""Whom a session concerns, and what it is in words: the common ground of what is told of it.

Guardians are told about their own children only; the base gets counts and needs, never names.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from sqlalchemy import or_, select

from coordination.domain.consents import services as consents
from coordination.domain.consents.models import ConsentRequest
from coordination.domain.people import links
from coordination.domain.people.models import Membership, Organisation, Person
from coordination.domain.people.recipients import Recipient, guardians_of_children
from coordination.domain.practice.models import (
    Activity,
    ClassEnrolment,
    PracticeSession,
)
from coordination.domain.practice.rules import reason_in_words
from coordination.domain.volunteering.models import ShiftAssignment, ShiftNeed
from coordination.domain.volunteering.services import HELD
from coordination.ground.text import Text, mask_name
from coordination.ground.uow import UnitOfWork
from coordination.reactions import invitations, reminders
from coordination.reactions.notices import tell
from coordination.reactions.wording import when
from notifications.values import MessageClass


def session_of(uow: UnitOfWork, session_id: int) -> tuple[PracticeSession, Activity]:
    held = uow.session.get_one(PracticeSession, session_id)
    return held, uow.session.get_one(Activity, held.activity_id)


def params_of(held: PracticeSession, activity: Activity) -> dict[str, Text | str]:
    zone = reminders.zone()
    back = held.return_at.astimezone(zone)
    return {
        "activity": Text(activity.title_zh, activity.title_en),
        "when": when(held.starts_at, zone),
        "meet": Text(held.meeting_point_zh, held.meeting_point_en),
        "back": f"{back.hour:02d}:{back.minute:02d}",
        "bring": Text(activity.bring_zh or "无需携带", activity.bring_en or "nothing special"),
        "reason": reason_in_words(held.cancel_reason, held.cancel_note_zh, held.cancel_note_en)
        or "—",
    }


def own_children(
    uow: UnitOfWork, recipients: Collection[Recipient]
) -> Mapping[int, Mapping[str, Text | str]]:
    """Per guardian: their children, masked, and the children's school."""
    ids = {c for r in recipients for c in r.child_ids}
    rows = uow.session.execute(
        select(Person.id, Person.name, Organisation.name_zh, Organisation.name_en)
        .join(Organisation, Organisation.id == Person.school_id)
        .where(Person.id.in_(ids))
    )
    known = {i: (name, Text(zh, en)) for i, name, zh, en in rows}
    own: dict[int, Mapping[str, Text | str]] = {}
    for recipient in recipients:
        mine = [known[c] for c in recipient.child_ids if c in known]
        names = [mask_name(name) for name, _ in mine]
        own[recipient.guardian_id] = {
            "children": Text("、".join(names), ", ".join(names)),
            "school": mine[0][1] if mine else Text("学校", "School"),
        }
    return own


def schools_of(uow: UnitOfWork, recipients: Collection[Recipient]) -> dict[int, int]:
    """Per guardian the school of their children, on whose account the text is counted."""
    rows = uow.session.execute(
        select(Person.id, Person.school_id).where(
            Person.id.in_({c for r in recipients for c in r.child_ids})
        )
    )
    school_of = {child: school for child, school in rows if school is not None}
    return {
        r.guardian_id: school_of[child]
        for r in recipients
        for child in r.child_ids[:1]
        if child in school_of
    }


def teachers_of(
    uow: UnitOfWork, session_id: int, class_ids: Collection[int] | None = None
) -> list[int]:
    """Class teachers of the classes that are signed up; of some of them only, if given."""
    classes = select(ClassEnrolment.class_id).where(ClassEnrolment.session_id == session_id)
    if class_ids is not None:
        classes = classes.where(ClassEnrolment.class_id.in_(class_ids))
    return list(
        uow.session.scalars(
            select(Membership.person_id)
            .where(
                Membership.role == "class_teacher",
                Membership.class_id.in_(classes),
                or_(Membership.ends_on.is_(None), Membership.ends_on >= uow.now.date()),
            )
            .order_by(Membership.person_id)
        )
    )


def base_staff(uow: UnitOfWork, base_id: int) -> list[int]:
    return list(
        uow.session.scalars(
            select(Membership.person_id)
            .where(Membership.org_id == base_id, Membership.role == "partner_staff")
            .order_by(Membership.person_id)
        )
    )


def invite(uow: UnitOfWork, held: PracticeSession) -> None:
    invitations.send(
        uow, "session", held.id, [*teachers_of(uow, held.id), *base_staff(uow, held.base_id)]
    )


def volunteers_of(uow: UnitOfWork, session_id: int) -> list[int]:
    return list(
        uow.session.scalars(
            select(ShiftAssignment.person_id)
            .join(ShiftNeed, ShiftNeed.id == ShiftAssignment.need_id)
            .where(ShiftNeed.session_id == session_id, ShiftAssignment.state.in_(HELD))
            .order_by(ShiftAssignment.id)
        )
    )


def write_to_guardians(
    uow: UnitOfWork,
    key: str,
    held: PracticeSession,
    activity: Activity,
    child_ids: Collection[int],
    *,
    version: str,
    request: ConsentRequest | None = None,
    message_class: MessageClass = "info",
    once_as: str | None = None,
    valid_until: datetime | None = None,
) -> set[int]:
    """Tell the guardians of these children; who was told, so that nobody is told twice."""
    recipients = concerned = guardians_of_children(uow.session, set(child_ids), uow.now.date())
    params = params_of(held, activity)
    codes: dict[int, str] = {}
    if request is not None:
        params["due"] = when(request.due_at, reminders.zone())
        # a question goes to whom may answer it; per phone the first of them gets the code
        may_answer = consents.who_may_answer(uow.session, child_ids, uow.now.date())
        first_of: dict[str, Recipient] = {}
        for recipient in [r for r in recipients if r.guardian_id in may_answer]:
            first_of.setdefault(recipient.household_key, recipient)
        codes = {
            r.guardian_id: links.issue(
                uow, r.guardian_id, "consent", request.id, expires_at=held.return_at
            )
            for r in first_of.values()
        }
        recipients = list(first_of.values())
    tell(
        uow,
        key,
        [r.guardian_id for r in recipients],
        params,
        subject=("session", held.id),
        version=version,
        message_class=message_class,
        codes=codes,
        own_params=own_children(uow, recipients),
        valid_until=valid_until or held.starts_at,
        once_as=once_as,
        payer=schools_of(uow, recipients),
    )
    phones = {r.household_key for r in recipients}
    return {r.guardian_id for r in concerned if r.household_key in phones}
