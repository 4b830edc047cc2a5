"""Which `pg_dump`, `pg_restore` and `psql` to use, and how they are told where the database is.

They must not be older than the server, and best are of its own version: a newer one writes settings
that an older server does not know. Nothing secret stands in a command line.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from coordination.embedded import EmbeddedDatabaseError, programs
from coordination.keeping.errors import BackupError
from notifications.jobs import libpq_dsn

NEEDED = ("pg_dump", "pg_restore", "psql")
# where Debian keeps the programs of each version
_DEBIAN = Path("/usr/lib/postgresql")


@dataclass(frozen=True, slots=True)
class Tools:
    """The programs of one PostgreSQL version."""

    folder: Path
    major: int

    def __getitem__(self, name: str) -> str:
        return str(self.folder / name)


def tools_for(server: int, dump: int = 0) -> Tools:
    """The programs for a server of this major version, able to read a dump of that one."""
    wanted = max(server, dump)
    fit = sorted((t for t in _installed() if t.major >= wanted), key=lambda tools: tools.major)
    if not fit:
        raise BackupError(
            f"No {', '.join(NEEDED)} of PostgreSQL {wanted} or newer were found on this machine."
            f" Install them (on Debian: apt-get install postgresql-client-{wanted}) and try again."
        )
    return fit[0]


def _installed() -> list[Tools]:
    folders = [Path(found).resolve().parent for found in [shutil.which("pg_dump")] if found]
    folders += sorted(_DEBIAN.glob("*/bin")) if _DEBIAN.is_dir() else []
    # a district with a server of its own need not have the embedded one
    with suppress(EmbeddedDatabaseError):
        folders.append(programs())
    found = []
    for folder in dict.fromkeys(folders):
        if all((folder / name).exists() for name in NEEDED) and (major := _major(folder)):
            found.append(Tools(folder, major))
    return found


def _major(folder: Path) -> int:
    try:
        said = subprocess.run(
            [str(folder / "pg_dump"), "--version"],
            capture_output=True,
            text=True,
            check=True,
            timeout=20,
        ).stdout
        # pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)
        return int(said.split()[2].split(".")[0])
    except (OSError, subprocess.SubprocessError, IndexError, ValueError):
        return 0


def connection(url: str) -> tuple[str, dict[str, str]]:
    """How libpq's programs reach the database: its place without the password, and the environment
    that holds that."""
    place = conninfo_to_dict(libpq_dsn(url))
    password = place.pop("password", None)
    environment = {**os.environ, "PGCONNECT_TIMEOUT": "10", "LC_ALL": "C"}
    if password:
        environment["PGPASSWORD"] = str(password)
    return make_conninfo("", **place), environment
