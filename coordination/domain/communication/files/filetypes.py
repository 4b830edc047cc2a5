"""What a handed-in file is, by its content and never by its name: a PDF, PNG or JPEG, or refused.

An image is written anew from the parts that make the picture: what a camera wrote of place and time
is left out, and so is what hides behind its end. A PDF that does something or cannot be looked into is
refused. This finds what is known; it is no virus scanner.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from typing import Literal

from coordination.ground.text import Text

MIME = {"pdf": "application/pdf", "png": "image/png", "jpeg": "image/jpeg"}
# more would fill the memory of a phone that opens it
MOST_PIXELS = 60_000_000
# what the object streams of one PDF may unpack to, all together
MOST_UNPACKED = 32 * 1024 * 1024
# a PDF of a few pages has less of either by far
MOST_STREAMS, LONGEST_HEAD = 5000, 16 * 1024

_PNG = b"\x89PNG\r\n\x1a\n"
_ESCAPED = re.compile(rb"#([0-9A-Fa-f]{2})")
# runs, opens or carries something; a link to a page is none of these
_ACTIVE = re.compile(
    rb"/(?:JavaScript|Launch|EmbeddedFiles?|RichMedia|SubmitForm|ImportData|GoToE|XFA)\b"
)
_STREAM = re.compile(rb"\bstream\r?\n")
# the next marker of a JPEG that is neither stuffing, nor a restart, nor filling
_MARKER = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])")
_WITHOUT_LENGTH = (0x01, 0xD8)
# in JPEGs of programs and cameras: a profile of colours, and how Adobe's are to be read
_COLOURS = (b"ICC_PROFILE\0", b"Adobe")
# notes of a camera that say nothing but which way is up; the value follows
_EXIF = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01"
# besides the parts without which there is no picture: transparency and colours
_PNG_SHOWN = (b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"sBIT", b"bKGD", b"pHYs")
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}

_UNKNOWN = Text(
    "不是 PDF、PNG 或 JPEG（看的是内容，不是后缀）。请另存为 PDF 后再上传；苹果手机的 HEIC 照片请先转成"
    " JPEG。",
    "This is no PDF, PNG or JPEG, whatever its name says. Save it as PDF and upload it again; turn a"
    " HEIC photo into a JPEG first.",
)
_DAMAGED = Text(
    "文件已损坏，打不开。请重新导出后再上传。",
    "The file is damaged and would not open. Export it again and upload it.",
)
_HUGE = Text(
    "图片的尺寸太大，家长的手机打不开。请缩小后再上传。",
    "The picture has too many pixels for a phone to open. Make it smaller and upload it again.",
)
_LOCKED = Text(
    "这个 PDF 带密码或限制，无法检查。请用“打印”另存为普通 PDF 后再上传。",
    "This PDF is locked and cannot be checked. Print it to a plain PDF and upload that.",
)
_DOES = Text(
    "这个 PDF 里有会运行的内容或附件。请用“打印”另存为普通 PDF 后再上传。",
    "This PDF runs something or carries other files. Print it to a plain PDF and upload that.",
)


class Unfit(ValueError):
    """A file that is not taken; `says` has the reason and the remedy."""

    def __init__(self, says: Text) -> None:
        super().__init__(says.en)
        self.says = says


@dataclass(frozen=True, slots=True)
class Sound:
    """A file that is taken: which of MIME, and the bytes that are kept of it."""

    kind: str
    body: bytes


def looked_at(body: bytes) -> Sound:
    """What these bytes are; Unfit if they are not taken."""
    try:
        if body.startswith(_PNG):
            return Sound("png", _picture_of_png(body))
        if body.startswith(b"\xff\xd8\xff"):
            return Sound("jpeg", _picture_of_jpeg(body))
    except IndexError:
        raise Unfit(_DAMAGED) from None
    if body.startswith(b"%PDF-"):
        _refuse_poor_pdf(body)
        return Sound("pdf", body)
    raise Unfit(_UNKNOWN)


def _number(body: bytes, at: int, length: int) -> int:
    part = body[at : at + length]
    if len(part) < length:
        raise IndexError(at)
    return int.from_bytes(part, "big")


def _refuse_huge(width: int, height: int) -> None:
    if not width or not height:
        raise Unfit(_DAMAGED)
    if width * height > MOST_PIXELS:
        raise Unfit(_HUGE)


def _picture_of_png(body: bytes) -> bytes:
    at, name, drawn, kept = len(_PNG), b"", False, [_PNG]
    while name != b"IEND":
        first = not name
        end = at + 12 + _number(body, at, 4)
        name = body[at + 4 : at + 8]
        if zlib.crc32(body[at + 4 : end - 4]) != _number(body, end - 4, 4):
            raise Unfit(_DAMAGED)
        if first and name != b"IHDR":
            raise Unfit(_DAMAGED)
        if first:
            _refuse_huge(_number(body, at + 8, 4), _number(body, at + 12, 4))
        drawn = drawn or name == b"IDAT"
        # a capital begins what a picture cannot do without
        if name[:1].isupper() or name in _PNG_SHOWN:
            kept.append(body[at:end])
        at = end
    if not drawn:
        raise Unfit(_DAMAGED)
    return b"".join(kept)


def _picture_of_jpeg(body: bytes) -> bytes:
    at, framed, kept = 2, False, [b"\xff\xd8"]
    while True:
        found = _MARKER.search(body, at)
        if found is None or body[at : found.start()].strip(b"\xff"):
            raise Unfit(_DAMAGED)  # before the picture itself, segments follow each other
        marker, at = found[1][0], found.end()
        if marker in _WITHOUT_LENGTH:
            continue
        end = at + _number(body, at, 2)
        if marker in _FRAMES:
            framed = True
            _refuse_huge(_number(body, at + 5, 2), _number(body, at + 3, 2))
        if marker == 0xDA:
            break
        kept.append(_segment(marker, body[at + 2 : end]))
        at = end
    if not framed:
        raise Unfit(_DAMAGED)
    begin, at = found.start(), end
    while found := _MARKER.search(body, at):
        marker, at = found[1][0], found.end()
        if marker == 0xD9:
            return b"".join(kept) + body[begin:at]
        if marker not in _WITHOUT_LENGTH:
            at += _number(body, at, 2)
    raise Unfit(_DAMAGED)


def _segment(marker: int, inside: bytes) -> bytes:
    """A segment as it is kept: of what programs and cameras add, the colours and which way is up."""
    if marker == 0xE1:
        up = _upright(inside)
        if up == 1:
            return b""
        inside = _EXIF + up.to_bytes(2, "big") + bytes(6)
    elif marker == 0xFE or (0xE0 < marker <= 0xEF and not inside.startswith(_COLOURS)):
        return b""
    return bytes([0xFF, marker]) + (len(inside) + 2).to_bytes(2, "big") + inside


def _upright(exif: bytes) -> int:
    """Which way is up, 1 to 8, by the first directory of these notes; 1 if they do not say."""
    order: Literal["little", "big"] = "little" if exif[6:8] == b"II" else "big"
    notes = exif[6:]
    first = int.from_bytes(notes[4:8], order)
    if not exif.startswith(b"Exif\0\0") or first > len(notes):
        return 1
    for at in range(
        first + 2, first + 2 + 12 * min(64, int.from_bytes(notes[first : first + 2], order)), 12
    ):
        if int.from_bytes(notes[at : at + 2], order) == 0x0112:
            up = int.from_bytes(notes[at + 8 : at + 10], order)
            return up if 1 <= up <= 8 else 1
    return 1


def _refuse_poor_pdf(body: bytes) -> None:
    if b"%%EOF" not in body[-1024:]:
        raise Unfit(_DAMAGED)
    plain = _unescaped(body)
    if re.search(rb"/Encrypt\b", plain):
        raise Unfit(_LOCKED)
    if _ACTIVE.search(plain):
        raise Unfit(_DOES)
    starts = [found.span() for found in _STREAM.finditer(body)]
    if len(starts) > MOST_STREAMS:
        raise Unfit(_LOCKED)
    room = MOST_UNPACKED
    for start, end in starts:
        # what an object says of its own stream stands before it
        head = body[max(0, start - LONGEST_HEAD) : start]
        if b"obj" not in head:
            raise Unfit(_LOCKED)
        head = _unescaped(head[head.rindex(b"obj") :])
        if not re.search(rb"/ObjStm\b", head):
            continue
        plain = _unpacked(head, body[end : max(end, body.find(b"endstream", end))], room)
        room -= len(plain)
        if _ACTIVE.search(_unescaped(plain)):
            raise Unfit(_DOES)


def _unpacked(head: bytes, packed: bytes, room: int) -> bytes:
    """An object stream in plain bytes; Unfit if it is packed in a way that is not looked into."""
    filters = re.findall(rb"/(\w+Decode)\b", head)
    if not filters:
        return packed
    if filters != [b"FlateDecode"] or b"/Predictor" in head:
        raise Unfit(_LOCKED)
    unpacker = zlib.decompressobj()
    try:
        plain = unpacker.decompress(packed, room + 1)
    except zlib.error:
        raise Unfit(_DAMAGED) from None
    if len(plain) > room or not unpacker.eof:
        raise Unfit(_LOCKED)
    return plain


def _unescaped(body: bytes) -> bytes:
    """Names may be written /J#61vaScript."""
    return _ESCAPED.sub(lambda found: bytes([int(found[1], 16)]), body)
