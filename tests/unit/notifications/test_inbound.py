"""What a text asks for, that it is heard once, and what an opt-out stops."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from notifications import clock, inbound, suppressions
from notifications.models import InboundText, Suppression
from notifications.pump import deliver_batch
from notifications.retry import STRIKES_TO_SUPPRESS
from notifications.workers import Worker
from tests.unit.notifications.making import NOON, Phones, Provider, make_outgoing, put, states_of


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        *(
            (body, "stop")
            for body in (
                "TD",
                "td",
                "ＴＤ",
                " T D ",
                "T",
                "R",
                "拒收",
                "退订",
                "【退订】",
                "退订。",
            )
        ),
        *((body, "stop") for body in ("STOP", "Stop!", "“stop”", "unsubscribe", "stop\n", "Ｔ")),
        *((body, "start") for body in ("START", "恢复", "恢复订阅", "yes", "UNSTOP")),
        *(
            (body, "other")
            for body in ("", "   ", "请不要停课", "我想退订周六的课", "stop it", "TDD")
        ),
        *((body, "other") for body in ("好的", "收到", "👍", "\u200b", "t" * 2000)),
    ],
)
def test_only_a_word_that_stands_alone_is_an_order(body: str, kind: str) -> None:
    assert inbound.kind_of(inbound.word_of(body)) == kind


def test_a_text_is_heard_once_however_many_report_it_at_once(engine: Engine) -> None:
    def report(_: int) -> bool:
        with Session(engine) as session, session.begin():
            return inbound.heard(session, "twilio_sms", "SM1", "stop", NOON)

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(report, range(8))) == [False] * 7 + [True]
    with Session(engine) as session, session.begin():
        assert inbound.heard(session, "twilio_sms", "SM2", "other", NOON)
        assert inbound.heard(session, "another", "SM1", "other", NOON)
        inbound.forget(session, NOON + timedelta(seconds=1))
        assert session.scalar(select(func.count()).select_from(InboundText)) == 0


@pytest.mark.parametrize("reason", sorted(suppressions.OPT_OUTS))
@pytest.mark.parametrize(
    ("kind", "state"),
    [
        ("info", "suppressed"),
        ("confirm", "suppressed"),
        ("sign", "suppressed"),
        ("otp", "accepted"),
        ("urgent", "accepted"),
    ],
)
def test_an_opt_out_stops_what_is_routine(
    engine: Engine, worker: Worker, phones: Phones, reason: str, kind: str, state: str
) -> None:
    with engine.begin() as connection:
        suppressions.suppress(connection, 1, "sms", reason, NOON)
    put(engine, make_outgoing(message_class=kind))
    deliver_batch(engine, {"sms": Provider()}, phones, worker.id)
    assert states_of(engine) == [state]


@pytest.mark.parametrize("kind", ["otp", "urgent", "info"])
def test_a_bad_number_stops_everything(
    engine: Engine, worker: Worker, phones: Phones, kind: str
) -> None:
    _strike(engine, STRIKES_TO_SUPPRESS)
    put(engine, make_outgoing(message_class=kind))
    deliver_batch(engine, {"sms": Provider()}, phones, worker.id)
    assert states_of(engine) == ["suppressed"]


def _strike(engine: Engine, times: int) -> None:
    with engine.begin() as connection:
        for _ in range(times):
            suppressions.strike(connection, 1, "sms", "30005", NOON)


def _line(engine: Engine) -> tuple[bool, str | None, int] | None:
    with Session(engine) as session:
        row = session.scalars(select(Suppression)).one_or_none()
        return None if row is None else (row.active, row.reason_code, row.strikes)


@pytest.mark.parametrize("strikes", [0, 1, STRIKES_TO_SUPPRESS])
def test_start_clears_the_opt_out_and_never_the_strikes(engine: Engine, strikes: int) -> None:
    _strike(engine, strikes)
    with Session(engine) as session, session.begin():
        suppressions.suppress(session, 1, "sms", "opted_out", NOON)
        assert suppressions.opt_in(session, 1, "sms", NOON)
        assert not suppressions.opt_in(session, 1, "sms", NOON), "there is none any more"
    bad = strikes == STRIKES_TO_SUPPRESS
    assert _line(engine) == (bad, "suppressed" if bad else None, strikes)


def test_start_without_an_opt_out_clears_nothing(engine: Engine) -> None:
    _strike(engine, STRIKES_TO_SUPPRESS)
    with Session(engine) as session, session.begin():
        assert not suppressions.opt_in(session, 1, "sms", NOON)
    assert _line(engine) == (True, "30005", STRIKES_TO_SUPPRESS)


def test_a_number_that_fails_does_not_make_the_opt_out_forgotten(engine: Engine) -> None:
    with engine.begin() as connection:
        suppressions.suppress(connection, 1, "sms", "opted_out", NOON)
    _strike(engine, STRIKES_TO_SUPPRESS)
    assert _line(engine) == (True, "opted_out", STRIKES_TO_SUPPRESS)
    with Session(engine) as session, session.begin():
        # a new number: the strikes go, the wish stays
        assert suppressions.forgive_new_addresses(session, [1], "sms") == 0
    assert _line(engine) == (True, "opted_out", 0)


def test_a_new_number_forgives_a_struck_one_without_a_reason_too(engine: Engine) -> None:
    _strike(engine, 1)
    with Session(engine) as session, session.begin():
        suppressions.suppress(session, 1, "sms", "opted_out", clock.now())
        suppressions.opt_in(session, 1, "sms", clock.now())
        assert suppressions.forgive_new_addresses(session, [1], "sms") == 1
    assert _line(engine) is None
