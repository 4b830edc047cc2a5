"""Unpacking what is handed in, and whose each file is."""

from __future__ import annotations

import io
import time
import zipfile

import pytest

from coordination.domain.communication.files.handing_in import (
    MOST_ALL,
    MOST_EACH,
    MOST_FILES,
    Handed,
    Pupil,
    matched,
    owner_of,
    unpacked,
)
from coordination.ground.errors import Invalid
from coordination.ground.text import Text
from tests.build.papers import zipped

CLASS = [
    Pupil(1, "王小雨", "20260001"),
    Pupil(2, "王小雨涵", "20260002"),
    Pupil(3, "阿依古丽·买买提", ""),
    Pupil(4, "𠮷田悠", "12"),
    Pupil(5, "Anna Smith", ""),
    Pupil(6, "李想", "20260006"),
    Pupil(7, "李想", "20260007"),
    Pupil(8, "Li", ""),
]


@pytest.mark.parametrize(
    ("name", "owner"),
    [
        ("王小雨.pdf", 1),
        ("01王小雨.PDF", 1),
        ("期末_王小雨_语文.pdf", 1),
        ("（王小雨）成绩.jpeg", 1),
        ("20260001.png", 1),
        ("S２０２６０００１.png", None),
        ("２０２６０００１.png", 1),
        ("王小雨涵.pdf", 2),
        ("阿依古丽·买买提.jpg", 3),
        ("阿依古丽•买买提 2.jpg", 3),
        ("买买提.jpg", None),
        ("𠮷田悠 (2).jpg", 4),
        ("12.jpg", 4),
        ("期末12.jpg", None),
        ("anna smith 2026.pdf", 5),
        ("Li.pdf", 8),
        ("Li Ming.pdf", None),
        ("20260007李想.pdf", 7),
        ("李想.pdf", None),
        ("王小雨期末.pdf", None),
        ("王小雨、李想.pdf", None),
        ("20260001 20260002.pdf", None),
        ("20260002王小雨.pdf", None),
        ("120260001.pdf", None),
        ("20260001x.pdf", None),
        ("IMG_20260001_1.jpg", 1),
        (".pdf", None),
        ("", None),
    ],
)
def test_a_file_belongs_to_one_child_or_to_none(name: str, owner: int | None) -> None:
    found = owner_of(name, CLASS)
    if owner is None:
        assert isinstance(found, Text), found
        assert found.zh.rstrip().endswith("。")
    else:
        assert isinstance(found, Pupil)
        assert found.id == owner


def test_two_files_for_one_child_are_both_refused() -> None:
    pairs, refused = matched(
        [Handed("王小雨.pdf", b"1"), Handed("20260001.pdf", b"2"), Handed("Li.pdf", b"3")], CLASS
    )
    assert list(pairs) == [8]
    assert [r.name for r in refused] == ["王小雨.pdf", "20260001.pdf"]


def _names(body: bytes) -> tuple[list[str], list[str]]:
    files, refused = unpacked([Handed("all.zip", body)])
    return [f.name for f in files], [r.name for r in refused]


def test_an_archive_gives_its_files_without_folders_and_what_a_computer_adds() -> None:
    body = zipped(
        [
            ("三2班/", b""),
            ("三2班/王小雨.pdf", b"1"),
            ("__MACOSX/三2班/._王小雨.pdf", b"x"),
            ("三2班/.DS_Store", b"x"),
        ]
    )
    assert _names(body) == (["王小雨.pdf"], [])


@pytest.mark.parametrize("encoding", ["gb18030", "utf-8"])
def test_names_as_windows_and_macs_write_them_are_read(encoding: str) -> None:
    """Neither says which encoding it used; Python's own reading would be nonsense."""
    plain = zipped([("x" * len("王小雨.pdf".encode(encoding)), b"1")])
    body = plain.replace(b"x" * len("王小雨.pdf".encode(encoding)), "王小雨.pdf".encode(encoding))
    assert _names(body) == (["王小雨.pdf"], [])


@pytest.mark.parametrize(
    "path",
    [
        "../../x/王小雨.pdf",
        "a/../../王小雨.pdf",
        "/etc/王小雨.pdf",
        "C:/王小雨.pdf",
        "..\\王小雨.pdf",
    ],
)
def test_a_path_that_leads_elsewhere_is_refused_by_name(path: str) -> None:
    assert _names(zipped([(path, b"1")])) == ([], ["王小雨.pdf"])


def test_empty_and_large_files_are_refused_by_name() -> None:
    files, refused = unpacked(
        [Handed("a.pdf", b""), Handed("b.pdf", b"x" * (MOST_EACH + 1)), Handed("c/d.pdf", b"1")]
    )
    assert [f.name for f in files] == ["d.pdf"]
    assert [r.name for r in refused] == ["a.pdf", "b.pdf"]


def test_a_bomb_is_unpacked_no_further_than_one_file_may_be() -> None:
    body = zipped([(f"{n}.pdf", b"\0" * 60 * 1024 * 1024) for n in range(4)])
    assert len(body) < MOST_EACH
    began = time.monotonic()
    assert _names(body) == ([], [f"{n}.pdf" for n in range(4)])
    assert time.monotonic() - began < 5


def _locked() -> bytes:
    plain = bytearray(zipped([("a.pdf", b"1")]))
    plain[6] |= 1
    plain[plain.index(b"PK\x01\x02") + 8] |= 1
    return bytes(plain)


def _strange() -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a.pdf", b"1" * 100)
    return target.getvalue()


@pytest.mark.parametrize("body", [_locked(), _strange()])
def test_what_cannot_be_unpacked_is_refused_by_name(body: bytes) -> None:
    assert _names(body) == ([], ["a.pdf"])


@pytest.mark.parametrize(
    ("handed", "why"),
    [
        ([], "No file has come"),
        ([Handed("a.zip", zipped([]))], "No file"),
        ([Handed("a.zip", zipped([("a", b"1")])[:-30])], "damaged"),
        ([Handed("a.zip", b"PK\x03\x04" + b"\xff" * 200)], "damaged"),
        ([Handed(f"{n}.pdf", b"1") for n in range(MOST_FILES + 1)], f"At most {MOST_FILES}"),
        ([Handed("a.zip", zipped([(f"{n}.pdf", b"1") for n in range(2000)]))], "At most"),
        (
            [Handed(f"{n}.pdf", b"x" * MOST_EACH) for n in range(MOST_ALL // MOST_EACH + 1)],
            "MB in all",
        ),
    ],
)
def test_too_many_too_much_and_damaged_refuse_the_whole_upload(
    handed: list[Handed], why: str
) -> None:
    with pytest.raises(Invalid) as refused:
        unpacked(handed)
    assert why in refused.value.fields["files"].en
