"""What follows when the school writes down an answer: the guardian learns of it and can change it.

What the answer means for the child's place is in `on_practice.py`.
"""

from __future__ import annotations

from coordination.domain.consents.events import ConsentRecorded
from coordination.domain.consents.models import ConsentAnswer, ConsentRequest
from coordination.domain.consents.rules import RECORDED, STATES
from coordination.domain.people import links
from coordination.domain.people.models import Organisation, Person
from coordination.domain.people.recipients import guardians_of_children
from coordination.domain.practice.models import Activity, PracticeSession
from coordination.ground.text import Text, mask_name
from coordination.ground.uow import UnitOfWork
from coordination.reactions import reminders
from coordination.reactions.notices import tell
from coordination.reactions.wording import when

# about one child alone: a guardian whom custody keeps from it meanwhile does not get the text
SUBJECT = "consent_answer"


def recorded(uow: UnitOfWork, event: ConsentRecorded) -> None:
    """Whoever answered is told what was written down, if a phone is known, with a code to change it."""
    given = uow.session.get_one(ConsentAnswer, event.answer_id)
    request = uow.session.get_one(ConsentRequest, given.request_id)
    guardian = next(
        (
            r
            for r in guardians_of_children(uow.session, [given.child_id], uow.now.date())
            if r.guardian_id == given.guardian_id and r.phone_mask
        ),
        None,
    )
    if guardian is None or request.subject_type != "session":
        return
    held = uow.session.get_one(PracticeSession, request.subject_id)
    activity = uow.session.get_one(Activity, held.activity_id)
    child = uow.session.get_one(Person, given.child_id)
    school = uow.session.get_one(Organisation, child.school_id)
    name = mask_name(child.name)
    code = links.issue(uow, guardian.guardian_id, "consent", request.id, expires_at=held.return_at)
    tell(
        uow,
        "consent_recorded",
        [guardian.guardian_id],
        {
            "school": Text(school.name_zh, school.name_en),
            "children": Text(name, name),
            "activity": Text(activity.title_zh, activity.title_en),
            "when": when(held.starts_at, reminders.zone()),
            "answer": STATES[given.response],
            "route": RECORDED[given.route],
        },
        subject=(SUBJECT, given.id),
        version="1",
        codes={guardian.guardian_id: code},
        valid_until=held.starts_at,
        payer=school.id,
    )
