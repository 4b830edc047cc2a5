"""异议 (B117): a volunteer objects to the time that was confirmed, whoever confirms answers; both stay."""

from __future__ import annotations

from datetime import datetime, timedelta

from coordination.authz.actions import Action
from coordination.domain.volunteering import certificates, time_rules, times
from coordination.domain.volunteering.events import ShiftObjectionAnswered, ShiftTimeObjected
from coordination.domain.volunteering.models import ShiftNeed, ShiftObjection, ShiftTime
from coordination.ground.errors import Conflict, Forbidden, Invalid, NotFound, TooLate
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork

LONGEST = 200


def until(rule: time_rules.TimeRule, row: ShiftTime) -> datetime | None:
    """Until when the time can be objected to; None while nothing is confirmed."""
    if row.confirmed_at is None:
        return None
    return row.confirmed_at + timedelta(days=rule.objection_days)


def object_to(uow: UnitOfWork, *, time_id: int, words: str) -> ShiftObjection:
    """The volunteer says what is wrong with the time confirmed, within the days of the rule."""
    row = uow.session.get(ShiftTime, time_id, with_for_update=True)
    if row is None or row.person_id != uow.actor.person_id:
        raise NotFound()
    uow.authorize(Action.SHIFT_OBJECT, row)
    last = until(time_rules.in_force(uow.session), row)
    if last is None or row.minutes is None:
        raise Conflict(
            Text("时长还没有核定。", "The time is not confirmed yet."), code="not_confirmed"
        )
    if uow.now > last:
        raise TooLate(
            Text(
                "提出异议的时间已过，请直接联系区教育局协调员。",
                "The time to object has passed; please call the district's coordinator.",
            )
        )
    _refuse_unfit_words(words, "words")
    made = ShiftObjection(
        time_id=time_id,
        person_id=row.person_id,
        words=words.strip(),
        minutes_then=row.minutes,
        created_at=uow.now,
    )
    uow.session.add(made)
    uow.session.flush()  # a second one while the first is open is refused here
    uow.record(ShiftTimeObjected(made.id))
    return made


def answer(uow: UnitOfWork, *, objection_id: int, words: str, minutes: int) -> None:
    """Answer an objection, with the minutes that count from now on: other ones, or the same."""
    found = uow.session.get(ShiftObjection, objection_id, with_for_update=True)
    if found is None:
        raise NotFound()
    row = uow.session.get_one(
        ShiftTime, found.time_id, with_for_update=True, populate_existing=True
    )
    need = uow.session.get_one(ShiftNeed, row.need_id)
    thing = times.in_charge(uow.session, uow.actor, need, Action.SHIFT_CONFIRM)
    uow.authorize(Action.SHIFT_CONFIRM, thing)
    if row.person_id == uow.actor.person_id:
        raise Forbidden(Text("不能答复自己的异议。", "Nobody answers an objection of their own."))
    if found.answered_at is not None:
        raise Conflict(
            Text("这条异议已经答复过。", "This objection has been answered."), code="answered"
        )
    most = time_rules.in_force(uow.session).most(times.planned(need))
    if not 0 <= minutes <= max(most, row.minutes or 0):
        raise Invalid(
            fields={
                "minutes": Text(
                    f"请填写 0 到 {most} 之间的整数（分钟）。",
                    f"Enter a whole number of minutes from 0 to {most}.",
                )
            }
        )
    _refuse_unfit_words(words, "answer")
    changed, since = row.minutes != minutes, row.confirmed_at
    found.answer, found.minutes_after = words.strip(), minutes
    found.answered_at, found.answered_by_id = uow.now, uow.actor.person_id
    row.minutes = minutes
    if changed and since is not None:
        certificates.void(uow, person_id=row.person_id, since=since)
    uow.record(ShiftObjectionAnswered(found.id))


def _refuse_unfit_words(words: str, field: str) -> None:
    if not words.strip() or len(words.strip()) > LONGEST:
        raise Invalid(
            fields={
                field: Text(
                    f"请用一句话写明，不超过 {LONGEST} 字。",
                    f"Say it in a sentence of at most {LONGEST} characters.",
                )
            }
        )
