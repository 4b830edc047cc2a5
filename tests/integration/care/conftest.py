"""An outing of class 3(2) on Friday, with cards to be written; the clock is moved by the tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from flask.testing import FlaskClient

from coordination.app import create_app
from coordination.settings import load
from coordination.web.request import SESSION_KEY
from tests.build.outing import FRIDAY, HOUR, Outing, outing

FIELD_KEY = "a field key for tests only"


@pytest.fixture
def stage(fresh_url: str) -> Iterator[Outing]:
    """Two classes, their families, the coordinator and the base."""
    with outing(fresh_url) as made:
        yield made


@pytest.fixture
def trip(stage: Outing) -> int:
    """A session on Friday in which class 3(2) goes."""
    session_id = stage.plan(FRIDAY, ends_at=FRIDAY + 7 * HOUR, return_at=FRIDAY + 8 * HOUR)
    stage.enrol(session_id)
    return session_id


@pytest.fixture
def visit(stage: Outing) -> Callable[[str], FlaskClient]:
    """A browser of somebody who is signed in; CSRF is tried elsewhere."""
    app = create_app(load({"DATABASE_URL": stage.url, "FIELD_KEY": FIELD_KEY}))
    app.config["WTF_CSRF_ENABLED"] = False

    def make(role: str) -> FlaskClient:
        # the clock is moved by weeks; nobody should be signed out by that
        stage.sql("update account_session set expires_at = now() + interval '10 years'")
        client = app.test_client()
        with client.session_transaction() as held:
            held[SESSION_KEY] = stage.world.tokens[role]
        return client

    return make
