"""What every test stands on: a real PostgreSQL, migrated once and cloned, and no network.

`TEST_DATABASE_URL` names a server that may create databases; without it the embedded one is started
in a temporary folder, as root or not.
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, create_engine, make_url, text
from sqlalchemy.orm import Session

from coordination.embedded import EmbeddedPostgres
from coordination.ground import clock, crypto
from coordination.reactions import notices
from coordination.settings import sqlalchemy_url
from coordination.web.feed_notes import FetchNotes
from notifications import clock as delivery_clock

ROOT = Path(__file__).resolve().parent.parent
_number = count(1)
ROOM = 4 * 1024**3


def _own_process() -> None:
    crypto.use_key("a field key for tests only")
    clock.travel_to(None)
    delivery_clock.read_from(clock.now)
    notices.use_route("http://127.0.0.1:8000", links_allowed=False)


@pytest.fixture(autouse=True, scope="session")
def _process_is_set() -> None:
    """Before anything else, for fixtures that live longer than a test."""
    _own_process()


@pytest.fixture(autouse=True)
def _process_is_given_back() -> Iterator[None]:
    """Key, clock and route belong to the process; a test may set its own.

    The route is that of the site the module serves, if it serves one.
    """
    route = notices.route()
    yield
    _note_fetches_now()
    _own_process()
    notices.use_route(route.public_url, links_allowed=route.links_allowed)


def _note_fetches_now() -> None:
    """Else a timer writes while another test counts what is sent, maybe to a database that is gone."""
    for timer in threading.enumerate():
        if isinstance(timer, threading.Timer):
            notes = getattr(timer.function, "__self__", None)
            if isinstance(notes, FetchNotes):
                timer.cancel()
                notes.write()


@pytest.fixture(autouse=True, scope="session")
def _no_network() -> Iterator[None]:
    """A test that reaches beyond this machine is a bug."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        host = address[0] if isinstance(address, tuple) else ""
        if self.family in (socket.AF_INET, socket.AF_INET6) and not (
            str(host).startswith("127.") or host in ("localhost", "::1")
        ):
            raise OSError(f"tests may not connect to {host}")
        connect(self, address)

    socket.socket.connect = guarded  # type: ignore[method-assign]
    yield
    socket.socket.connect = connect  # type: ignore[method-assign]


def _in_memory() -> Path | None:
    """A folder in memory, if this machine has room there: a new database costs a third of the time."""
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > ROOM
    return memory if roomy and os.access(memory, os.W_OK) else None


@pytest.fixture(scope="session")
def pg_server() -> Iterator[str]:
    """URL of a database on a server that may create others."""
    given = os.environ.get("TEST_DATABASE_URL")
    if given:
        yield sqlalchemy_url(given)
        return
    # not below pytest's own folder: that is closed to the account the server has under root
    folder = Path(tempfile.mkdtemp(prefix="coordination-pg-", dir=_in_memory()))
    try:
        with EmbeddedPostgres(folder, durable=False) as server:
            yield server.url("postgres")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(server: str, statement: str) -> None:
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()


@pytest.fixture(scope="session")
def pg_template(pg_server: str) -> Iterator[str]:
    """Name of a migrated, empty database that is only ever copied."""
    name = f"template_{os.getpid()}"
    _run(pg_server, f"create database {name}")
    config = Config(str(ROOT / "migrations" / "alembic.ini"))
    config.attributes["url"] = make_url(pg_server).set(database=name).render_as_string(False)
    command.upgrade(config, "head")
    yield name
    _run(pg_server, f"drop database if exists {name} with (force)")


@contextmanager
def _copy(server: str, template: str) -> Iterator[str]:
    """URL of a copy of the template, gone when it is no longer used.

    One takes 12 MB: a whole run that kept them would fill a small disk.
    """
    name = f"test_{os.getpid()}_{next(_number)}"
    _run(server, f"create database {name} template {template} strategy file_copy")
    yield make_url(server).set(database=name).render_as_string(False)
    _run(server, f"drop database if exists {name} with (force)")


@pytest.fixture
def new_database(pg_server: str, pg_template: str) -> Iterator[Callable[[], str]]:
    """Makes a migrated, empty database and returns its URL, as often as this test asks."""
    with ExitStack() as made:
        yield lambda: made.enter_context(_copy(pg_server, pg_template))


@pytest.fixture(scope="module")
def pg_url(pg_server: str, pg_template: str) -> Iterator[str]:
    """A migrated, empty database for this module."""
    with _copy(pg_server, pg_template) as url:
        yield url


@pytest.fixture
def fresh_url(pg_server: str, pg_template: str) -> Iterator[str]:
    """A migrated, empty database for one test that commits."""
    with _copy(pg_server, pg_template) as url:
        yield url


@pytest.fixture(scope="module")
def engine(pg_url: str) -> Iterator[Engine]:
    """An engine on the module's database."""
    made = create_engine(pg_url)
    yield made
    made.dispose()


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    """A session whose commits are savepoints: everything is rolled back after the test."""
    with engine.connect() as connection:
        outer = connection.begin()
        with Session(bind=connection, join_transaction_mode="create_savepoint") as made:
            yield made
        outer.rollback()
