"""Starts and stops the product on one machine: database, web, clock and worker as one.

Nothing is decided here about what they do. A child that dies takes the rest down with it, so that
half a product never looks like a whole one.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from urllib.request import urlopen

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, func, select
from sqlalchemy.orm import Session

from coordination.domain.people.models import Organisation
from coordination.embedded import EmbeddedDatabaseError, EmbeddedPostgres
from coordination.ground import clock
from coordination.ground.text import Text
from coordination.settings import WEB_THREADS, Settings
from coordination.worker import configure

ROOT = Path(__file__).resolve().parent.parent
STOP_SECONDS = 35
READY_SECONDS = 60
_PR_SET_PDEATHSIG = 1


@contextmanager
def database(settings: Settings) -> Iterator[Settings]:
    """The settings with a migrated database; the embedded one is stopped at the end."""
    if settings.database_url:
        migrate(settings.database_url)
        yield settings
        return
    with EmbeddedPostgres(settings.instance_dir) as server:
        migrate(server.url())
        yield settings.with_database(server.url())


def migrate(url: str) -> None:
    """Bring the tables to the newest revision."""
    config = Config(str(ROOT / "migrations" / "alembic.ini"))
    config.attributes["url"] = url
    command.upgrade(config, "head")


def load_demo_if_empty(settings: Settings) -> bool:
    """Whether the demo district was loaded: only into a database without any organisation."""
    engine = create_engine(settings.database_url)
    with Session(engine) as session, session.begin():
        empty = session.scalar(select(func.count()).select_from(Organisation)) == 0
        wanted = empty and not settings.production
        if wanted:
            # only a first start pays for loading this
            from coordination.seed.demo import load_demo

            load_demo(session, clock.now())
    engine.dispose()
    return wanted


def web_command(settings: Settings) -> list[str]:
    """How the web process is started."""
    return [
        sys.executable,
        "-m",
        "granian",
        "--interface",
        "wsgi",
        "--host",
        settings.host,
        "--port",
        str(settings.port),
        "--workers",
        "1" if not settings.production else "2",
        "--blocking-threads",
        str(WEB_THREADS),
        "--backpressure",
        "64",
        "--no-ws",
        # its warnings are advice about thread counts; a failing request is an error
        "--log-level",
        "error",
        "coordination.wsgi:app",
    ]


def run_all(settings: Settings) -> int:
    """Start everything, say where it is, wait, stop everything; the exit code."""
    first = not settings.database_url and not (settings.instance_dir / "pgdata").exists()
    _say("Starting", "the first start takes about twenty seconds" if first else "a few seconds")
    stop = _stop_on_signals()
    if not _port_free(settings):
        print(
            f"Port {settings.port} on {settings.host} is in use. Stop what uses it, or set PORT to"
            " another number.",
            file=sys.stderr,
        )
        return 1
    given = bool(settings.database_url)
    _say("Database", "given by DATABASE_URL" if given else "embedded PostgreSQL")
    try:
        with database(settings) as ready:
            return _serve(ready, stop)
    except EmbeddedDatabaseError as error:
        print(error, file=sys.stderr)
        return 1


def _serve(settings: Settings, stop: threading.Event) -> int:
    configure(settings)
    if not stop.is_set() and load_demo_if_empty(settings):
        _say("Demo district", "loaded")
    children: dict[str, subprocess.Popen[bytes]] = {}
    try:
        # the page comes first: importing all three at once would make it wait
        _start(settings, children, "web")
        if _wait_until_served(settings, children, stop):
            _start(settings, children, "clock")
            _start(settings, children, "worker")
            _welcome(settings)
        return _watch(children, stop)
    finally:
        _stop(children)


def _stop_on_signals() -> threading.Event:
    stop = threading.Event()

    def note(_number: int, _frame: FrameType | None) -> None:
        # noted, not raised: an exception here is lost if it falls into a finalizer
        stop.set()

    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(sign, note)
    return stop


def _port_free(settings: Settings) -> bool:
    with socket.socket(socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError:
            return False
    return True


def _start(settings: Settings, children: dict[str, subprocess.Popen[bytes]], name: str) -> None:
    environment = {
        **os.environ,
        "DATABASE_URL": settings.database_url,
        "PUBLIC_URL": settings.public_url,
        "SECRET_KEY": settings.secret_key,
        "FIELD_KEY": settings.field_key,
        "INSTANCE_DIR": str(settings.instance_dir.resolve()),
        "PYTHONPATH": str(ROOT),
    }
    own = [sys.executable, "-m", "coordination.cli", name]
    children[name] = subprocess.Popen(
        web_command(settings) if name == "web" else own,
        env=environment,
        cwd=ROOT,
        # Ctrl-C reaches the parent alone, which stops the children in order
        start_new_session=True,
        preexec_fn=_die_with_parent,
    )


def _die_with_parent() -> None:
    # after `kill -9` of the parent nobody would stop the children
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _wait_until_served(
    settings: Settings, children: dict[str, subprocess.Popen[bytes]], stop: threading.Event
) -> bool:
    host = "127.0.0.1" if settings.host == "0.0.0.0" else settings.host  # noqa: S104 - compared
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and not stop.is_set():
        if any(child.poll() is not None for child in children.values()):
            return False
        try:
            with urlopen(f"http://{host}:{settings.port}/healthz", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            stop.wait(0.05)
    return False


def _watch(children: dict[str, subprocess.Popen[bytes]], stop: threading.Event) -> int:
    if len(children) < 3 and not stop.is_set():
        print("The web pages did not come up; the reason stands above.", file=sys.stderr)
        return 1
    while not stop.wait(0.5):
        for name, child in children.items():
            if (code := child.poll()) is not None:
                print(f"{name} stopped by itself ({code}); stopping the rest", file=sys.stderr)
                return 1
    return 0


def _stop(children: dict[str, subprocess.Popen[bytes]]) -> None:
    if not children:
        return
    _say("Stopping", "what is in hand is finished first")
    for child in children.values():
        if child.poll() is None:
            child.terminate()
    deadline = time.monotonic() + STOP_SECONDS
    for child in children.values():
        try:
            child.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.kill()


def _welcome(settings: Settings) -> None:
    data = settings.instance_dir.resolve()
    print(f"\n  家校社协同 · Coordination is ready at {settings.public_url}\n")
    if not settings.production:
        from coordination.seed.demo import demo_parents, demo_people

        print("  Sign in at /sign-in (staff and partners):")
        for login, password, role in demo_people():
            print(f"    {login:14} {password:22} {_both(role)}")
        print("  Parents sign in at /sign-in/phone; the code arrives in the simulator:")
        engine = create_engine(settings.database_url)
        with Session(engine) as session:
            for phone, what in demo_parents(session):
                print(f"    {phone.removeprefix('+86'):14} {_both(what)}")
        engine.dispose()
    if settings.sms_channel == "console" and not settings.sms_fallback:
        print(f"  No text leaves this machine: see the phones at {settings.public_url}/simulator")
    print(f"  Data: {data}   Stop: Ctrl-C\n", flush=True)


def _both(role: Text) -> str:
    return f"{role.zh} · {role.en}"


def _say(what: str, detail: str) -> None:
    print(f"· {what}: {detail}", flush=True)
