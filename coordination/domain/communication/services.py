"""Use cases of notices: send now or later, change, read, confirm, nudge, stop.

Who receives is decided by `people.recipients` alone; what the text message says and when it leaves
is decided by the reactions.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime, timedelta
from typing import NotRequired, TypedDict, Unpack

from sqlalchemy import (
    Select,
    func,
    select,
)
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.domain.communication import budgets, reach, rules
from coordination.domain.communication.audience import texts_by_language
from coordination.domain.communication.content import Concern, concerns
from coordination.domain.communication.events import (
    NoticeAcknowledged,
    NoticeStopped,
    NoticeTested,
)
from coordination.domain.communication.models import Notice, NoticeRecipient
from coordination.domain.communication.reach import (
    addressed,
    children_around,
    children_of,
    may_nudge,
    places_of,
)
from coordination.domain.communication.rounds import begin_round
from coordination.domain.people.actors import actor_of
from coordination.domain.people.contacts import phones_in_need_of
from coordination.domain.people.models import Person
from coordination.domain.people.recipients import (
    recipients_query,
)
from coordination.ground.errors import Conflict, NotFound
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork


class Said(TypedDict):
    """What a sender says, and how: the same when a notice is sent and when it is changed.

    `write` has what holds for the rest that is left out.
    """

    title: Text
    body: Text
    level: str
    due_at: NotRequired[datetime | None]
    send_at: NotRequired[datetime | None]
    links_allowed: NotRequired[bool]
    urgent_reason: NotRequired[str]
    looked_at: NotRequired[Collection[str]]
    ladder_hours: NotRequired[int | None]
    page_first: NotRequired[bool]


def send_notice(
    uow: UnitOfWork,
    *,
    draft_key: str,
    class_ids: Collection[int] = (),
    org_id: int | None = None,
    **said: Unpack[Said],
) -> Notice:
    """Send a notice to the guardians of some classes of one school, or (with `org_id`) of a whole
    school or district; with `send_at` the clock sends it then. A second call with the same
    `draft_key` (a double click, a retried post) returns the first notice and sends nothing."""
    # two presses that arrive together: the second waits here and then finds the first's notice
    uow.session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(draft_key, 0))))
    known = uow.session.scalar(select(Notice).where(Notice.draft_key == draft_key))
    if known is not None:
        for place in places_of(known):
            uow.authorize(Action.NOTICE_SEND, place)
        return known
    notice = addressed(uow, class_ids, org_id)
    notice.draft_key = draft_key
    write(uow, notice=notice, **said)
    return notice


def change_scheduled(
    uow: UnitOfWork,
    *,
    notice_id: int,
    class_ids: Collection[int] = (),
    org_id: int | None = None,
    **said: Unpack[Said],
) -> Notice:
    """Change a notice that waits for its time; without `send_at` it leaves now. Whoever changes it
    last is its sender."""
    # the clock takes the same lock: the notice leaves as it was, or as it is now, never both
    notice = reach.locked(uow, notice_id)
    if notice is None:
        raise NotFound()
    for place in places_of(notice):
        uow.authorize(Action.NOTICE_SEND, place)
    refuse_unless_scheduled(notice)
    whom = addressed(uow, class_ids, org_id)
    notice.school_id, notice.reach = whom.school_id, whom.reach
    notice.class_ids, notice.class_id = whom.class_ids, whom.class_id
    write(uow, notice=notice, **said)
    return notice


def refuse_unless_scheduled(notice: Notice) -> None:
    """Refuse to change what has left, or never will."""
    if notice.state == "sent":
        raise Conflict(
            Text(
                "这条通知已经发出，不能再改。您写的内容还在下面，可以作为新通知发送。",
                "This notice has left and cannot be changed. What you wrote is still below; "
                "you can send it as a new notice.",
            ),
            code="notice_left",
        )
    if notice.state != "scheduled":
        raise Conflict(
            Text(
                "这条通知已撤回，不会发出。您写的内容还在下面，可以作为新通知发送。",
                "This notice was withdrawn and will not leave. What you wrote is still below; "
                "you can send it as a new notice.",
            ),
            code="notice_stopped",
        )


def write(
    uow: UnitOfWork,
    *,
    notice: Notice,
    as_draft: bool = False,
    title: Text,
    body: Text,
    level: str,
    due_at: datetime | None = None,
    send_at: datetime | None = None,
    links_allowed: bool = False,
    urgent_reason: str = "",
    looked_at: Collection[str] = (),
    ladder_hours: int | None = None,
    page_first: bool = False,
) -> None:
    """Refuse what must not be said, or not then; write the rest, and send it or leave it to the clock.
    A draft goes to nobody yet, so that its sender has still to look at what gives reason to think.
    """
    for place in places_of(notice):
        uow.authorize(Action.NOTICE_SEND, place)
    rules.refuse_poor_text(
        title_zh=title.zh,
        title_en=title.en,
        body_zh=body.zh,
        body_en=body.en,
        links_allowed=links_allowed,
    )
    found = concerns_of(uow.session, children_around(notice, uow.now.date()), title, body)
    rules.refuse_concerns([c for c in found if c.stops or not as_draft], looked_at)
    rules.refuse_poor_reason(urgent_reason)
    rules.refuse_odd_ladder(ladder_hours)
    rules.refuse_odd_beginning(
        page_first=page_first, hours=ladder_hours, urgent_reason=urgent_reason
    )
    rules.refuse_poor_times(
        send_at=send_at,
        due_at=due_at,
        now=uow.now,
        alone=timedelta(hours=ladder_hours or 0) if page_first else timedelta(0),
    )
    recipient = recipients_query(children_of(notice, uow.now.date()), uow.now.date())
    if not as_draft and not uow.session.scalar(select(select(recipient).exists())):
        raise Conflict(
            Text(
                "这里还没有登记家长，无法发送。请先导入名册。",
                "No guardian is known here yet; import the roster first.",
            ),
            code="no_audience",
        )
    notice.sender_id = _sender(uow)
    notice.title_zh, notice.title_en = title.zh, title.en
    notice.body_zh, notice.body_en = body.zh, body.en
    notice.level, notice.due_at = level, due_at
    notice.urgent_reason = urgent_reason.strip() or None
    notice.looked_at = sorted({c.kind for c in found}) or None
    notice.send_at = send_at
    notice.page_first = page_first
    # who need not confirm is not asked again
    notice.ladder_hours = ladder_hours if level == "confirm" or page_first else None
    if as_draft:
        notice.state = "draft"
    elif send_at is None:
        _leave(uow, notice)
    else:
        notice.state = "scheduled"
    uow.session.add(notice)
    uow.session.flush()  # rounds and recipients refer to it
    if as_draft:
        return
    today = uow.now.date()
    # one that is scheduled is held to the budget of its month now, and again when it leaves
    segments = _within_budget(uow, notice, today)
    if send_at is None:
        begin_round(uow, notice, 0, segments)


def _within_budget(uow: UnitOfWork, notice: Notice, today: date) -> tuple[int, int]:
    """Segments of a notice to all and of one of its texts; refuses a routine one that the budget
    cannot bear.

    The lock is held until what is sent stands in the outbox (or as reserved), so that of two who
    send at once the second sees what the first has spent. Without a budget nothing is estimated.
    What begins on the platform must fit as if nobody looked there, in the month of its texts, and
    has nothing reserved: most of it is never written.
    """
    if not budgets.lock(uow, notice.school_id):
        return 0, 0
    texts = texts_by_language(
        uow.session, children_of(notice, today), today, urgent=bool(notice.urgent_reason)
    )
    total, each = budgets.estimate(uow.session, notice, "notice", texts)
    leaves = notice.send_at if notice.state == "scheduled" else None
    account = budgets.account(uow.session, notice.school_id, texts_at(notice, leaves or uow.now))
    needed = budgets.cost(total)
    if notice.urgent_reason:
        notice.over_budget = account.has_no_room(needed)
    else:
        budgets.refuse_beyond(account, needed)
    return (0, 0) if notice.page_first else (total, each)


def texts_at(notice: Notice, leaves: datetime) -> datetime:
    """When the first texts of a notice are due that leaves at `leaves`."""
    return leaves + timedelta(hours=notice.ladder_hours or 0) if notice.page_first else leaves


# -- sending by the clock -----------------------------------------------------------------------

# why a notice whose time had come was not sent
SENDER_LEFT, TOO_LATE, NO_BUDGET = "sender_left", "too_late", "budget_used_up"
UNSENT = (SENDER_LEFT, TOO_LATE, NO_BUDGET)


def due_notices(session: Session, now: datetime) -> list[int]:
    """Notices whose time has come, the earliest first."""
    return list(
        session.scalars(
            select(Notice.id)
            .where(Notice.state == "scheduled", Notice.send_at <= now)
            .order_by(Notice.send_at, Notice.id)
        )
    )


def send_scheduled(uow: UnitOfWork, *, notice_id: int, today: date) -> bool:
    """Send a notice whose time has come, to whom it concerns now; whether it was sent.

    The state changes in the transaction that writes the round, so however many clocks come, and
    however their time jumps, it leaves once.
    """
    uow.authorize(Action.SYSTEM_RUN)
    notice = reach.locked(uow, notice_id)
    if notice is None or notice.state != "scheduled":
        return False
    if notice.send_at is None or notice.send_at > uow.now:
        return False  # put off meanwhile
    segments = (0, 0)
    notice.unsent_reason = _why_not(uow, notice, today)
    if not notice.unsent_reason:
        try:
            segments = _within_budget(uow, notice, today)
        except Conflict:
            notice.unsent_reason = NO_BUDGET
    if notice.unsent_reason:
        notice.state = "cancelled"
        return False
    _leave(uow, notice)
    begin_round(uow, notice, 0, segments, today)
    return True


def _leave(uow: UnitOfWork, notice: Notice) -> None:
    notice.state, notice.sent_at = "sent", uow.now
    if notice.ladder_hours:
        notice.ladder_at = uow.now + timedelta(hours=notice.ladder_hours)


def _why_not(uow: UnitOfWork, notice: Notice, today: date) -> str | None:
    """Why a notice must not leave although its time has come."""
    if notice.due_at is not None and notice.due_at <= uow.now:
        return TOO_LATE  # the clock stood still, and nobody could answer in time
    try:
        sender = actor_of(uow.session, notice.sender_id, today)
    except LookupError:
        return SENDER_LEFT
    return None if may_nudge(sender, notice) else SENDER_LEFT


def try_notice(
    uow: UnitOfWork,
    *,
    test_key: str,
    title: Text,
    body: Text,
    class_ids: Collection[int] = (),
    org_id: int | None = None,
    links_allowed: bool = False,
) -> None:
    """Show the writer of a draft, on their own phone, the text that a family would get.

    Nothing is sent to anybody else, and nobody is counted as a recipient. A second call with the same
    `test_key` sends nothing.
    """
    draft = addressed(uow, class_ids, org_id)
    for place in places_of(draft):
        uow.authorize(Action.NOTICE_SEND, place)
    rules.refuse_poor_text(
        title_zh=title.zh,
        title_en=title.en,
        body_zh=body.zh,
        body_en=body.en,
        links_allowed=links_allowed,
    )
    found = concerns_of(uow.session, children_around(draft, uow.now.date()), title, body)
    rules.refuse_concerns([c for c in found if c.stops], ())
    person = _sender(uow)
    if not phones_in_need_of(uow.session, [person]):
        raise Conflict(
            Text(
                "您没有登记能收短信的手机号，无法试发。",
                "No phone of yours is known to which a text could go.",
            ),
            code="no_phone",
        )
    uow.record(NoticeTested(person, draft.school_id, draft.class_id, title, test_key))


def concerns_of(session: Session, children: Select[int], title: Text, body: Text) -> list[Concern]:
    """What in a text to the families of `children` gives reason to think; see `content`."""
    said = {"title_zh": title.zh, "title_en": title.en, "body_zh": body.zh, "body_en": body.en}
    everything = "\n".join(said.values())
    # a text is short and a district is large: the database looks which names stand in it
    names = session.scalars(
        select(Person.name)
        .where(
            Person.id.in_(children),
            func.length(Person.name) > 1,
            func.strpos(everything, Person.name) > 0,
        )
        .distinct()
    )
    return concerns(said, list(names))


def _sender(uow: UnitOfWork) -> int:
    if uow.actor.person_id is None:
        raise NotFound()
    return uow.actor.person_id


def recipient_of(session: Session, notice_id: int, guardian_id: int) -> NoticeRecipient:
    """The row of one guardian; NotFound if the notice is not theirs."""
    row = session.scalar(
        select(NoticeRecipient).where(
            NoticeRecipient.notice_id == notice_id, NoticeRecipient.guardian_id == guardian_id
        )
    )
    if row is None:
        raise NotFound()
    return row


def acknowledge(uow: UnitOfWork, *, notice_id: int, confirm: bool) -> None:
    """Mark the actor's copy as read, and as confirmed if asked; the first time counts."""
    row = recipient_of(uow.session, notice_id, uow.actor.person_id or 0)
    if not uow.actor.child_ids.intersection(row.child_ids):
        raise NotFound()  # custody has changed since the text was sent
    uow.authorize(Action.NOTICE_ACKNOWLEDGE, row)
    if row.read_at is None:
        row.read_at = uow.now
    if confirm and row.confirmed_at is None:
        row.confirmed_at = uow.now
    uow.record(NoticeAcknowledged(notice_id, row.guardian_id))


def stop_notice(uow: UnitOfWork, *, notice_id: int) -> Notice:
    """Let nothing more leave; what has left cannot be called back."""
    notice = reach.locked(uow, notice_id)
    if notice is None or notice.state == "draft":
        raise NotFound()
    for place in places_of(notice):
        uow.authorize(Action.NOTICE_SEND, place)
    if notice.state != "cancelled":
        notice.state, notice.ladder_at = "cancelled", None
        uow.record(NoticeStopped(notice_id))
    return notice
