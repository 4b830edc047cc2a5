"""Looks at an installation and says, for each thing that is missing, what to do about it.

Changes nothing and prints no secret.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from rich.console import Console
from sqlalchemy import create_engine
from sqlalchemy.exc import SQLAlchemyError

from coordination.embedded import EmbeddedDatabaseError, programs
from coordination.reactions import approvals
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


def _templates(settings: Settings) -> Iterator[Finding]:
    if find_spec("alibabacloud_dysmsapi20170525") is None:
        yield Finding(
            "Gateway", "its SDK is missing", 'pip install "alibabacloud-dysmsapi20170525>=4.6,<5"'
        )
    try:
        templates = approvals.read(Path(settings.aliyun_templates))
    except approvals.BadTable as error:
        yield Finding("Templates", "unusable", f"{error} Correct the file of ALIYUN_TEMPLATES.")
        return
    site = settings.public_url.split("://", 1)[-1]
    for template in templates:
        if not template.usable:
            text = approvals.to_submit(template.key, template.language, site)
            yield Finding(
                f"Template {template.key} {template.language}",
                f"{template.state}, {template.id or 'no id'}",
                f"Hand in, and enter its id and approval in ALIYUN_TEMPLATES: {text}",
                # as the second provider it carries what it has; the rest waits for the first
                optional=settings.sms_fallback == "aliyun",
            )
    yield Finding(
        "Reports and replies",
        "come to the addresses that `coordination aliyun-addresses` prints; enter them at the gateway",
    )
    good = sum(template.usable for template in templates)
    yield Finding("Templates", f"{good} of {len(templates)} approved")


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
    yield Finding("E-mail", "by SMTP_URL" if settings.smtp_url else "none: phones only")
    mode = "production" if settings.production else "development"
    yield Finding(
        "Mode",
        mode,
        "" if settings.production else "For real families set COORDINATION_MODE=production.",
        optional=True,
    )
