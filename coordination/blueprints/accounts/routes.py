"""Signing in and out, password, language. Cookies and pages; the rules stand in `people.accounts`."""

from __future__ import annotations

import time

from flask import Blueprint, g, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from werkzeug.wrappers import Response

from coordination.blueprints.accounts.forms import (
    ChangePassword,
    CodeSignIn,
    PasswordSignIn,
    PhoneSignIn,
)
from coordination.domain.people import accounts
from coordination.ground.errors import Invalid
from coordination.ground.phones import mask_phone
from coordination.ground.text import Text
from coordination.web.forms import attempt, render_form
from coordination.web.guards import NEXT_KEY, Access, guard, is_staff, local_path
from coordination.web.request import (
    SESSION_KEY,
    as_language,
    current_actor,
    unit_of_work,
)
from coordination.web.say import say

bp = Blueprint("accounts", __name__)

CODE_KEY, MASK_KEY = "code", "code_mask"
# Known and unknown numbers answer after the same time.
_LEAST_SECONDS = 0.25


def _address() -> str:
    return request.remote_addr or "unknown"


def _start(token: str) -> ResponseReturnValue:
    """A new session identity: nothing of the anonymous one is kept but where the person was going."""
    going = local_path(session.get(NEXT_KEY))
    session.clear()
    session.permanent = True
    session[SESSION_KEY] = token
    g.pop("actor", None)
    g.pop("language", None)
    actor = current_actor()
    return redirect(going or url_for("home.index" if is_staff(actor) else "home.after_sign_in"))


@bp.route("/sign-in", methods=["GET", "POST"])
@guard(Access.PUBLIC)
def sign_in() -> ResponseReturnValue:
    """Login and password."""
    form = PasswordSignIn()
    if form.validate_on_submit():
        with attempt(form):
            with unit_of_work() as uow:
                token = accounts.sign_in(
                    uow,
                    login=form.login.data or "",
                    password=form.password.data or "",
                    address=_address(),
                )
            if token is not None:
                return _start(token)
            raise Invalid(
                Text(
                    "登录名或密码不正确。请核对后重试；忘记密码请联系管理员。",
                    "User name or password is wrong. Check both and try again; if you forgot the "
                    "password, ask your administrator.",
                ),
                code="sign_in_failed",
            )
    return render_form("accounts/sign_in.html", form)


@bp.route("/sign-in/phone", methods=["GET", "POST"])
@guard(Access.PUBLIC)
def sign_in_by_phone() -> ResponseReturnValue:
    """A parent asks for a code; the answer is the same whether the number is known or not."""
    form = PhoneSignIn()
    if form.validate_on_submit():
        began = time.monotonic()
        with attempt(form) as done, unit_of_work() as uow:
            code_id = accounts.request_code(uow, phone=form.phone.number, address=_address())
        time.sleep(max(0.0, _LEAST_SECONDS - (time.monotonic() - began)))
        if done.ok:
            session[CODE_KEY] = code_id
            session[MASK_KEY] = mask_phone(form.phone.number)
            return redirect(url_for("accounts.enter_code"))
    return render_form("accounts/sign_in_by_phone.html", form)


@bp.route("/sign-in/code", methods=["GET", "POST"])
@guard(Access.PUBLIC)
def enter_code() -> ResponseReturnValue:
    """The six digits."""
    code_id = session.get(CODE_KEY)
    if not isinstance(code_id, int):
        return redirect(url_for("accounts.sign_in_by_phone"))
    form = CodeSignIn()
    if form.validate_on_submit():
        with attempt(form):
            with unit_of_work() as uow:
                token = accounts.verify_code(
                    uow, code_id=code_id, typed=form.code.data or "", address=_address()
                )
            if token is not None:
                return _start(token)
            raise Invalid(
                fields={
                    "code": Text(
                        "验证码不正确或已失效。请核对，或重新获取。",
                        "This code is wrong or no longer valid. Check it, or ask for a new one.",
                    )
                },
                code="code_wrong",
            )
    return render_form("accounts/enter_code.html", form, mask=session.get(MASK_KEY, ""))


@bp.post("/sign-out")
@guard(Access.PUBLIC)
def sign_out() -> ResponseReturnValue:
    """End this session here and on the server."""
    token = session.get(SESSION_KEY)
    if isinstance(token, str):
        with unit_of_work() as uow:
            accounts.sign_out(uow, token=token)
    g.pop("language", None)
    session.clear()
    say(Text("您已退出登录。", "You have signed out."))
    return _leaving_nothing(redirect(url_for("home.index")))


@bp.route("/account", methods=["GET", "POST"])
@guard(Access.SIGNED_IN)
def account() -> ResponseReturnValue:
    """One's own account: password, and ending every session."""
    form = ChangePassword()
    if form.validate_on_submit():
        with attempt(form):
            with unit_of_work() as uow:
                token = accounts.change_password(
                    uow,
                    old=form.old.data or "",
                    new=form.password.data or "",
                )
            if token is None:
                raise Invalid(
                    fields={"old": Text("当前密码不正确。", "The present password is wrong.")}
                )
            session.clear()
            session.permanent = True
            session[SESSION_KEY] = token
            say(
                Text(
                    "密码已更换，其他设备上的登录已全部退出。",
                    "Your password has been changed; other devices have been signed out.",
                )
            )
            return redirect(url_for("accounts.account"))
    return render_form("accounts/account.html", form)


@bp.post("/account/sign-out-everywhere")
@guard(Access.SIGNED_IN)
def sign_out_everywhere() -> ResponseReturnValue:
    """End every session of this person."""
    with unit_of_work() as uow:
        accounts.sign_out_everywhere(uow)
    session.clear()
    say(Text("已在所有设备上退出登录。", "You have been signed out on every device."))
    return _leaving_nothing(redirect(url_for("home.index")))


def _leaving_nothing(answer: Response) -> Response:
    """The browser forgets what pages kept on the phone; where it does not know how, `kit.js` did."""
    answer.headers["Clear-Site-Data"] = '"storage"'
    return answer


@bp.route("/language", methods=["GET", "POST"])
@guard(Access.PUBLIC)
def language() -> ResponseReturnValue:
    """Back to where the switch was pressed; cookie and account are set by `web.i18n`."""
    if request.method == "GET":
        return render_template("accounts/language.html")
    chosen = as_language(request.form.get("_lang"))
    back = local_path(request.form.get("back")) or "/"
    g.language_chosen = chosen
    return redirect(back)
