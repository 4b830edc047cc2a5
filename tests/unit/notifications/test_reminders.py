"""Reminders: due times are pure, rows move with their subject, each is taken once."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from notifications.models import Reminder
from notifications.reminders import Rule, any_due, drop, due_at, plan, rewrite, take_due

SHANGHAI = ZoneInfo("Asia/Shanghai")
THREE_DAYS = Rule("three_days_before", "3d@18:00")
ONE_DAY = Rule("one_day_before", "1d@18:00")
START = datetime(2026, 11, 27, 6, 0, tzinfo=UTC)
NOW = datetime(2026, 11, 20, 0, 0, tzinfo=UTC)


def _plan(session: Session, anchor: datetime = START, now: datetime = NOW) -> int:
    return plan(
        session,
        [THREE_DAYS, ONE_DAY],
        subject_type="session",
        subject_id=5,
        anchor_at=anchor,
        zone=SHANGHAI,
        now=now,
    )


def _rows(session: Session) -> list[tuple[str, str]]:
    session.expire_all()
    rows = session.scalars(select(Reminder).order_by(Reminder.due_at))
    return [(f"{row.due_at.astimezone(SHANGHAI):%d %H:%M}", row.state) for row in rows]


@pytest.mark.parametrize(
    ("spec", "anchor", "zone", "expected"),
    [
        ("3d@18:00", START, "Asia/Shanghai", "2026-11-24T10:00+00:00"),
        # 17:00 UTC is already the 28th in Shanghai
        ("1d@18:00", START + timedelta(hours=11), "Asia/Shanghai", "2026-11-27T10:00+00:00"),
        ("0d@07:30", START, "Asia/Shanghai", "2026-11-26T23:30+00:00"),
        ("-90m", START, "Asia/Shanghai", "2026-11-27T04:30+00:00"),
        ("+30m", START, "Asia/Shanghai", "2026-11-27T06:30+00:00"),
        # a zone with summer time: 18:00 stays 18:00 across the change
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
    ],
)
def test_due_times(spec: str, anchor: datetime, zone: str, expected: str) -> None:
    assert due_at(anchor, Rule("r", spec), ZoneInfo(zone)) == datetime.fromisoformat(expected)


@pytest.mark.parametrize("spec", ["", "3d", "3d@24:00", "3d@18:60", "90m", "x"])
def test_a_rule_that_cannot_be_read_is_refused(spec: str) -> None:
    with pytest.raises(ValueError, match="not a reminder rule"):
        Rule("r", spec)


def test_planning_twice_writes_once(session: Session) -> None:
    assert _plan(session) == 2
    assert _plan(session) == 0
    assert _rows(session) == [("24 18:00", "pending"), ("26 18:00", "pending")]


def test_what_lies_behind_is_not_planned(session: Session) -> None:
    assert _plan(session, now=datetime(2026, 11, 25, tzinfo=UTC)) == 1


def test_a_moved_session_moves_its_reminders_and_back(session: Session) -> None:
    _plan(session)
    for days in (7, 0):
        rewrite(
            session,
            [THREE_DAYS, ONE_DAY],
            subject_type="session",
            subject_id=5,
            anchor_at=START + timedelta(days=days),
            zone=SHANGHAI,
            now=NOW,
        )
    assert _rows(session) == [
        ("24 18:00", "pending"),
        ("26 18:00", "pending"),
        ("01 18:00", "cancelled"),
        ("03 18:00", "cancelled"),
    ]


def test_a_taken_reminder_is_not_revived_by_planning_again(session: Session) -> None:
    _plan(session)
    now = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
    assert [due.rule_key for due in take_due(session, now)] == ["three_days_before"]
    assert take_due(session, now) == []
    assert _plan(session, now=NOW) == 0
    assert _rows(session)[0] == ("24 18:00", "done")


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
            plan(
                session,
                [ONE_DAY],
                subject_type="session",
                subject_id=subject,
                anchor_at=START,
                zone=SHANGHAI,
                now=NOW,
            )
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
