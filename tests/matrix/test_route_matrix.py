"""Every route tried by everybody, against verdicts that stand in one reviewed file.

The list of routes is the application's own; a route without a row fails. `pytest tests/matrix
--propose` writes the measured rows for review; read each letter before keeping it.

Letters: O open (the view ran), S sent to sign in, F forbidden, N not found, G too late (gone).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, update
from sqlalchemy.orm import Session
from werkzeug.routing import Rule

from coordination.app import create_app
from coordination.domain.people.models import AccountSession
from coordination.ground import clock
from coordination.settings import load
from coordination.web import guards
from coordination.web.request import SESSION_KEY
from tests.build import world as worlds

VERDICTS = Path(__file__).with_name("verdicts.txt")
ROLES = [
    "anonymous",
    "guardian",
    "guardian_b",
    "restricted",
    "former",
    "teacher",
    "teacher_b",
    "school_admin",
    "school_admin_b",
    "district_admin",
    "coordinator",
    "data_officer",
    "partner",
    "partner_b",
    "volunteer",
]
METHODS = ("GET", "POST")

ARGUMENTS = {
    "notice_id": "notice",
    "resource_id": "resource",
    "booking_id": "booking",
    "activity_id": "activity",
    "session_id": "session",
    "enrolment_id": "enrolment",
    "need_id": "need",
    "objection_id": "objection",
    "shift_id": "need",
    "request_id": "request",
    "class_id": "class_a",
    "batch_id": "batch",
    "entry_id": "entry",
    "asked_id": "asked",
    "source_id": "source",
    "school_id": "school_a",
    "turn_id": "turn",
    "correction_id": "correction",
    "line_id": "line",
    "org_id": "partner_p",
}


# what some routes work with instead
OTHERWISE = {
    "communication.add_files": {"notice_id": "draft"},
    "communication.check_files": {"notice_id": "draft"},
    "communication.discard_files": {"notice_id": "draft_left"},
    "communication.remove_file": {"notice_id": "draft"},
    "family.prove_phone": {"correction_id": "correction_phone"},
    "family.send_phone_code": {"correction_id": "correction_phone"},
    "family.withdraw_correction": {"correction_id": "correction_left"},
    "people.discard_year": {"turn_id": "turn_left"},
}
_ANY = {"IntegerConverter": 1, "UUIDConverter": UUID(int=1)}


def arguments(rule: Rule, world: worlds.World) -> dict[str, object]:
    """Values for a rule's parts that point at our own things; unknown parts get a value that is none."""
    values: dict[str, object] = {}
    known = {**ARGUMENTS, **OTHERWISE.get(rule.endpoint, {})}
    for name in rule.arguments - set(rule.defaults or {}):
        if name in known:
            values[name] = world.things[known[name]]
        elif name == "child_id":
            values[name] = world.people["child"]
        elif name == "person_id":
            values[name] = world.people["guardian"]
        elif name == "code":
            kind = "notice" if rule.endpoint.startswith("communication.") else "consent"
            values[name] = worlds.CODE[kind]
        elif name == "number":
            values[name] = worlds.NUMBER
        elif name == "message":
            values[name] = "notice"
        elif name == "language":
            values[name] = "zh"
        elif name == "filename":
            values[name] = "css/kit.css"
        else:
            kind = type(rule._converters[name]).__name__
            values[name] = _ANY.get(kind, "none")
    return values


def verdict(status: int, location: str) -> str:
    """The letter of an answer."""
    if status in (302, 303) and "/sign-in" in location:
        return "S"
    return {403: "F", 401: "F", 404: "N", 410: "G", 429: "T"}.get(
        status, "O" if status < 500 else "!"
    )


def rules_of(app: Flask) -> list[tuple[str, Rule]]:
    """(method, rule) of every route, in a stable order."""
    return sorted(
        (
            (method, rule)
            for rule in app.url_map.iter_rules()
            for method in METHODS
            if method in (rule.methods or ())
        ),
        key=lambda pair: (pair[1].endpoint, pair[1].rule, pair[0]),
    )


def measure(app: Flask, engine: Engine) -> dict[str, str]:
    """A row per route: the letters of all roles."""
    with Session(engine) as session:
        world = worlds.build(session, clock.now())
        worlds.add_everything(session, world, clock.now())
        session.commit()
    rows: dict[str, str] = {}
    for method, rule in rules_of(app):
        with app.test_request_context():
            path = rule.build(arguments(rule, world), append_unknown=False)
        assert path is not None, rule
        letters = []
        for role in ROLES:
            client: FlaskClient = app.test_client()
            if role != "anonymous":
                with client.session_transaction() as held:
                    held[SESSION_KEY] = world.tokens[role]
            with engine.begin() as connection:
                # an earlier route may have signed this very person out
                connection.execute(update(AccountSession).values(revoked_at=None))
            with client:
                answer = client.open(path[1], method=method)
            letters.append(verdict(answer.status_code, answer.headers.get("Location", "")))
        rows[f"{method:4} {rule.endpoint} {rule.rule}"] = " ".join(letters)
    return rows


def reviewed() -> dict[str, str]:
    """The verdicts of the file."""
    rows = {}
    for line in VERDICTS.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            route, _, letters = line.partition("|")
            rows[route.strip()] = letters.strip()
    return rows


@pytest.fixture(scope="module")
def app(pg_url: str) -> Iterator[Flask]:
    """The application in development mode on a migrated, empty database; CSRF is tried elsewhere."""
    made = create_app(load({"DATABASE_URL": pg_url}))
    made.config["WTF_CSRF_ENABLED"] = False
    yield made


@pytest.fixture(scope="module")
def measured(app: Flask, engine: Engine, request: pytest.FixtureRequest) -> dict[str, str]:
    """Measured once: it is every route times every role."""
    rows = measure(app, engine)
    if request.config.getoption("--propose"):
        # not as wide as the longest: a new route would move every other line
        lines = [f"{route:73} | {letters}" for route, letters in rows.items()]
        head = [
            "# Who gets what. O open, S sent to sign in, F forbidden, N not found, G gone.",
            "# " + " ".join(ROLES),
            "",
        ]
        VERDICTS.write_text("\n".join([*head, *lines]) + "\n", encoding="utf-8")
    return rows


def test_every_route_has_a_reviewed_row(measured: dict[str, str]) -> None:
    known = set(reviewed())
    assert {k.strip() for k in measured} - known == set(), "routes without a row"
    assert known - {k.strip() for k in measured} == set(), "rows without a route"


def test_every_route_answers_every_role_as_reviewed(measured: dict[str, str]) -> None:
    expected = reviewed()
    wrong = {
        route: (letters, expected.get(route.strip()))
        for route, letters in measured.items()
        if letters != expected.get(route.strip())
    }
    assert wrong == {}


def test_no_route_fails(measured: dict[str, str]) -> None:
    assert [route for route, letters in measured.items() if "!" in letters] == []


def test_the_matrix_goes_red_when_the_guards_are_off(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    # negative control: without the guard an anonymous visitor would get further
    monkeypatch.setattr(guards, "admits", lambda access, actor: True)
    answer = app.test_client().get("/calendars")
    assert verdict(answer.status_code, answer.headers.get("Location", "")) != "S"
