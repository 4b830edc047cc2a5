"""Looking changes nothing: every page that can be opened is opened by everybody, and nothing moves.

Mail scanners, link previews and browsers that fetch ahead open addresses without being asked to.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, event, text
from werkzeug.routing import Rule

from coordination.app import create_app
from coordination.domain.people.models import Person
from coordination.seed.last_week import CERTIFICATE
from coordination.settings import load
from coordination.web.guards import Access, guard
from coordination.web.request import SESSION_KEY, database
from tests.build.busy import FIELD_KEY, Town, busy

# what may change although somebody only looked: book-keeping that no person's work depends on
LEFT_OUT = {
    "feed_token": ("last_fetched_at", "last_client"),  # shown to the owner: who reads this feed
}
NEVER_MIND = {
    "throttle",  # counts guesses at codes; a limit that does not count is none
}
EXTRA = {
    "bookings.index": "?people=38&km=5&q=%E9%99%B6&kind=space&grade=3",
    "bookings.book": "?at=2031-12-03T10:00:00%2B08:00&minutes=60",
    "admin.messages": "?state=delivered&q=1",
    "people.children": "?name=wang",
    "communication.index": "?page=2",
}
TABLES = {
    "notice_id": "notice",
    "resource_id": "resource",
    "booking_id": "booking",
    "activity_id": "activity",
    "session_id": "practice_session",
    "need_id": "shift_need",
    "objection_id": "shift_objection",
    "correction_id": "correction",
    "turn_id": "school_turn",
    "line_id": "turn_class",
    "asked_id": "data_request",
    "request_id": "consent_request",
    "class_id": "class_group",
    "enrolment_id": "enrolment",
    "entry_id": "calendar_entry",
    "source_id": "busy_source",
    "batch_id": "roster_batch",
    "school_id": "organisation",
    "org_id": "organisation",
    "token_id": "feed_token",
    "message_id": "outbox_message",
    "person_id": "person",
    "membership_id": "membership",
    "guardianship_id": "guardianship",
    "term_id": "term",
    "day_id": "calendar_day",
}


@pytest.fixture(scope="module")
def town(pg_url: str, tmp_path_factory: pytest.TempPathFactory) -> Town:
    return busy(pg_url)


@pytest.fixture(scope="module")
def app(town: Town) -> Flask:
    return create_app(load({"DATABASE_URL": town.url, "FIELD_KEY": FIELD_KEY}))


def fingerprint(engine: Engine) -> dict[str, str]:
    """A hash of every table, without what is left out."""
    with engine.connect() as connection:
        tables = connection.scalars(
            text("select tablename from pg_tables where schemaname = 'public'")
        ).all()
        found = {}
        for name in sorted(set(tables) - NEVER_MIND):
            without = "".join(f" - '{column}'" for column in LEFT_OUT.get(name, ()))
            found[name] = connection.scalar(
                text(
                    "select md5(coalesce(string_agg(j, '' order by j), '')) from"
                    f' (select (to_jsonb(r){without})::text as j from "{name}" r) x'
                )
            )
        return found


@contextmanager
def writes_seen() -> Iterator[list[str]]:
    """Statements that change something, from whichever engine."""
    seen: list[str] = []

    def listen(_c: object, _cur: object, statement: str, *_more: object) -> None:
        if statement.lstrip().lower().startswith(("insert", "update", "delete", "merge", "copy")):
            seen.append(" ".join(statement.split())[:120])

    event.listen(Engine, "before_cursor_execute", listen)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", listen)


def rules_of(app: Flask) -> list[Rule]:
    return sorted(
        (r for r in app.url_map.iter_rules() if "GET" in (r.methods or ())),
        key=lambda r: (r.endpoint, r.rule),
    )


def paths_of(app: Flask, rule: Rule, town: Town) -> list[str]:
    """The addresses of a rule, for things of several owners."""
    choices: list[list[object]] = []
    names = sorted(rule.arguments - set(rule.defaults or {}))
    for name in names:
        if name in TABLES:
            choices.append(list(town.ids(TABLES[name])))
        elif name == "code":
            choices.append(
                [*(c for codes in town.codes.values() for c in codes[:2]), "00000-00000"]
            )
        elif name == "child_id":
            choices.append(list(town.children))
        elif name == "message":
            choices.append(["notice", "none"])
        elif name == "language":
            choices.append(["zh", "xx"])
        elif name == "token":
            choices.append([*town.feeds, "x" * 43])
        elif name == "filename":
            choices.append(["css/kit.css"])
        elif name == "number":
            choices.append([CERTIFICATE, "0000000000"])
        else:
            pytest.fail(f"{rule.rule}: say in TABLES what {name} is")
    paths = []
    for values in product(*choices):
        with app.test_request_context():
            built = rule.build(dict(zip(names, values, strict=True)), append_unknown=False)
        assert built is not None
        paths.append(built[1])
        if rule.endpoint in EXTRA:
            paths.append(built[1] + EXTRA[rule.endpoint])
    return paths


def browser_of(app: Flask, town: Town, role: str) -> FlaskClient:
    client = app.test_client()
    if role in town.tokens:
        with client.session_transaction() as held:
            held[SESSION_KEY] = town.tokens[role]
    return client


def walk(app: Flask, town: Town, role: str) -> tuple[dict[str, set[int]], dict[str, set[str]]]:
    """Open everything as `role`: status codes and writes, by endpoint."""
    statuses: dict[str, set[int]] = defaultdict(set)
    wrote: dict[str, set[str]] = defaultdict(set)
    with writes_seen() as seen:
        for rule in rules_of(app):
            for path in paths_of(app, rule, town):
                seen.clear()
                answer = browser_of(app, town, role).get(path)
                answer.get_data()
                if rule.endpoint == "feeds.serve":
                    # else a timer does it while another page is open
                    app.wsgi_app.__self__.notes.write()  # type: ignore[attr-defined]
                statuses[rule.endpoint].add(answer.status_code)
                wrote[rule.endpoint] |= set(seen)
    return statuses, {endpoint: found for endpoint, found in wrote.items() if found}


def test_whoever_opens_whatever_nothing_changes(app: Flask, town: Town) -> None:
    statuses: dict[str, set[int]] = defaultdict(set)
    before = fingerprint(town.engine)
    for role in ("anonymous", *town.people):
        found, wrote = walk(app, town, role)
        for endpoint, codes in found.items():
            statuses[endpoint] |= codes
        after = fingerprint(town.engine)
        changed = {name for name in before if before[name] != after[name]}
        assert changed == set(), f"{role} changed {changed}: {wrote}"
        assert set(wrote) <= {"feeds.serve", "home.open_link"}, f"{role}: {wrote}"
    # the walk was no walk past closed doors: every page opened for somebody
    closed = {e for e, codes in statuses.items() if not codes & {200, 302, 303}}
    assert closed == set()
    assert {e: c for e, c in statuses.items() if any(s >= 500 for s in c)} == {}


def test_heads_and_options_change_nothing_either(app: Flask, town: Town) -> None:
    before = fingerprint(town.engine)
    for role in ("lijing", "parent"):
        for rule in rules_of(app):
            for path in paths_of(app, rule, town)[:2]:
                for method in ("HEAD", "OPTIONS"):
                    assert browser_of(app, town, role).open(path, method=method).status_code < 500
    assert fingerprint(town.engine) == before


def test_a_page_that_writes_is_found_out(town: Town) -> None:
    # negative control
    bad = create_app(load({"DATABASE_URL": town.url, "FIELD_KEY": FIELD_KEY}))

    @bad.get("/harmless")
    @guard(Access.PUBLIC)
    def harmless() -> str:
        session = database()
        session.get_one(Person, 1).name_en = "Somebody else"
        session.commit()
        return "ok"

    before = fingerprint(town.engine)
    with writes_seen() as seen:
        assert bad.test_client().get("/harmless").status_code == 200
    after = fingerprint(town.engine)
    assert {name for name in before if before[name] != after[name]} == {"person"}
    assert len(seen) == 1
