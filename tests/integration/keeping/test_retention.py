"""What is past its term is erased at night, in batches, and the page proves it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from coordination.app import create_app
from coordination.ground import clock
from coordination.reactions import retention
from coordination.settings import Settings
from coordination.web.request import SESSION_KEY
from coordination.worker import Beat, forget_expired, keep_to_the_terms
from notifications.jobs import make_job_app
from tests.build.outing import DAY, NOW, Outing, outing
from tests.build.serving import FIELD_KEY


@pytest.fixture
def stage(fresh_url: str) -> Iterator[Outing]:
    with outing(fresh_url) as made:
        yield made


def night(stage: Outing) -> None:
    keep_to_the_terms(Beat(stage.engine, make_job_app(stage.url), clock.now()))


def codes(stage: Outing, count: int, days: float) -> None:
    """Short codes that expired so many days ago."""
    stage.sql(
        "insert into access_code (code_hash, person_id, subject_type, subject_id, expires_at)"
        " select decode(md5(:d || n::text), 'hex'), :p, 'notice', 1, :at"
        " from generate_series(1, :n) n",
        d=str(days),
        p=stage.world.people["guardian"],
        at=NOW - days * DAY,
        n=count,
    )


def left(stage: Outing, table: str) -> int:
    return int(str(stage.sql(f"select count(*) from {table}")[0][0]))


def test_what_is_past_its_term_goes_and_the_rest_stays(
    stage: Outing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 10)
    before = left(stage, "access_code")
    codes(stage, 35, 181)
    codes(stage, 3, 179)
    night(stage)
    assert left(stage, "access_code") == before + 3
    assert stage.sql("select erased, oldest_left from erasure_run where data_class = 'codes'") == [
        (35, NOW - 179 * DAY)
    ]


def test_a_night_comes_once_a_day(stage: Outing) -> None:
    night(stage)
    codes(stage, 1, 200)
    night(stage)
    assert left(stage, "access_code") >= 1
    clock.travel_to(NOW + DAY)
    night(stage)
    assert stage.sql("select sum(erased) from erasure_run where data_class = 'codes'") == [(1,)]
    assert left(stage, "erasure_run") == 2 * len(retention.ALL)


def leave(stage: Outing, child: str, days: int) -> int:
    number = stage.world.people[child]
    stage.sql("update person set status = 'left' where id = :id", id=number)
    stage.sql(
        "update class_member set ends_on = :on where person_id = :id",
        on=(NOW - timedelta(days=days)).date(),
        id=number,
    )
    return number


def test_who_left_long_ago_is_erased_and_who_left_lately_is_not(stage: Outing) -> None:
    long_ago = leave(stage, "reader", retention.LEFT_DAYS + 1)
    lately = leave(stage, "friend", retention.LEFT_DAYS - 1)
    night(stage)
    names = dict(stage.sql("select id, name from person"))  # type: ignore[arg-type]
    assert names[long_ago] == "已删除"
    assert names[lately] == "李想"
    assert names[stage.world.people["english"]] == "已删除"
    assert names[stage.world.people["friend_mother"]] == "赵兰"


def test_an_agreed_request_is_carried_out_on_the_night_after_leaving(stage: Outing) -> None:
    child = leave(stage, "friend", 0)
    stage.sql(
        "insert into data_request (guardian_id, child_id, school_id, kind, words, due_at, state,"
        " answer, answered_at) values (:g, :c, :s, 'erase', 'x', :at, 'done', 'y', :at)",
        g=stage.world.people["friend_mother"],
        c=child,
        s=stage.world.things["school_a"],
        at=NOW,
    )
    night(stage)
    assert stage.sql("select name from person where id = :id", id=child) == [("已删除",)]
    assert stage.sql("select erased_at is not null from data_request") == [(True,)]


def test_a_tick_of_its_own_notes_what_it_erased(stage: Outing) -> None:
    stage.sql(
        "insert into account_session (person_id, token_hash, route, last_seen_at, expires_at)"
        " values (:p, 'old', 'password', :at, :at)",
        p=stage.world.people["guardian"],
        at=NOW - 5 * DAY,
    )
    forget_expired(Beat(stage.engine, make_job_app(stage.url), clock.now()))
    assert stage.sql("select data_class, erased from erasure_run") == [("sessions", 1)]


def test_the_page_shows_what_was_erased_and_what_is_behind(stage: Outing) -> None:
    codes(stage, 4, 200)
    night(stage)
    stage.sql(
        "update erasure_run set oldest_left = before - interval '9 days' where data_class = 'texts'"
    )
    client = create_app(Settings(database_url=stage.url, field_key=FIELD_KEY)).test_client()
    with client.session_transaction() as held:
        held[SESSION_KEY] = stage.world.tokens["data_officer"]
    page = client.get("/admin/retention").get_data(as_text=True)
    assert "4 条" in page
    assert page.count("超期") == 1
