"""`coordination backup`: the whole database as one encrypted file.

An age file (see `age`); inside, the first line is the manifest as JSON and all after it what `pg_dump`
wrote. So it opens without us too: `age -d FILE | tail -n +2 | pg_restore ...`. Nothing is ever whole in
memory, and under its name stands only a file that was read back to its end.

Not in it: who is signed in, sign-in codes, counters of tries, what the job engine was about to do. And,
unless asked for, neither of the two keys: without FIELD_KEY no phone number in it can be read.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

import psycopg
from alembic.config import Config
from alembic.script import ScriptDirectory
from psycopg import sql

from coordination.embedded import EmbeddedDatabaseError, EmbeddedPostgres
from coordination.ground import clock, crypto
from coordination.keeping import age
from coordination.keeping.errors import BackupError
from coordination.keeping.programs import Tools, connection, tools_for
from coordination.settings import Settings
from notifications.jobs import libpq_dsn

ROOT = Path(__file__).resolve().parents[2]
FORMAT = 1
SHORTEST_PASSPHRASE = 12
_LONGEST_MANIFEST = 1 << 20
_READ = 1 << 18
# worth nothing once restored, and better gone: a session that was ended since would be open again
LEFT_OUT = (
    *("account_session", "one_time_code", "throttle", "delivery_circuit", "clock_tick"),
    *("procrastinate_jobs", "procrastinate_events", "procrastinate_periodic_defers"),
    "procrastinate_workers",
)


@dataclass(frozen=True, slots=True)
class Manifest:
    """The first line of a backup: what it is, and what must be there again after a restore."""

    format: int
    made_at: str
    version: str
    revision: str
    # major version of the pg_dump that wrote it
    dump: int
    # by which FIELD_KEY is recognised, not the key
    field_key: str
    upto: int
    rows: dict[str, int]
    # SECRET_KEY and FIELD_KEY, if the operator wanted them in the file
    keys: dict[str, str] | None = None

    @property
    def taken_at(self) -> datetime:
        """When it was made."""
        return datetime.fromisoformat(self.made_at)

    @property
    def total(self) -> int:
        """Rows of all tables."""
        return sum(self.rows.values())


@contextmanager
def server_of(settings: Settings) -> Iterator[str]:
    """The address of the database as it is, not migrated: the given one, or the embedded one."""
    if settings.database_url:
        yield settings.database_url
        return
    try:
        with EmbeddedPostgres(settings.instance_dir) as server:
            yield server.url()
    except EmbeddedDatabaseError as error:
        raise BackupError(str(error)) from error


def refuse_poor_passphrase(passphrase: str) -> None:
    """The file may lie about for years: it is worth what its passphrase is worth."""
    if len(passphrase) < SHORTEST_PASSPHRASE:
        raise BackupError(
            f"The passphrase has fewer than {SHORTEST_PASSPHRASE} characters; whoever finds the file"
            " could guess it. Make one with: openssl rand -base64 24"
        )


def make(settings: Settings, path: Path, passphrase: str, *, with_keys: bool = False) -> Manifest:
    """Write a backup to `path`, which must not exist; nothing stands there unless all went well."""
    refuse_poor_passphrase(passphrase)
    if path.exists():
        raise BackupError(f"{path} exists and is not overwritten. Name another file, or remove it.")
    if not path.parent.is_dir():
        raise BackupError(f"The folder {path.parent} does not exist. Make it, or name another.")
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with server_of(settings) as url:
            manifest = _write(settings, url, partial, passphrase, with_keys=with_keys)
        _read_back(partial, passphrase, manifest)
        try:
            # a link and not a rename: of two at once, neither may replace the other's
            os.link(partial, path)
        except FileExistsError:
            raise BackupError(f"{path} was written by another backup meanwhile.") from None
    except OSError as error:
        raise BackupError(
            f"{path} could not be written: {error.strerror}. Free some space, or name a folder that"
            " may be written to."
        ) from error
    finally:
        with suppress(OSError):
            partial.unlink()
    _sync_folder(path.parent)
    return manifest


def _write(
    settings: Settings, url: str, path: Path, passphrase: str, *, with_keys: bool
) -> Manifest:
    try:
        with psycopg.connect(libpq_dsn(url), connect_timeout=10) as held:
            # counted and dumped in one snapshot, so that the restore can compare
            held.isolation_level, held.read_only = psycopg.IsolationLevel.REPEATABLE_READ, True
            tools = tools_for(held.info.server_version // 10000)
            manifest = _describe(settings, held, tools, with_keys=with_keys)
            snapshot = _one(held.execute("select pg_export_snapshot()").fetchone())
            with os.fdopen(
                os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb"
            ) as file:
                sealed = age.Writer(file, passphrase)
                sealed.write(json.dumps(asdict(manifest), ensure_ascii=True).encode() + b"\n")
                _dump(url, tools, snapshot, sealed)
                sealed.finish()
                file.flush()
                os.fsync(file.fileno())
    except psycopg.OperationalError as error:
        raise BackupError(
            f"The database does not answer ({type(error).__name__}). Check DATABASE_URL, or unset it"
            " for the embedded one."
        ) from error
    return manifest


def _describe(
    settings: Settings, held: psycopg.Connection[Any], tools: Tools, *, with_keys: bool
) -> Manifest:
    revision = revision_of(held)
    if revision != newest_revision():
        raise BackupError(
            f"The tables are at revision {revision or 'none'}, this program is at"
            f" {newest_revision()}. Run `alembic -c migrations/alembic.ini upgrade head` first, or"
            " make the backup with the version that the tables belong to."
        )
    crypto.use_key(settings.field_key)
    upto = _one(held.execute("select coalesce(max(id), 0) from outbox_message").fetchone())
    return Manifest(
        format=FORMAT,
        made_at=clock.now().isoformat(),
        version=product_version(),
        revision=revision,
        dump=tools.major,
        field_key=crypto.fingerprint(),
        upto=int(upto),
        rows=count_rows(held),
        keys={"SECRET_KEY": settings.secret_key, "FIELD_KEY": settings.field_key}
        if with_keys
        else None,
    )


def _dump(url: str, tools: Tools, snapshot: str, into: age.Writer) -> None:
    place, environment = connection(url)
    command = [
        tools["pg_dump"],
        "--format=custom",
        "--compress=6",
        "--no-owner",
        "--no-privileges",
        "--no-password",
        "--lock-wait-timeout=60s",
        f"--snapshot={snapshot}",
        *(f"--exclude-table-data=public.{name}" for name in LEFT_OUT),
        f"--dbname={place}",
    ]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    ) as running:
        said = Said(running.stderr)
        assert running.stdout is not None
        try:
            while data := running.stdout.read(_READ):
                into.write(data)
        except BaseException:
            running.kill()
            raise
    if running.returncode != 0:
        raise BackupError(f"pg_dump failed: {said.first()}")


def _read_back(path: Path, passphrase: str, written: Manifest) -> None:
    """The disk may have kept something else than what was written."""
    with path.open("rb") as file:
        manifest, chunks = opened(file, passphrase)
        try:
            for _ in chunks:
                pass
        except age.Damaged:
            manifest = None
    if manifest != written:
        raise BackupError("The file does not read back as it was written. Check the disk.")


def opened(file: IO[bytes], passphrase: str) -> tuple[Manifest | None, Iterator[bytes]]:
    """The manifest, None if there is none of ours, and the rest, which is proven only at its end."""
    chunks = age.read(file, passphrase)  # type: ignore[arg-type]
    first = next(chunks)
    while b"\n" not in first and len(first) < _LONGEST_MANIFEST:
        try:
            first += next(chunks)
        except StopIteration:
            return None, iter(())
    line, _, rest = first.partition(b"\n")
    try:
        manifest = Manifest(**json.loads(line))
    except (ValueError, TypeError):
        return None, iter(())

    def following() -> Iterator[bytes]:
        yield rest
        yield from chunks

    return manifest, following()


class Said:
    """What a program complains about, read beside it so that it never waits for us."""

    def __init__(self, pipe: IO[bytes] | None) -> None:
        self._text = b""
        self._reader = threading.Thread(target=self._read, args=(pipe,), daemon=True)
        self._reader.start()

    def _read(self, pipe: IO[bytes] | None) -> None:
        if pipe is not None:
            for line in pipe:
                self._text = (self._text + line)[:20_000]

    def first(self) -> str:
        """Its first complaint: what follows may quote rows."""
        self._reader.join(5)
        lines = self._text.decode("utf-8", "replace").splitlines()
        return next((line for line in lines if "rror" in line), "it did not say why")


def count_rows(held: psycopg.Connection[Any]) -> dict[str, int]:
    """Rows of every table whose rows are in a backup."""
    names = held.execute(
        "select relname from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace"
        " and relname <> all(%s) order by relname",
        [list(LEFT_OUT)],
    ).fetchall()
    counted = {}
    for (name,) in names:
        count = sql.SQL("select count(*) from public.{}").format(sql.Identifier(name))
        counted[name] = int(_one(held.execute(count).fetchone()))
    return counted


def revision_of(held: psycopg.Connection[Any]) -> str:
    """At which revision the tables are; empty if there are none."""
    there = _one(held.execute("select to_regclass('public.alembic_version')").fetchone())
    found = held.execute("select version_num from alembic_version").fetchone() if there else None
    return str(found[0]) if found else ""


def revisions() -> ScriptDirectory:
    """The revisions that this program knows."""
    config = Config()
    config.set_main_option("script_location", str(ROOT / "migrations"))
    return ScriptDirectory.from_config(config)


def newest_revision() -> str:
    """The revision of the tables that this program works on."""
    return revisions().get_current_head() or ""


def product_version() -> str:
    """The version of this program, for whoever has to find it again."""
    try:
        with (ROOT / "pyproject.toml").open("rb") as file:
            return str(tomllib.load(file)["project"]["version"])
    except OSError:  # installed from a wheel
        return version("coordination")


def _one(row: tuple[Any, ...] | None) -> Any:
    assert row is not None
    return row[0]


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
