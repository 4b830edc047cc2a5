"""The age format (age-encryption.org/v1) with a passphrase, written and read as a stream.

A published format and not one of ours, so that a backup opens with the `age` program alone, years
from now. Scrypt wraps a key of the file; the payload is ChaCha20-Poly1305 in chunks of 64 KiB, each
bound to its place and the last one marked, so that nothing can be changed, moved or cut off unseen.
Must not know what is in the file.
"""

from __future__ import annotations

import os
from base64 import b64decode, b64encode
from collections.abc import Iterator
from typing import BinaryIO

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

INTRO = b"age-encryption.org/v1"
CHUNK = 64 * 1024
_TAG = 16
# about a second and 256 MB for each guess; what a foreign file asks for is bounded
WORK = 18
_MOST_WORK = 20
_LONGEST_LINE = 256


class NotAge(ValueError):
    """The file does not begin like an age file with a passphrase."""


class WrongPassphrase(ValueError):
    """The passphrase does not open the file."""


class Damaged(ValueError):
    """The file was changed, or its end is missing."""


class Writer:
    """Encrypts what is written; the file is whole only after `finish`."""

    def __init__(self, file: BinaryIO, passphrase: str, *, work: int | None = None) -> None:
        self._file, work = file, work or WORK
        file_key, salt = os.urandom(16), os.urandom(16)
        wrapped = ChaCha20Poly1305(_wrapping(passphrase, salt, work)).encrypt(
            bytes(12), file_key, None
        )
        head = b"%s\n-> scrypt %s %d\n%s\n---" % (INTRO, _b64(salt), work, _b64(wrapped))
        nonce = os.urandom(16)
        file.write(head + b" " + _b64(_mac(file_key, head).finalize()) + b"\n" + nonce)
        self._aead = ChaCha20Poly1305(_derive(file_key, nonce, b"payload"))
        self._waiting = bytearray()
        self._number = 0

    def write(self, data: bytes) -> int:
        """Take more; a full chunk leaves as soon as something follows it, for the last is marked."""
        self._waiting += data
        while len(self._waiting) > CHUNK:
            self._seal(bytes(self._waiting[:CHUNK]), last=False)
            del self._waiting[:CHUNK]
        return len(data)

    def finish(self) -> None:
        """Write the last chunk."""
        self._seal(bytes(self._waiting), last=True)
        self._waiting.clear()

    def _seal(self, chunk: bytes, *, last: bool) -> None:
        self._file.write(self._aead.encrypt(_nonce(self._number, last=last), chunk, None))
        self._number += 1


def read(file: BinaryIO, passphrase: str) -> Iterator[bytes]:
    """The chunks behind `file`, each only after it was proven; Damaged if it ends too soon.

    What was yielded is genuine, but only the end of the iteration proves that all of it came.
    """
    file_key = _open_head(file, passphrase)
    nonce = file.read(16)
    if len(nonce) != 16:
        raise Damaged("the file ends within its head")
    aead = ChaCha20Poly1305(_derive(file_key, nonce, b"payload"))
    number, sealed = 0, file.read(CHUNK + _TAG)
    while True:
        following = file.read(CHUNK + _TAG)
        last = not following
        try:
            chunk = aead.decrypt(_nonce(number, last=last), sealed, None)
        except InvalidTag:
            raise Damaged(f"chunk {number} is not what was written") from None
        if not chunk and number:
            raise Damaged("the last chunk is empty")
        yield chunk
        if last:
            return
        number, sealed = number + 1, following


def _open_head(file: BinaryIO, passphrase: str) -> bytes:
    intro, stanza, body, end = (file.readline(_LONGEST_LINE) for _ in range(4))
    words = stanza.split()
    if intro != INTRO + b"\n" or len(words) != 4 or words[:2] != [b"->", b"scrypt"]:
        raise NotAge("no age file with a passphrase")
    if not words[3].isdigit() or not 1 <= int(words[3]) <= _MOST_WORK:
        raise NotAge("the work it asks for is out of bounds")
    try:
        salt, wrapped = _unb64(words[2]), _unb64(body.rstrip(b"\n"))
        mark, mac = end.rstrip(b"\n").split(b" ")
        given = _unb64(mac)
    except ValueError:
        raise Damaged("the head is not what was written") from None
    try:
        key = ChaCha20Poly1305(_wrapping(passphrase, salt, int(words[3])))
        file_key = key.decrypt(bytes(12), wrapped, None)
    except InvalidTag:
        raise WrongPassphrase("the passphrase does not open the file") from None
    try:
        _mac(file_key, intro + stanza + body + mark).verify(given)
    except InvalidSignature:
        raise Damaged("the head is not what was written") from None
    return file_key


def _wrapping(passphrase: str, salt: bytes, work: int) -> bytes:
    return Scrypt(salt=INTRO + b"/scrypt" + salt, length=32, n=1 << work, r=8, p=1).derive(
        passphrase.encode()
    )


def _derive(file_key: bytes, salt: bytes | None, info: bytes) -> bytes:
    return HKDF(hashes.SHA256(), length=32, salt=salt, info=info).derive(file_key)


def _mac(file_key: bytes, head: bytes) -> hmac.HMAC:
    made = hmac.HMAC(_derive(file_key, None, b"header"), hashes.SHA256())
    made.update(head)
    return made


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11, "big") + (b"\x01" if last else b"\x00")


def _b64(raw: bytes) -> bytes:
    return b64encode(raw).rstrip(b"=")


def _unb64(text: bytes) -> bytes:
    raw = b64decode(text + b"=" * (-len(text) % 4), validate=True)
    if _b64(raw) != text:
        raise ValueError("not the one way to write it")
    return raw
