"""A real PostgreSQL database with the library's own tables, empty before each test."""

from __future__ import annotations

import os
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
def library_url(pg_server: str) -> Iterator[URL]:
    """A database without the product's tables: the library needs none of them."""
    server = make_url(pg_server)
    name = f"notifications_{os.getpid()}"
    admin = create_engine(server, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"drop database if exists {name} with (force)"))
        connection.execute(text(f"create database {name}"))
    yield server.set(database=name)
    with admin.connect() as connection:
        connection.execute(text(f"drop database if exists {name} with (force)"))
    admin.dispose()


@pytest.fixture(scope="session")
def migrated(library_url: URL) -> Iterator[Engine]:
    engine = create_engine(library_url, pool_size=20, max_overflow=20)
    metadata.create_all(engine)
    with engine.begin() as connection:
        # by cursor and without parameters: the schema holds percent signs
        connection.connection.cursor().execute(procrastinate_schema_sql())
    yield engine
    engine.dispose()


@pytest.fixture
def engine(migrated: Engine) -> Engine:
    names = ", ".join(table.name for table in metadata.sorted_tables)
    with migrated.begin() as connection:
        connection.execute(text(f"truncate {names}, procrastinate_jobs cascade"))
    return migrated


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
