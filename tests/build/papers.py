"""Small files as people hand them in: a PDF, a picture, an archive; each of them opens."""

from __future__ import annotations

import base64
import io
import zipfile
import zlib
from collections.abc import Iterable

# eight by eight pixels, as a browser writes them
JPEG = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAFA3PEY8MlBGQUZaVVBfeMiCeG5uePWvuZHI////////////////////////////"
    "////////////////////////2wBDAVVaWnhpeOuCguv/////////////////////////////////////////////////////"
    "////////////////////wAARCAAIAAgDASIAAhEBAxEB/8QAFQABAQAAAAAAAAAAAAAAAAAAAAT/xAAUEAEAAAAAAAAAAAAA"
    "AAAAAAAA/8QAFAEBAAAAAAAAAAAAAAAAAAAAAP/EABQRAQAAAAAAAAAAAAAAAAAAAAD/2gAMAwEAAhEDEQA/AIgAf//Z"
)


def pdf(words: str = "Term report", *objects: bytes) -> bytes:
    """One page with these words, and what else a test wants to stand in it."""
    drawn = b"BT /F1 20 Tf 40 100 Td (" + words.encode("ascii", "replace") + b") Tj ET"
    parts = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 200] /Contents 4 0 R"
        b" /Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(drawn), drawn),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        *objects,
    ]
    body, places = b"%PDF-1.5\n", []
    for number, part in enumerate(parts, 1):
        places.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, part)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    return (
        body
        + b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<< /Size %d /Root 1 0 R >>\n"
        % (
            len(parts) + 1,
            table,
            len(parts) + 1,
        )
        + b"startxref\n%d\n%%%%EOF\n" % len(body)
    )


def packed_objects(inside: bytes, head: bytes = b"/Filter /FlateDecode") -> bytes:
    """An object stream, in which a PDF may keep objects out of sight."""
    body = zlib.compress(inside)
    return b"<< /Type /ObjStm /N 1 /First 4 /Length %d %s >>\nstream\n%s\nendstream" % (
        len(body),
        head,
        body,
    )


def png(width: int = 4, height: int = 4, *, shade: int = 200) -> bytes:
    """A grey picture."""

    def chunk(name: bytes, data: bytes) -> bytes:
        body = name + data
        return len(data).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")

    size = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    lines = (b"\0" + bytes([shade]) * min(width, 4)) * min(height, 4)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", size + b"\x08\0\0\0\0")
        + chunk(b"IDAT", zlib.compress(lines))
        + chunk(b"IEND", b"")
    )


def zipped(files: Iterable[tuple[str, bytes]]) -> bytes:
    """An archive, packed as tightly as it goes."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, body in files:
            archive.writestr(name, body)
    return target.getvalue()
