"""What follows when nobody answers: a reminder by hand, or by the clock, then the call list."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, func, select, update
from sqlalchemy.orm import Session

from coordination.authz.actions import Action
from coordination.domain.communication.models import Notice, NoticeRecipient, NoticeRound
from coordination.domain.communication.notices import reach, rules
from coordination.domain.communication.notices.queries import answer_of
from coordination.domain.communication.notices.reach import places_of
from coordination.domain.communication.notices.rounds import begin_round
from coordination.domain.communication.texts import budgets
from coordination.ground.errors import Conflict, NotFound
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork


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


def nudge_silent(uow: UnitOfWork, *, notice_id: int) -> int:
    """Remind only those who have not answered; how many. Of a notice that stands on the platform
    alone this is the first text, and the clock writes no other."""
    # the lock comes before the look at the last reminder: two presses are one reminder
    notice = reach.locked(uow, notice_id)
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
    begin_round(uow, notice, last.number + 1, segments)
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
        budgets.refuse_reminder_beyond(
            budgets.account(uow.session, notice.school_id, uow.now), budgets.cost(total)
        )
    return total, each


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
    notice = reach.locked(uow, notice_id)
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
            begin_round(uow, notice, 1, segments)
    elif notice.level != "confirm":
        notice.ladder_at = None  # the text by hand was the last step
    elif last.started_at + wait > uow.now:
        # somebody reminded by hand meanwhile
        notice.ladder_at = last.started_at + wait
    else:
        notice.ladder_at, notice.calls_since = None, uow.now
