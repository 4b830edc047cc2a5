"""Files that somebody hands in for the children of a class: unpacking them, and whose each is.

A file belongs to a child only if its name holds the student number or the whole name of exactly that
child. Whatever leaves a doubt is refused by name, with the reason and what to do. Nothing is written
to a disk, and no path in an archive means anything. Knows no table.
"""

from __future__ import annotations

import io
import re
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from coordination.ground.errors import Invalid
from coordination.ground.text import Text, clean

MB = 1024 * 1024
MOST_EACH, MOST_ALL, MOST_FILES = 2 * MB, 20 * MB, 60
# of an archive, with its folders and what a computer puts beside the files
MOST_ENTRIES = 400
LONGEST_NAME = 200
# a shorter number in the middle of a name may as well be a date or a count
SHORTEST_NUMBER = 5
# what an archive begins with; the second is an empty one
_ARCHIVES = (b"PK\x03\x04", b"PK\x05\x06")
# the dot within a name as keyboards write it
_DOTS = str.maketrans("•・‧⋅", "····")


@dataclass(frozen=True, slots=True)
class Handed:
    """A file as it was handed in."""

    name: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Pupil:
    """A child to whom a file may belong."""

    id: int
    name: str
    number: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A file that was not taken, and why."""

    name: str
    says: Text


def not_taken(zh: str, en: str, field: str = "files") -> Invalid:
    """The whole upload is refused, and nothing of it is kept."""
    return Invalid(fields={field: Text(zh, en)})


# -- unpacking ------------------------------------------------------------------------------------


def unpacked(handed: Iterable[Handed]) -> tuple[list[Handed], list[Refused]]:
    """The single files, those of archives among them, and what was refused; Invalid if there are too
    many, or too much of them."""
    files: list[Handed] = []
    refused: list[Refused] = []
    for one in handed:
        found = _members(one.body) if one.body.startswith(_ARCHIVES) else [one]
        for part in found:
            if isinstance(part, Refused):
                refused.append(part)
            elif says := _poor_size(part.body):
                refused.append(Refused(shown(part.name), says))
            else:
                files.append(Handed(shown(part.name), part.body))
            refuse_too_many(len(files) + len(refused), sum(len(f.body) for f in files))
    if not files and not refused:
        raise not_taken(
            "没有收到文件。请选择要发的文件，或一个 zip 压缩包。",
            "No file has come. Choose the files, or one zip.",
        )
    return files, refused


def refuse_too_many(count: int, size: int) -> None:
    """Refuse more files, or more bytes, than one send may have."""
    if count > MOST_FILES:
        raise not_taken(
            f"一次最多 {MOST_FILES} 个文件。这里只发一个班，请去掉多余的再上传。",
            f"At most {MOST_FILES} files go at once, for one class. Leave the others out.",
        )
    if size > MOST_ALL:
        raise not_taken(
            f"文件合计超过 {MOST_ALL // MB} MB。请压缩图片，或分几次上传。",
            f"The files have more than {MOST_ALL // MB} MB in all. Make the pictures smaller, or upload"
            " them in several goes.",
        )


def shown(name: str) -> str:
    """The name of a file without folders, as a page may show it."""
    last = clean(name.replace("\\", "/")).rpartition("/")[2]
    return last[-LONGEST_NAME:] or "—"


def _poor_size(body: bytes) -> Text | None:
    if not body:
        return Text(
            "文件是空的。请重新导出后再上传。", "The file is empty. Export it again and upload it."
        )
    if len(body) > MOST_EACH:
        return Text(
            f"超过 {MOST_EACH // MB} MB。请压缩后再上传，照片可以先截图。",
            f"It has more than {MOST_EACH // MB} MB. Make it smaller; of a photo, take a screenshot.",
        )
    return None


def _members(body: bytes) -> Iterator[Handed | Refused]:
    """The files of an archive; of each no more is unpacked than may be taken."""
    # counted before the list is made: an archive of nothing but entries would fill the memory
    if body.count(b"PK\x01\x02") > MOST_ENTRIES:
        refuse_too_many(MOST_ENTRIES, 0)
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            for entry in archive.infolist():
                name = _true_name(entry)
                parts = name.replace("\\", "/").split("/")
                if entry.is_dir() or "__MACOSX" in parts or parts[-1].startswith((".", "~$")):
                    continue  # what a computer puts there by itself
                yield _member(archive, entry, name, parts)
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError) as error:
        raise not_taken(
            "压缩包已损坏。请重新压缩，或直接选择里面的文件。",
            "The archive is damaged. Pack it again, or choose the files themselves.",
        ) from error


def _member(
    archive: zipfile.ZipFile, entry: zipfile.ZipInfo, name: str, parts: Sequence[str]
) -> Handed | Refused:
    if ".." in parts or parts[0] == "" or parts[0].endswith(":"):
        return Refused(
            shown(name),
            Text(
                "压缩包里这个文件的路径不正常。请重新压缩，或直接选择文件。",
                "Its path in the archive is not sound. Pack it again, or choose the file itself.",
            ),
        )
    if entry.flag_bits & 1 or entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return Refused(
            shown(name),
            Text(
                "压缩包带密码，或压缩方式不常见，打不开。请重新压缩成不带密码的普通 zip。",
                "The archive is locked, or packed in an unusual way. Pack it again as a plain zip.",
            ),
        )
    with archive.open(entry) as file:
        return Handed(name, file.read(MOST_EACH + 1))


def _true_name(entry: zipfile.ZipInfo) -> str:
    """The name as it was meant: Windows writes GBK and a Mac UTF-8, and neither says so."""
    if entry.flag_bits & 0x800:
        return entry.filename
    try:
        raw = entry.filename.encode("cp437")
    except UnicodeEncodeError:
        return entry.filename
    for encoding in ("utf-8", "gb18030"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return entry.filename


# -- whose it is ----------------------------------------------------------------------------------


def matched(
    files: Iterable[Handed], pupils: Collection[Pupil]
) -> tuple[dict[int, Handed], list[Refused]]:
    """Child -> file, and what belongs to nobody, to more than one, or comes twice for one child."""
    by_child: dict[int, list[Handed]] = {}
    refused: list[Refused] = []
    for file in files:
        owner = owner_of(file.name, pupils)
        if isinstance(owner, Text):
            refused.append(Refused(file.name, owner))
        else:
            by_child.setdefault(owner.id, []).append(file)
    names = {pupil.id: pupil.name for pupil in pupils}
    for child, several in by_child.items():
        if len(several) > 1:
            says = Text(
                f"{names[child]} 有 {len(several)} 个文件，每个孩子只能有一个。请只留一个，或合并成一个 PDF。",
                f"There are {len(several)} files for {names[child]}, and a child has one. Keep one, or"
                " join them in one PDF.",
            )
            refused += [Refused(file.name, says) for file in several]
    return {child: found[0] for child, found in by_child.items() if len(found) == 1}, refused


def owner_of(name: str, pupils: Collection[Pupil]) -> Pupil | Text:
    """The one child whose number or whole name stands in the name of a file, or why there is none."""
    stem = _folded(name.rpartition(".")[0] or name)
    numbered = [p for p in pupils if _has_number(stem, _folded(p.number))]
    words = _words(stem)
    named = [p for p in pupils if _folded(p.name) in words]
    if len({_folded(p.name) for p in named}) > 1 or len(numbered) > 1:
        return Text(
            "文件名里有不止一个孩子。请在文件名里只写一个孩子的姓名或学号。",
            "Its name speaks of more than one child. Write one child's name or number alone.",
        )
    if numbered and named:
        if numbered[0] not in named:
            return Text(
                f"学号是 {numbered[0].name} 的，姓名却是 {named[0].name}。请核对文件名。",
                f"The number is that of {numbered[0].name}, but the name is {named[0].name}. Check the"
                " file's name.",
            )
        return numbered[0]
    if len(named) > 1:
        return Text(
            f"班里有 {len(named)} 个“{named[0].name}”。请在文件名里写学号，或在下面给这个孩子单独上传。",
            f"{len(named)} children of the class are called {named[0].name}. Write the student number,"
            " or add the file for one child below.",
        )
    found = numbered or named
    if found:
        return found[0]
    return Text(
        "文件名里没有本班孩子的学号或完整姓名。请改名，例如“王小雨.pdf”，或在下面给孩子单独上传。",
        "No student number or whole name of a child of this class stands in its name. Rename it, like"
        " “Anna Smith.pdf”, or add it for one child below.",
    )


def _folded(value: str) -> str:
    folded = unicodedata.normalize("NFKC", value).casefold().strip()
    return folded.translate(_DOTS)


def _has_number(stem: str, number: str) -> bool:
    if not number:
        return False
    if len(number) < SHORTEST_NUMBER:
        return stem == number
    return bool(re.search(rf"(?<![0-9a-z]){re.escape(number)}(?![0-9a-z])", stem))


def _words(stem: str) -> set[str]:
    """The words that may be a whole name: Han characters with the dot that joins a name, and other
    letters with the spaces between them. 王小雨涵 does not hold 王小雨, nor Li Ming Li."""
    apart = _apart(stem)
    han = re.findall(r"[^\W\d_]+(?:·[^\W\d_]+)*", apart)
    other = re.findall(r"[^\W\d_]+(?:[ ·'’.]+[^\W\d_]+)*", apart)
    return {w for w in han if _is_han(w[0])} | {w for w in other if not _is_han(w[0])}


def _is_han(char: str) -> bool:
    return unicodedata.name(char, "").startswith("CJK")


def _apart(stem: str) -> str:
    """`stem` with a mark wherever Han characters and others touch."""
    out, before = [], False
    for char in stem:
        if char != "·" and _is_han(char) != before:
            out.append("|")
            before = not before
        out.append(char)
    return "".join(out)
