"""What `coordination backup`, `restore` and `go-on` say at the terminal. Prints no secret."""

from __future__ import annotations

import os
import re
import sys
from datetime import UTC, timedelta
from getpass import getpass
from pathlib import Path

from rich.console import Console
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from coordination.authz.actor import SYSTEM
from coordination.ground import clock
from coordination.keeping import backup as making
from coordination.keeping import going_on
from coordination.keeping import restore as restoring
from coordination.keeping.backup import Manifest
from coordination.keeping.errors import BackupError
from coordination.keeping.going_on import Decision, Due
from coordination.reactions.work import begin
from coordination.settings import Settings
from coordination.worker import configure

_NAME = "coordination-{at:%Y-%m-%dT%H%M%SZ}.backup"
_OURS = re.compile(r"coordination-\d{4}-\d\d-\d\dT\d{6}Z\.backup")
_console = Console(soft_wrap=True, highlight=False)


def passphrase(file: Path | None, *, twice: bool = False) -> str:
    """The passphrase: from a file, the environment, or whoever sits there; never from an argument,
    which everybody on the machine can read."""
    if file is not None:
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError) as error:
            raise BackupError(f"{file} cannot be read as text.") from error
        return lines[0].strip() if lines else ""
    if given := os.environ.get("BACKUP_PASSPHRASE"):
        return given
    if not sys.stdin.isatty():
        raise BackupError(
            "There is no passphrase. Set BACKUP_PASSPHRASE, or name a file with --passphrase-file."
        )
    typed = getpass("Passphrase: ")
    if twice and getpass("Once more: ") != typed:
        raise BackupError("The two do not agree. Nothing was written; try again.")
    return typed


def backup(
    settings: Settings, path: Path, secret: str, *, with_keys: bool, keep: int | None
) -> None:
    """Make a backup and say what it is; in a folder, those older than `keep` days go after that."""
    folder = path if path.is_dir() else None
    if keep is not None and folder is None:
        raise BackupError("--keep removes old backups of a folder; name a folder, not a file.")
    if folder is not None:
        path = folder / _NAME.format(at=clock.now().astimezone(UTC))
    manifest = making.make(settings, path, secret, with_keys=with_keys)
    _console.print(f"{path}: {_size(path)}, {manifest.total:,} rows, read back and whole.")
    _say_keys(manifest)
    if folder is not None and keep is not None:
        gone = _remove_older(folder, keep, sparing=path)
        _console.print(f"Removed {gone} older than {keep} days.")


def check(path: Path, secret: str) -> None:
    """Read a backup to its end and say what it is."""
    manifest = restoring.examine(path, secret)
    _console.print(
        f"Whole: made {_when(manifest)} by version {manifest.version} (tables at"
        f" {manifest.revision}), {manifest.total:,} rows, {manifest.rows.get('person', 0):,} people."
    )
    _say_keys(manifest)


def write_keys(path: Path, secret: str, into: Path) -> None:
    """Write down the keys that a backup holds."""
    restoring.write_keys(path, secret, into)
    _console.print(
        f"SECRET_KEY and FIELD_KEY stand in {into} (readable by its owner). Put them where this"
        " machine keeps its settings, then remove the file."
    )


def restore(settings: Settings, path: Path, secret: str, *, replace: bool) -> None:
    """Restore, and say what is there, what is gone, and what is held."""
    done = restoring.restore(settings, path, secret, replace=replace)
    phone = {True: "Phone numbers can be read.", False: "PHONE NUMBERS CANNOT BE READ.", None: ""}
    _console.print(
        f"Restored: {done.manifest.total:,} rows, {done.people:,} people as of"
        f" {_when(done.manifest)}, migrated to {making.newest_revision()}."
        f" {phone[done.phone_read]}"
    )
    _console.print(
        "What was entered after that is gone. Enter again by hand, before anything is sent: custody"
        " limits, withdrawn consents, phone numbers, and whoever answered TD or STOP. Everybody has to"
        " sign in anew."
    )
    _say_held(done.decision)


def go_on(settings: Settings, due: Due | None) -> None:
    """Show what is held after a restore; with `due`, decide."""
    configure(settings)
    with making.server_of(settings) as url:
        engine = create_engine(url, hide_parameters=True)
        try:
            if due is None:
                with Session(engine) as session:
                    held = going_on.to_decide(session)
                if held is None:
                    _console.print("Nothing is held.")
                else:
                    _say_held(held)
                return
            with Session(engine) as session, begin(session, SYSTEM) as uow:
                decided = going_on.go_on(uow, due=due)
        finally:
            engine.dispose()
    what = "are sent now" if due == "send" else "are not sent"
    _console.print(
        f"{decided.messages.due:,} messages, {decided.reminders.due:,} reminders and"
        f" {decided.notices.scheduled + decided.notices.rounds:,} notices of the time between {what};"
        " everything else goes on."
    )


def _say_held(held: Decision) -> None:
    def line(what: str, due: int, later: int | None = None) -> None:
        after = "" if later is None else f", {later:,} later"
        _console.print(f"  {what}: {due:,} due since the backup{after}")

    _console.print(
        "Held: nothing of what waited in the backup is sent, because the lost system may have sent it"
        f" between {_local(held.hold.taken_at)} and {_local(held.hold.since)}."
    )
    line("messages", held.messages.due, held.messages.later)
    line("reminders", held.reminders.due, held.reminders.later)
    line("scheduled notices", held.notices.scheduled)
    line("notices being written to their families", held.notices.rounds)
    line("notices that follow up on silence", held.notices.ladders)
    _console.print(
        "Decide: `coordination go-on --due drop` if the lost system ran after the backup (nobody gets a"
        " text twice; senders see what was not sent), or `--due send` if it did not. What is due later"
        " leaves at its time in either case. For a drill on another machine: do not decide at all."
    )


def _say_keys(manifest: Manifest) -> None:
    if manifest.keys:
        _console.print(
            "SECRET_KEY and FIELD_KEY ARE IN THE FILE: whoever has it and its passphrase reads every"
            " phone number."
        )
    else:
        _console.print(
            "SECRET_KEY and FIELD_KEY are NOT in the file. Keep them elsewhere: without FIELD_KEY no"
            " phone number, e-mail address or child's file in it can be read."
        )
    _console.print(
        "Settings of the environment (PUBLIC_URL, provider accounts) are not in the file."
    )


def _remove_older(folder: Path, days: int, *, sparing: Path) -> int:
    """Remove backups of ours that are older; what has another name is not ours to remove."""
    before = (clock.now() - timedelta(days=days)).timestamp()
    old = [
        path
        for path in folder.iterdir()
        if _OURS.fullmatch(path.name) and path != sparing and path.stat().st_mtime < before
    ]
    for path in old:
        path.unlink()
    return len(old)


def _size(path: Path) -> str:
    size = float(path.stat().st_size)
    for unit in ("bytes", "KB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def _when(manifest: Manifest) -> str:
    return f"{manifest.taken_at.astimezone():%Y-%m-%d %H:%M %Z}"


def _local(at: object) -> str:
    return f"{at:%Y-%m-%d %H:%M %Z}"
