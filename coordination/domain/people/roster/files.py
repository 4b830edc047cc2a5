"""Opens what was handed in: a folder, a zip, a csv in any usual encoding, a workbook.

Everything is streamed; a workbook is bounded before it is opened. Knows no column.
"""

from __future__ import annotations

import codecs
import csv
import io
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from python_calamine import CalamineError, CalamineWorkbook

from coordination.ground.errors import Invalid
from coordination.ground.text import Text

_CHUNK = 1 << 18
# what a workbook or an archive may unpack to; a bomb is refused before a byte of it is unpacked
MOST_UNPACKED_SHEET = 48 * 1024 * 1024
MOST_UNPACKED_ZIP = 2 * 1024 * 1024 * 1024
MOST_RATIO = 200
LONGEST_CELL = 20_000
_DELIMITERS = ",\t;"

Open = Callable[[], IO[bytes]]


@dataclass(frozen=True, slots=True)
class Part:
    """One table of a source: its name as it was written, and a way to open it."""

    name: str
    open: Open

    @property
    def stem(self) -> str:
        """The name without folder and ending, in lower case."""
        return Path(self.name.replace("\\", "/")).stem.casefold()


def refused(zh: str, en: str) -> Invalid:
    """The whole file cannot be taken."""
    return Invalid(Text(zh, en), fields={"file": Text(zh, en)})


@contextmanager
def parts_of(path: Path, name: str) -> Iterator[list[Part]]:
    """The tables in a folder, an archive, or a single file."""
    if path.is_dir():
        yield [
            Part(p.name, lambda p=p: p.open("rb"))  # type: ignore[misc]
            for p in sorted(path.rglob("*"))
            if p.is_file() and not p.name.startswith((".", "~$"))
        ]
        return
    with path.open("rb") as file:
        if file.read(4) != b"PK\x03\x04":
            yield [Part(name, lambda: path.open("rb"))]
            return
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, NotImplementedError, EOFError) as error:
        raise _damaged() from error
    with archive:
        names = {entry.filename for entry in archive.infolist()}
        workbook = "xl/workbook.xml" in names or "xl/workbook.bin" in names
        _refuse_bomb(archive, MOST_UNPACKED_SHEET if workbook else MOST_UNPACKED_ZIP)
        if workbook or "content.xml" in names:
            yield [Part(name, lambda: path.open("rb"))]
            return
        if any(entry.flag_bits & 1 for entry in archive.infolist()):
            raise _damaged()
        yield [
            Part(entry.filename, lambda entry=entry: archive.open(entry))  # type: ignore[misc]
            for entry in archive.infolist()
            if not entry.is_dir()
            and "__MACOSX" not in entry.filename
            and not Path(entry.filename).name.startswith(".")
        ]


def _damaged() -> Invalid:
    return refused(
        "压缩包已损坏或带有密码，请重新导出后再上传。",
        "The archive is damaged or locked with a password; export it again.",
    )


def _refuse_bomb(archive: zipfile.ZipFile, most: int) -> None:
    entries = archive.infolist()
    unpacked = sum(e.file_size for e in entries)
    packed = sum(e.compress_size for e in entries) or 1
    if (
        unpacked > most
        or len(entries) > 2000
        or (unpacked > 8 * 1024 * 1024 and unpacked / packed > MOST_RATIO)
    ):
        raise refused(
            "文件解压后过大，已拒绝。请拆成几个文件，或另存为 CSV。",
            "The file unpacks to far too much and was refused; split it, or save it as CSV.",
        )


def is_workbook(part: Part) -> bool:
    """Whether the part is an Excel or OpenDocument workbook, whatever its name says."""
    with part.open() as file:
        head = file.read(8)
    return head[:4] == b"PK\x03\x04" or head == b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


def encoding_of(part: Part) -> str:
    """The encoding of a text file: its mark, else UTF-8 if all of it is, else GB18030 (GBK)."""
    with part.open() as file:
        head = file.read(4)
        if head[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            return "utf-16"
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            decoder.decode(head)
            while chunk := file.read(_CHUNK):
                decoder.decode(chunk)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return "gb18030"
    return "utf-8-sig"


def lines_of(part: Part) -> Iterator[tuple[int, list[str]]]:
    """(line number, cells) of every line that is not empty, the header first."""
    if is_workbook(part):
        yield from _sheet_lines(part)
        return
    with (
        part.open() as raw,
        io.TextIOWrapper(raw, encoding=encoding_of(part), newline="", errors="strict") as text,
    ):
        try:
            first = text.readline(LONGEST_CELL)
            delimiter = max(_DELIMITERS, key=first.count)
            reader = csv.reader(_again(first, text), delimiter=delimiter)
            for cells in reader:
                if any(cells):
                    yield reader.line_num, cells
        except UnicodeDecodeError as error:
            raise refused(
                f"“{part.name}”的文字编码无法识别，请另存为 UTF-8 的 CSV 或 xlsx。",
                f"The encoding of “{part.name}” is not known; save it as CSV UTF-8 or xlsx.",
            ) from error
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise _damaged() from error
        except csv.Error as error:
            raise refused(
                f"“{part.name}”不是表格，或某个单元格的引号没有结束。",
                f"“{part.name}” is not a table, or a quotation mark in it is never closed.",
            ) from error


def _again(first: str, rest: IO[str]) -> Iterator[str]:
    # NUL ends a string for PostgreSQL and a line for csv; it is never part of a name
    yield first.replace("\0", "")
    for line in rest:
        yield line.replace("\0", "") if "\0" in line else line


def _sheet_lines(part: Part) -> Iterator[tuple[int, list[str]]]:
    with part.open() as file:
        data = io.BytesIO(file.read())
    try:
        book = CalamineWorkbook.from_filelike(data)
        sheet = book.get_sheet_by_index(0)
        rows = sheet.iter_rows()
        start = (sheet.start or (0, 0))[0]
        for number, cells in enumerate(rows, start + 1):
            texts = [_cell(c) for c in cells]
            if any(texts):
                yield number, texts
    except (CalamineError, IndexError, ValueError) as error:
        raise refused(
            f"“{part.name}”打不开，可能已损坏或设有密码。请重新保存后再上传。",
            f"“{part.name}” cannot be opened; it may be damaged or locked. Save it again.",
        ) from error


def _cell(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None else str(value)
