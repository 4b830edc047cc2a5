"""The outing, on a database of the test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from flask.testing import FlaskClient

from coordination.app import create_app
from coordination.settings import load
from coordination.web.request import SESSION_KEY
from tests.build.outing import Outing, outing


@pytest.fixture
def stage(fresh_url: str) -> Iterator[Outing]:
    """Two classes, their families, the coordinator and the base."""
    with outing(fresh_url) as made:
        # so that the day of the outing finds everybody signed in
        made.sql("update account_session set expires_at = '2027-06-01'")
        yield made


@pytest.fixture
def visit(stage: Outing) -> Callable[[str], FlaskClient]:
    """A browser of somebody who is signed in; CSRF is tried elsewhere."""
    app = create_app(load({"DATABASE_URL": stage.url, "FIELD_KEY": "a field key for tests only"}))
    app.config["WTF_CSRF_ENABLED"] = False

    def make(role: str) -> FlaskClient:
        client = app.test_client()
        if role in stage.world.tokens:
            with client.session_transaction() as held:
                held[SESSION_KEY] = stage.world.tokens[role]
        return client

    return make
