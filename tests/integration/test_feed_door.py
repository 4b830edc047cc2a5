"""The door in front of Flask: guessers, a database that is away, logs, and what a poll costs."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy import event, select, text, update
from sqlalchemy.orm import Session

from calendars import feed as ics
from coordination.app import create_app
from coordination.domain.agenda import feeds, polling, queries
from coordination.domain.agenda.audiences import family_audiences
from coordination.domain.agenda.models import FeedToken
from coordination.domain.people.actors import children_open_to
from coordination.domain.people.models import ClassMember, Guardianship
from coordination.ground import clock
from coordination.settings import Settings
from coordination.web import feed_door
from coordination.web.feed_notes import FetchNotes
from tests.build.calendars import START, Town


@pytest.fixture
def town(fresh_url: str) -> Town:
    clock.travel_to(datetime(2026, 11, 24, 1, 0, tzinfo=UTC))
    made = Town(fresh_url)
    made.write()
    return made


@contextmanager
def statements(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Every statement that the driver sends meanwhile, SQLAlchemy's and the poll's own."""
    sent: list[str] = []
    execute = psycopg.Cursor.execute

    def noted(cursor: Any, query: Any, *args: Any, **kinds: Any) -> Any:
        sent.append(str(query))
        return execute(cursor, query, *args, **kinds)

    with monkeypatch.context() as patched:
        patched.setattr(psycopg.Cursor, "execute", noted)
        yield sent


def test_a_poll_for_nothing_new_is_one_statement_and_no_cookie(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, secret = town.open("guardian")
    browser = town.browser()
    tag = browser.get(f"/c/{secret}.ics").headers["ETag"]
    town.door.notes.write()
    with statements(monkeypatch) as sent:
        answer = browser.get(f"/c/{secret}.ics", headers={"If-None-Match": tag})
    assert answer.status_code == 304
    assert len(sent) == 1
    assert "Set-Cookie" not in answer.headers
    assert answer.headers["ETag"] == tag


def test_a_body_is_made_once_and_kept(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    _, secret = town.open("guardian")
    made: list[int] = []
    real = polling.fragments

    def count(*args: object) -> list[bytes]:
        made.append(1)
        return real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(polling, "fragments", count)
    bodies = {town.browser().get(f"/c/{secret}.ics").data for _ in range(3)}
    assert len(bodies) == 1
    assert len(made) == 1


@pytest.mark.parametrize(
    ("asked", "status"),
    [("{tag}", 304), ('"x", {tag}', 304), ("W/{tag}", 304), ("*", 304), ('"x"', 200), ("", 200)],
)
def test_every_form_of_if_none_match_is_understood(town: Town, asked: str, status: int) -> None:
    _, secret = town.open("guardian")
    tag = town.browser().get(f"/c/{secret}.ics").headers["ETag"]
    headers = {"If-None-Match": asked.format(tag=tag)} if asked else {}
    assert town.browser().get(f"/c/{secret}.ics", headers=headers).status_code == status


def test_head_tells_the_length_and_sends_nothing(town: Town) -> None:
    _, secret = town.open("guardian")
    full = town.browser().get(f"/c/{secret}.ics")
    head = town.browser().head(f"/c/{secret}.ics")
    assert head.status_code == 200
    assert head.data == b""
    assert head.headers["Content-Length"] == str(len(full.data))
    assert town.browser().post(f"/c/{secret}.ics").status_code == 405


def test_who_guesses_is_told_to_wait_and_good_addresses_still_work(town: Town) -> None:
    _, secret = town.open("guardian")
    browser = town.browser()
    answers = [browser.get(f"/c/{'x' * 42}{n % 10}.ics") for n in range(feed_door.GUESSES + 5)]
    assert [a.status_code for a in answers] == [404] * feed_door.GUESSES + [429] * 5
    assert int(answers[-1].headers["Retry-After"]) == 600
    # a neighbour behind the same address is not punished
    assert browser.get(f"/c/{secret}.ics").status_code == 200
    clock.travel_to(clock.now() + feed_door.WINDOW + timedelta(seconds=1))
    assert browser.get(f"/c/{'x' * 43}.ics").status_code == 404


def test_a_database_that_is_away_is_never_an_empty_calendar() -> None:
    app = create_app(
        Settings(
            database_url="postgresql+psycopg://nobody@127.0.0.1:9/none",
            field_key="a field key for tests only",
        )
    )
    answer = app.test_client().get(f"/c/{'x' * 43}.ics")
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.data == b""


def test_a_poll_after_the_database_came_back_is_served(town: Town) -> None:
    _, secret = town.open("guardian")
    assert town.browser().get(f"/c/{secret}.ics").status_code == 200
    with town.engine.connect() as held:
        held.execute(
            text(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where datname = current_database() and pid <> pg_backend_pid()"
            )
        )
    assert town.browser().get(f"/c/{secret}.ics").status_code == 200


def test_no_log_line_holds_a_secret(town: Town, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    token_id, secret = town.open("guardian")
    browser = town.browser()
    browser.get(f"/c/{secret}.ics")
    with town.acting("guardian") as uow:
        feeds.revoke(uow, token_id=token_id)
    browser.get(f"/c/{secret}.ics")
    browser.post(f"/c/{secret}.ics")
    away = create_app(
        Settings(
            database_url="postgresql+psycopg://nobody@127.0.0.1:9/none",
            field_key="a field key for tests only",
        )
    )
    away.test_client().get(f"/c/{secret}.ics")
    assert "feed not served" in caplog.text
    assert secret not in caplog.text


def last_read(town: Town, token_id: int) -> tuple[object, ...]:
    with town.engine.connect() as held:
        (row,) = held.execute(
            text("select last_fetched_at, last_client from feed_token where id = :i"),
            {"i": token_id},
        )
        return tuple(row)


def test_fetches_of_one_second_are_noted_by_one_statement(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    town.door.notes = FetchNotes(town.door._engine, seconds=3600)  # however slow the five are
    opened = [town.open("guardian") for _ in range(5)]
    with statements(monkeypatch) as sent:
        for number, (_, secret) in enumerate(opened):
            town.browser().get(f"/c/{secret}.ics", headers={"User-Agent": f"phone {number}"})
        town.door.notes.write()
    assert len([s for s in sent if "last_fetched_at = " in s]) == 1
    for number, (token_id, _) in enumerate(opened):
        at, client = last_read(town, token_id)
        assert (at is not None, client) == (True, f"phone {number}")
    with statements(monkeypatch) as sent:  # within the hour nothing is noted again
        town.browser().get(f"/c/{opened[0][1]}.ics")
        town.door.notes.write()
    assert len(sent) == 1


def test_a_fetch_is_noted_soon_without_anybody_asking(town: Town) -> None:
    token_id, secret = town.open("guardian")
    town.browser().get(f"/c/{secret}.ics")
    until = time.monotonic() + 20
    while last_read(town, token_id)[0] is None and time.monotonic() < until:
        time.sleep(0.05)
    assert last_read(town, token_id)[0] is not None


def test_a_note_waits_for_nobody_and_a_stand_by_serves_without_notes(
    town: Town, caplog: pytest.LogCaptureFixture
) -> None:
    token_id, secret = town.open("guardian")
    with town.engine.begin() as busy:
        busy.execute(text("select 1 from feed_token where id = :i for update"), {"i": token_id})
        assert town.browser().get(f"/c/{secret}.ics").status_code == 200
        town.door.notes.write()  # returns while the row is locked
    assert last_read(town, token_id)[0] is None
    with town.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as admin:
        name = admin.scalar(text("select current_database()"))
        admin.execute(text(f'alter database "{name}" set default_transaction_read_only = on'))
    town.door._engine.dispose()
    assert town.browser().get(f"/c/{secret}.ics").status_code == 200
    town.door.notes.write()
    assert "1 fetches not noted" in caplog.text


@pytest.mark.parametrize(
    "take_away",
    [
        lambda t: (
            update(Guardianship)
            .where(Guardianship.guardian_id == t.person("guardian"))
            .values(no_disclosure=True)
        ),
        lambda t: (
            update(Guardianship)
            .where(Guardianship.guardian_id == t.person("guardian"))
            .values(ends_on=clock.now().date() - timedelta(days=1))
        ),
    ],
    ids=["limited", "ended"],
)
def test_a_custody_limit_holds_at_the_very_next_poll(
    town: Town, take_away: Callable[[Town], object]
) -> None:
    _, secret = town.open("guardian")
    before = town.browser().get(f"/c/{secret}.ics")
    assert b"BEGIN:VEVENT" in before.data
    with town.engine.begin() as held:
        held.execute(take_away(town))  # type: ignore[call-overload]
    after = town.browser().get(
        f"/c/{secret}.ics", headers={"If-None-Match": before.headers["ETag"]}
    )
    assert after.status_code == 200
    assert b"BEGIN:VEVENT" not in after.data


def test_a_child_who_changes_class_changes_the_feed(town: Town) -> None:
    town.write(8, audiences=[("class", town.thing("class_b"))], zh="育才的活动")
    _, secret = town.open("guardian")
    first = town.browser().get(f"/c/{secret}.ics")
    assert "育才的活动" not in first.text
    with town.engine.begin() as held:
        held.execute(
            update(ClassMember)
            .where(ClassMember.person_id == town.person("child"))
            .values(class_id=town.thing("class_b"))
        )
    second = town.browser().get(
        f"/c/{secret}.ics", headers={"If-None-Match": first.headers["ETag"]}
    )
    assert second.status_code == 200
    assert "育才的活动" in second.text


def test_a_change_for_others_leaves_a_feed_alone(town: Town) -> None:
    _, secret = town.open("guardian")
    first = town.browser().get(f"/c/{secret}.ics").headers["ETag"]
    town.write(9, audiences=[("child", town.person("child_b"))])
    answer = town.browser().get(f"/c/{secret}.ics", headers={"If-None-Match": first})
    assert answer.status_code == 304


def test_the_one_statement_finds_what_the_rules_say(town: Town) -> None:
    today = clock.now().date()
    for role in ("guardian", "guardian_b", "restricted", "former", "volunteer"):
        _, secret = town.open(role)
        with Session(town.engine) as session:
            owner = town.person(role)
            expected = family_audiences(
                session, children_open_to(session, owner, today), owner, today
            )
            assert set(polling.look_up(session, secret, today).audiences) == set(expected), role


def test_a_week_is_one_range_of_one_index(town: Town) -> None:
    with Session(town.engine) as session:
        session.execute(text("set enable_seqscan = off; set enable_bitmapscan = off"))
        engine = session.get_bind()
        sent: list[tuple[str, object]] = []
        note = lambda *args: sent.append((args[2], args[3]))  # noqa: E731 - listened to once
        event.listen(engine, "before_cursor_execute", note)
        found = queries.entries_between(
            session,
            [("child", town.person("child")), ("class", town.thing("class_a"))],
            START - timedelta(days=1),
            START + timedelta(days=6),
        )
        event.remove(engine, "before_cursor_execute", note)
        assert [e.subject_id for e in found] == [7]
        statement, values = sent[-1]
        rows = session.connection().exec_driver_sql(f"explain {statement}", values)  # type: ignore[arg-type]
        plan = "\n".join(str(r[0]) for r in rows)
    assert plan.count("ix_entry_audience_span") == 1, plan
    assert "starts_at <" in plan.split("Index Cond:")[1].split("\n")[0], plan


def test_an_address_nobody_reads_for_ninety_days_is_closed(town: Town) -> None:
    read, read_secret = town.open("guardian")
    forgotten, forgotten_secret = town.open("guardian")
    later = clock.now() + timedelta(days=89)
    clock.travel_to(later)
    town.browser().get(f"/c/{read_secret}.ics")
    town.door.notes.write()
    clock.travel_to(later + timedelta(days=2))
    with town.acting() as uow:
        assert feeds.close_idle(uow) == 1
    assert town.browser().get(f"/c/{read_secret}.ics").status_code == 200
    assert town.browser().get(f"/c/{forgotten_secret}.ics").status_code == 404
    with Session(town.engine) as session:
        closed = session.scalars(select(FeedToken.id).where(FeedToken.closed_for == "idle")).all()
    assert closed == [forgotten]
    assert read not in closed


def test_like_feeds_share_one_body(town: Town) -> None:
    class_a = town.thing("class_a")
    town.write(11, audiences=[("class", class_a)])
    tags = set()
    for role in ("teacher", "school_admin"):
        _, secret = town.open(role, "class", class_a)
        tags.add(town.browser().get(f"/c/{secret}.ics").headers["ETag"])
    assert len(tags) == 1


def test_the_shelf_never_grows_past_its_budget() -> None:
    from calendars.shelf import Shelf, body_of

    shelf = Shelf(100_000)
    for n in range(500):
        shelf.put(ics.etag(n), body_of(bytes([n % 256]) * 5_000))
    assert 0 < shelf.held <= 100_000
    assert shelf.get(ics.etag(0)) is None
    assert shelf.get(ics.etag(499)) is not None
    shelf.put("large", body_of(b"x" * 60_000))
    assert shelf.get("large") is None
