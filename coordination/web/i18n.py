"""Both languages on every page: template helpers and the switch that keeps the form.

The switch is a button named ``_lang`` inside (or attached to) any form. It posts what has been
typed to the same address; `web.forms.Form` then does not count as submitted, and the view shows
the form again in the other language, unvalidated. Must not know any feature.
"""

from __future__ import annotations

from datetime import date, datetime
from urllib.parse import parse_qs, urlsplit, urlunsplit

from flask import Flask, Response, g, request

from coordination.domain.people.accounts import choose_language
from coordination.ground.text import Language, Text
from coordination.web import when
from coordination.web.request import (
    LANGUAGE_COOKIE,
    as_language,
    chosen_language,
    current_actor,
    language,
    unit_of_work,
)


class _Voice:
    """`t`, `text` and `lang` of one page: the language is looked up once, not for every word."""

    __slots__ = ("_language",)

    def __init__(self, chosen: Language) -> None:
        self._language = chosen

    def t(self, zh: str, en: str, **values: object) -> str:
        """The text for the viewer, with `values` filled in."""
        chosen = en if self._language == "en" else zh
        return chosen.format(**values) if values else chosen

    def text(self, value: Text | str | None) -> str:
        """A `Text` in the viewer's language; anything else as it is."""
        if value is None:
            return ""
        return value.in_(self._language) if isinstance(value, Text) else str(value)

    def lang(self) -> Language:
        """The viewer's language."""
        return self._language

    def span(self, start: datetime, end: datetime) -> str:
        """A stretch of time as the viewer reads it."""
        return when.span(start, end, self._language)


def t(zh: str, en: str, **values: object) -> str:
    """The text for the viewer, with `values` filled in."""
    return _Voice(language()).t(zh, en, **values)


def text(value: Text | str | None) -> str:
    """A `Text` in the viewer's language; anything else as it is."""
    return _Voice(language()).text(value)


def switching_language() -> bool:
    """Whether this post only asks for the other language."""
    return request.method == "POST" and as_language(request.form.get("_lang")) is not None


def _remember_for_account() -> None:
    """A signed-in person's choice by button is kept with the account."""
    if request.url_rule is None or not switching_language():
        return
    wanted, actor = chosen_language(), current_actor()
    if wanted and actor.session_id is not None and actor.language != wanted:
        with unit_of_work() as uow:
            choose_language(uow, language=wanted)


def _remember_by_cookie(response: Response) -> Response:
    if request.url_rule is None or request.endpoint == "static":
        return response
    wanted = g.get("language_chosen") or chosen_language()
    if wanted and request.cookies.get(LANGUAGE_COOKIE) != wanted:
        response.set_cookie(
            LANGUAGE_COOKIE,
            wanted,
            max_age=31536000,
            samesite="Lax",
            httponly=True,
            secure=request.is_secure,
        )
    return response


def _lead_on_in_language(response: Response) -> Response:
    """A page that only leads on to another one does so in the language that it was asked for in."""
    wanted, place = request.args.get("lang"), urlsplit(response.location or "")
    leads_on = request.method == "GET" and response.status_code in (302, 303)
    if (
        leads_on
        and as_language(wanted)
        and not place.netloc
        and "lang" not in parse_qs(place.query)
    ):
        asked = "&".join(filter(None, (place.query, f"lang={wanted}")))
        response.location = urlunsplit(place._replace(query=asked))
    return response


def _page_voice() -> dict[str, object]:
    voice = _Voice(language())
    return {"t": voice.t, "text": voice.text, "lang": voice.lang, "span": voice.span}


def install(app: Flask) -> None:
    """Give templates `t`, `text`, `lang` and the date filters."""
    app.before_request(_remember_for_account)
    app.after_request(_remember_by_cookie)
    app.after_request(_lead_on_in_language)
    # for templates that are imported without context; pages get the same bound to their language
    app.jinja_env.globals.update(t=t, text=text, lang=language)
    app.context_processor(_page_voice)

    def in_language(value: date | datetime | None, how: str) -> str:
        if value is None:
            return ""
        return str(getattr(when, how)(value, language()))

    env = app.jinja_env.filters
    env["day"] = lambda v: in_language(v, "day")
    env["short_day"] = lambda v: in_language(v, "short_day")
    env["weekday"] = lambda v: in_language(v, "weekday")
    env["when"] = lambda v: in_language(v, "moment")
    env["short_when"] = lambda v: in_language(v, "short_moment")
    env["clock"] = lambda v: when.clock_time(v) if v is not None else ""
    env["iso"] = lambda v: when.local(v).isoformat() if isinstance(v, datetime) else v.isoformat()
    env["duration"] = lambda v: "" if v is None else when.duration(v, language())
    env["text"] = text
    # of a row in two languages, the name or title for the viewer
    env["named"] = lambda v: v.name_en if language() == "en" else v.name_zh
    env["titled"] = lambda v: v.title_en if language() == "en" else v.title_zh
    app.jinja_env.globals["span"] = lambda start, end: when.span(start, end, language())
    app.jinja_env.globals["today"] = when.today
