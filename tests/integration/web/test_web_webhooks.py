"""Status callbacks: only Twilio's own, on our public address, with every parameter counted."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from flask import Flask
from sqlalchemy import Engine
from sqlalchemy.orm import Session
from twilio.request_validator import RequestValidator
from werkzeug.datastructures import MultiDict
from werkzeug.test import TestResponse

from coordination.app import create_app
from coordination.ground import clock
from coordination.settings import Settings
from notifications.models import DeliveryAttempt, OutboxMessage

PUBLIC = "https://sms.example.cn"
ACCOUNT, TOKEN = "AC" + "0" * 32, "twilio-auth-token"
Params = list[tuple[str, str]]


@pytest.fixture
def twilio_app(app: Flask, server_url: str) -> Flask:
    """The same database behind a public address, with Twilio's account."""
    made = create_app(
        Settings(
            database_url=server_url,
            public_url=PUBLIC,
            field_key="a field key for tests only",
            sms_channel="twilio",
            twilio_account_sid=ACCOUNT,
            twilio_auth_token=TOKEN,
        )
    )
    made.testing = True
    return made


@pytest.fixture
def attempt(engine: Engine, twilio_app: Flask) -> Iterator[UUID]:
    """A message that the provider has accepted."""
    now, made = clock.now(), uuid4()
    with Session(engine) as session:
        message = OutboxMessage(
            dedupe_key="k",
            recipient_id=1,
            template_key="t",
            language="zh",
            body_hash="h",
            message_class="info",
            priority=3,
            channel="sms",
            subject_type="notice",
            subject_id=1,
            state="accepted",
            next_at=now,
        )
        session.add(message)
        session.flush()
        session.add(
            DeliveryAttempt(
                id=made,
                message_id=message.id,
                worker_id=1,
                channel="sms",
                state="accepted",
                provider_id="SM1",
                intent_at=now,
                next_check_at=now + timedelta(hours=1),
            )
        )
        session.commit()
    yield made


def params(status: str = "delivered", **more: str) -> Params:
    return [
        ("AccountSid", ACCOUNT),
        ("MessageSid", "SM1"),
        ("MessageStatus", status),
        *more.items(),
    ]


def signature(path: str, sent: Params, base: str = PUBLIC) -> str:
    return str(RequestValidator(TOKEN).compute_signature(base + path, MultiDict(sent)))


def report(app: Flask, path: str, sent: Params, signed: str) -> TestResponse:
    return app.test_client().post(
        path, data=MultiDict(sent), headers={"X-Twilio-Signature": signed, "Host": "inner:8000"}
    )


def state(engine: Engine) -> str:
    with Session(engine) as session:
        return session.query(OutboxMessage.state).scalar() or ""


@pytest.mark.parametrize("by_attempt", [True, False])
def test_a_signed_report_moves_the_message(
    twilio_app: Flask, engine: Engine, attempt: UUID, *, by_attempt: bool
) -> None:
    path = "/webhooks/twilio/status" + (f"/{attempt}" if by_attempt else "")
    answer = report(twilio_app, path, params(), signature(path, params()))
    assert (answer.status_code, answer.data) == (204, b"")
    assert state(engine) == "delivered"
    late = params("sent")
    assert report(twilio_app, path, late, signature(path, late)).status_code == 204
    assert state(engine) == "delivered", "a final state never moves back"


def test_repeated_parameters_are_part_of_the_signature(
    twilio_app: Flask, engine: Engine, attempt: UUID
) -> None:
    path = f"/webhooks/twilio/status/{attempt}"
    sent = [*params(), ("Tag", "one"), ("Tag", "two")]
    assert report(twilio_app, path, sent, signature(path, sent)).status_code == 204


@pytest.mark.parametrize("fault", ["none", "bit", "host", "scheme", "extra", "account", "path"])
def test_a_report_that_is_not_twilios_is_refused(
    twilio_app: Flask, engine: Engine, attempt: UUID, fault: str
) -> None:
    path, sent = f"/webhooks/twilio/status/{attempt}", params()
    good = signature(path, sent)
    signed = {
        "none": "",
        "bit": good[:-2] + ("A" if good[-2] != "A" else "B") + "=",
        "host": signature(path, sent, "https://other.example"),
        "scheme": signature(path, sent, PUBLIC.replace("https", "http")),
        "path": signature("/webhooks/twilio/status", sent),
    }.get(fault, good)
    if fault == "extra":
        sent = [*sent, ("Extra", "1")]
    if fault == "account":
        sent = [("AccountSid", "AC1"), *sent[1:]]
        signed = signature(path, sent)
    assert report(twilio_app, path, sent, signed).status_code == 403
    assert state(engine) == "accepted"


def test_an_unknown_attempt_is_no_fault(twilio_app: Flask, attempt: UUID) -> None:
    path = f"/webhooks/twilio/status/{uuid4()}"
    assert report(twilio_app, path, params(), signature(path, params())).status_code == 204
