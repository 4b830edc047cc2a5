"""Migrations on a real PostgreSQL: up, down to nothing, up again, no difference to the models."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from alembic import command
from alembic.config import Config

from coordination.embedded import EmbeddedPostgres

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Raises if any step fails."""
    folder = Path(tempfile.mkdtemp(prefix="coordination-migrations-"))
    try:
        with EmbeddedPostgres(folder, durable=False) as server:
            config = Config(str(ROOT / "migrations" / "alembic.ini"))
            config.attributes["url"] = server.url()
            command.upgrade(config, "head")
            command.downgrade(config, "base")
            command.upgrade(config, "head")
            command.check(config)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    os.chdir(ROOT)
    main()
