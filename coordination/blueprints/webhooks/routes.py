"""What providers report: how texts and calls fare, what people text back, which key they press in a
call. Anything unsigned is refused.

Twilio signs on the public address; to its status report the answer is empty, it only looks at the
status code; to a text, the answer may be a text, and to a key it is what the voice says next. Aliyun
signs nothing, so its address is the secret; it pushes many lines at once, and all of them again unless
the answer is 200 within a second.
"""

from __future__ import annotations

import hmac
import json
from datetime import datetime
from uuid import UUID

from flask import Blueprint, Response, current_app, jsonify, request
from flask.typing import ResponseReturnValue
from markupsafe import escape

from coordination.authz.actions import Action
from coordination.authz.actor import SYSTEM
from coordination.domain.people import optouts
from coordination.ground import crypto
from coordination.ground.errors import Forbidden, Invalid, NotFound
from coordination.ground.phones import normal_phone
from coordination.ground.text import Text
from coordination.ground.uow import UnitOfWork
from coordination.reactions import by_phone, carriers
from coordination.settings import Settings
from coordination.web.guards import Access, guard
from coordination.web.request import act_as, unit_of_work
from coordination.web.urls import public
from coordination.web.when import today
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
    from notifications.channels.twilio_sms import is_opt_out, is_strike

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
            opted_out=is_opt_out(error_code),
        )
    return "", 204


@bp.post("/webhooks/twilio/call/<uuid:attempt>")
@guard(Access.WEBHOOK)
def twilio_call(attempt: UUID) -> ResponseReturnValue:
    """How a call went; reports may come twice, late and in any order."""
    from notifications.channels.twilio_voice import is_strike, reason_of

    settings: Settings = current_app.config["SETTINGS"]
    _refuse_unsigned(settings, list(request.form.items(multi=True)))
    status = request.form.get("CallStatus", "").lower()
    act_as(SYSTEM)
    with unit_of_work() as uow:
        uow.authorize(Action.SYSTEM_RUN)
        receipts.apply_status(
            uow.session,
            attempt_id=attempt,
            provider_id=request.form.get("CallSid"),
            channels=("twilio_voice",),
            status=status,
            error_code=reason_of(status, request.form.get("ErrorCode")),
            at=uow.now,
            strike=is_strike(status, request.form.get("SipResponseCode")),
        )
    return "", 204


@bp.post("/webhooks/twilio/digits/<uuid:attempt>")
@guard(Access.WEBHOOK)
def twilio_digits(attempt: UUID) -> ResponseReturnValue:
    """A key that somebody pressed in a call: what is said next."""
    from notifications.channels.twilio_voice import asking, parting

    settings: Settings = current_app.config["SETTINGS"]
    _refuse_unsigned(settings, list(request.form.items(multi=True)))
    act_as(SYSTEM)
    with unit_of_work() as uow:
        reply = by_phone.pressed(
            uow,
            attempt_id=attempt,
            provider_id=request.form.get("CallSid"),
            key=request.form.get("Digits", ""),
            today=today(),
        )
    if reply is None:
        raise NotFound()
    if reply.again:
        said = asking(reply.says, reply.language, f"{carriers.digits_url(settings)}/{attempt}")
    else:
        said = parting(reply.says, reply.language)
    return Response(said, mimetype="text/xml")


def _refuse_stranger(key: str) -> None:
    """Whoever does not know the address, and everybody while there is no account that would push."""
    settings: Settings = current_app.config["SETTINGS"]
    right = carriers.aliyun_secret(settings)
    known = hmac.compare_digest(key.encode("utf-8", "replace"), right.encode())
    if not (settings.aliyun_access_key_secret and known):
        raise Forbidden()


@bp.post("/webhooks/aliyun/report/<key>")
@guard(Access.WEBHOOK)
def aliyun_report(key: str) -> ResponseReturnValue:
    """Many status reports at once, in any order, perhaps again."""
    from notifications.channels import aliyun_sms

    _refuse_stranger(key)
    try:
        lines = aliyun_sms.reports_of(request.get_data())
    except aliyun_sms.BadPush as error:
        raise _no_push() from error
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
                strike=line.error_code in aliyun_sms.BAD_NUMBERS,
                opted_out=line.error_code in aliyun_sms.OPTED_OUT,
            )
    return jsonify(code=0, msg="接收成功")


@bp.post("/webhooks/aliyun/inbound/<key>")
@guard(Access.WEBHOOK)
def aliyun_inbound(key: str) -> ResponseReturnValue:
    """Many replies at once. They cannot be answered: the gateway takes approved templates only."""
    from notifications.channels import aliyun_sms

    _refuse_stranger(key)
    try:
        lines = aliyun_sms.replies_of(request.get_data())
    except aliyun_sms.BadPush as error:
        raise _no_push() from error
    act_as(SYSTEM)
    for line in lines:
        # its number alone is not promised to be unique; of the rest nothing can be read here
        whole = json.dumps([line.sequence, line.number, str(line.sent_at), line.text])
        name = crypto.token_hash(whole).hex()
        kind = inbound.kind_of(inbound.word_of(line.text))
        with unit_of_work() as uow:
            uow.authorize(Action.SYSTEM_RUN)
            phone = normal_phone(line.number)
            if inbound.heard(uow.session, "aliyun_sms", name, kind, uow.now) and phone is not None:
                _obey(uow, kind, phone, line.sent_at)
    return jsonify(code=0, msg="接收成功")


def _no_push() -> Invalid:
    return Invalid(
        Text("格式不对。请推送 JSON 数组。", "This is not what is taken here; send a JSON array."),
        code="no_push",
    )


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


def _obey(
    uow: UnitOfWork, kind: inbound.Kind, phone: str, said_at: datetime | None = None
) -> str | None:
    """Do what the text asks for; what to answer, if anything."""
    if kind == "other":
        return None
    found = (optouts.stop if kind == "stop" else optouts.resume)(uow, phone=phone, said_at=said_at)
    if not found.people:
        return None
    said = STOPPED if kind == "stop" else RESUMED
    return said.zh if found.language == "zh" else said.en


def _twiml(text: str | None) -> Response:
    body = f"<Message>{escape(text)}</Message>" if text else ""
    return Response(
        f'<?xml version="1.0" encoding="UTF-8"?><Response>{body}</Response>', mimetype="text/xml"
    )
