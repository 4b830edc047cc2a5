"""Looks at an installation and says, for each thing that is missing, what to do about it.

Changes nothing and prints no secret.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from rich.console import Console
from sqlalchemy import create_engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from coordination.domain.communication.texts import approvals
from coordination.embedded import EmbeddedDatabaseError, programs
from coordination.ground.text import LANGUAGES
from coordination.reactions import catalogue, lint
from coordination.reactions.notices import wording
from coordination.settings import Settings, can_send_by

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at; `remedy` is empty if it is well. Optional things fail nothing."""

    name: str
    found: str
    remedy: str = ""
    optional: bool = False


def examine(settings: Settings) -> int:
    """Print all findings; 1 if anything that is needed is missing."""
    console = Console()
    bad = 0
    for finding in (*_machine(), *_database(settings), *_sending(settings)):
        well = not finding.remedy
        bad += not well and not finding.optional
        mark = "[green]ok[/]" if well else "[yellow]--[/]" if finding.optional else "[red]no[/]"
        console.print(f"{mark}  {finding.name}: {finding.found}")
        if finding.remedy:
            console.print(f"      {finding.remedy}")
    return 1 if bad else 0


def _machine() -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    fit = (3, 11) <= sys.version_info < (3, 14)
    yield Finding("Python", version, "" if fit else "Install Python 3.11, 3.12 or 3.13.")
    vendor = ROOT / "coordination" / "static" / "vendor" / ".done"
    yield Finding(
        "Front-end packages",
        "present" if vendor.exists() else "not fetched",
        "" if vendor.exists() else "Run `make run` with the network on; every page works without.",
        optional=True,
    )
    browser = shutil.which("chromium")
    yield Finding(
        "Chromium (tests only)",
        browser or "not found",
        "" if browser else "apt-get install chromium",
        optional=True,
    )
    lister = shutil.which("fc-list")
    fonts = (
        subprocess.run([lister, ":lang=zh-cn"], capture_output=True, text=True, check=False).stdout
        if lister
        else ""
    )
    yield Finding(
        "Chinese font (tests only)",
        "present" if fonts else "not found",
        "" if fonts else "apt-get install fonts-noto-cjk fontconfig",
        optional=True,
    )


def _database(settings: Settings) -> Iterator[Finding]:
    if not settings.database_url:
        try:
            yield Finding("Database", f"embedded PostgreSQL at {programs()}")
        except EmbeddedDatabaseError as error:
            yield Finding("Database", "none", str(error))
        return
    try:
        engine = create_engine(settings.database_url, connect_args={"connect_timeout": 5})
        with engine.connect() as connection:
            at = MigrationContext.configure(connection).get_current_revision()
        engine.dispose()
    except SQLAlchemyError as error:
        yield Finding(
            "Database",
            type(error).__name__,
            "The server did not answer. Check DATABASE_URL, or unset it for the embedded one.",
        )
        return
    config = Config(str(ROOT / "migrations" / "alembic.ini"))
    head = ScriptDirectory.from_config(config).get_current_head()
    yield Finding(
        "Migrations",
        f"at {at}, newest {head}",
        "" if at == head else "`coordination run` migrates at its start.",
    )


def _wordings() -> Iterator[Finding]:
    found = lint.faults()
    for fault in found:
        yield Finding(f"Wording {fault.file}:{fault.line}", fault.found, fault.remedy)
    if not found:
        yield Finding(
            "Wordings", f"{len(catalogue.messages())} messages, fit for phones and gateways"
        )


def _templates(settings: Settings) -> Iterator[Finding]:
    if find_spec("alibabacloud_dysmsapi20170525") is None:
        yield Finding(
            "Gateway", "its SDK is missing", 'pip install "alibabacloud-dysmsapi20170525>=4.6,<5"'
        )
    yield Finding(
        "Reports and replies",
        "come to the addresses that `coordination aliyun-addresses` prints; enter them at the gateway",
    )
    site = catalogue.site_of(settings.public_url)
    if not settings.database_url:
        yield Finding("Templates", "stand in the embedded database: see /admin/wordings")
        return
    names = [(key, language) for key in catalogue.messages() for language in LANGUAGES]
    try:
        with _reading(settings) as session:
            rows = approvals.entered(session)
    except SQLAlchemyError as error:
        yield Finding(
            "Templates",
            f"cannot be looked up: {type(error).__name__}",
            "Run this where the database is reached, after its migrations.",
        )
        return
    standing = {
        (key, language): approvals.standing(
            rows.get((key, language)), catalogue.version_of(key, language, site)
        )
        for key, language in names
    }
    for (key, language), state in standing.items():
        if state != "approved":
            text = catalogue.to_submit(wording(key, language), language, site)
            yield Finding(
                f"Template {key} {language}",
                state,
                f"Hand in, and enter its id and state at /admin/wordings: {text}",
                # as the second provider it carries what it has; the rest waits for the first
                optional=settings.sms_fallback == "aliyun",
            )
    good = sum(state == "approved" for state in standing.values())
    yield Finding("Templates", f"{good} of {len(names)} approved")


@contextmanager
def _reading(settings: Settings) -> Iterator[Session]:
    engine = create_engine(settings.database_url, connect_args={"connect_timeout": 5})
    try:
        with Session(engine) as session:
            yield session
    finally:
        engine.dispose()


def _second(settings: Settings) -> Finding:
    """The provider that carries texts when the first cannot; an installation may do without."""
    if settings.sms_fallback:
        return Finding("Second provider", settings.sms_fallback)
    ready = [
        name
        for name in ("aliyun", "twilio")
        if name != settings.sms_channel and can_send_by(settings, name)
    ]
    remedy = (
        f"Its account is set already: SMS_FALLBACK={ready[0]} lets it carry texts."
        if ready
        else "Texts wait while the first is halted. Set SMS_FALLBACK to twilio or aliyun, with its"
        " account; see docs/operations.md, Texts."
    )
    return Finding("Second provider", "none", remedy, optional=True)


def _sending(settings: Settings) -> Iterator[Finding]:
    yield Finding("Texts", f"{settings.sms_channel}, links {settings.sms_links}")
    if settings.sms_channel != "console" or settings.sms_fallback:
        yield _second(settings)
    if "aliyun" in (settings.sms_channel, settings.sms_fallback):
        yield from _templates(settings)
    yield from _wordings()
    yield Finding("E-mail", "by SMTP_URL" if settings.smtp_url else "none: phones only")
    mode = "production" if settings.production else "development"
    yield Finding(
        "Mode",
        mode,
        "" if settings.production else "For real families set COORDINATION_MODE=production.",
        optional=True,
    )
