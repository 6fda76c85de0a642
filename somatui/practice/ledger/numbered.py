"""Digests that look like any other and carry their number, so that what is never written down can still be found."""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from somatui.wire.hashes import blake2b256

_CIPHER = Cipher(algorithms.AES(blake2b256(b"practice numbered digests")), modes.ECB())
"""Not a secret: it only spreads the bits."""


def numbered(kind: bytes, number: int, part: int = 0) -> bytes:
    """The 32-byte digest of the `part`-th thing of a number; `kind` is four bytes."""
    half = kind + part.to_bytes(3, "little")
    whole = b"".join(half + bytes([side]) + number.to_bytes(8, "little") for side in (0, 1))
    made = _CIPHER.encryptor()
    return made.update(whole) + made.finalize()


def number_in(kind: bytes, digest: bytes) -> tuple[int, int] | None:
    """(number, part) of a digest that `numbered` made of this kind; None for every other."""
    opened = _CIPHER.decryptor()
    whole = opened.update(digest) + opened.finalize()
    number, part = int.from_bytes(whole[8:16], "little"), int.from_bytes(whole[4:7], "little")
    return (number, part) if digest == numbered(kind, number, part) else None
