"""Twilio's status callbacks. Signed on the public address; anything unsigned is refused.

The answer is always empty: Twilio only looks at the status code.
"""

from __future__ import annotations

import hmac
from uuid import UUID

from flask import Blueprint, current_app, request
from flask.typing import ResponseReturnValue

from coordination.authz.actions import Action
from coordination.authz.actor import SYSTEM
from coordination.ground.errors import Forbidden
from coordination.settings import Settings
from coordination.web.guards import Access, guard
from coordination.web.request import act_as, unit_of_work
from coordination.web.urls import public
from notifications import receipts

bp = Blueprint("webhooks", __name__)


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
