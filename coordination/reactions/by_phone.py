"""An alert that a family has not confirmed is said to it by phone, and whatever must be confirmed to who
cannot read texts: once to each number, and again only where nobody took the call.

Only rows are written here. What may have changed since (custody, a confirmation, a withdrawal) is
looked at when the call is claimed. Must not know who carries calls.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Row,
    Select,
    Subquery,
    and_,
    any_,
    case,
    false,
    func,
    or_,
    select,
    tuple_,
)
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session, aliased

from coordination.authz.actions import Action
from coordination.domain.communication.models import Notice, NoticeRecipient
from coordination.domain.communication.notices import queries, reach, ringing
from coordination.domain.communication.notices.queries import answer_of
from coordination.domain.people.models import Guardianship, Organisation
from coordination.domain.people.recipients import is_told
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork
from coordination.reactions import spoken
from notifications import outbox, series
from notifications.models import DeliveryAttempt, OutboxMessage
from notifications.values import Outgoing, Pending

# an alert, whose words come from lists; and a notice that is read out
KEY, READ_OUT = "notice_call", "notice_read_out"
# calls stand under a subject of their own, so that where a text stands is not where a call does
SUBJECT = "notice_call"
CHANNEL = "voice"
# written at one beat of the clock; what is left is written at the next
AT_ONCE = 500
_TAKEN = ("accepted", "delivered")
# nobody took the call, but the number is one
_TRY_AGAIN = ("busy", "no-answer")

THANKS = Text("好的，已经记下。谢谢，再见。", "Thank you, that is noted. Goodbye.")
NOT_YOURS = Text(
    "这条通知已经不需要您确认。谢谢，再见。", "You need not confirm this notice any more. Goodbye."
)
OTHER_KEY = Text("请按 1 或者 2。", "Please press 1 or 2.")

_there_is_a_line = False


def use_line(exists: bool) -> None:
    """Set once by the composition root: without somebody who carries calls none is written."""
    global _there_is_a_line
    _there_is_a_line = exists


# -- who is called --------------------------------------------------------------------------------


def ring_due(uow: UnitOfWork, *, notice_id: int, today: date) -> int:
    """Write the calls about a notice that are due now; how many are new."""
    uow.authorize(Action.SYSTEM_RUN)
    notice = reach.locked(uow, notice_id)
    if not _there_is_a_line:
        # who carried calls is set no more: what waits would wait for ever
        outbox.cancel(uow.session, SUBJECT, notice_id)
        return 0
    if notice is None or notice.state != "sent" or notice.ringing_until is None:
        return 0
    title, body = Text(notice.title_zh, notice.title_en), Text(notice.body_zh, notice.body_en)
    # the body of an alert says the same as its title
    words = words_of(uow.session, notice.school_id, title, None if notice.alert else body)
    return outbox.enqueue(
        uow.session,
        [
            Outgoing(
                recipient_id=row.guardian_id,
                household_key=row.household_key,
                template_key=KEY if notice.alert else READ_OUT,
                language=row.language,
                params={},
                body=words.in_("zh" if row.language == "zh" else "en"),
                # what can wait until morning does
                message_class="urgent" if notice.urgent_reason else "confirm",
                channel=CHANNEL,
                subject_type=SUBJECT,
                subject_id=notice.id,
                # two clocks, or a beat that is repeated, write the same call once
                dedupe_key=f"call:{notice.id}:{row.household_key}:{row.number + 1}",
                valid_until=notice.ringing_until,
            )
            for row in uow.session.execute(_due(notice, uow.now, today))
        ],
    )


def words_of(session: Session, school_id: int, title: Text, body: Text | None = None) -> Text:
    """What is said about an alert, or with a body about a notice; previews use it too."""
    school = session.get_one(Organisation, school_id)
    # of what only eyes can use nothing is left to be said
    spoken_title = Text(
        spoken.sayable(title.zh, "zh") or "请马上联系学校",
        spoken.sayable(title.en, "en") or "please contact the school now",
    )
    said = {"sender": Text(school.name_zh, school.name_en), "title": spoken_title}
    if body is not None:
        said["text"] = Text(spoken.listenable(body.zh, "zh"), spoken.listenable(body.en, "en"))
    key = KEY if body is None else READ_OUT
    return Text(*(spoken.render(key, language, said) for language in ("zh", "en")))


def _due(notice: Notice, now: datetime, today: date) -> Select[int, str, str, int]:
    """Phones that are to ring: guardian_id, household_key, language, and how often they rang."""
    row, calls = NoticeRecipient, series.of(SUBJECT, notice.id)
    newest = outbox.newest("notice", notice.id)
    held = (
        select(
            row.id,
            row.household_key,
            func.unnest(row.child_ids).label("child_id"),
            answer_of(notice).is_not(None).label("knows"),
            # a text lies on the phone, or is on its way
            and_(
                row.skip_reason.is_(None),
                func.coalesce(newest.c.state, "queued").not_in(queries.UNREACHED),
            ).label("texted"),
        )
        .outerjoin(newest, newest.c.household_key == row.household_key)
        .where(row.notice_id == notice.id)
        .subquery("held")
    )
    known = select(held.c.child_id).where(held.c.knows)
    texted = select(held.c.child_id).where(held.c.texted)
    # one guardian who knows is enough for a child, and one phone that got the text for the first minutes
    silent = select(held.c.household_key).where(held.c.child_id.not_in(known))
    untold = select(held.c.household_key).where(
        held.c.child_id.not_in(known), held.c.child_id.not_in(texted)
    )
    # their own wish, or the school's note, of anybody at this phone
    wish = aliased(NoticeRecipient)
    wished = row.household_key.in_(
        select(wish.household_key).where(
            wish.notice_id == notice.id, wish.guardian_id.in_(ringing.WHO_IS_CALLED)
        )
    )
    at_once = or_(row.household_key.in_(untold), wished) if notice.call_after else wished
    since = case((newest.c.state.in_(_TAKEN), newest.c.updated_at), else_=notice.sent_at)
    wait = timedelta(minutes=notice.call_after or 0)
    late = since <= now - wait if notice.call_after else false()
    first = and_(calls.c.number.is_(None), or_(at_once, late))
    again = and_(
        calls.c.number < ringing.MOST_CALLS,
        calls.c.state == "undelivered",
        calls.c.reason_code.in_(_TRY_AGAIN),
        calls.c.updated_at <= now - ringing.AGAIN_AFTER,
    )
    due = (
        select(
            row.id,
            row.guardian_id,
            row.household_key,
            row.language,
            func.coalesce(calls.c.number, 0).label("number"),
            at_once.label("at_once"),
        )
        .outerjoin(newest, newest.c.household_key == row.household_key)
        .outerjoin(calls, calls.c.household_key == row.household_key)
        .where(
            row.notice_id == notice.id,
            row.skip_reason.is_distinct_from("no_phone"),
            row.household_key.in_(silent),
            or_(first, again),
            _still_told(today),
        )
        # who shares a phone is called once: whoever is written to, or who comes first
        .ext(distinct_on(row.household_key))
        .order_by(
            row.household_key,
            row.guardian_id.in_(ringing.WHO_IS_CALLED).desc(),
            (row.told_via_id == row.guardian_id).desc().nulls_last(),
            row.id,
        )
        .subquery("due")
    )
    return (
        select(due.c.guardian_id, due.c.household_key, due.c.language, due.c.number)
        .order_by(due.c.at_once.desc(), due.c.id)
        .limit(AT_ONCE)
    )


def _still_told(today: date) -> ColumnElement[bool]:
    """The condition under which a recipient may still be told of one of the children."""
    return (
        select(Guardianship.id)
        .where(
            Guardianship.guardian_id == NoticeRecipient.guardian_id,
            Guardianship.child_id == any_(NoticeRecipient.child_ids),
            is_told(today),
        )
        .exists()
    )


# -- at the claim ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Judged:
    """Calls that must not be made any more: by whom they may not be heard, and who knows by now."""

    cut_off: Collection[int]
    answered: Collection[int]


def judge(session: Session, messages: Sequence[Pending], today: date) -> Judged:
    """Look at calls once more. What is said names no child, so one of whom the listener may still be told
    is enough."""
    calls = [m for m in messages if m.subject_type == SUBJECT]
    if not calls:
        return Judged((), ())
    row = NoticeRecipient
    pairs = {(m.recipient_id, m.subject_id) for m in calls}
    mine = tuple_(row.guardian_id, row.notice_id).in_(pairs)
    told = {
        (guardian, notice)
        for guardian, notice in session.execute(
            select(row.guardian_id, row.notice_id).where(mine, _still_told(today))
        )
    }
    child = func.unnest(row.child_ids)
    wanted = select(row.guardian_id, row.notice_id, child.label("child_id")).where(mine).subquery()
    knows = (
        select(row.notice_id, child.label("child_id"))
        .join(Notice, Notice.id == row.notice_id)
        .where(
            row.notice_id.in_({m.subject_id for m in calls}),
            func.coalesce(
                row.confirmed_at, row.reached_at, case((Notice.level == "info", row.read_at))
            ).is_not(None),
        )
        .subquery()
    )
    open_to = {
        (guardian, notice)
        for guardian, notice in session.execute(
            select(wanted.c.guardian_id, wanted.c.notice_id).where(
                tuple_(wanted.c.notice_id, wanted.c.child_id).not_in(
                    select(knows.c.notice_id, knows.c.child_id)
                )
            )
        )
    }
    return Judged(
        {m.id for m in calls if (m.recipient_id, m.subject_id) not in told},
        {m.id for m in calls if (m.recipient_id, m.subject_id) not in open_to},
    )


# -- a key ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reply:
    """What is said to a key: a last word, or the message again."""

    says: str
    language: str
    again: bool = False


def pressed(
    uow: UnitOfWork, *, attempt_id: UUID, provider_id: str | None, key: str, today: date
) -> Reply | None:
    """What somebody pressed in a call; None if there is no such call."""
    uow.authorize(Action.SYSTEM_RUN)
    call = uow.session.execute(
        select(OutboxMessage, DeliveryAttempt.provider_id)
        .join(DeliveryAttempt, DeliveryAttempt.message_id == OutboxMessage.id)
        .where(DeliveryAttempt.id == attempt_id, OutboxMessage.subject_type == SUBJECT)
    ).one_or_none()
    if call is None:
        return None
    message, known = call
    if provider_id and known and provider_id != known:
        return None
    language = "zh" if message.language == "zh" else "en"
    if key == "1":
        noted = ringing.confirm_by_key(
            uow, notice_id=message.subject_id, guardian_id=message.recipient_id, today=today
        )
        return Reply((THANKS if noted else NOT_YOURS).in_(language), language)
    words = message.body or ""
    if not words:
        return Reply(NOT_YOURS.in_(language), language)
    if key == "2":
        return Reply(words, language, again=True)
    return Reply(
        f"{OTHER_KEY.in_(language)}{'' if language == 'zh' else ' '}{words}", language, True
    )


# -- what is shown --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Calls:
    """How the calls of an alert went, by phone; `pressed` counts guardians."""

    phones: int = 0
    waiting: int = 0
    taken: int = 0
    pressed: int = 0
    unanswered: int = 0
    failed: int = 0
    spared: int = 0


def calls_of(session: Session, notice: Notice) -> Calls:
    """Counts for the page of an alert, by one statement each."""
    last = series.of(SUBJECT, notice.id)
    state = last.c.state

    def number(*states: str) -> ColumnElement[int]:
        return func.count().filter(state.in_(states))

    counts = session.execute(
        select(
            func.count(),
            number("queued", "held", "sending", "accepted", "unknown"),
            number("delivered"),
            number("undelivered"),
            number("failed", "expired", "needs_human", "cancelled"),
            number("suppressed"),
        )
    ).one()
    keys = session.scalar(
        select(func.count())
        .select_from(NoticeRecipient)
        .where(NoticeRecipient.notice_id == notice.id, NoticeRecipient.by_call)
    )
    phones, waiting, taken, unanswered, failed, spared = counts
    return Calls(phones, waiting, taken, keys or 0, unanswered, failed, spared)


@dataclass(frozen=True, slots=True)
class Rung:
    """How the last call to a phone went, and the how-many-eth it was."""

    state: str
    reason: str | None
    number: int


def rung(session: Session, notice: Notice, recipient_ids: Collection[int]) -> dict[int, Rung]:
    """The calls about an alert to the phones of some of its recipients (by the ids of their rows)."""
    if notice.ringing_until is None or not recipient_ids:
        return {}
    last: Subquery = series.of(SUBJECT, notice.id)
    rows: Sequence[Row[int, str, str | None, int]] = session.execute(
        select(NoticeRecipient.id, last.c.state, last.c.reason_code, last.c.number)
        .join(last, last.c.household_key == NoticeRecipient.household_key)
        .where(NoticeRecipient.id.in_(recipient_ids))
    ).all()
    return {number: Rung(state, reason, times) for number, state, reason, times in rows}
