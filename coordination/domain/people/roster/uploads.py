"""Where handed-in rosters wait between preview and apply: sealed, in the database.

In the database, because the next request may come to another machine; sealed, because a roster is
full of names and phones. It is deleted as soon as it is applied or discarded, in the same transaction.
"""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from coordination.domain.people.models import RosterUpload
from coordination.domain.people.roster.files import refused
from coordination.ground import crypto
from coordination.ground.errors import Invalid

# what a page takes; the command line takes files of any size
MOST_BY_WEB = 10 * 1024 * 1024
_PART = 1 << 20


@contextmanager
def one_file(path: Path) -> Iterator[Path]:
    """A copy of a file, or of a folder as an archive, that nobody changes while it is read."""
    # a directory of one's own has mode 0700
    with TemporaryDirectory(prefix="roster-") as folder:
        copy = Path(folder) / "roster"
        try:
            if path.is_dir():
                _pack(path, copy)
            else:
                shutil.copyfile(path, copy)
        except OSError as error:
            raise _unreadable() from error
        yield copy


def _pack(folder: Path, target: Path) -> None:
    with zipfile.ZipFile(target, "w", strict_timestamps=False) as archive:
        for part in sorted(folder.rglob("*")):
            if part.is_file() and not part.name.startswith((".", "~$")):
                archive.write(part, part.relative_to(folder))


def keep(session: Session, batch_id: int, path: Path) -> None:
    """Keep a file with its batch."""
    with path.open("rb") as source:
        number = 0
        while body := source.read(_PART):
            session.execute(
                insert(RosterUpload),
                {
                    "batch_id": batch_id,
                    "part": number,
                    "body_enc": crypto.seal(body, _context(batch_id, number)),
                },
            )
            number += 1


@contextmanager
def kept(session: Session, batch_id: int) -> Iterator[Path]:
    """The file of a batch, for as long as it is read; Invalid if it is no longer there."""
    numbers = session.scalars(
        select(RosterUpload.part).filter_by(batch_id=batch_id).order_by(RosterUpload.part)
    ).all()
    if not numbers:
        raise refused(
            "上传的文件已不在服务器上，请重新上传并预览。",
            "The uploaded file is no longer here; upload it and preview again.",
        )
    with TemporaryDirectory(prefix="roster-") as folder:
        copy = Path(folder) / "roster"
        with copy.open("wb") as target:
            for number in numbers:
                body = session.scalars(
                    select(RosterUpload.body_enc).filter_by(batch_id=batch_id, part=number)
                ).one()
                target.write(crypto.unseal(body, _context(batch_id, number)))
        yield copy


def forget(session: Session, batch_id: int) -> None:
    """Delete the file of a batch, with what else the transaction does."""
    session.execute(delete(RosterUpload).filter_by(batch_id=batch_id))


def _context(batch_id: int, number: int) -> str:
    return f"roster_upload.{batch_id}.{number}"


def _unreadable() -> Invalid:
    return refused(
        "文件无法读取，请检查权限或重新选择。",
        "The file cannot be read; check its permissions or choose another.",
    )
