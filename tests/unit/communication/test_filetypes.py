"""What a file is, whatever it calls itself, and which files are not taken."""

from __future__ import annotations

import time
import zlib
from typing import Any

import pytest

from coordination.domain.communication.files.filetypes import MOST_STREAMS, Unfit, looked_at
from tests.build.papers import JPEG, packed_objects, pdf, png

HTML = b"<!doctype html><script>alert(document.cookie)</script>"
SVG = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><script>1</script></svg>'
SCRIPT = b"<< /S /JavaScript /JS (app.alert\\(1\\)) >>"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (pdf(), "pdf"),
        (pdf("x", packed_objects(b"7 0 << /Type /Annot /A << /S /URI >> >>")), "pdf"),
        (png(), "png"),
        (JPEG, "jpeg"),
    ],
)
def test_what_opens_is_taken_as_it_is(body: bytes, kind: str) -> None:
    sound = looked_at(body)
    assert (sound.kind, sound.body) == (kind, body)


@pytest.mark.parametrize("image", [png(), JPEG])
@pytest.mark.parametrize("behind", [HTML, pdf(), b"PK\x03\x04" + b"\0" * 40])
def test_what_hides_behind_an_image_is_cut_off(image: bytes, behind: bytes) -> None:
    assert looked_at(image + behind).body == image


def _chunk(name: bytes, inside: bytes) -> bytes:
    body = name + inside
    return len(inside).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")


def _segment(marker: int, inside: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(inside) + 2).to_bytes(2, "big") + inside


def _exif(order: str, *tags: tuple[int, int]) -> bytes:
    """The notes of a camera: tags with a short value each, and where it was."""
    ends: Any = "little" if order == "II" else "big"
    entries = b"".join(
        t.to_bytes(2, ends)
        + (3).to_bytes(2, ends)
        + (1).to_bytes(4, ends)
        + v.to_bytes(2, ends)
        + bytes(2)
        for t, v in tags
    )
    return (
        b"Exif\0\0" + order.encode() + (42).to_bytes(2, ends) + (8).to_bytes(4, ends)
        + len(tags).to_bytes(2, ends) + entries + b"N 39 54 E 116 23"
    )  # fmt: skip


@pytest.mark.parametrize("order", ["II", "MM"])
def test_of_what_a_camera_wrote_only_which_way_is_up_is_kept(order: str) -> None:
    notes = _segment(0xE1, _exif(order, (0x010F, 7), (0x0112, 6), (0x8825, 1)))
    others = _segment(0xFE, b"at home") + _segment(0xED, b"Photoshop 3.0") + _segment(0xE2, b"MPF")
    colours = _segment(0xE2, b"ICC_PROFILE\0\1\1 colours") + _segment(0xEE, b"Adobe\0d")
    kept = looked_at(JPEG[:2] + notes + others + colours + JPEG[2:]).body
    assert kept == JPEG[:2] + _segment(0xE1, _exif("MM", (0x0112, 6))[:-16] + bytes(4)) + (
        colours + JPEG[2:]
    )
    # and once more it is the same, so that a second upload is no other file
    assert looked_at(kept).body == kept


@pytest.mark.parametrize(
    "notes",
    [
        b"",
        b"Exif\0\0",
        _exif("MM"),
        _exif("MM", (0x0112, 99)),
        _exif("II", (0x0112, 1)),
        b"Exif\0\0MM\0*\xff\xff\xff\xff",
        b"http://ns.adobe.com/xap/1.0/\0<x/>",
    ],
)
def test_notes_that_say_nothing_of_that_are_left_out(notes: bytes) -> None:
    assert looked_at(JPEG[:2] + _segment(0xE1, notes) + JPEG[2:]).body == JPEG


def test_of_a_png_the_picture_alone_is_kept() -> None:
    plain = png()
    told = _chunk(b"tEXt", b"Author\0at home") + _chunk(b"eXIf", b"N 39 54")
    colours = _chunk(b"gAMA", bytes(4))
    head, rest = plain[:33], plain[33:]
    assert looked_at(head + told + colours + rest).body == head + colours + rest


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (HTML, "no PDF, PNG or JPEG"),
        (SVG, "no PDF, PNG or JPEG"),
        (b"GIF89a" + HTML, "no PDF, PNG or JPEG"),
        (b"MZ\x90\0", "no PDF, PNG or JPEG"),
        # a page that would be taken for a PDF by who looks for the mark anywhere
        (HTML + pdf(), "no PDF, PNG or JPEG"),
        (b"%PDF-1.5\n" + HTML, "damaged"),
        (pdf()[:200], "damaged"),
        (png()[:-4], "damaged"),
        (png().replace(b"IHDR\0", b"IHDR\1"), "damaged"),
        (b"\x89PNG\r\n\x1a\n" + HTML, "damaged"),
        (JPEG[:-2], "damaged"),
        (JPEG[:200], "damaged"),
        (b"\xff\xd8\xff" + HTML, "damaged"),
        (b"\xff\xd8\xff\xd9", "damaged"),
        (png(30_000, 30_000), "too many pixels"),
        (png(0, 4), "damaged"),
        (pdf("x", SCRIPT), "runs something"),
        (pdf("x", SCRIPT.replace(b"/JavaScript", b"/J#61va#53cript")), "runs something"),
        (pdf("x", b"<< /S /Launch /F (cmd.exe) >>"), "runs something"),
        (pdf("x", b"<< /Names << /EmbeddedFiles 9 0 R >> >>"), "runs something"),
        (pdf("x", packed_objects(b"7 0 " + SCRIPT)), "runs something"),
        (pdf("x", packed_objects(b"7 0 " + SCRIPT).replace(b"/ObjStm", b"/Obj#53tm")), "runs some"),
        (pdf("x", b"<< /Encrypt 8 0 R >>"), "locked"),
        (pdf("x", packed_objects(SCRIPT, b"/Filter [/ASCII85Decode /FlateDecode]")), "locked"),
        (pdf("x", packed_objects(SCRIPT)[:-30] + b"\nendstream"), "locked"),
        (pdf("x", packed_objects(b"\0" * 64 * 1024 * 1024)), "locked"),
        (pdf("x", b"stream\n" * (MOST_STREAMS + 1)), "locked"),
    ],
)
def test_what_would_harm_or_not_open_is_refused(body: bytes, why: str) -> None:
    with pytest.raises(Unfit) as refused:
        looked_at(body)
    assert why in refused.value.says.en
    assert refused.value.says.zh


@pytest.mark.parametrize(
    "body",
    [
        pdf("x", b"<< /ObjStm >>\nstream\n" * MOST_STREAMS + b" " * 1_900_000),
        pdf("x", b"#41" * 650_000),
        b"\xff\xd8\xff\xe0\0\x02" + b"\xff\xe0\0\x02" * 500_000,
        png()[:33] + _chunk(b"tEXt", b"") * 160_000,
    ],
)
def test_a_file_made_to_take_long_does_not(body: bytes) -> None:
    began = time.monotonic()
    with pytest.raises(Unfit) if not body.startswith(b"%PDF") else _whatever():
        looked_at(body)
    assert time.monotonic() - began < 5


class _whatever:  # noqa: N801 - reads as `with _whatever()`
    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        return kind is None or issubclass(kind, Unfit)
