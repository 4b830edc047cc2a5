"""`coordination restore`: a backup becomes the database again, wholly or not at all.

The file is read to its end before anything is touched. What is replaced, what is restored and what must
hold from the first moment on (nothing is sent again) is one transaction; if it fails, the database is as
it was. Then it is migrated and looked at.
"""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any, LiteralString

import psycopg
from psycopg import sql
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from coordination.domain.people import contacts
from coordination.ground import clock, crypto
from coordination.keeping import age, backup
from coordination.keeping.backup import FORMAT, Manifest, Said, server_of
from coordination.keeping.errors import BackupError
from coordination.keeping.going_on import Decision, to_decide
from coordination.keeping.programs import Tools, connection, tools_for
from coordination.settings import Settings
from coordination.supervisor import migrate
from notifications import holding
from notifications.jobs import libpq_dsn

_READ = 1 << 18
# a newer pg_restore says this to any server; older ones do not know the setting and refuse
_UNKNOWN_TO_OLD = b"SET transaction_timeout = 0;\n"
_KNOWS_TIMEOUT = 17


@dataclass(frozen=True, slots=True)
class Restored:
    """What is there again."""

    manifest: Manifest
    people: int
    # whether a phone number could be read; None if there is none
    phone_read: bool | None
    decision: Decision


def examine(path: Path, passphrase: str) -> Manifest:
    """What a backup is, after it was read to its end; BackupError says what is wrong with it."""
    try:
        with path.open("rb") as file:
            manifest, chunks = backup.opened(file, passphrase)
            for _ in chunks:
                pass
    except OSError as error:
        raise BackupError(f"{path} cannot be read: {error.strerror}.") from error
    except age.NotAge as error:
        raise BackupError(
            f"{path} is no backup: it is not encrypted with a passphrase in the age format."
        ) from error
    except age.WrongPassphrase as error:
        raise BackupError(
            "The passphrase does not open this file. Use the one that it was made with; without it"
            " nobody can read the file."
        ) from error
    except age.Damaged as error:
        raise BackupError(
            f"{path} was changed, or a part of it is missing ({error}). Nothing was restored; fetch"
            " the file again, or take an older one."
        ) from error
    if manifest is None:
        raise BackupError(f"{path} is an age file, but no backup of this product.")
    if manifest.format > FORMAT:
        raise BackupError(_newer(manifest))
    return manifest


def restore(settings: Settings, path: Path, passphrase: str, *, replace: bool = False) -> Restored:
    """Put a backup into the database of these settings; `replace` drops what is there."""
    manifest = examine(path, passphrase)
    _refuse_unfit(manifest, settings)
    with server_of(settings) as url:
        try:
            with psycopg.connect(libpq_dsn(url), connect_timeout=10) as held:
                server = held.info.server_version // 10000
                filled = _refuse_taken(held, replace=replace)
        except psycopg.OperationalError as error:
            raise BackupError(
                f"The database does not answer ({type(error).__name__}). Check DATABASE_URL, or unset"
                " it for the embedded one."
            ) from error
        tools = tools_for(server, manifest.dump)
        since = clock.now()
        _load(url, tools, server, path, passphrase, manifest, since, filled=filled)
        _compare(url, manifest)
        migrate(url)
        return _look(url, manifest)


def write_keys(path: Path, passphrase: str, into: Path) -> None:
    """Write the keys that a backup holds to a file that only its owner may read."""
    keys = examine(path, passphrase).keys
    if keys is None:
        raise BackupError(
            f"{path} holds no keys: it was made without --with-keys. They stand in the environment of"
            " the machine that was backed up, or in INSTANCE_DIR/keys."
        )
    try:
        with os.fdopen(os.open(into, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.writelines(f"{name}={value}\n" for name, value in keys.items())
    except OSError as error:
        raise BackupError(f"{into} could not be written: {error.strerror}.") from error


def _newer(manifest: Manifest) -> str:
    return (
        f"The backup was made by a newer version ({manifest.version}, tables at"
        f" {manifest.revision}) than this program (tables at {backup.newest_revision()}). Update the"
        " program, then restore."
    )


def _refuse_unfit(manifest: Manifest, settings: Settings) -> None:
    known = {revision.revision for revision in backup.revisions().walk_revisions()}
    if manifest.revision not in known:
        raise BackupError(_newer(manifest))
    crypto.use_key(settings.field_key)
    if crypto.fingerprint() != manifest.field_key:
        has = (
            "The file holds the right one: `coordination restore FILE --write-keys KEYFILE` writes it"
            " down; set it and try again."
            if manifest.keys
            else "Set the FIELD_KEY of the machine that was backed up (INSTANCE_DIR/keys, if it was"
            " never set); the file does not hold it."
        )
        raise BackupError(
            "FIELD_KEY is not the one that the backup was made with: no phone number, e-mail address"
            f" or child's file in it could be read. {has}"
        )


def _refuse_taken(held: psycopg.Connection[Any], *, replace: bool) -> bool:
    """Refuse a database that is in use, or that has something in it; whether there are tables."""
    others = held.execute(
        "select count(*) from pg_stat_activity where datname = current_database()"
        " and pid <> pg_backend_pid() and backend_type = 'client backend'"
    ).fetchone()
    if others is not None and others[0]:
        raise BackupError(
            f"{others[0]} other connections use this database. Stop web, worker and clock on every"
            " machine (or `coordination run`), then restore."
        )
    tables = held.execute(
        "select count(*) from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace"
    ).fetchone()
    filled = bool(tables and tables[0])
    if filled and not replace:
        people = held.execute("select to_regclass('public.person')").fetchone()
        if people is None or people[0] is None:
            raise BackupError(
                "The database holds tables that are not ours. Name another one in DATABASE_URL, or"
                " add --replace: everything in it is dropped then."
            )
        rows = held.execute(sql.SQL("select count(*) from person")).fetchone()
        if rows and rows[0]:
            raise BackupError(
                f"The database is not empty: it holds {rows[0]} people. Name an empty one in"
                " DATABASE_URL, or add --replace: everything in it is dropped then."
            )
    return filled


def _load(
    url: str,
    tools: Tools,
    server: int,
    path: Path,
    passphrase: str,
    manifest: Manifest,
    since: datetime,
    *,
    filled: bool,
) -> None:
    place, environment = connection(url)
    psql = [tools["psql"], "-X", "-q", "--no-password", "-v", "ON_ERROR_STOP=1"]
    # terse: the rest of an error may quote a row
    psql += ["-v", "VERBOSITY=terse", "-f", "-", f"--dbname={place}"]
    with (
        subprocess.Popen(
            psql,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environment,
        ) as into,
        subprocess.Popen(
            [tools["pg_restore"], "--no-owner", "--no-privileges", "-f", "-"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
        ) as reading,
    ):
        complaints = Said(into.stderr), Said(reading.stderr)
        assert into.stdin is not None
        assert reading.stdout is not None
        feeder = _Feeder(path, passphrase, reading.stdin)
        try:
            into.stdin.write(b"begin;\n")
            if filled:
                into.stdin.write(b"drop schema public cascade;\ncreate schema public;\n")
            for data in _script(reading.stdout, server):
                into.stdin.write(data)
            feeder.join()
            if reading.wait() == 0 and feeder.failed is None:
                # whatever was half written is rolled back, for only here is it committed
                into.stdin.write(_from_the_first_moment(manifest, since))
            into.stdin.close()
        except BrokenPipeError:
            pass  # psql has ended and has said why
        finally:
            with suppress(OSError):
                reading.kill()
            feeder.join()
        into.wait()
    if into.returncode != 0 or reading.returncode not in {0} or feeder.failed is not None:
        said = complaints[0].first() if into.returncode else complaints[1].first()
        raise BackupError(f"The restore failed and changed nothing: {feeder.failed or said}")


def _from_the_first_moment(manifest: Manifest, since: datetime) -> bytes:
    values = {"at": sql.Literal(since), "taken_at": sql.Literal(manifest.made_at)}
    ours = [sql.SQL(statement).format(**values).as_string() for statement in _MARKS]
    held = holding.placing(manifest.upto, manifest.taken_at, since)
    return ";\n".join(["set search_path = public", *held, *ours, "commit;\n"]).encode()


_MARKS: tuple[LiteralString, ...] = (
    # a phone that read a feed after the backup must not take an older version for the one it has
    "update feed_version set version = version + extract(epoch from {at})::bigint, changed_at = {at}",
    "insert into audit_entry (actor, action, table_name, row_id, after, at) values"
    " ('system', 'add', 'outbox_hold', 1, jsonb_build_object('taken_at', {taken_at}::text), {at})",
)


def _script(stream: IO[bytes], server: int) -> Iterator[bytes]:
    """What pg_restore writes; settings that the server does not know stand at its beginning."""
    first = b""
    while len(first) < _READ and (data := stream.read(_READ - len(first))):
        first += data
    yield first if server >= _KNOWS_TIMEOUT else first.replace(_UNKNOWN_TO_OLD, b"", 1)
    while data := stream.read(_READ):
        yield data


class _Feeder(threading.Thread):
    """Hands the decrypted dump to pg_restore while somebody else reads what that writes."""

    def __init__(self, path: Path, passphrase: str, pipe: IO[bytes] | None) -> None:
        super().__init__(daemon=True)
        self._path, self._passphrase, self._pipe = path, passphrase, pipe
        self.failed: str | None = None
        self.start()

    def run(self) -> None:
        assert self._pipe is not None
        try:
            with self._pipe, self._path.open("rb") as file:
                for chunk in backup.opened(file, self._passphrase)[1]:
                    self._pipe.write(chunk)
        except BrokenPipeError:
            pass  # pg_restore has ended and has said why
        except (OSError, ValueError) as error:
            self.failed = f"the file changed while it was read ({type(error).__name__})."


def _compare(url: str, manifest: Manifest) -> None:
    with psycopg.connect(libpq_dsn(url)) as held:
        found = backup.count_rows(held)
    # the two tables that the restore itself writes to
    differ = [
        name
        for name, rows in manifest.rows.items()
        if found.get(name) != rows and name not in {"audit_entry", "outbox_hold"}
    ]
    if differ:
        raise BackupError(f"These tables do not have the rows they had: {', '.join(differ)}.")


def _look(url: str, manifest: Manifest) -> Restored:
    engine = create_engine(url, hide_parameters=True)
    try:
        with Session(engine) as session:
            decision = to_decide(session)
            if decision is None:
                raise BackupError("The hold on the outbox is not there. Start no worker.")
            return Restored(
                manifest, manifest.rows.get("person", 0), contacts.readable(session), decision
            )
    finally:
        engine.dispose()
