"""The network's cipher and checksum for weights (protocol.md 3.9), apart from torch for those who only move bytes."""

from __future__ import annotations

import hashlib

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR


class WeightsError(ValueError):
    """Weights that cannot be used; the text is one sentence that names what is wrong."""


class Stream:
    """AES-256-CTR with a zero initial counter, piece after piece; it encrypts and decrypts alike.

    A key must serve once only (R16). Raises WeightsError for a key that has not 32 bytes.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) != 32:
            raise WeightsError(f"The decryption key has {len(key)} bytes, not 32.")
        self._stream = Cipher(AES(key), CTR(bytes(16))).encryptor()

    def update(self, piece: bytes) -> bytes:
        """The next piece, as long as it was."""
        return self._stream.update(piece)


def crypt(data: bytes, key: bytes) -> bytes:
    """All of `data` through a Stream. Raises WeightsError."""
    return Stream(key).update(data)


def checksum(data: bytes) -> bytes:
    """Blake2b-256 of the bytes: manifest checksum and weights commitment when they are encrypted (32 bytes)."""
    return hashlib.blake2b(data, digest_size=32).digest()
