"""What a file is, whatever it calls itself, and which files are not taken."""

from __future__ import annotations

import time

import pytest

from coordination.domain.communication.filetypes import MOST_STREAMS, Unfit, looked_at
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
