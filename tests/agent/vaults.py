"""Vaults of this process that open at once: what a passphrase costs is held on to by the vault's own tests."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from unittest import mock

from somatui.vault import sealed


def _key(passphrase: str, header: sealed.Header) -> bytes:
    return hashlib.scrypt(passphrase.encode(), salt=header.salt, n=2, r=1, p=1, dklen=32)


@contextlib.contextmanager
def quick() -> Iterator[None]:
    """Scrypt at its least cost; an agent in a process of its own cannot open what is made meanwhile."""
    with mock.patch.object(sealed, "passphrase_key", _key):
        yield
