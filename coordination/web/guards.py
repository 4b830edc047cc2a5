"""Who may reach which view. Every view is marked; an unmarked one answers 403.

The guard asks who somebody is; whether they may do the thing is asked of the policy by the use
case. Must not know any feature.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Flag, auto
from typing import ParamSpec, TypeVar
from urllib.parse import urlsplit

from flask import Flask, current_app, redirect, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError, CSRFProtect
from werkzeug.exceptions import RequestEntityTooLarge

from coordination.authz.actor import Actor, Role
from coordination.ground.errors import Forbidden, NotFound
from coordination.ground.text import Text
from coordination.web.request import current_actor

P = ParamSpec("P")
R = TypeVar("R")

BODY_LIMIT = 1024 * 1024
MB = 1024 * 1024
# what a form wraps around its files
FORM_AROUND = 64 * 1024
NEXT_KEY = "next"

csrf = CSRFProtect()


class Access(Flag):
    """To whom a view is open; join several with ``|``."""

    PUBLIC = auto()  # anybody
    SIGNED_LINK = auto()  # anybody with a code: the view itself resolves it
    SIGNED_IN = auto()  # anybody with an account
    GUARDIAN = auto()  # 家长
    STAFF = auto()  # district, school and class posts
    PARTNER = auto()  # 资源单位
    ADMIN = auto()  # district administration and data officers
    VOLUNTEER = auto()  # 志愿者
    WEBHOOK = auto()  # machines that sign what they send; no CSRF token
    FEED = auto()  # calendar clients with a secret address
    DEVELOPMENT = auto()  # only while texts are not really sent


_SCHOOL_SIDE = frozenset(
    {Role.DISTRICT_ADMIN, Role.COORDINATOR, Role.SCHOOL_ADMIN, Role.CLASS_TEACHER}
)
_ADMIN = frozenset({Role.DISTRICT_ADMIN, Role.DATA_OFFICER})
_OPEN = Access.PUBLIC | Access.SIGNED_LINK | Access.WEBHOOK | Access.FEED


def guard(access: Access, *, upload: int = 0) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Mark a view with who may reach it; `upload` is how many megabytes of files may come with it."""

    def mark(view: Callable[P, R]) -> Callable[P, R]:
        view.__access__ = access  # type: ignore[attr-defined]
        view.__upload__ = upload  # type: ignore[attr-defined]
        return view

    return mark


def access_of(app: Flask, endpoint: str) -> Access | None:
    """What the view behind `endpoint` was marked with; None if nobody marked it."""
    if endpoint == "static":
        return Access.PUBLIC
    marked = getattr(app.view_functions[endpoint], "__access__", None)
    return marked if isinstance(marked, Access) else None


def admits(access: Access, actor: Actor) -> bool:
    """Whether `actor` is one of those the view is open to."""
    if access & _OPEN:
        return True
    if access & Access.DEVELOPMENT and current_app.config["DEVELOPMENT_PAGES"]:
        return True
    if not actor.signed_in:
        return False
    roles = actor.roles
    return bool(
        access & Access.SIGNED_IN
        or (access & Access.GUARDIAN and actor.is_guardian)
        or (access & Access.STAFF and roles & _SCHOOL_SIDE)
        or (access & Access.PARTNER and Role.PARTNER_STAFF in roles)
        or (access & Access.ADMIN and roles & _ADMIN)
        or (access & Access.VOLUNTEER and Role.VOLUNTEER in roles)
    )


def is_staff(actor: Actor) -> bool:
    """Whether the staff frame (rather than the parents' pages) is this actor's home."""
    return bool(actor.roles - {Role.VOLUNTEER})


def local_path(target: str | None) -> str | None:
    """`target` if it is a path of this site that can be opened with GET; else None."""
    if not target or not target.startswith("/") or target.startswith(("//", "/\\")):
        return None
    if any(ord(c) < 33 or c == "\\" for c in target):
        return None
    path = urlsplit(target).path
    try:
        current_app.url_map.bind("").match(path, method="GET")
    except Exception:  # noqa: BLE001 - werkzeug answers with redirects, 404 and 405 alike
        return None
    return target


def _same_origin() -> bool:
    """Whether a state-changing request comes from a page of ours.

    `Referrer-Policy: no-referrer` makes browsers send ``Origin: null`` with form posts, so the
    fetch metadata is asked first; where neither is sent the token alone decides.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in {"same-origin", "none"}
    origin = request.headers.get("Origin")
    if origin is None or origin == "null":
        return True
    ours = urlsplit(current_app.config["PUBLIC_URL"])
    return urlsplit(origin).netloc in {ours.netloc, request.host}


def _check() -> ResponseReturnValue | None:
    if request.url_rule is None:
        return None  # 404 or 405: the router's own answer
    endpoint = request.endpoint or ""
    access = access_of(current_app, endpoint)
    if access is None:
        raise Forbidden()
    view = current_app.view_functions[endpoint]
    upload = getattr(view, "__upload__", 0)
    limit = upload * MB + FORM_AROUND if upload else BODY_LIMIT
    request.max_content_length = limit
    if request.content_length is not None and request.content_length > limit:
        raise RequestEntityTooLarge()
    if request.method == "POST" and not access & Access.WEBHOOK:
        if not _same_origin():
            raise Forbidden(
                Text(
                    "请求来源不明，已被拒绝。",
                    "The request came from another site and was refused.",
                )
            )
        if current_app.config["WTF_CSRF_ENABLED"]:
            csrf.protect()
    if access == Access.DEVELOPMENT and not current_app.config["DEVELOPMENT_PAGES"]:
        raise NotFound()
    actor = current_actor()
    if admits(access, actor):
        return None
    if actor.signed_in:
        raise Forbidden()
    if request.method == "GET":
        session[NEXT_KEY] = request.full_path.rstrip("?")
    parents = access & Access.GUARDIAN and not access & (Access.STAFF | Access.PARTNER)
    return redirect(url_for("accounts.sign_in_by_phone" if parents else "accounts.sign_in"))


def install(app: Flask) -> None:
    """Deny by default from here on."""
    app.config.update(
        WTF_CSRF_CHECK_DEFAULT=False,  # `_check` calls it, after the guard has been found
        WTF_CSRF_SSL_STRICT=False,  # it would want a Referer, which we tell browsers not to send
        WTF_CSRF_TIME_LIMIT=None,  # lives as long as the session: nobody loses a long form
        MAX_CONTENT_LENGTH=BODY_LIMIT,
        MAX_FORM_MEMORY_SIZE=BODY_LIMIT,
    )
    csrf.init_app(app)
    app.before_request(_check)


__all__ = [
    "Access",
    "CSRFError",
    "access_of",
    "admits",
    "guard",
    "install",
    "is_staff",
    "local_path",
]
