"""The age format: what others wrote is read, and what is not as it was written is not."""

from __future__ import annotations

from base64 import b64decode
from io import BytesIO

import pytest

from coordination.keeping import age

SECRET = "correct horse"
LIGHT = 4
# b"yyyyy" under SECRET, written by rage, the reference implementation in Rust
BY_ANOTHER = b64decode(
    "YWdlLWVuY3J5cHRpb24ub3JnL3YxCi0+IHNjcnlwdCAwa1daN0MrZStZbExxZzhtcmM2L1lnIDIwCm5wc3ovc2xPSHkr"
    "NGRaQWw0OUV6WjQ3ejc2cStBbVBVMXJBcHZwSHJaTDAKLS0tIGtKWm15RmJ5QVc4SzNJMUN2SDZnY0lWcFFpb1B1eFdt"
    "c1dMM3puYi9RTmcKd899Q+R747PGifOCZ6wNWRQT6KtLM5EzPJZduzilkG2VcdholQ=="
)


def written(data: bytes, *, pieces: int = 7000) -> bytes:
    out = BytesIO()
    writer = age.Writer(out, SECRET, work=LIGHT)
    for start in range(0, len(data), pieces):
        writer.write(data[start : start + pieces])
    writer.finish()
    return out.getvalue()


def read(sealed: bytes, secret: str = SECRET) -> bytes:
    return b"".join(age.read(BytesIO(sealed), secret))


@pytest.mark.parametrize("size", [0, 1, age.CHUNK - 1, age.CHUNK, age.CHUNK + 1, 3 * age.CHUNK])
def test_what_was_written_is_read(size: int) -> None:
    data = bytes(n % 251 for n in range(size))
    assert read(written(data)) == data


def test_a_file_of_another_implementation_is_read() -> None:
    assert read(BY_ANOTHER) == b"yyyyy"


def test_two_files_of_one_text_have_nothing_in_common() -> None:
    one, other = written(b"x" * 100), written(b"x" * 100)
    assert one[-116:] != other[-116:]


def test_another_passphrase_does_not_open_it() -> None:
    with pytest.raises(age.WrongPassphrase):
        read(written(b"secret"), "correct hors")


def test_any_bit_that_is_flipped_is_seen() -> None:
    whole = written(bytes(200))
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 1
        with pytest.raises((age.Damaged, age.WrongPassphrase, age.NotAge)):
            read(bytes(changed))


@pytest.mark.parametrize("missing", [1, 16, 17, age.CHUNK, age.CHUNK + 16, age.CHUNK + 17])
def test_an_end_that_is_missing_is_seen(missing: int) -> None:
    whole = written(bytes(3 * age.CHUNK))
    with pytest.raises(age.Damaged):
        read(whole[:-missing])


def test_chunks_that_changed_places_are_seen() -> None:
    whole = written(bytes(range(256)) * 1024)  # four chunks
    sealed = age.CHUNK + 16
    head = len(whole) - 4 * sealed
    one, two = whole[head : head + sealed], whole[head + sealed : head + 2 * sealed]
    with pytest.raises(age.Damaged):
        read(whole[:head] + two + one + whole[head + 2 * sealed :])


def test_what_comes_after_the_end_is_seen() -> None:
    with pytest.raises(age.Damaged):
        read(written(b"x") + b"y")


def test_a_file_that_asks_for_too_much_work_is_not_tried() -> None:
    with pytest.raises(age.NotAge):
        read(written(b"x").replace(b" 4\n", b" 30\n", 1))


@pytest.mark.parametrize("junk", [b"", b"PGDMP", b"age-encryption.org/v1\n", bytes(5000)])
def test_what_is_no_age_file_is_said_to_be_none(junk: bytes) -> None:
    with pytest.raises(age.NotAge):
        read(junk)
