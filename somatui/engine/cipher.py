"""The network's cipher and checksum for weights (protocol.md 3.9), apart from torch for those who only move bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

STEP = 256 * 1024
"""Bytes that are ciphered and hashed before the next are touched."""


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

    def into(self, piece: bytes | memoryview, out: memoryview) -> memoryview:
        """The same into a buffer, which must be as long at least; gives the part of it that was written."""
        return out[: self._stream.update_into(piece, out)]


class Pass:
    """Ciphers and hashes weights in the same pass, in steps that stay in the processor's cache.

    Without a key they stay as they are. The checksum is of the encrypted bytes: those that come in, or while `sealing`
    those that come out. What comes out is written over the same buffer each time, so use it before the next step.
    Raises WeightsError as Stream does.
    """

    def __init__(self, key: bytes | None, *, sealing: bool = False) -> None:
        self._stream, self.sealing = None if key is None else Stream(key), sealing
        self._hash = hashlib.blake2b(digest_size=32)
        self._out = memoryview(bytearray(STEP))

    def steps(self, piece: bytes | bytearray | memoryview) -> Iterator[memoryview]:
        """The piece, turned, a step at a time."""
        whole = memoryview(piece)
        for at in range(0, len(whole), STEP):
            step = whole[at : at + STEP]
            out = step if self._stream is None else self._stream.into(step, self._out)
            self._hash.update(out if self.sealing else step)
            yield out

    def checksum(self) -> bytes:
        """Blake2b-256 of all encrypted bytes so far (32 bytes)."""
        return self._hash.digest()


def crypt(data: bytes, key: bytes) -> bytes:
    """All of `data` through a Stream. Raises WeightsError."""
    return Stream(key).update(data)


def checksum(data: bytes) -> bytes:
    """Blake2b-256 of the bytes: manifest checksum and weights commitment when they are encrypted (32 bytes)."""
    return hashlib.blake2b(data, digest_size=32).digest()
