"""A word of a card stands on the pages it is for, and on no other: everybody opens and presses everything.

The list of routes is the application's own. Words are put where a family writes: the card, the person
to phone, the collector. Whoever is not named here finds none of them anywhere, by any method.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import pytest
from flask import Flask
from sqlalchemy.orm import Session
from werkzeug.routing import Rule

from coordination.app import create_app
from coordination.settings import load
from coordination.web.guards import Access, guard
from coordination.web.request import SESSION_KEY
from tests.build import world as worlds
from tests.build.cards import GRANDMA_PHONE, OTHER_PHONE, let_collect, write
from tests.build.outing import DAY, FRIDAY, HOUR, Outing, outing
from tests.matrix.test_route_matrix import METHODS, ROLES, arguments, rules_of

CARD, OTHER, COLLECTOR = "MARKER7", "MARKER8", "MARKER9"
NUMBERS = {f"{n[:3]} {n[3:7]} {n[7:]}" for n in (OTHER_PHONE, GRANDMA_PHONE)} | {
    OTHER_PHONE,
    GRANDMA_PHONE,
}
WORDS = {CARD, OTHER, COLLECTOR, *NUMBERS}
# role -> "METHOD endpoint" -> what may stand there
ALLOWED = {
    "guardian": {
        "GET care.card": {CARD, OTHER},
        "GET care.write": {CARD, OTHER, OTHER_PHONE},
        "GET care.pickup": {COLLECTOR},
        "POST care.pickup": {COLLECTOR},
    },
    "teacher": {
        # names of collectors, for the gate; their numbers are masked
        "GET care.cards": {COLLECTOR},
        "POST care.open_card": {CARD, OTHER, COLLECTOR, OTHER_PHONE, "138 0013 8077"},
        "POST care.open_pickup": {COLLECTOR, GRANDMA_PHONE, "138 0013 8078"},
        "POST care.print_roster": {CARD, OTHER, COLLECTOR, "138 0013 8077", "138 0013 8078"},
    },
}
# these would take away what is to be looked for
TAKES_AWAY = {"care.withdraw", "care.end_pickup", "practice.cancel", "accounts.sign_out"}


@pytest.fixture
def stage(fresh_url: str) -> Iterator[Outing]:
    """The world on the morning of the outing, with a card, a person to phone and a collector."""
    with outing(fresh_url) as made:
        with Session(made.engine) as session:
            worlds.add_everything(session, made.world, FRIDAY)
            session.commit()
        write(made)
        let_collect(made)
        _today(made)
        yield made


def _today(stage: Outing) -> None:
    """The world's own session is on now, and everybody is still signed in."""
    stage.sql(
        "update practice_session set starts_at = now_ - interval '1 hour',"
        " ends_at = now_ + interval '3 hours', return_at = now_ + interval '4 hours'"
        " from (select cast(:now as timestamptz) as now_) n where id = :id",
        now=FRIDAY - 10 * DAY,
        id=stage.world.things["session"],
    )
    stage.sql("update account_session set expires_at = now() + interval '10 years'")


@pytest.fixture
def app(stage: Outing) -> Flask:
    from coordination.ground import clock

    clock.travel_to(FRIDAY - 10 * DAY + HOUR)
    made = create_app(load({"DATABASE_URL": stage.url, "FIELD_KEY": "a field key for tests only"}))
    made.config["WTF_CSRF_ENABLED"] = False
    return made


def walk(app: Flask, stage: Outing) -> dict[str, dict[str, set[str]]]:
    """role -> "METHOD endpoint" -> words found in the answer, its headers included."""
    found: dict[str, dict[str, set[str]]] = defaultdict(dict)
    for role in ROLES:
        for method, rule in rules_of(app):
            if rule.endpoint in TAKES_AWAY:
                continue
            for language in ("zh", "en"):
                said = _answer(app, stage, role, method, rule, language)
                words = {word for word in WORDS if word in said}
                if words:
                    found[role].setdefault(f"{method} {rule.endpoint}", set()).update(words)
    return found


def _answer(app: Flask, stage: Outing, role: str, method: str, rule: Rule, language: str) -> str:
    with app.test_request_context():
        path = rule.build(arguments(rule, stage.world), append_unknown=False)
    assert path is not None
    client = app.test_client()
    if role != "anonymous":
        with client.session_transaction() as held:
            held[SESSION_KEY] = stage.world.tokens[role]
    stage.sql("update account_session set revoked_at = null where revoked_at is not null")
    answer = client.open(path[1], method=method, query_string={"lang": language, "q": "MARKER"})
    return f"{answer.headers}\n{answer.get_data().decode(errors='replace')}"


def test_a_word_of_a_card_stands_on_no_page_but_its_own(app: Flask, stage: Outing) -> None:
    found = walk(app, stage)
    spilt = {
        (role, route): words - ALLOWED.get(role, {}).get(route, set())
        for role, routes in found.items()
        for route, words in routes.items()
    }
    assert {where: words for where, words in spilt.items() if words} == {}
    # the walk came past the places where the words are
    for role, routes in ALLOWED.items():
        for route in routes:
            assert found[role].get(route), f"{role} did not find anything at {route}"
    rows = stage.sql("select before::text, after::text from audit_entry")
    assert not [r for r in rows if any(word in str(r) for word in WORDS)]
    texts = stage.sql("select body from outbox_message")
    assert not [t for t in texts if any(word in str(t) for word in WORDS)]


def test_a_page_that_spills_is_found_out(app: Flask, stage: Outing) -> None:
    # negative control
    from coordination.domain.care.cards import opened
    from coordination.domain.care.models import HealthCard
    from coordination.web.request import database

    @app.get("/spill")
    @guard(Access.STAFF)
    def spill() -> str:
        return opened(database().query(HealthCard).one()).answer("allergies").words

    with app.test_request_context():
        (rule,) = [r for r in app.url_map.iter_rules() if r.endpoint == "spill"]
    assert CARD in _answer(app, stage, "coordinator", "GET", rule, "zh")
    assert CARD not in _answer(app, stage, "guardian_b", "GET", rule, "zh")


def test_every_method_of_the_application_is_walked() -> None:
    assert set(METHODS) == {"GET", "POST"}
