"""What providers report: how texts fare, and what people text back. Anything unsigned is refused.

Twilio signs on the public address; to its status report the answer is empty, it only looks at the
status code; to a text, the answer may be a text. Aliyun signs nothing: its address is the secret.
"""

from __future__ import annotations

import hmac
from uuid import UUID

from flask import Blueprint, Response, current_app, jsonify, request
from flask.typing import ResponseReturnValue
from markupsafe import escape

from coordination.authz.actions import Action
from coordination.authz.actor import SYSTEM
from coordination.domain.people import optouts
from coordination.ground import crypto
from coordination.ground.errors import Forbidden, Invalid
from coordination.ground.phones import normal_phone
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork
from coordination.settings import Settings
from coordination.web.guards import Access, guard
from coordination.web.request import act_as, unit_of_work
from coordination.web.urls import public
from notifications import inbound, receipts

bp = Blueprint("webhooks", __name__)

STOPPED = Text(
    "已退订。登录验证码和紧急通知仍会发送。回复“恢复”可重新接收。",
    "You will get no more routine texts. Sign-in codes and urgent notices still come."
    " Reply START to get texts again.",
)
RESUMED = Text("已恢复接收短信。回复 TD 退订。", "You will get texts again. Reply STOP to opt out.")
LONGEST_SID = 64


def _refuse_unsigned(settings: Settings, params: list[tuple[str, str]]) -> None:
    """The signature covers the address that Twilio was given, whatever a proxy made of it."""
    # the SDK is loaded for Twilio's reports, not before anybody's first page
    from notifications.channels.twilio_sms import verify_signature

    query = request.query_string.decode("latin-1")
    address = public(request.path) + (f"?{query}" if query else "")
    signature = request.headers.get("X-Twilio-Signature", "")
    signed = bool(settings.twilio_auth_token) and verify_signature(
        settings.twilio_auth_token, address, params, signature
    )
    account = request.form.get("AccountSid", "")
    ours = hmac.compare_digest(account.encode(), settings.twilio_account_sid.encode())
    if not (signed and ours):
        raise Forbidden()


@bp.post("/webhooks/twilio/status", defaults={"attempt": None})
@bp.post("/webhooks/twilio/status/<uuid:attempt>")
@guard(Access.WEBHOOK)
def twilio_status(attempt: UUID | None) -> ResponseReturnValue:
    """One status report; reports may come twice, late and in any order."""
    from notifications.channels.twilio_sms import is_strike

    settings: Settings = current_app.config["SETTINGS"]
    _refuse_unsigned(settings, list(request.form.items(multi=True)))
    error_code = request.form.get("ErrorCode") or None
    act_as(SYSTEM)
    with unit_of_work() as uow:
        uow.authorize(Action.SYSTEM_RUN)
        receipts.apply_status(
            uow.session,
            attempt_id=attempt,
            provider_id=request.form.get("MessageSid") or request.form.get("SmsSid"),
            channels=("twilio_sms", "sms"),
            status=request.form.get("MessageStatus") or request.form.get("SmsStatus") or "",
            error_code=error_code,
            at=uow.now,
            strike=is_strike(error_code),
        )
    return "", 204


@bp.post("/webhooks/aliyun/report/<key>")
@guard(Access.WEBHOOK)
def aliyun_report(key: str) -> ResponseReturnValue:
    """Many status reports at once; an answer other than 200 makes the gateway send all of them again."""
    from notifications.channels.aliyun_sms import BAD_NUMBERS, BadReport, reports_of

    right = crypto.address_key("aliyun-report")
    if not hmac.compare_digest(key.encode("utf-8", "replace"), right.encode()):
        raise Forbidden()
    try:
        lines = reports_of(request.get_data())
    except BadReport as error:
        raise Invalid(
            Text(
                "不是状态报告。请推送 JSON 数组。", "This is no status report; send a JSON array."
            ),
            code="no_report",
        ) from error
    act_as(SYSTEM)
    # one by one: a report must not wait at a message for all the others
    for line in lines:
        with unit_of_work() as uow:
            uow.authorize(Action.SYSTEM_RUN)
            receipts.apply_status(
                uow.session,
                attempt_id=line.attempt_id,
                # an attempt that was found in the list has a name of ours there
                provider_id=None if line.attempt_id else line.provider_id,
                channels=("aliyun_sms", "sms"),
                status=line.status,
                error_code=line.error_code,
                at=uow.now,
                strike=line.error_code in BAD_NUMBERS,
            )
    return jsonify(code=0, msg="接收成功")


@bp.post("/webhooks/twilio/inbound")
@guard(Access.WEBHOOK)
def twilio_inbound() -> ResponseReturnValue:
    """A text from somebody's phone: an order to stop or to go on, or something nobody reads here."""
    settings: Settings = current_app.config["SETTINGS"]
    _refuse_unsigned(settings, list(request.form.items(multi=True)))
    sid = request.form.get("MessageSid") or request.form.get("SmsSid") or ""
    if not 0 < len(sid) <= LONGEST_SID:
        raise Invalid(
            fields={
                "MessageSid": Text(
                    "缺少短信编号。", "Which text it is is missing; send its MessageSid."
                )
            }
        )
    word = inbound.word_of(request.form.get("Body", ""))
    # where the provider keeps opt-outs itself, it says what it understood
    told = request.form.get("OptOutType", "").lower()
    kind = inbound.kind_of(told or word)
    act_as(SYSTEM)
    with unit_of_work() as uow:
        uow.authorize(Action.SYSTEM_RUN)
        phone = normal_phone(request.form.get("From", ""))
        answer = None
        if inbound.heard(uow.session, "twilio_sms", sid, kind, uow.now) and phone is not None:
            answer = _obey(uow, kind, phone)
    # nothing is answered where the provider does it, nor to a phone that nobody here has
    return _twiml(None if told or word in inbound.ANSWERED_BY_PROVIDER else answer)


def _obey(uow: UnitOfWork, kind: inbound.Kind, phone: str) -> str | None:
    """Do what the text asks for; what to answer, if anything."""
    if kind == "other":
        return None
    found = (optouts.stop if kind == "stop" else optouts.resume)(uow, phone=phone)
    if not found.people:
        return None
    said = STOPPED if kind == "stop" else RESUMED
    return said.zh if found.language == "zh" else said.en


def _twiml(text: str | None) -> Response:
    body = f"<Message>{escape(text)}</Message>" if text else ""
    return Response(
        f'<?xml version="1.0" encoding="UTF-8"?><Response>{body}</Response>', mimetype="text/xml"
    )
