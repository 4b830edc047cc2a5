"""The embedded PostgreSQL survives what happens to a machine: kills, remains, two at once."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from coordination.embedded import EmbeddedDatabaseError, EmbeddedPostgres


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="coordination-pg-"))
    yield made / "instance"
    shutil.rmtree(made, ignore_errors=True)


def ask(server: EmbeddedPostgres, statement: str) -> object:
    url = server.url().replace("+psycopg", "")
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        row = cursor.fetchone() if cursor.description else None
    return row[0] if row else None


def forget(server: EmbeddedPostgres) -> None:
    """What `kill -9` of the holder does to its locks."""
    assert server._held is not None
    server._held.close()
    server._held = None


def postmaster(server: EmbeddedPostgres) -> int:
    pid = server._running_pid()
    assert pid is not None
    return pid


def test_data_outlives_a_stop_and_a_killed_holder_and_a_killed_server(folder: Path) -> None:
    server = EmbeddedPostgres(folder, durable=False).start()
    try:
        ask(server, "create table kept as select 42 as answer")
        server.stop()
        assert server._our_processes() == []

        server.start()
        alive = postmaster(server)
        forget(server)
        server.start()
        assert postmaster(server) == alive, "the orphaned server was not adopted"

        os.kill(alive, signal.SIGKILL)
        forget(server)
        server.start()
        assert ask(server, "select answer from kept") == 42
    finally:
        server.stop()
    assert server._our_processes() == []


def test_a_number_that_now_belongs_to_something_else_is_not_taken_for_the_server(
    folder: Path,
) -> None:
    server = EmbeddedPostgres(folder, durable=False).start()
    for pid in server._our_processes():
        # a child of the server may end by itself once its parent is gone
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    forget(server)
    remembered = folder / "pgdata" / "postmaster.pid"
    lines = remembered.read_text().splitlines()
    remembered.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
    with server:
        assert ask(server, "select 1") == 1
        assert postmaster(server) != os.getpid()


def test_the_last_holder_stops_the_server(folder: Path) -> None:
    first = EmbeddedPostgres(folder, durable=False).start()
    second = EmbeddedPostgres(folder, durable=False).start()
    first.stop()
    assert ask(second, "select 1") == 1
    second.stop()
    assert second._our_processes() == []


def test_a_first_start_that_was_cut_off_is_begun_again(folder: Path) -> None:
    (folder / "pgdata").mkdir(parents=True)
    (folder / "pgdata" / "half").write_text("made")
    with EmbeddedPostgres(folder, durable=False) as server:
        assert ask(server, "select 1") == 1


def test_it_listens_on_no_network_and_only_for_its_owner(folder: Path) -> None:
    with EmbeddedPostgres(folder, durable=False) as server:
        assert ask(server, "show listen_addresses") == ""
        assert server.socket_folder.stat().st_mode & 0o077 == 0
        assert (folder / "pgdata").stat().st_mode & 0o077 == 0


def test_a_long_path_still_has_a_socket(folder: Path) -> None:
    deep = folder / ("a-long-name-" * 4) / ("b-long-name-" * 4)
    deep.mkdir(parents=True)
    with EmbeddedPostgres(deep, durable=False) as server:
        assert ask(server, "select 1") == 1
    server.socket_folder.rmdir()


def test_a_second_start_is_quick(folder: Path) -> None:
    EmbeddedPostgres(folder, durable=False).start().stop()
    begun = time.monotonic()
    with EmbeddedPostgres(folder, durable=False):
        assert time.monotonic() - begun < 3


def test_a_socket_folder_of_somebody_else_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.mkdir()
    stranger = folder / "stranger"
    stranger.symlink_to(folder)
    monkeypatch.setattr(EmbeddedPostgres, "socket_folder", property(lambda _self: stranger))
    with pytest.raises(EmbeddedDatabaseError, match="belongs to somebody else"):
        EmbeddedPostgres(folder, durable=False).start()
