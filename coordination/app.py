"""Composition root of the web: settings in, a Flask application out. Nothing is decided here."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

import segno
from flask import Flask, request, url_for
from markupsafe import Markup
from werkzeug.middleware.proxy_fix import ProxyFix

from coordination.blueprints import blueprints
from coordination.domain.communication.texts import budgets
from coordination.domain.people.roster import batches
from coordination.domain.practice.headcount import stages
from coordination.ground import crypto
from coordination.reactions import carriers, notices, reminders
from coordination.settings import WEB_THREADS, Settings
from coordination.web import errors, guards, headers, i18n, navigation, paging, urls
from coordination.web.db import db
from coordination.web.feed_door import FeedDoor, engine_for_polls
from coordination.web.request import current_actor

STATIC = Path(__file__).parent / "static"


def create_app(settings: Settings) -> Flask:
    """The web application for `settings`."""
    app = Flask("coordination")
    secure = settings.production
    app.config.update(
        SECRET_KEY=settings.secret_key,
        PUBLIC_URL=settings.public_url,
        TIMEZONE=settings.timezone,
        SETTINGS=settings,
        DEVELOPMENT_PAGES=settings.simulated and not settings.production,
        SQLALCHEMY_DATABASE_URI=settings.database_url,
        SQLALCHEMY_ENGINE_OPTIONS={
            "pool_pre_ping": True,
            "pool_size": WEB_THREADS,
            "max_overflow": 8,
            # an error that is logged would show phones and texts
            "hide_parameters": True,
        },
        SESSION_COOKIE_NAME="__Host-session" if secure else "session",
        SESSION_COOKIE_SECURE=secure,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        PERMANENT_SESSION_LIFETIME=30 * 24 * 3600,
        TRUSTED_HOSTS=[urlsplit(settings.public_url).hostname or ""] if secure else None,
        TEMPLATES_AUTO_RELOAD=False,
    )
    crypto.use_key(settings.field_key)
    reminders.use_zone(settings.zone)
    batches.use_zone(settings.zone)
    budgets.use_zone(settings.zone)
    stages.use_zone(settings.zone)
    notices.use_route(
        settings.public_url,
        links_allowed=settings.sms_links == "allowed",
        # a gateway of templates is given the values; a text written by a page needs them too
        values_kept=carriers.values_kept(settings),
    )
    door = FeedDoor(app.wsgi_app, engine_for_polls(settings.database_url), settings.zone)
    app.wsgi_app = door.serve  # type: ignore[method-assign]
    if secure:
        # Behind exactly one proxy of ours; more hops would let a client choose its address.
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1)  # type: ignore[method-assign]
    db.init_app(app)
    app.jinja_env.trim_blocks = True
    app.jinja_env.lstrip_blocks = True
    errors.install(app)
    headers.install(app)
    guards.install(app)
    i18n.install(app)
    _teach_templates(app)
    for blueprint in blueprints():
        app.register_blueprint(blueprint)
    return app


def _teach_templates(app: Flask) -> None:
    app.jinja_env.globals.update(
        actor=current_actor,
        asset=_asset,
        csp_nonce=headers.nonce,
        external_url=urls.external_url,
        is_open=navigation.is_open,
        page_url=paging.page_url,
        product_name=lambda: i18n.t("家校社协同", "Home, School, Community"),
        qr_svg=_qr_svg,
        row_links=urls.row_links,
        staff_navigation=navigation.staff_navigation,
        this_path=_this_path,
    )


@lru_cache(maxsize=64)
def _version(name: str) -> str:
    return hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:10]


def _asset(name: str) -> str:
    """The address of a static file; it changes with the content, so it may be kept for a year."""
    return url_for("static", filename=name, v=_version(name))


def _qr_svg(content: str) -> Markup:
    """A QR code without inline styles; the markup comes from segno, the content is only encoded."""
    return Markup(  # noqa: S704 - segno encodes the content; nothing of it is markup
        segno.make(content, error="m").svg_inline(
            border=0, omitsize=True, svgclass=None, lineclass=None
        )
    )


def _this_path() -> str:
    """Where the language switch comes back to."""
    return request.full_path.rstrip("?")
