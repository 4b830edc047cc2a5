"""Phones and e-mails at rest: AES-256-GCM with a keyed blind index for look-up.

The key comes from the settings and is set once by a composition root. Must not log anything.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from functools import lru_cache

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE = 12
_VERSION = b"\x01"
_root: bytes | None = None

# Crockford's alphabet: no I, L, O, U, so that a code can be read aloud.
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_CONFUSED = str.maketrans({"I": "1", "L": "1", "O": "0", "U": "V", "-": "", " ": ""})


def use_key(secret: str) -> None:
    """Set the field key (any string of 16 characters or more); derived keys are made from it."""
    global _root
    if len(secret) < 16:
        raise ValueError("FIELD_KEY must have at least 16 characters")
    _root = hashlib.sha256(secret.encode()).digest()
    _derived.cache_clear()
    _keyed.cache_clear()


@lru_cache(maxsize=8)
def _derived(purpose: str) -> bytes:
    if _root is None:
        raise RuntimeError("the field key has not been set; call crypto.use_key first")
    return hmac.new(_root, purpose.encode(), hashlib.sha256).digest()


@lru_cache(maxsize=8)
def _keyed(purpose: str) -> hmac.HMAC:
    """A hash that has taken its key in and nothing else: to be copied, never updated."""
    return hmac.new(_derived(purpose), digestmod=hashlib.sha256)


def _mac(purpose: str, plain: str) -> bytes:
    found = _keyed(purpose).copy()  # half the price of keying it anew, for hundreds of thousands
    found.update(plain.encode())
    return found.digest()


@lru_cache(maxsize=2)
def _aead(key: bytes) -> AESGCM:
    return AESGCM(key)


def encrypt(plain: str, context: str) -> bytes:
    """A sealed text; `context` (e.g. ``contact_point.value``) says where it belongs."""
    return seal(plain.encode(), context)


def decrypt(sealed: bytes, context: str) -> str:
    """The text behind `sealed`; raises `cryptography.exceptions.InvalidTag` if moved or altered."""
    return unseal(sealed, context).decode()


def seal(plain: bytes, context: str) -> bytes:
    """Version byte + nonce + ciphertext; `context` is bound as AAD."""
    nonce = os.urandom(_NONCE)
    return _VERSION + nonce + _aead(_derived("field")).encrypt(nonce, plain, context.encode())


def unseal(sealed: bytes, context: str) -> bytes:
    """The bytes behind `sealed`; raises `cryptography.exceptions.InvalidTag` if moved or altered."""
    body = bytes(sealed)
    return _aead(_derived("field")).decrypt(
        body[1 : 1 + _NONCE], body[1 + _NONCE :], context.encode()
    )


def blind_index(plain: str) -> bytes:
    """A keyed hash by which a normalised phone or e-mail can be found (32 bytes)."""
    return _mac("index", plain)


def token_hash(token: str) -> bytes:
    """What is stored of a secret code or feed token (32 bytes, keyed)."""
    return _mac("token", token)


def path_secret(purpose: str) -> str:
    """The secret in the address of a machine that cannot sign what it sends (32 hex digits)."""
    return _mac("path", purpose).hex()[:32]


def fingerprint() -> str:
    """By which a key is recognised and not found (16 hex digits): for backups."""
    return _mac("fingerprint", "").hex()[:16]


def digits_of(purpose: str, length: int) -> str:
    """Digits that follow from the key and `purpose` alone, for codes that are not kept anywhere."""
    return f"{int.from_bytes(_mac('digits', purpose)) % 10**length:0{length}d}"


def new_token() -> str:
    """A feed or session secret: 256 bits, URL-safe."""
    return secrets.token_urlsafe(32)


def new_code(length: int = 10) -> str:
    """A code that a person may type or read aloud, e.g. ``7K3QX9MD2F`` (5 bits a character)."""
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def normal_code(typed: str) -> str:
    """A typed code with case, dashes, spaces and look-alikes folded."""
    return typed.strip().upper().translate(_CONFUSED)
