"""Use cases of notices: send now or later, change, read, confirm, nudge, stop.

Who receives is decided by `people.recipients` alone; what the text message says and when it leaves
is decided by the reactions.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime, timedelta
from typing import NotRequired, TypedDict, Unpack

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    and_,
    case,
    func,
    literal,
    not_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.authz.policy import allowed
from coordination.authz.rules import Scope
from coordination.domain.communication import budgets, family_budget, rules
from coordination.domain.communication.audience import texts_by_language
from coordination.domain.communication.content import Concern, concerns
from coordination.domain.communication.events import (
    NoticeAcknowledged,
    NoticeStopped,
    NoticeStretchDue,
    NoticeTested,
)
from coordination.domain.communication.models import Notice, NoticeRecipient, NoticeRound
from coordination.domain.people.actors import actor_of
from coordination.domain.people.contacts import OPTED_OUT, phones_in_need_of
from coordination.domain.people.models import ClassGroup, Organisation, Person
from coordination.domain.people.recipients import (
    children_in,
    children_of_organisation,
    recipients_query,
)
from coordination.ground.actor import Actor
from coordination.ground.errors import Conflict, Invalid, NotFound
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork


class Said(TypedDict):
    """What a sender says, and how: the same when a notice is sent and when it is changed.

    `_write` has what holds for the rest that is left out.
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
    notice = _addressed(uow, class_ids, org_id)
    notice.draft_key = draft_key
    _write(uow, notice, **said)
    return notice


def _locked(uow: UnitOfWork, notice_id: int) -> Notice | None:
    """The notice as it stands now; nobody else changes it, or takes a step with it, until we commit."""
    return uow.session.get(Notice, notice_id, with_for_update=True, populate_existing=True)


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
    notice = _locked(uow, notice_id)
    if notice is None:
        raise NotFound()
    for place in places_of(notice):
        uow.authorize(Action.NOTICE_SEND, place)
    refuse_unless_scheduled(notice)
    whom = _addressed(uow, class_ids, org_id)
    notice.school_id, notice.reach = whom.school_id, whom.reach
    notice.class_ids, notice.class_id = whom.class_ids, whom.class_id
    _write(uow, notice, **said)
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


def _write(
    uow: UnitOfWork,
    notice: Notice,
    *,
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
    """Refuse what must not be said, or not then; write the rest, and send it or leave it to the clock."""
    for place in places_of(notice):
        uow.authorize(Action.NOTICE_SEND, place)
    rules.refuse_poor_text(
        title_zh=title.zh,
        title_en=title.en,
        body_zh=body.zh,
        body_en=body.en,
        links_allowed=links_allowed,
    )
    found = concerns_of(uow.session, children_of(notice, uow.now.date()), title, body)
    rules.refuse_concerns(found, looked_at)
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
    if not uow.session.scalar(select(select(recipient).exists())):
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
    if send_at is None:
        _leave(uow, notice)
    else:
        notice.state = "scheduled"
    uow.session.add(notice)
    uow.session.flush()  # rounds and recipients refer to it
    today = uow.now.date()
    # one that is scheduled is held to the budget of its month now, and again when it leaves
    segments = _within_budget(uow, notice, today)
    if send_at is None:
        _begin_round(uow, notice, 0, segments)


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
    account = _account(uow, notice, texts_at(notice, leaves or uow.now))
    needed = budgets.cost(total)
    if notice.urgent_reason:
        notice.over_budget = account.has_no_room(needed)
    else:
        budgets.refuse_beyond(account, needed)
    return (0, 0) if notice.page_first else (total, each)


def _to_the_silent(
    uow: UnitOfWork, notice: Notice, number: int, *, held: bool = True
) -> tuple[int, int]:
    """Segments of a round to the silent and of one of its texts; refuses one by hand (`held`) that
    the budget cannot bear. What a notice promised when it left is written in any case."""
    if not budgets.lock(uow, notice.school_id):
        return 0, 0
    texts = {
        language: count
        for language, count in uow.session.execute(
            select(NoticeRecipient.language, func.count())
            .where(is_silent(notice))
            .group_by(NoticeRecipient.language)
        )
    }
    key = "notice" if number == notice.first_text else "notice_nudge"
    total, each = budgets.estimate(uow.session, notice, key, texts)
    if held:
        budgets.refuse_reminder_beyond(_account(uow, notice, uow.now), budgets.cost(total))
    return total, each


def _account(uow: UnitOfWork, notice: Notice, at: datetime) -> budgets.Account:
    month = budgets.month_of(at)
    return budgets.accounts(uow.session, [notice.school_id], month)[notice.school_id]


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
    notice = _locked(uow, notice_id)
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
    _begin_round(uow, notice, 0, segments, today)
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
    draft = _addressed(uow, class_ids, org_id)
    for place in places_of(draft):
        uow.authorize(Action.NOTICE_SEND, place)
    rules.refuse_poor_text(
        title_zh=title.zh,
        title_en=title.en,
        body_zh=body.zh,
        body_en=body.en,
        links_allowed=links_allowed,
    )
    found = concerns_of(uow.session, children_of(draft, uow.now.date()), title, body)
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


def _addressed(uow: UnitOfWork, class_ids: Collection[int], org_id: int | None) -> Notice:
    """An empty notice that knows whom it is for."""
    if org_id is None:
        groups = _classes(uow, class_ids)
        return Notice(
            school_id=groups[0].school_id,
            class_ids=sorted(g.id for g in groups),
            class_id=groups[0].id if len(groups) == 1 else None,
            reach="classes",
        )
    org = uow.session.get(Organisation, org_id)
    if org is None or org.kind not in WIDE:
        raise NotFound()
    return Notice(school_id=org.id, class_ids=[], class_id=None, reach=org.kind)


WIDE = frozenset({"school", "district"})


def children_of(notice: Notice, today: date) -> Select[int]:
    """The children a notice is about."""
    if notice.reach in WIDE:
        return children_of_organisation(notice.school_id, today)
    return children_in(notice.class_ids, today)


def places_of(notice: Notice) -> list[Scope]:
    """Where a notice goes as the policy sees it: who may write to all may send, nudge or stop."""
    if notice.reach in WIDE:
        return [Scope(school=notice.school_id)]
    return [Scope(school=notice.school_id, class_=c) for c in notice.class_ids]


# -- writing to the recipients, a stretch at a time ---------------------------------------------

STRETCH = 1000


def _begin_round(
    uow: UnitOfWork,
    notice: Notice,
    number: int,
    segments: tuple[int, int] = (0, 0),
    today: date | None = None,
) -> None:
    """Start a round. Some classes are written to at once; a whole school is left to the clock, so
    that the sender need not wait. `segments` are those of all texts and of one of them."""
    begun = NoticeRound(
        notice_id=notice.id,
        number=number,
        started_at=uow.now,
        upto=0,
        reserved=segments[0],
        segments_each=segments[1],
    )
    uow.session.add(begun)
    uow.session.flush()
    while notice.reach not in WIDE and begun.done_at is None:
        _stretch(uow, notice, begun, today)


def open_rounds(session: Session) -> list[int]:
    """Rounds that still have recipients to be written to, the oldest first."""
    return list(
        session.scalars(
            select(NoticeRound.id).where(NoticeRound.done_at.is_(None)).order_by(NoticeRound.id)
        )
    )


def write_stretch(uow: UnitOfWork, *, round_id: int, today: date | None = None) -> bool:
    """Write to the next stretch of an open round; whether there is more to do. `today` is that of
    the district."""
    uow.authorize(Action.SYSTEM_RUN)
    found = uow.session.get(NoticeRound, round_id, with_for_update=True)
    if found is None or found.done_at is not None:
        return False
    notice = uow.session.get_one(Notice, found.notice_id, with_for_update={"read": True})
    _stretch(uow, notice, found, today)
    return found.done_at is None


def _stretch(
    uow: UnitOfWork, notice: Notice, begun: NoticeRound, today: date | None = None
) -> None:
    if notice.state == "cancelled":
        begun.done_at = uow.now
        return
    if begun.number == 0 and begun.upto == 0:
        _fill_recipients(uow, notice, today or uow.now.date())
        begun.families_over = _too_many(uow, notice)
    if begun.number < notice.first_text:
        begun.done_at = uow.now  # they find it on the platform
        return
    query = (
        select(NoticeRecipient.id)
        .where(
            NoticeRecipient.notice_id == notice.id,
            NoticeRecipient.told_via_id == NoticeRecipient.guardian_id,
            NoticeRecipient.id > begun.upto,
        )
        .order_by(NoticeRecipient.id)
        .limit(STRETCH)
    )
    if begun.number:
        query = query.where(NoticeRecipient.nudges == begun.number)
    ids = tuple(uow.session.scalars(query))
    if ids:
        begun.upto = ids[-1]
        begun.reserved = max(0, begun.reserved - len(ids) * begun.segments_each)
        uow.record(NoticeStretchDue(notice.id, begun.number, ids))
    if len(ids) < STRETCH:
        begun.done_at = uow.now


def _too_many(uow: UnitOfWork, notice: Notice) -> int | None:
    """For how many families a notice that leaves now is more than they should get in a week, if that
    is counted: what is urgent is not, and of what begins on the platform most families get no text."""
    if notice.urgent_reason or notice.page_first:
        return None
    told = select(NoticeRecipient.household_key).where(
        NoticeRecipient.notice_id == notice.id,
        NoticeRecipient.told_via_id == NoticeRecipient.guardian_id,
    )
    wide = notice.reach == "district"
    seen = family_budget.outlook(uow.session, told, at=uow.now, now=uow.now, wide=wide)
    return seen.over if seen else None


def _fill_recipients(uow: UnitOfWork, notice: Notice, today: date) -> None:
    """One row per guardian, by one statement; each phone is told once, whoever shares it."""
    found = recipients_query(children_of(notice, today), today)
    stopped: ColumnElement[bool] = found.c.stopped
    if notice.urgent_reason:
        # an opt-out stops what is routine
        stopped = and_(stopped, found.c.why != OPTED_OUT)
    reachable = and_(found.c.has_phone, not_(stopped))
    via = func.first_value(case((reachable, found.c.guardian_id))).over(
        partition_by=found.c.household_key,
        order_by=(reachable.desc(), found.c.rank, found.c.guardian_id),
    )
    row = select(found, via.label("via")).subquery("row")
    uow.session.execute(
        insert(NoticeRecipient)
        .from_select(
            [
                "notice_id",
                "guardian_id",
                "child_ids",
                "household_key",
                "language",
                "told_via_id",
                "skip_reason",
            ],
            select(
                literal(notice.id, BigInteger),
                row.c.guardian_id,
                row.c.child_ids,
                row.c.household_key,
                row.c.language,
                row.c.via,
                case(
                    (row.c.via.is_not(None), None),
                    (row.c.has_phone, row.c.why),
                    else_="no_phone",
                ),
            ).order_by(row.c.rank, row.c.guardian_id),
            include_defaults=False,
        )
        .on_conflict_do_nothing(index_elements=["notice_id", "guardian_id"])
    )


def _sender(uow: UnitOfWork) -> int:
    if uow.actor.person_id is None:
        raise NotFound()
    return uow.actor.person_id


def _classes(uow: UnitOfWork, class_ids: Collection[int]) -> list[ClassGroup]:
    groups = list(
        uow.session.scalars(
            select(ClassGroup).where(ClassGroup.id.in_(class_ids)).order_by(ClassGroup.id)
        )
    )
    if not groups or len(groups) != len(set(class_ids)):
        raise Invalid(
            fields={"class_ids": Text("请选择要通知的班级。", "Choose the classes to write to.")}
        )
    if len({g.school_id for g in groups}) > 1:
        raise Invalid(
            fields={
                "class_ids": Text(
                    "一次只能通知一所学校的班级，请分开发送。",
                    "One notice goes to one school; send them separately.",
                )
            }
        )
    return groups


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


def answer_of(notice: Notice) -> ColumnElement[datetime | None]:
    """When a recipient did what the notice asks for, or was told by phone instead."""
    own = NoticeRecipient.confirmed_at if notice.level == "confirm" else NoticeRecipient.read_at
    return func.coalesce(own, NoticeRecipient.reached_at)


def is_silent(notice: Notice) -> ColumnElement[bool]:
    """The condition under which a recipient was told and nobody of the household has answered."""
    answered = answer_of(notice)
    quiet = (
        select(NoticeRecipient.household_key)
        .where(NoticeRecipient.notice_id == notice.id)
        .group_by(NoticeRecipient.household_key)
        .having(func.count(answered) == 0)
    )
    return and_(
        NoticeRecipient.notice_id == notice.id,
        NoticeRecipient.told_via_id == NoticeRecipient.guardian_id,
        NoticeRecipient.household_key.in_(quiet),
    )


def may_nudge(actor: Actor, notice: Notice) -> bool:
    """Whether the actor may write to every class of the notice."""
    return all(allowed(actor, Action.NOTICE_SEND, place) for place in places_of(notice))


def nudge_silent(uow: UnitOfWork, *, notice_id: int) -> int:
    """Remind only those who have not answered; how many. Of a notice that stands on the platform
    alone this is the first text, and the clock writes no other."""
    # the lock comes before the look at the last reminder: two presses are one reminder
    notice = _locked(uow, notice_id)
    if notice is None:
        raise NotFound()
    for place in places_of(notice):
        uow.authorize(Action.NOTICE_SEND, place)
    if notice.state == "cancelled":
        raise Conflict(
            Text("这条通知已停止发送。", "This notice was stopped."), code="notice_stopped"
        )
    if notice.state != "sent":
        raise Conflict(
            Text(
                "这条通知还没有发出，发出后才能提醒。",
                "This notice has not left yet; remind after it has.",
            ),
            code="not_sent",
        )
    rounds = uow.session.scalars(
        select(NoticeRound).where(NoticeRound.notice_id == notice_id).order_by(NoticeRound.number)
    ).all()
    if any(r.done_at is None for r in rounds):
        raise Conflict(
            Text(
                "这条通知还在发送，发完后再提醒。",
                "This notice is still going out; remind when it is done.",
            ),
            code="still_sending",
        )
    last = rounds[-1]
    rules.refuse_impatience(last.started_at if last.number else None, uow.now)
    segments = _to_the_silent(uow, notice, last.number + 1)
    reminded = _mark_silent(uow, notice, last.number + 1)
    if not reminded:
        raise Conflict(
            Text("所有家庭都已回复，无需提醒。", "Every family has answered; nobody to remind."),
            code="nobody_silent",
        )
    _begin_round(uow, notice, last.number + 1, segments)
    return reminded


def _mark_silent(uow: UnitOfWork, notice: Notice, number: int) -> int:
    return len(
        uow.session.scalars(
            update(NoticeRecipient)
            .where(is_silent(notice))
            .values(nudges=number)
            .returning(NoticeRecipient.id)
        ).all()
    )


# -- what follows by itself when a notice is not answered ------------------------------------------


def due_ladders(session: Session, now: datetime) -> list[int]:
    """Notices whose next step after silence is due, the longest due first."""
    return list(
        session.scalars(
            select(Notice.id).where(Notice.ladder_at <= now).order_by(Notice.ladder_at, Notice.id)
        )
    )


def climb(uow: UnitOfWork, *, notice_id: int, going: bool, waits: datetime | None) -> None:
    """Take the next step with a notice that has waited long enough: remind the silent once, then put
    them on the call list. Of one that began on the platform the first text is the reminder.

    `going` says that texts of it have not left yet, `waits` until when they are held, if they are:
    nobody has been silent about what has not come.
    """
    uow.authorize(Action.SYSTEM_RUN)
    notice = _locked(uow, notice_id)
    if notice is None or notice.ladder_at is None or notice.ladder_at > uow.now:
        return
    wait = timedelta(hours=notice.ladder_hours or 0)
    if notice.state != "sent":
        notice.ladder_at = None
    elif going:
        notice.ladder_at = max(waits or uow.now, uow.now) + wait
    else:
        _climb(uow, notice, wait, waits)


def _climb(uow: UnitOfWork, notice: Notice, wait: timedelta, waits: datetime | None) -> None:
    leaves = max(waits or uow.now, uow.now)
    last = uow.session.scalars(
        select(NoticeRound)
        .where(NoticeRound.notice_id == notice.id)
        .order_by(NoticeRound.number.desc())
        .limit(1)
    ).one()
    if last.number == 0 and notice.page_first and waits is not None:
        # no text leaves before, and who looks until then needs none
        notice.ladder_at = waits
    elif last.number == 0:
        segments = (0, 0)
        if notice.page_first:
            segments = _to_the_silent(uow, notice, 1, held=False)
        # all have answered: nothing follows
        told = _mark_silent(uow, notice, 1)
        notice.ladder_at = leaves + wait if told and notice.level == "confirm" else None
        if told:
            _begin_round(uow, notice, 1, segments)
    elif notice.level != "confirm":
        notice.ladder_at = None  # the text by hand was the last step
    elif last.started_at + wait > uow.now:
        # somebody reminded by hand meanwhile
        notice.ladder_at = last.started_at + wait
    else:
        notice.ladder_at, notice.calls_since = None, uow.now


def stop_notice(uow: UnitOfWork, *, notice_id: int) -> Notice:
    """Let nothing more leave; what has left cannot be called back."""
    notice = _locked(uow, notice_id)
    if notice is None:
        raise NotFound()
    for place in places_of(notice):
        uow.authorize(Action.NOTICE_SEND, place)
    if notice.state != "cancelled":
        notice.state, notice.ladder_at = "cancelled", None
        uow.record(NoticeStopped(notice_id))
    return notice
