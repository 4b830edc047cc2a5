"""The command line: `coordination run | web | worker | clock | backup | restore | ...`.

Composition root: commands import late, because `--help` must not load an ORM.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Literal

import rich_click as click

from coordination.ground.errors import CoordinationError
from coordination.settings import BadSettings, Settings, load


@click.group()
def main() -> None:
    """Home, school and community on one session."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(name)s %(message)s", stream=sys.stderr
    )
    for noisy in ("twilio", "apscheduler", "procrastinate", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _settings(*, database: bool = True) -> Settings:
    try:
        settings = load()
    except BadSettings as error:
        raise click.ClickException(str(error)) from error
    if database and not settings.database_url:
        raise click.ClickException(
            "DATABASE_URL is not set. `coordination run` starts the embedded PostgreSQL by itself;"
            " every other command needs the address it prints."
        )
    return settings


_PASSPHRASE = click.option(
    "--passphrase-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file whose first line is the passphrase; else BACKUP_PASSPHRASE, else it is asked for.",
)


@contextmanager
def _refused() -> Iterator[None]:
    """A refusal of the keeper of backups is a sentence and the exit code 1."""
    from coordination.keeping.errors import BackupError

    try:
        yield
    except BackupError as error:
        raise click.ClickException(str(error)) from error


@main.command()
def run() -> None:
    """Start everything: database, migration, demo district, web, clock and worker."""
    from coordination.supervisor import run_all

    raise SystemExit(run_all(_settings(database=False)))


@main.command()
def web() -> None:
    """Serve the web pages."""
    import os

    from coordination.supervisor import web_command

    command = web_command(_settings())
    os.execv(command[0], command)  # noqa: S606 - our own interpreter


@main.command()
@click.option("--concurrency", default=64, show_default=True, help="Messages at a time.")
def worker(concurrency: int) -> None:
    """Deliver messages until stopped; start as many as you like, on as many machines."""
    from coordination.worker import run_worker

    run_worker(_settings(), concurrency)


@main.command()
def clock() -> None:
    """Tick; several may run, one leads."""
    from coordination.worker import run_clock

    run_clock(_settings())


@main.command()
def render_calendars() -> None:
    """Render every calendar entry again, after PUBLIC_URL has changed."""
    from sqlalchemy import create_engine
    from sqlalchemy.orm import Session

    from coordination.authz.actor import SYSTEM
    from coordination.domain.agenda.services import render_again
    from coordination.reactions.work import begin
    from coordination.worker import configure

    settings = _settings()
    configure(settings)
    engine = create_engine(settings.database_url, hide_parameters=True)
    after: int | None = 0
    while after is not None:
        with Session(engine) as session, begin(session, SYSTEM) as uow:
            after = render_again(uow, after=after)
    click.echo("Every calendar entry is rendered anew; subscriptions follow at their next poll.")


@main.command()
def tour() -> None:
    """Tell the whole story on a throw-away database; fails if anything expected is missing."""
    from coordination.tour import main as tell

    raise SystemExit(tell())


@main.command()
@click.option("--schools", default=20, show_default=True)
@click.option("--students", default=20_000, show_default=True)
def seed(schools: int, students: int) -> None:
    """Fill an empty database with a synthetic district of any size, always the same."""
    from coordination.seed.synthetic import seed as fill
    from coordination.worker import configure

    with _database(_settings(database=False)) as settings:
        configure(settings)
        try:
            fill(settings.database_url, schools, students)
        except CoordinationError as refusal:
            raise click.ClickException(f"{refusal.message.zh} {refusal.message.en}") from None


@main.command("import-roster")
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option("--apply", is_flag=True, help="Write it; without this only the preview is shown.")
def import_roster(path: Path, *, apply: bool) -> None:
    """Preview, and with --apply load, a roster: OneRoster, School Data Sync or our template."""
    from coordination.domain.people.roster.command import import_path
    from coordination.reactions.work import begin
    from coordination.worker import configure

    with _database(_settings(database=False)) as settings:
        configure(settings)
        raise SystemExit(import_path(settings.database_url, path, apply=apply, begin=begin))


@main.command()
def doctor() -> None:
    """Check this installation and say what to do about what is missing."""
    from coordination.doctor import examine

    raise SystemExit(examine(_settings(database=False)))


@main.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--with-keys", is_flag=True, help="Put SECRET_KEY and FIELD_KEY into the file too.")
@click.option(
    "--keep", type=click.IntRange(1, 3650), help="In a folder: remove older ones, in days."
)
@_PASSPHRASE
def backup(path: Path, *, with_keys: bool, keep: int | None, passphrase_file: Path | None) -> None:
    """Write the whole database as one encrypted file; into a folder, under the day and time."""
    from coordination.keeping import command

    with _refused():
        command.backup(
            _settings(database=False),
            path,
            command.passphrase(passphrase_file, twice=True),
            with_keys=with_keys,
            keep=keep,
        )


@main.command()
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--check", is_flag=True, help="Read the file to its end, change nothing.")
@click.option("--replace", is_flag=True, help="Drop all that the database holds now.")
@click.option(
    "--write-keys",
    type=click.Path(path_type=Path),
    help="Write the keys that the file holds to a new file, change nothing else.",
)
@_PASSPHRASE
def restore(
    path: Path, *, check: bool, replace: bool, write_keys: Path | None, passphrase_file: Path | None
) -> None:
    """Make a backup the database again; what waited to be sent is held until `go-on`."""
    from coordination.keeping import command

    with _refused():
        passphrase = command.passphrase(passphrase_file)
        if write_keys is not None:
            command.write_keys(path, passphrase, write_keys)
        elif check:
            command.check(path, passphrase)
        else:
            command.restore(_settings(database=False), path, passphrase, replace=replace)


@main.command("go-on")
@click.option(
    "--due",
    type=click.Choice(["send", "drop"]),
    help="What to do with what came due between the backup and the restore.",
)
def go_on(due: Literal["send", "drop"] | None) -> None:
    """After a restore: show what is held, and with --due let it go on."""
    from coordination.keeping import command

    with _refused():
        command.go_on(_settings(database=False), due)


@main.command("aliyun-addresses")
def aliyun_addresses() -> None:
    """Print the addresses to enter at Aliyun for status reports and replies; they hold a secret."""
    from coordination.ground import crypto
    from coordination.reactions.carriers import aliyun_paths

    settings = _settings(database=False)
    crypto.use_key(settings.field_key)
    names = ("状态报告 SmsReport", "上行消息 SmsUp")
    for name, path in zip(names, aliyun_paths(settings), strict=True):
        click.echo(f"{name}  {settings.public_url}{path}")


@main.command()
def policy() -> None:
    """Print who may do what."""
    from rich.console import Console
    from rich.table import Table

    from coordination.authz.policy import POLICY

    table = Table("action", "rule")
    for action, rule in sorted(POLICY.items()):
        table.add_row(action, str(rule))
    Console().print(table)


def _database(settings: Settings) -> AbstractContextManager[Settings]:
    """The settings with a database: the given one, or the embedded one for as long as it takes."""
    from coordination.supervisor import database

    return database(settings)


if __name__ == "__main__":
    main()
