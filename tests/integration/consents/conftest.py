"""The outing, on a database of the test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient

from coordination.app import create_app
from coordination.settings import load
from coordination.web.request import SESSION_KEY
from tests.build.outing import Outing, outing


@pytest.fixture
def stage(fresh_url: str) -> Iterator[Outing]:
    """Two classes, their families, the coordinator and the base."""
    with outing(fresh_url) as made:
        yield made


@pytest.fixture
def app(stage: Outing) -> Flask:
    """The application on the stage's database; CSRF is tried elsewhere."""
    made = create_app(load({"DATABASE_URL": stage.url, "FIELD_KEY": "a field key for tests only"}))
    made.config["WTF_CSRF_ENABLED"] = False
    return made


@pytest.fixture
def visit(app: Flask, stage: Outing) -> Callable[[str], FlaskClient]:
    """A browser of somebody who is signed in."""

    def make(role: str) -> FlaskClient:
        client = app.test_client()
        with client.session_transaction() as held:
            held[SESSION_KEY] = stage.world.tokens[role]
        return client

    return make
