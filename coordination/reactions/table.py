"""Event -> handlers. Open this to learn what follows from what.

Handlers run in the transaction of the event and only write rows. SILENT events cause nothing, with
the reason why.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from coordination.domain.agenda.events import (
    BusySourceAdded,
    BusySourceFailed,
    BusySourceRead,
    BusySourceRemoved,
    BusySourceTakenIntoUse,
    FeedChanged,
    FeedOpened,
    FeedRevoked,
)
from coordination.domain.bookings.events import (
    BookingCancelledByPartner,
    BookingConfirmed,
    BookingDeclined,
    BookingExpired,
    BookingMoved,
    BookingRequested,
    BookingWithdrawn,
)
from coordination.domain.communication.events import (
    FamilyCalled,
    FamilyFollowedUp,
    NoticeAcknowledged,
    NoticeReturned,
    NoticeStopped,
    NoticeStretchDue,
    NoticeTested,
    NoticeToLookAt,
    QuietPolicySet,
)
from coordination.domain.consents.events import ConsentAnswered, ConsentAsked, ConsentRecorded
from coordination.domain.oversight.events import ChildErased, DataAnswered, DataAsked
from coordination.domain.people.events import (
    CorrectionCodeIssued,
    CorrectionDecided,
    CorrectionProposed,
    CorrectionWithdrawn,
    NoticeHourChosen,
    PhoneChecked,
    RosterApplied,
    RosterUndone,
    SchoolYearChanged,
    SignInCodeIssued,
    TextsResumed,
    TextsStopped,
    YearTakenBack,
    YearTurned,
)
from coordination.domain.practice.events import (
    AttendanceTaken,
    ChildLeftGroup,
    ChildWithdrawn,
    ClassEnrolled,
    FamiliesNudged,
    HourRuleSet,
    PlaceGiven,
    ReminderRulesChanged,
    SessionCancelled,
    SessionMoved,
    SessionPublished,
    StageClosed,
)
from coordination.domain.volunteering.events import (
    ShiftLeft,
    ShiftObjectionAnswered,
    ShiftReleased,
    ShiftTaken,
    ShiftTimeObjected,
    ShiftTimesConfirmed,
)
from coordination.ground.events import Event
from coordination.ground.uow import UnitOfWork
from coordination.reactions import (
    on_accounts,
    on_bookings,
    on_calendars,
    on_communication,
    on_consents,
    on_corrections,
    on_headcount,
    on_hours,
    on_people,
    on_practice,
    on_reminders,
    on_volunteering,
)

Handler = Callable[[UnitOfWork, Any], None]

HANDLERS: dict[type[Event], Sequence[Handler]] = {
    AttendanceTaken: (on_hours.session_changed,),
    BookingCancelledByPartner: (on_bookings.cancelled_by_partner,),
    BookingConfirmed: (on_bookings.confirmed,),
    BookingDeclined: (on_bookings.declined,),
    BookingExpired: (on_bookings.expired,),
    BookingMoved: (on_bookings.moved,),
    BookingRequested: (on_bookings.requested,),
    BookingWithdrawn: (on_bookings.withdrawn,),
    BusySourceFailed: (on_calendars.source_failed,),
    ChildErased: (on_people.child_erased,),
    ChildWithdrawn: (on_practice.child_withdrawn,),
    ClassEnrolled: (on_practice.class_enrolled,),
    ConsentAnswered: (on_practice.consent_answered,),
    ConsentAsked: (on_practice.consent_asked,),
    ConsentRecorded: (on_consents.recorded,),
    CorrectionCodeIssued: (on_corrections.send_code,),
    CorrectionDecided: (on_corrections.decided,),
    FamiliesNudged: (on_practice.families_nudged,),
    HourRuleSet: (on_hours.rule_set,),
    NoticeHourChosen: (on_people.notice_hour_chosen,),
    NoticeReturned: (on_communication.returned,),
    NoticeStopped: (on_communication.stop,),
    NoticeStretchDue: (on_communication.write,),
    NoticeTested: (on_communication.try_out,),
    NoticeToLookAt: (on_communication.to_look_at,),
    PhoneChecked: (on_people.phone_checked,),
    PlaceGiven: (on_practice.place_given,),
    QuietPolicySet: (on_communication.look_again,),
    ReminderRulesChanged: (on_reminders.rules_changed,),
    RosterApplied: (on_people.roster_applied,),
    SchoolYearChanged: (on_calendars.school_year_changed, on_communication.look_again),
    SessionCancelled: (on_practice.cancelled, on_hours.session_changed),
    SessionMoved: (on_practice.moved, on_hours.session_changed),
    SessionPublished: (on_practice.published,),
    ShiftLeft: (on_volunteering.left,),
    ShiftReleased: (on_volunteering.released,),
    ShiftTaken: (on_volunteering.taken,),
    SignInCodeIssued: (on_accounts.send_code,),
    StageClosed: (on_headcount.stage_closed,),
    TextsResumed: (on_people.texts_resumed,),
    TextsStopped: (on_people.texts_stopped,),
}

SILENT: dict[type[Event], str] = {
    BusySourceAdded: "the owner did it; the audit line is enough",
    BusySourceRead: "the free times follow by themselves",
    BusySourceRemoved: "the owner did it; the audit line is enough",
    BusySourceTakenIntoUse: "the owner did it; the audit line is enough",
    ChildLeftGroup: "whoever noted it stands beside the family; the family's page shows it",
    DataAnswered: "the family's page shows the answer; a text would say on a shared phone that they asked",
    DataAsked: "the school office sees it on its home page, with the day by which it must answer",
    CorrectionProposed: "it stands on the office's Today and list; a text for each would be noise",
    CorrectionWithdrawn: "it is gone from the office's list; nothing was decided",
    FamilyCalled: "the call or letter was the message; the list and the notice's page show it",
    FamilyFollowedUp: "the list shows it; the family was spoken with",
    FeedChanged: "the owner did it; the audit line is enough",
    FeedOpened: "the owner sees the address on the same page; the audit line is enough",
    FeedRevoked: "the owner did it; the audit line is enough",
    RosterUndone: "the batch shows it; nobody was told when it was applied",
    ShiftObjectionAnswered: "the volunteer reads it beside the time it is about; the audit has both",
    ShiftTimeObjected: "it waits on the coordinators' Today, with the day by which to answer",
    ShiftTimesConfirmed: "the volunteer's own record shows it; a text per shift would be noise",
    NoticeAcknowledged: "the sender sees it on the notice's page; a text per answer would be noise",
    YearTakenBack: "nobody was told when it was done; the page and the audit trail show it",
    YearTurned: "families see the new class on their page; the school writes its own welcome",
}


def react(uow: UnitOfWork, event: Event) -> None:
    """Run every handler of `event`, in order; an event in neither table is a bug (KeyError)."""
    if type(event) in SILENT:
        return
    for handler in HANDLERS[type(event)]:
        handler(uow, event)
