"""The board of what runs by itself: it tells the truth about the dead, and its buttons work."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import create_engine, select, text
from sqlalchemy.orm import Session

from coordination.domain.oversight.running import Board, board_of
from coordination.domain.oversight.wording import tick_word
from coordination.ground import clock
from coordination.ground.audit import AuditEntry
from coordination.ground.ticks import LEADER
from coordination.reactions.carriers import carriers_of
from coordination.settings import load
from coordination.worker import TICKS, Beat, Tick, heartbeat, run_tick
from notifications import jobs
from notifications.pump import deliver_batch
from notifications.recording import open_circuit
from notifications.workers import Worker
from tests.integration.communication.conftest import Stage
from tests.unit.notifications.making import Phones

Visit = Callable[[str], FlaskClient]


def _board(stage: Stage) -> Board:
    with Session(stage.engine, expire_on_commit=False) as session:
        return board_of(session, stage.actor("district_admin"), clock.now())


def _page(visit: Visit, lang: str = "zh") -> str:
    return visit("district_admin").get(f"/admin/running?lang={lang}").get_data(as_text=True)


def test_every_tick_has_words_in_both_languages() -> None:
    for tick in TICKS:
        assert tick_word(tick.name).zh != tick.name, tick.name


def test_each_tick_notes_when_it_ran_how_long_and_what_failed(stage: Stage, visit: Visit) -> None:
    app = jobs.make_job_app(jobs.libpq_dsn(stage.url))
    state = {"broken": True}

    def shaky(_beat: Beat) -> None:
        if state["broken"]:
            raise ValueError("13800138001 王敏")

    run_tick(Tick("heartbeat", 10, heartbeat), stage.engine, app)
    run_tick(Tick("expire holds", 60, shaky), stage.engine, app)
    found = {t.name: t for t in _board(stage).ticks}
    assert found["heartbeat"].error is None
    assert found["heartbeat"].every_seconds == 10
    assert not found["heartbeat"].late
    assert found["expire holds"].error == "ValueError"
    page = _page(visit)
    assert "ValueError" in page
    assert "13800138001" not in page, "only the kind of an error is kept"
    state["broken"] = False
    run_tick(Tick("expire holds", 60, shaky), stage.engine, app)
    well = {t.name: t for t in _board(stage).ticks}["expire holds"]
    assert well.error is None
    assert well.failed_at is not None, "that it failed once stays known"
    with stage.engine.begin() as connection:
        connection.execute(text("update clock_tick set at = at - interval '10 minutes'"))
    assert all(t.late for t in _board(stage).ticks)


def test_the_clock_that_leads_is_seen_by_its_lock_alone(stage: Stage, visit: Visit) -> None:
    assert _board(stage).leader is None
    assert "没有时钟在运行" in _page(visit)
    engine = create_engine(stage.url)
    with engine.connect() as leader:
        leader.execute(text("select pg_advisory_lock(:k)"), {"k": LEADER})
        assert _board(stage).leader is not None
        assert "没有时钟在运行" not in _page(visit)
    engine.dispose()
    until = time.monotonic() + 20  # the server ends the session when it comes to it
    while _board(stage).leader is not None and time.monotonic() < until:
        time.sleep(0.05)
    assert _board(stage).leader is None


def test_workers_are_alive_stopped_or_dead(stage: Stage, visit: Visit) -> None:
    with Worker(stage.engine, "one") as alive:
        with Worker(stage.engine, "two"):
            pass
        died = Worker(stage.engine, "three")
        died._held.invalidate()
        died._held.close()
        lines = {w.name: w for w in _board(stage).workers}
        assert (lines["one"].alive, lines["one"].died) == (True, False)
        assert (lines["two"].alive, lines["two"].died) == (False, False)
        assert (lines["three"].alive, lines["three"].died) == (False, True)
        assert _board(stage).alive == 1
        english = _page(visit, "en")
        assert all(word in english for word in ("Alive", "Stopped", "Died"))
        assert alive.id
    assert "没有发送进程在运行" in _page(visit)


def test_a_queue_shows_its_age_and_what_is_in_doubt(stage: Stage) -> None:
    notice = stage.send()
    first, second, third = (m.id for m in stage.messages(notice))
    with stage.engine.begin() as connection:
        for statement in (
            f"update outbox_message set next_at = now() - interval '9 minutes' where id = {first}",
            f"update outbox_message set state = 'held', next_at = now() + interval '1 hour'"
            f" where id = {second}",
            f"update outbox_message set state = 'needs_human' where id = {third}",
        ):
            connection.execute(text(statement))
        connection.execute(
            text(
                "insert into delivery_attempt (id, message_id, worker_id, channel, state, intent_at,"
                " next_check_at) values (gen_random_uuid(), :m, 1, 'sms', 'unknown',"
                " now() - interval '2 hours', now())"
            ),
            {"m": third},
        )
    board = _board(stage)
    (line,) = board.queues
    assert (line.channel, line.due, line.held, line.later) == ("sms", 1, 1, 0)
    assert line.oldest_due is not None
    assert timedelta(minutes=8) < board.at - line.oldest_due < timedelta(minutes=10)
    assert (board.doubts.unknown, board.doubts.needs_human) == (1, 1)
    assert board.doubts.oldest is not None
    assert board.at - board.doubts.oldest > timedelta(hours=1)


def test_a_halted_channel_is_closed_by_hand_and_sends_again(stage: Stage, visit: Visit) -> None:
    stage.send()
    settings = load({"DATABASE_URL": stage.url})
    with stage.engine.begin() as connection:
        open_circuit(connection, "console", "provider_failing", clock.now())
    made = carriers_of(settings, stage.engine)
    channels, ways = made.channels, made.ways
    with Worker(stage.engine) as worker:
        assert deliver_batch(stage.engine, channels, Phones(), worker.id, ways=ways).claimed == 0
        assert "服务商接连出错" in _page(visit)
        client = visit("district_admin")
        assert client.post("/admin/running/circuits/console/close").status_code == 303
        assert _board(stage).circuits == ()
        assert deliver_batch(stage.engine, channels, Phones(), worker.id, ways=ways).claimed == 3
    with Session(stage.engine) as session:
        (line,) = session.scalars(
            select(AuditEntry).where(AuditEntry.table_name == "delivery_circuit")
        )
        assert line.actor_id == stage.world.people["district_admin"]
    again = client.post("/admin/running/circuits/console/close", follow_redirects=True)
    assert "没有停用" in again.get_data(as_text=True)


def _job(stage: Stage, status: str, lock: str | None = None) -> int:
    with stage.engine.begin() as connection:
        return int(
            connection.execute(
                text(
                    "insert into procrastinate_jobs (queue_name, task_name, status, queueing_lock,"
                    " args) values ('deliveries', :task, cast(:status as procrastinate_job_status),"
                    ' :lock, \'{"phone": "13800138001"}\') returning id'
                ),
                {"task": jobs.DELIVER, "status": status, "lock": lock},
            ).scalar_one()
        )


def _status(stage: Stage, job: int) -> str:
    with stage.engine.connect() as connection:
        return str(
            connection.scalar(
                text("select status::text from procrastinate_jobs where id = :id"), {"id": job}
            )
        )


def test_failed_and_stalled_jobs_are_shown_and_retried(stage: Stage, visit: Visit) -> None:
    failed, stalled, done = _job(stage, "failed"), _job(stage, "doing"), _job(stage, "succeeded")
    board = _board(stage)
    assert {(j.id, j.stalled) for j in board.jobs.troubled} == {(failed, False), (stalled, True)}
    page = _page(visit)
    assert "停滞" in page
    assert "13800138001" not in page, "arguments are not shown"
    client = visit("district_admin")
    for job in (failed, stalled, done):
        client.post(f"/admin/running/jobs/{job}/retry")
    assert [_status(stage, j) for j in (failed, stalled, done)] == ["todo", "todo", "succeeded"]
    assert _board(stage).jobs.troubled == ()
    with Session(stage.engine) as session:
        lines = session.scalars(
            select(AuditEntry.row_id).where(AuditEntry.table_name == "procrastinate_jobs")
        ).all()
    assert sorted(filter(None, lines)) == [failed, stalled]


def test_a_job_whose_like_waits_already_is_not_doubled(stage: Stage, visit: Visit) -> None:
    failed = _job(stage, "failed", "notifications.drain")
    _job(stage, "todo", "notifications.drain")
    told = visit("district_admin").post(
        f"/admin/running/jobs/{failed}/retry", follow_redirects=True
    )
    assert "同样的任务已在排队" in told.get_data(as_text=True)
    assert _status(stage, failed) == "failed"


def test_a_job_that_a_living_worker_carries_out_is_not_taken_from_it(
    stage: Stage, visit: Visit
) -> None:
    job = _job(stage, "doing")
    with stage.engine.begin() as connection:
        connection.execute(
            text(
                "with w as (insert into procrastinate_workers default values returning id)"
                " update procrastinate_jobs set worker_id = w.id from w"
            )
        )
    assert _board(stage).jobs.troubled == ()
    visit("district_admin").post(f"/admin/running/jobs/{job}/retry")
    assert _status(stage, job) == "doing"


@pytest.mark.parametrize("role", ["data_officer", "coordinator", "school_admin", "teacher"])
def test_only_the_district_office_sees_the_board(stage: Stage, visit: Visit, role: str) -> None:
    client = visit(role)
    assert client.get("/admin/running").status_code == 403
    assert client.post("/admin/running/circuits/console/close").status_code == 403
    assert client.post("/admin/running/jobs/1/retry").status_code == 403


def test_nobody_is_named_on_the_board(stage: Stage, visit: Visit) -> None:
    stage.send()
    page = _page(visit)
    assert not re.search(r"1380013\d{4}|138\*{4}|王敏|赵兰", page)


# -- who carries texts -----------------------------------------------------------------------------

TWO = ("twilio_sms", "aliyun_sms")


def _attempts(stage: Stage, channel: str, state: str, count: int, *, fault: bool = False) -> None:
    with stage.engine.begin() as connection:
        connection.execute(
            text(
                "insert into delivery_attempt (id, message_id, worker_id, channel, state,"
                " provider_fault, intent_at, next_check_at) select gen_random_uuid(),"
                " (select min(id) from outbox_message), 1, :channel, :state, :fault,"
                " cast(:at as timestamptz), now() from generate_series(1, :n)"
            ),
            {"channel": channel, "state": state, "fault": fault, "at": clock.now(), "n": count},
        )


def test_the_board_says_who_carries_texts_and_why(stage: Stage) -> None:
    stage.send()
    _attempts(stage, "twilio_sms", "refused", 3, fault=True)
    _attempts(stage, "twilio_sms", "refused", 2)
    _attempts(stage, "aliyun_sms", "accepted", 4)
    _attempts(stage, "aliyun_sms", "unknown", 1)

    def lines() -> list[tuple[object, ...]]:
        with Session(stage.engine) as session:
            board = board_of(session, stage.actor("district_admin"), clock.now(), TWO)
        return [
            (c.channel, c.in_use, bool(c.halted), c.taken, c.faults, c.refused, c.unknown)
            for c in board.carriers
        ]

    assert lines() == [
        ("twilio_sms", True, False, 0, 3, 2, 0),
        ("aliyun_sms", False, False, 4, 0, 0, 1),
    ]
    with stage.engine.begin() as connection:
        open_circuit(connection, "twilio_sms", "twilio_20003", clock.now())
    assert [line[1:3] for line in lines()] == [(False, True), (True, False)]
    with stage.engine.begin() as connection:
        open_circuit(connection, "aliyun_sms", "aliyun_isv.AMOUNT_NOT_ENOUGH", clock.now())
    assert [line[1] for line in lines()] == [False, False]


@pytest.mark.parametrize(
    ("halted", "zh", "en"),
    [
        (0, "Twilio 短信拒绝了", "had refused them"),
        (1, "现在由阿里云短信发送", "refuses our account or its secret"),
        (2, "短信在排队，不会丢失", "texts wait, none is lost"),
    ],
)
def test_the_page_says_it_in_words(
    stage: Stage, visit: Visit, halted: int, zh: str, en: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.send()
    _attempts(stage, "aliyun_sms", "accepted", 4)
    client = visit("district_admin")
    config = client.application.config
    two = replace(config["SETTINGS"], sms_channel="twilio", sms_fallback="aliyun")
    monkeypatch.setitem(config, "SETTINGS", two)
    reasons = (("twilio_sms", "twilio_20003"), ("aliyun_sms", "provider_failing"))
    with stage.engine.begin() as connection:
        for name, reason in reasons[:halted]:
            open_circuit(connection, name, reason, clock.now())
    for lang, words in (("zh", zh), ("en", en)):
        page = client.get(f"/admin/running?lang={lang}").get_data(as_text=True)
        assert words in page
        assert "twilio_20003" not in page
