"""The one table of permissions: action -> rule. Open this to learn who may do what.

Each rule answers both "may I?" (`refuse_unless_allowed`) and "which rows?" (`visibility.visible`).
"""

from __future__ import annotations

from coordination.authz.actions import Action
from coordination.authz.rules import (
    ANYONE,
    DISTRICT,
    IN_CLASS,
    OF_CHILD,
    ONESELF,
    SIGNED_IN,
    SYSTEM_ONLY,
    Rule,
    holding,
    in_school,
    of_owner,
)
from coordination.ground.actor import Actor, Role
from coordination.ground.errors import Forbidden

_STAFF = holding(
    Role.DISTRICT_ADMIN,
    Role.COORDINATOR,
    Role.SCHOOL_ADMIN,
    Role.CLASS_TEACHER,
    Role.PARTNER_STAFF,
)
_SCHOOL = in_school(Role.SCHOOL_ADMIN)
# the district office itself: its own notices, never those between a school and its families
_OFFICE = in_school(Role.DISTRICT_ADMIN)
_PARTNER = of_owner(Role.PARTNER_STAFF)

POLICY: dict[Action, Rule] = {
    Action.ACCOUNT_SIGN_IN: ANYONE,
    Action.ACTIVITY_PLAN: DISTRICT,
    Action.ACTIVITY_READ: SIGNED_IN,
    Action.ATTENDANCE_TAKE: DISTRICT | _SCHOOL | IN_CLASS,
    Action.AUDIT_READ: holding(Role.DISTRICT_ADMIN, Role.DATA_OFFICER),
    Action.BOOKING_DECIDE: _PARTNER,
    Action.BOOKING_MOVE: _SCHOOL | IN_CLASS | _PARTNER,
    Action.BOOKING_READ: DISTRICT | _SCHOOL | IN_CLASS | _PARTNER,
    Action.BOOKING_REQUEST: _SCHOOL | IN_CLASS | DISTRICT,
    Action.BOOKING_WITHDRAW: _SCHOOL | IN_CLASS | DISTRICT,
    Action.CALLS_CHOOSE: ONESELF,
    Action.CALLS_NOTE: _SCHOOL | IN_CLASS,
    # what a family says of a child's health: others see how many cards there are
    Action.CARD_COUNT: DISTRICT | _SCHOOL | IN_CLASS,
    # the leaders alone, and only around the session (care.window)
    Action.CARD_OPEN: IN_CLASS,
    Action.CARD_WRITE: OF_CHILD,
    Action.CLASS_READ: DISTRICT | _SCHOOL | IN_CLASS,
    Action.CONSENT_ANSWER: OF_CHILD,
    # to print the question, and to write down what came back on paper or by word of mouth
    Action.CONSENT_RECORD: _SCHOOL | IN_CLASS,
    # what a guardian says should be put right: names, phone, e-mail; never who is whose guardian
    Action.CORRECTION_DECIDE: _SCHOOL,
    Action.CORRECTION_OWN: ONESELF,
    Action.CORRECTION_PROPOSE: OF_CHILD,
    Action.CUSTODY_LIMIT: _SCHOOL,
    # to answer a guardian who asks for a correction or an erasure: the school office
    Action.DATA_ANSWER: _SCHOOL,
    Action.DATA_ASK: ONESELF,
    # to take a copy of what is kept about oneself and one's children
    Action.DATA_TAKE: ONESELF,
    Action.DELIVERY_RUN: holding(Role.DISTRICT_ADMIN),
    Action.ENROLMENT_CLASS: _SCHOOL | IN_CLASS,
    # to ask families once more whose answer is missing
    Action.ENROLMENT_NUDGE: DISTRICT | _SCHOOL | IN_CLASS,
    Action.ENROLMENT_READ: DISTRICT | _SCHOOL | IN_CLASS | OF_CHILD,
    Action.FEED_MANAGE: ONESELF,
    # a child's own file: its class teacher and school look, its family opens
    Action.FILE_LOOK: _SCHOOL | IN_CLASS,
    Action.FILE_OPEN: OF_CHILD,
    # a helper marks children on their own shift; names and marks, nothing else
    Action.HEADCOUNT_HELP: ONESELF,
    # to mark children by name, say who left the group and finish a count
    Action.HEADCOUNT_KEEP: _SCHOOL | IN_CLASS,
    # how many are where: numbers only
    Action.HEADCOUNT_READ: DISTRICT | _SCHOOL | IN_CLASS,
    # practice hours of children: in numbers, and by name
    Action.HOUR_COUNT: DISTRICT | _SCHOOL | IN_CLASS,
    Action.HOUR_READ: _SCHOOL | IN_CLASS | OF_CHILD,
    Action.HOUR_SET: _OFFICE,
    Action.LANGUAGE_CHOOSE: ONESELF,
    Action.LIMIT_SET: _OFFICE,
    # how many texts families get, from whom: numbers only
    Action.LOAD_READ: _OFFICE | _SCHOOL,
    Action.NOTICE_ACKNOWLEDGE: ONESELF,
    # to be the second person: sees the text and the numbers, never the families
    Action.NOTICE_APPROVE: _SCHOOL | holding(Role.DISTRICT_ADMIN),
    # to see whom a notice has not reached, and their number: the school and its class teacher
    Action.NOTICE_CALL: _SCHOOL | IN_CLASS,
    Action.NOTICE_HOUR_CHOOSE: ONESELF,
    Action.NOTICE_READ: _SCHOOL | _OFFICE | IN_CLASS | ONESELF,
    Action.NOTICE_SEND: _SCHOOL | _OFFICE | IN_CLASS,
    Action.PARTNER_MANAGE: DISTRICT | _PARTNER,
    Action.PERSON_READ: _SCHOOL | IN_CLASS | OF_CHILD | ONESELF,
    Action.PHONE_CORRECT: _SCHOOL | IN_CLASS,
    Action.PICKUP_GRANT: OF_CHILD,
    Action.QUIET_SET: _OFFICE,
    Action.RATIO_SET: _OFFICE,
    Action.REMINDER_SET: _OFFICE | _SCHOOL,
    Action.RESOURCE_MANAGE: _PARTNER,
    Action.RESOURCE_READ: _STAFF,
    # what is kept for how long, and the proof that it was erased: numbers only
    Action.RETENTION_READ: holding(Role.DISTRICT_ADMIN, Role.DATA_OFFICER),
    Action.ROLE_GRANT: holding(Role.DISTRICT_ADMIN) | _SCHOOL,
    Action.ROSTER_IMPORT: holding(Role.DISTRICT_ADMIN) | SYSTEM_ONLY,
    Action.ROSTER_UNDO: holding(Role.DISTRICT_ADMIN) | SYSTEM_ONLY,
    Action.SCHOOL_YEAR_SET: _OFFICE,
    Action.SHIFT_CERTIFY: ONESELF,
    # to show the code by which volunteers sign in: who is at the place with them
    Action.SHIFT_CODE: DISTRICT | _SCHOOL | IN_CLASS | _PARTNER,
    # only confirmed time counts, and nobody confirms their own (volunteering.times)
    Action.SHIFT_CONFIRM: DISTRICT,
    Action.SHIFT_MARK: DISTRICT | _SCHOOL | IN_CLASS,
    Action.SHIFT_OBJECT: ONESELF,
    Action.SHIFT_READ: SIGNED_IN,
    Action.SHIFT_RULE_SET: _OFFICE,
    Action.SHIFT_SIGN: ONESELF,
    # confirmed time of volunteers, in numbers
    Action.SHIFT_SUM: DISTRICT | _SCHOOL,
    Action.SHIFT_TAKE: ONESELF,
    Action.SYSTEM_RUN: SYSTEM_ONLY,
    Action.WORDING_APPROVE: _OFFICE,
    Action.YEAR_TURN: holding(Role.DISTRICT_ADMIN) | _SCHOOL,
}


def allowed(actor: Actor, action: str, thing: object = None) -> bool:
    """Whether `actor` may do `action` to `thing`. An action without a line is a KeyError: a bug."""
    return POLICY[Action(action)].check(actor, thing)


def refuse_unless_allowed(actor: Actor, action: str, thing: object = None) -> None:
    """Raise Forbidden unless allowed."""
    if not allowed(actor, action, thing):
        raise Forbidden()
