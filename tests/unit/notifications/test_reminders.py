"""Reminders: due times, rows that follow their subject and its rules, each taken once."""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import (
    BigInteger,
    DateTime,
    Engine,
    String,
    column,
    literal,
    select,
    text,
    true,
    values,
)
from sqlalchemy.orm import Session

from notifications.models import Reminder
from notifications.reminders import (
    Rewritten,
    any_due,
    drop,
    due_at,
    refuse_unreadable,
    rewrite,
    take_due,
)

SHANGHAI = ZoneInfo("Asia/Shanghai")
RULES = {"three_days_before": "3d@18:00", "one_day_before": "1d@18:00"}
START = datetime(2026, 11, 27, 6, 0, tzinfo=UTC)
NOW = datetime(2026, 11, 20, 0, 0, tzinfo=UTC)


def _plan(
    session: Session,
    anchor: datetime | None = START,
    now: datetime = NOW,
    *,
    rules: Mapping[str, str] = RULES,
    subjects: Sequence[int] = (5,),
    hours: int = 12,
) -> Rewritten:
    """Rewrite these subjects' reminders to the rules, relative to one anchor."""
    rule = values(column("key", String), column("spec", String), name="rule").data(
        list(rules.items()) or [("", "")]
    )
    subject = values(column("id", BigInteger), name="subject").data([(s,) for s in subjects])
    wanted = (
        select(
            subject.c.id,
            rule.c.key,
            rule.c.spec,
            literal(anchor, DateTime(timezone=True)).label("anchor"),
            literal(hours, BigInteger).label("hours"),
        )
        .join_from(subject, rule, true())
        .where(rule.c.key != "")
    )
    return rewrite(
        session, wanted, select(subject.c.id), subject_type="session", zone=SHANGHAI, now=now
    )


def _rows(session: Session) -> list[tuple[str, str]]:
    session.expire_all()
    rows = session.scalars(select(Reminder).order_by(Reminder.due_at))
    return [(f"{row.due_at.astimezone(SHANGHAI):%d %H:%M}", row.state) for row in rows]


def _due(session: Session, anchor: datetime, spec: str, zone: str) -> datetime:
    at = literal(anchor, DateTime(timezone=True))
    found = session.scalar(select(due_at(at, literal(spec, String), ZoneInfo(zone))))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("spec", "anchor", "zone", "expected"),
    [
        ("3d@18:00", START, "Asia/Shanghai", "2026-11-24T10:00+00:00"),
        # 17:00 UTC is already the 28th in Shanghai
        ("1d@18:00", START + timedelta(hours=11), "Asia/Shanghai", "2026-11-27T10:00+00:00"),
        ("0d@07:30", START, "Asia/Shanghai", "2026-11-26T23:30+00:00"),
        ("+1d@09:00", START, "Asia/Shanghai", "2026-11-28T01:00+00:00"),
        ("-90m", START, "Asia/Shanghai", "2026-11-27T04:30+00:00"),
        ("+30m", START, "Asia/Shanghai", "2026-11-27T06:30+00:00"),
        # a zone with summer time: 18:00 stays 18:00 across the change, and an hour an hour
        (
            "1d@18:00",
            datetime(2026, 3, 29, 12, tzinfo=UTC),
            "Europe/Paris",
            "2026-03-28T17:00+00:00",
        ),
        (
            "0d@18:00",
            datetime(2026, 3, 29, 17, tzinfo=UTC),
            "Europe/Paris",
            "2026-03-29T16:00+00:00",
        ),
        ("-120m", datetime(2026, 3, 29, 2, tzinfo=UTC), "Europe/Paris", "2026-03-29T00:00+00:00"),
    ],
)
def test_due_times(session: Session, spec: str, anchor: datetime, zone: str, expected: str) -> None:
    assert _due(session, anchor, spec, zone) == datetime.fromisoformat(expected)


def test_the_database_counts_as_a_calendar_does(session: Session) -> None:
    dice = random.Random(1)
    for _ in range(300):
        anchor = START + timedelta(minutes=dice.randrange(600_000))
        days, at = dice.randrange(61), time(dice.randrange(24), dice.randrange(60))
        after = dice.random() < 0.5
        day: date = anchor.astimezone(SHANGHAI).date() + timedelta(days=days if after else -days)
        spec = f"{'+' if after else ''}{days}d@{at:%H:%M}"
        expected = datetime.combine(day, at, tzinfo=SHANGHAI)
        assert _due(session, anchor, spec, "Asia/Shanghai") == expected, (anchor, spec)


@pytest.mark.parametrize("spec", ["3d@18:00", "+1d@09:00", "0d@00:00", "-90m", "+30m"])
def test_a_rule_that_can_be_read_is_not_refused(spec: str) -> None:
    refuse_unreadable(spec)


@pytest.mark.parametrize("spec", ["", "3d", "3d@24:00", "3d@18:60", "-3d@18:00", "90m", "x"])
def test_a_rule_that_cannot_be_read_is_refused(spec: str) -> None:
    with pytest.raises(ValueError, match="not a reminder rule"):
        refuse_unreadable(spec)


def test_planning_twice_writes_once(session: Session) -> None:
    assert _plan(session) == Rewritten(2, 0)
    assert _plan(session) == Rewritten(0, 0)
    assert _rows(session) == [("24 18:00", "pending"), ("26 18:00", "pending")]


def test_what_lies_behind_is_not_planned(session: Session) -> None:
    assert _plan(session, now=datetime(2026, 11, 25, tzinfo=UTC)) == Rewritten(1, 0)


def test_a_subject_without_that_time_is_not_reminded_of_it(session: Session) -> None:
    assert _plan(session, None) == Rewritten(0, 0)


def test_a_reminder_on_the_wrong_side_of_its_time_is_none(session: Session) -> None:
    # the session begins at 14:00: nobody is told at 18:00 that it will begin, or at 9:00 that it is over
    rules = {
        "evening": "0d@18:00",
        "morning": "+0d@09:00",
        "noon": "0d@12:00",
        "night": "+0d@20:00",
    }
    assert _plan(session, rules=rules) == Rewritten(2, 0)
    assert _rows(session) == [("27 12:00", "pending"), ("27 20:00", "pending")]


def test_a_moved_session_moves_its_reminders_and_back(session: Session) -> None:
    _plan(session)
    assert _plan(session, START + timedelta(days=7)) == Rewritten(2, 2)
    assert _plan(session) == Rewritten(2, 2)
    assert _rows(session) == [
        ("24 18:00", "pending"),
        ("26 18:00", "pending"),
        ("01 18:00", "cancelled"),
        ("03 18:00", "cancelled"),
    ]


def test_an_hour_later_the_same_evening_is_right_and_lasts_longer(session: Session) -> None:
    early = datetime(2026, 11, 27, 1, tzinfo=UTC)
    one = {"one_day_before": "1d@23:00"}
    _plan(session, early, rules=one)
    assert _plan(session, early + timedelta(hours=1), rules=one) == Rewritten(1, 0)
    (row,) = session.scalars(select(Reminder)).all()
    assert (row.anchor_at, row.useful_until) == (early + timedelta(hours=1),) * 2


def test_a_rule_less_cancels_its_rows_only(session: Session) -> None:
    _plan(session, subjects=(5, 6))
    _plan(session, subjects=(7,))
    assert _plan(session, rules={"one_day_before": "1d@18:00"}, subjects=(5, 6)) == Rewritten(0, 2)
    assert _plan(session, rules={}, subjects=(5,)) == Rewritten(0, 1)
    pending = session.scalars(select(Reminder.subject_id).where(Reminder.state == "pending"))
    assert sorted(pending) == [6, 7, 7]


def test_a_rule_changed_and_changed_back_reminds_once(session: Session) -> None:
    _plan(session)
    for _ in range(3):
        _plan(session, rules={"two_hours": "-120m"})
        _plan(session)
    assert [state for _, state in _rows(session)] == ["pending", "pending", "cancelled"]


def test_a_taken_reminder_is_not_revived_by_planning_again(session: Session) -> None:
    _plan(session)
    now = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
    assert [due.rule_key for due in take_due(session, now)] == ["three_days_before"]
    assert take_due(session, now) == []
    assert _plan(session, rules={}) == Rewritten(0, 1)
    assert _plan(session, now=NOW) == Rewritten(1, 0)
    assert _rows(session)[0] == ("24 18:00", "done")


def test_one_that_is_due_and_not_taken_yet_is_not_lost_by_planning(session: Session) -> None:
    _plan(session)
    now = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
    assert _plan(session, now=now) == Rewritten(0, 0)
    assert len(take_due(session, now)) == 1


def test_the_look_sees_what_could_be_taken_and_nothing_else(
    engine: Engine, session: Session
) -> None:
    due = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
    assert not any_due(engine, due)
    _plan(session)
    session.commit()
    assert not any_due(engine, due - timedelta(microseconds=1))
    assert any_due(engine, due)
    assert len(take_due(session, due)) == 1
    session.commit()
    assert not any_due(engine, due)
    drop(session, "session", 5, now=NOW)
    session.commit()
    assert not any_due(engine, START)


def test_dropped_reminders_are_not_taken(session: Session) -> None:
    _plan(session)
    assert drop(session, "session", 5, now=NOW) == 2
    assert take_due(session, START) == []


def test_after_an_outage_the_useful_is_sent_and_the_rest_expires(session: Session) -> None:
    _plan(session)
    taken = take_due(session, datetime(2026, 11, 26, 20, 0, tzinfo=UTC))
    assert [due.rule_key for due in taken] == ["one_day_before"]
    assert _rows(session) == [("24 18:00", "expired"), ("26 18:00", "done")]


@pytest.mark.parametrize(
    ("hours", "late", "state"),
    [
        (1, 59, "done"),
        (1, 60, "expired"),
        (3, 179, "done"),
        (3, 180, "expired"),
        (24, 1439, "done"),
    ],
)
def test_how_late_one_is_still_sent_is_said_by_its_rule(
    session: Session, hours: int, late: int, state: str
) -> None:
    _plan(session, rules={"three": RULES["three_days_before"]}, hours=hours)
    take_due(session, datetime(2026, 11, 24, 10, 0, tzinfo=UTC) + timedelta(minutes=late))
    assert _rows(session) == [("24 18:00", state)]


def test_however_long_it_is_useful_it_never_comes_after_the_time_it_is_for(
    session: Session,
) -> None:
    _plan(session, rules={"soon": "-90m"}, hours=24)
    assert take_due(session, START) == []
    assert [state for _, state in _rows(session)] == ["expired"]


def test_a_rule_that_lasts_longer_from_now_on_changes_what_is_planned(session: Session) -> None:
    _plan(session, hours=1)
    assert _plan(session, hours=1) == Rewritten(0, 0)
    assert _plan(session, hours=3) == Rewritten(2, 0)
    assert len(take_due(session, datetime(2026, 11, 24, 12, 0, tzinfo=UTC))) == 1


def test_a_rollback_gives_a_reminder_back(session: Session) -> None:
    _plan(session)
    session.commit()
    now = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
    assert len(take_due(session, now)) == 1
    session.rollback()
    assert len(take_due(session, now)) == 1


def test_three_clocks_take_each_reminder_once(engine: Engine) -> None:
    with Session(engine) as session:
        for subject in range(60):
            _plan(session, rules={"one_day_before": "1d@18:00"}, subjects=(subject,))
        session.commit()
    now = datetime(2026, 11, 26, 10, 0, tzinfo=UTC)
    start = threading.Barrier(3)
    taken: list[int] = []

    def tick() -> None:
        start.wait()
        while True:
            with Session(engine) as session:
                due = take_due(session, now, limit=5)
                taken.extend(row.subject_id for row in due)
                session.commit()
            if not due:
                return

    threads = [threading.Thread(target=tick) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == list(range(60))


def test_without_the_lock_two_clocks_would_take_the_same(engine: Engine) -> None:
    """Control: a plain read of what is due gives both clocks the same rows."""
    with Session(engine) as session:
        _plan(session)
        session.commit()
    query = text("select id from reminder where state = 'pending'")
    with engine.connect() as one, engine.connect() as two:
        assert one.execute(query).all() == two.execute(query).all() != []
