"""STOP, TD and 退订 by text: heard once, obeyed for what is routine, and shown to who writes."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, text
from sqlalchemy.orm import Session
from twilio.request_validator import RequestValidator
from werkzeug.datastructures import MultiDict
from werkzeug.test import TestResponse

from coordination.app import create_app
from coordination.authz.actor import SYSTEM
from coordination.domain.communication.models import NoticeRecipient
from coordination.domain.communication.notices.audience import audience_of, counts_of_organisation
from coordination.domain.people import contacts
from coordination.domain.people.models import ContactPoint
from coordination.ground import clock
from coordination.ground.audit import AuditEntry
from coordination.reactions import on_people
from coordination.reactions.deliveries import Resolver
from coordination.reactions.work import begin
from coordination.settings import Settings
from notifications import suppressions
from notifications.models import InboundText, OutboxMessage, Suppression
from notifications.pump import deliver_batch
from notifications.workers import Worker
from tests.build.outing import ZONE
from tests.integration.communication.conftest import FIELD_KEY, Stage
from tests.unit.notifications.making import Provider

PUBLIC = "https://sms.example.cn"
ACCOUNT, TOKEN = "AC" + "0" * 32, "twilio-auth-token"
PATH = "/webhooks/twilio/inbound"
MOTHER, SHARED = "+8613800138066", "+8613800138055"


@pytest.fixture
def twilio(stage: Stage) -> Flask:
    made = create_app(
        Settings(
            database_url=stage.url,
            public_url=PUBLIC,
            field_key=FIELD_KEY,
            sms_channel="twilio",
            twilio_account_sid=ACCOUNT,
            twilio_auth_token=TOKEN,
        )
    )
    made.testing = True
    return made


def send(
    app: Flask,
    body: str,
    *,
    sid: str = "SM1",
    phone: str = MOTHER,
    signed: bool = True,
    **more: str,
) -> TestResponse:
    params = [("AccountSid", ACCOUNT), ("MessageSid", sid), ("From", phone), ("Body", body)]
    params += list(more.items())
    made = RequestValidator(TOKEN).compute_signature(PUBLIC + PATH, MultiDict(params))
    return app.test_client().post(
        PATH,
        data=MultiDict(params),
        headers={"X-Twilio-Signature": str(made) if signed else "wrong", "Host": "inner:8000"},
    )


def marks(stage: Stage, role: str) -> list[str | None]:
    with Session(stage.engine) as session:
        return list(
            session.scalars(
                select(ContactPoint.suppressed_reason)
                .where(ContactPoint.person_id == stage.world.people[role])
                .order_by(ContactPoint.id)
            )
        )


def stopped(stage: Stage, role: str) -> bool:
    person = stage.world.people[role]
    with Session(stage.engine) as session:
        return (person, "sms") in suppressions.suppressed(session, [person])


def give_number(stage: Stage, role: str, phone: str) -> None:
    with Session(stage.engine) as session, session.begin():
        contacts.set_phone(session, stage.world.people[role], phone)


@pytest.mark.parametrize(
    ("body", "answered"),
    [
        ("TD", "You will get no more routine texts"),
        ("退订", "You will get no more routine texts"),
        # to these the provider answers itself
        ("STOP", ""),
        ("unsubscribe", ""),
    ],
)
def test_who_asks_for_no_more_texts_gets_none_and_it_stands_in_the_audit_trail(
    stage: Stage, twilio: Flask, body: str, answered: str
) -> None:
    answer = send(twilio, body)
    assert (answer.status_code, answer.mimetype) == (200, "text/xml")
    page = answer.get_data(as_text=True)
    assert answered in page if answered else "<Message>" not in page
    assert marks(stage, "english") == ["opted_out"] and stopped(stage, "english")
    with Session(stage.engine) as session:
        lines = session.scalars(
            select(AuditEntry).where(AuditEntry.table_name == "contact_point")
        ).all()
    assert [line.after["suppressed_reason"] for line in lines if line.after] == ["opted_out"]


def test_both_who_share_the_phone_are_stopped_and_answered_in_chinese(
    stage: Stage, twilio: Flask
) -> None:
    page = send(twilio, "ＴＤ", phone=SHARED).get_data(as_text=True)
    assert "已退订" in page
    assert stopped(stage, "friend_mother") and stopped(stage, "friend_father")
    assert not stopped(stage, "english")


def test_start_asks_for_texts_again_and_a_repeated_report_of_the_stop_changes_nothing(
    stage: Stage, twilio: Flask
) -> None:
    send(twilio, "TD", sid="SM1")
    assert "You will get texts again" in send(twilio, "恢复", sid="SM2").get_data(as_text=True)
    assert marks(stage, "english") == [None] and not stopped(stage, "english")
    again = send(twilio, "TD", sid="SM1")
    assert again.status_code == 200 and "<Message>" not in again.get_data(as_text=True)
    assert marks(stage, "english") == [None] and not stopped(stage, "english")
    with Session(stage.engine) as session:
        kinds = session.scalars(select(InboundText.kind).order_by(InboundText.id)).all()
    assert kinds == ["stop", "start"]


def test_start_does_not_revive_a_number_that_fails(stage: Stage, twilio: Flask) -> None:
    person = stage.world.people["english"]
    with Session(stage.engine) as session, session.begin():
        for _ in range(3):
            suppressions.strike(session, person, "sms", "30005", clock.now())
    carry_over(stage)
    send(twilio, "TD", sid="SM1")
    send(twilio, "START", sid="SM2")
    assert marks(stage, "english") == ["bad_number"] and stopped(stage, "english")


def test_twenty_reports_of_one_text_at_once_are_one(stage: Stage, twilio: Flask) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: send(twilio, "TD"), range(20)))
    assert {a.status_code for a in answers} == {200}
    assert sum("<Message>" in a.get_data(as_text=True) for a in answers) == 1
    with Session(stage.engine) as session:
        assert len(session.scalars(select(Suppression)).all()) == 1


@pytest.mark.parametrize(
    ("body", "phone"),
    [
        ("好的，谢谢老师", MOTHER),
        ("TD", "+8613900000000"),
        ("TD", "106575258192"),
        ("TD", ""),
        ("", MOTHER),
        ("<script>\x00" + "长" * 1600, MOTHER),
    ],
)
def test_what_is_no_order_or_comes_from_nobody_we_know_is_counted_and_not_answered(
    stage: Stage, twilio: Flask, body: str, phone: str
) -> None:
    before = stage.fingerprint()
    answer = send(twilio, body, phone=phone)
    assert answer.status_code == 200
    assert answer.get_data(as_text=True).endswith("<Response></Response>")
    after = stage.fingerprint()
    assert {name for name in after if after[name] != before[name]} == {"inbound_text"}


def test_a_number_that_somebody_had_before_stops_only_who_has_it_now(
    stage: Stage, twilio: Flask
) -> None:
    """The old number of a mother may be a stranger's by now."""
    give_number(stage, "english", "13800138077")
    give_number(stage, "guardian", "13800138066")
    send(twilio, "TD")
    assert not stopped(stage, "english") and stopped(stage, "guardian")


@pytest.mark.parametrize("fault", ["unsigned", "account", "sid", "long sid"])
def test_what_is_not_twilios_or_has_no_number_is_refused(
    stage: Stage, twilio: Flask, fault: str
) -> None:
    before = stage.fingerprint()
    if fault == "unsigned":
        assert send(twilio, "TD", signed=False).status_code == 403
    elif fault == "account":
        assert send(twilio, "TD", Account="x").status_code == 200  # control: more is signed too
        return
    else:
        answer = send(twilio, "TD", sid="" if fault == "sid" else "S" * 65)
        assert answer.status_code == 422
    assert stage.fingerprint() == before


def test_where_twilio_keeps_opt_outs_itself_what_it_understood_counts(
    stage: Stage, twilio: Flask
) -> None:
    answer = send(twilio, "arrêt", OptOutType="STOP")
    assert "<Message>" not in answer.get_data(as_text=True)
    assert stopped(stage, "english")


# -- what follows ------------------------------------------------------------------------------


def carry_over(stage: Stage) -> int:
    with Session(stage.engine) as session, begin(session, SYSTEM) as uow:
        return on_people.carry_over(uow)


def states(stage: Stage, role: str) -> list[tuple[str, str, str | None]]:
    with Session(stage.engine) as session:
        rows = session.execute(
            select(OutboxMessage.message_class, OutboxMessage.state, OutboxMessage.reason_code)
            .where(OutboxMessage.recipient_id == stage.world.people[role])
            .order_by(OutboxMessage.id)
        )
        return [tuple(row) for row in rows]


def deliver(stage: Stage, *, days: int = 1) -> None:
    """Tomorrow at ten, when nothing is quiet; or, with no days, now."""
    at = clock.now()
    if days:
        at = (at.astimezone(ZONE) + timedelta(days=days)).replace(hour=10)
    clock.travel_to(at)
    with Worker(stage.engine) as worker:
        deliver_batch(stage.engine, {"sms": Provider()}, Resolver(ZONE), worker.id, now=at)
    clock.travel_to(None)


def test_what_is_queued_already_is_stopped_at_its_claim(stage: Stage, twilio: Flask) -> None:
    stage.send()
    send(twilio, "TD")
    deliver(stage)
    assert states(stage, "english") == [("confirm", "suppressed", "opted_out")]


def test_a_notice_says_who_opted_out_and_an_urgent_one_still_goes(
    stage: Stage, twilio: Flask
) -> None:
    send(twilio, "TD")
    routine = stage.send(key="routine")
    urgent = stage.send(key="urgent", level="info", urgent_reason="校门口有险情")
    with Session(stage.engine) as session:
        rows = session.execute(
            select(NoticeRecipient.notice_id, NoticeRecipient.skip_reason).where(
                NoticeRecipient.guardian_id == stage.world.people["english"]
            )
        ).all()
    assert {row.notice_id: row.skip_reason for row in rows} == {routine: "opted_out", urgent: None}
    assert "english" in stage.told(urgent) and "english" not in stage.told(routine)
    deliver(stage)
    assert states(stage, "english") == [("urgent", "accepted", None)]


def test_the_check_before_sending_names_who_opted_out_and_whose_number_fails(
    stage: Stage, twilio: Flask, visit: Callable[[str], FlaskClient]
) -> None:
    send(twilio, "TD")
    with Session(stage.engine) as session, session.begin():
        for _ in range(3):
            suppressions.strike(
                session, stage.world.people["guardian"], "sms", "30005", clock.now()
            )
    assert carry_over(stage) == 1 and carry_over(stage) == 0
    today = clock.now().date()
    with Session(stage.engine) as session:
        audience = audience_of(session, [stage.world.things["class_a"]], today)
        whole = counts_of_organisation(session, stage.world.things["school_a"], today)
    assert [r.name for r in audience.opted_out] == ["Anna Smith"]
    assert len(audience.bad_number) == 1
    counts = audience.counts()
    assert (counts.opted_out, counts.bad_number) == (whole.opted_out, whole.bad_number) == (1, 1)
    page = (
        visit("teacher")
        .post(
            "/notices/new?lang=zh",
            data={"class_ids": str(stage.world.things["class_a"])},
        )
        .get_data(as_text=True)
    )
    assert "已退订的家长（只收紧急通知）" in page and "Anna Smith" in page
    assert "号码打不通的家长" in page and "/people/numbers" in page


def test_an_opt_out_that_only_the_provider_knows_is_carried_over(stage: Stage) -> None:
    with Session(stage.engine) as session, session.begin():
        suppressions.suppress(session, stage.world.people["english"], "sms", "21610", clock.now())
    assert carry_over(stage) == 1
    assert marks(stage, "english") == ["opted_out"]


def test_the_sign_in_code_of_who_opted_out_still_comes(stage: Stage, twilio: Flask) -> None:
    send(twilio, "TD")
    with Session(stage.engine) as session:
        person = stage.world.people["english"]
        assert contacts.phones_of(session, [person]) == {}
        assert contacts.phones_in_need_of(session, [person]) == {person: MOTHER}
    visitor = twilio.test_client()
    twilio.config["WTF_CSRF_ENABLED"] = False
    visitor.post("/sign-in/phone", data={"phone": "13800138066"})
    deliver(stage, days=0)
    assert [line[:2] for line in states(stage, "english")] == [("otp", "accepted")]


def test_old_notes_of_what_came_in_hold_neither_text_nor_number(
    stage: Stage, twilio: Flask
) -> None:
    send(twilio, "我的号码是 13800138066，请回电")
    with stage.engine.connect() as connection:
        row = connection.execute(text("select * from inbound_text")).one()
    assert "13800138066" not in repr(row) and "回电" not in repr(row)
