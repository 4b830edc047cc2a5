"""Where handed-in rosters wait between preview and apply: readable by this process's user only.

A roster is full of names and phones: it is deleted as soon as it is applied or discarded.
"""

from __future__ import annotations

import os
import secrets
import shutil
import zipfile
from pathlib import Path
from typing import IO

from sqlalchemy import event
from sqlalchemy.orm import Session

from coordination.domain.people.roster.files import refused
from coordination.ground.errors import Invalid

# what a page takes; the command line takes files of any size
MOST_BY_WEB = 10 * 1024 * 1024

_folder = Path("instance/uploads")


def use_folder(folder: Path) -> None:
    """Set the folder, once per process."""
    global _folder
    _folder = folder


def keep(path: Path) -> str:
    """A copy of a file, or of a folder as an archive; returns the name to find it by."""
    _folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    name = f"roster-{secrets.token_hex(16)}"
    handle = os.open(_folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as target:
            if path.is_dir():
                _pack(path, target)
            else:
                with path.open("rb") as source:
                    shutil.copyfileobj(source, target, 1 << 20)
    except OSError as error:
        (_folder / name).unlink(missing_ok=True)
        raise _unreadable() from error
    return name


def _pack(folder: Path, target: IO[bytes]) -> None:
    with zipfile.ZipFile(target, "w", strict_timestamps=False) as archive:
        for part in sorted(folder.rglob("*")):
            if part.is_file() and not part.name.startswith((".", "~$")):
                archive.write(part, part.relative_to(folder))


def kept(name: str | None) -> Path:
    """Where the copy is; Invalid if it is no longer there."""
    path = _folder / Path(name or "?").name
    if not path.is_file():
        raise refused(
            "上传的文件已不在服务器上，请重新上传并预览。",
            "The uploaded file is no longer here; upload it and preview again.",
        )
    return path


def forget_after_commit(session: Session, name: str | None) -> None:
    """Delete the copy once what was done with it cannot be lost any more."""
    if name is None:
        return
    path = _folder / Path(name).name
    event.listen(session, "after_commit", lambda _: path.unlink(missing_ok=True), once=True)


def forget(name: str) -> None:
    """Delete the copy at once."""
    (_folder / Path(name).name).unlink(missing_ok=True)


def _unreadable() -> Invalid:
    return refused(
        "文件无法读取，请检查权限或重新选择。",
        "The file cannot be read; check its permissions or choose another.",
    )
