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
from coordination.domain.people.events import (
    NoticeHourChosen,
    PhoneChecked,
    RosterApplied,
    RosterUndone,
    SchoolYearChanged,
    SignInCodeIssued,
    TextsResumed,
    TextsStopped,
)
from coordination.domain.practice.events import (
    AttendanceTaken,
    ChildLeftGroup,
    ChildWithdrawn,
    ClassEnrolled,
    FamiliesNudged,
    PlaceGiven,
    ReminderRulesChanged,
    SessionCancelled,
    SessionMoved,
    SessionPublished,
    StageClosed,
)
from coordination.domain.volunteering.events import ShiftLeft, ShiftReleased, ShiftTaken
from coordination.ground.events import Event
from coordination.ground.uow import UnitOfWork
from coordination.reactions import (
    on_accounts,
    on_bookings,
    on_calendars,
    on_communication,
    on_consents,
    on_headcount,
    on_people,
    on_practice,
    on_volunteering,
)

Handler = Callable[[UnitOfWork, Any], None]

HANDLERS: dict[type[Event], Sequence[Handler]] = {
    BookingCancelledByPartner: (on_bookings.cancelled_by_partner,),
    BookingConfirmed: (on_bookings.confirmed,),
    BookingDeclined: (on_bookings.declined,),
    BookingExpired: (on_bookings.expired,),
    BookingMoved: (on_bookings.moved,),
    BookingRequested: (on_bookings.requested,),
    BookingWithdrawn: (on_bookings.withdrawn,),
    BusySourceFailed: (on_calendars.source_failed,),
    ChildWithdrawn: (on_practice.child_withdrawn,),
    ClassEnrolled: (on_practice.class_enrolled,),
    ConsentAnswered: (on_practice.consent_answered,),
    ConsentAsked: (on_practice.consent_asked,),
    ConsentRecorded: (on_consents.recorded,),
    FamiliesNudged: (on_practice.families_nudged,),
    NoticeHourChosen: (on_people.notice_hour_chosen,),
    NoticeReturned: (on_communication.returned,),
    NoticeStopped: (on_communication.stop,),
    NoticeStretchDue: (on_communication.write,),
    NoticeTested: (on_communication.try_out,),
    NoticeToLookAt: (on_communication.to_look_at,),
    PhoneChecked: (on_people.phone_checked,),
    PlaceGiven: (on_practice.place_given,),
    QuietPolicySet: (on_communication.look_again,),
    ReminderRulesChanged: (on_practice.rules_changed,),
    RosterApplied: (on_people.roster_applied,),
    SchoolYearChanged: (on_calendars.school_year_changed, on_communication.look_again),
    SessionCancelled: (on_practice.cancelled,),
    SessionMoved: (on_practice.moved,),
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
    AttendanceTaken: "the roll is on the session's page; absent children are called, not texted",
    BusySourceAdded: "the owner did it; the audit line is enough",
    BusySourceRead: "the free times follow by themselves",
    BusySourceRemoved: "the owner did it; the audit line is enough",
    BusySourceTakenIntoUse: "the owner did it; the audit line is enough",
    ChildLeftGroup: "whoever noted it stands beside the family; the family's page shows it",
    FamilyCalled: "the call or letter was the message; the list and the notice's page show it",
    FamilyFollowedUp: "the list shows it; the family was spoken with",
    FeedChanged: "the owner did it; the audit line is enough",
    FeedOpened: "the owner sees the address on the same page; the audit line is enough",
    FeedRevoked: "the owner did it; the audit line is enough",
    RosterUndone: "the batch shows it; nobody was told when it was applied",
    NoticeAcknowledged: "the sender sees it on the notice's page; a text per answer would be noise",
}


def react(uow: UnitOfWork, event: Event) -> None:
    """Run every handler of `event`, in order; an event in neither table is a bug (KeyError)."""
    if type(event) in SILENT:
        return
    for handler in HANDLERS[type(event)]:
        handler(uow, event)
