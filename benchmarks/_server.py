"""A throw-away PostgreSQL with migrated databases for the benchmarks."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import create_engine, make_url, text

from coordination.embedded import EmbeddedPostgres
from coordination.ground import crypto
from coordination.supervisor import migrate

FIELD_KEY = "a field key for benchmarks only"
_TEMPLATE = "bench_template"


class Server:
    """Makes databases; each is a copy of one that was migrated once."""

    def __init__(self, embedded: EmbeddedPostgres) -> None:
        self._embedded = embedded
        self._admin = create_engine(embedded.url("postgres"), isolation_level="AUTOCOMMIT")
        self._do(f"create database {_TEMPLATE}")
        migrate(self.url(_TEMPLATE))

    @property
    def pid(self) -> int:
        """The server's first process, whose children are the backends."""
        return int((self._embedded.data / "postmaster.pid").read_text().split()[0])

    def url(self, name: str) -> str:
        """Where a database is."""
        return (
            make_url(self._embedded.url("postgres"))
            .set(database=name)
            .render_as_string(hide_password=False)
        )

    def database(self, name: str, of: str = _TEMPLATE) -> str:
        """A new database, a copy of `of`; its URL."""
        self._do(f"create database {name} template {of}")
        return self.url(name)

    def drop(self, name: str) -> None:
        """Throw a database away."""
        self._do(f"drop database {name} with (force)")

    def _do(self, statement: str) -> None:
        with self._admin.connect() as connection:
            connection.execute(text(statement))


@contextmanager
def server(*, durable: bool = False) -> Iterator[Server]:
    """A server for as long as the block runs; `durable` keeps its commits on the disk."""
    crypto.use_key(FIELD_KEY)
    # not in a home folder: the account that the server has under root must reach it
    folder = Path(tempfile.mkdtemp(prefix="bench-pg-"))
    try:
        with EmbeddedPostgres(folder, durable=durable) as embedded:
            yield Server(embedded)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
