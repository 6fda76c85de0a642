"""The bytes of the file vault: header, wrapped data key, one padded sealed blob. Pure; files are left to file.py.

A passphrase opens the key-encryption key (scrypt), which opens the data key, which opens the items. Both seals are
ChaCha20-Poly1305 with a random nonce and the whole header and a purpose label as associated data. The serial counts the
states of the items; it is readable without the passphrase and part of their seal.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from somatui.vault.base import VaultDamaged, WrongPassphrase

VERSION = 1
LOG2_N, BLOCK, LANES = 17, 8, 1
MOST_LOG2_N = 20
MOST_SERIAL = 2**62
PAD = 1024
MOST_BYTES = 16 * 1024 * 1024
_DAMAGED = "The vault's file is damaged: put back a copy of it, or make a new vault and import the keys again."


@dataclass(frozen=True, slots=True)
class Header:
    """What is readable without the passphrase."""

    vault_id: str
    salt: bytes
    log2_n: int = LOG2_N

    def to_json(self) -> dict[str, object]:
        """The header as it stands in the file and in the associated data."""
        kdf = {"name": "scrypt", "log2_n": self.log2_n, "r": BLOCK, "p": LANES, "salt": _b64(self.salt)}
        return {"format": "somatui-vault", "version": VERSION, "vault_id": self.vault_id, "kdf": kdf}

    def label(self, purpose: str) -> bytes:
        """The associated data of one seal."""
        return json.dumps([purpose, self.to_json()], sort_keys=True).encode()


def passphrase_key(passphrase: str, header: Header) -> bytes:
    """The key-encryption key (32 bytes); a few tenths of a second and 128 MiB for a moment."""
    n = 1 << header.log2_n
    return hashlib.scrypt(
        passphrase.encode(), salt=header.salt, n=n, r=BLOCK, p=LANES, maxmem=256 * n * BLOCK, dklen=32
    )


def seal(key: bytes, plain: bytes, header: Header, purpose: str) -> bytes:
    """Nonce and ciphertext."""
    nonce = os.urandom(12)
    return nonce + ChaCha20Poly1305(key).encrypt(nonce, plain, header.label(purpose))


def unseal(key: bytes, sealed: bytes, header: Header, purpose: str) -> bytes:
    """The plain bytes; raises InvalidTag for another key, header, purpose or content."""
    return ChaCha20Poly1305(key).decrypt(sealed[:12], sealed[12:], header.label(purpose))


def pack_items(items: dict[str, bytes]) -> bytes:
    """Items as JSON, padded so that the file's size tells little about them."""
    body = json.dumps({name: _b64(value) for name, value in sorted(items.items())}).encode()
    return body.ljust(-(-(len(body) + 1) // PAD) * PAD, b" ")


def unpack_items(plain: bytes) -> dict[str, bytes]:
    """The items of an opened blob."""
    return {name: base64.b64decode(value) for name, value in json.loads(plain).items()}


@dataclass(frozen=True, slots=True)
class Document:
    """A vault's file, read but not opened."""

    header: Header
    wrapped_key: bytes
    blob: bytes
    serial: int = 0

    @classmethod
    def sealed(cls, header: Header, wrapped_key: bytes, key: bytes, items: dict[str, bytes], serial: int) -> Document:
        """A state of the vault, its items sealed with the data key."""
        return cls(header, wrapped_key, seal(key, pack_items(items), header, _items_purpose(serial)), serial)

    @classmethod
    def fresh(cls, vault_id: str, passphrase: str, key: bytes, items: dict[str, bytes], serial: int) -> Document:
        """The same under a new salt, with the data key wrapped for this passphrase; takes as long as an unlock."""
        header = Header(vault_id, os.urandom(32))
        wrapped = seal(passphrase_key(passphrase, header), key, header, "data key")
        return cls.sealed(header, wrapped, key, items, serial)

    def to_bytes(self) -> bytes:
        """The file's content."""
        parts = {"serial": self.serial, "wrapped_key": _b64(self.wrapped_key), "blob": _b64(self.blob)}
        return (json.dumps({"header": self.header.to_json(), **parts}, indent=1) + "\n").encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Document:
        """Read a file; parameters out of range are refused before any of them is used. Raises VaultDamaged."""
        try:
            return cls._read(json.loads(data))
        except (ValueError, KeyError, TypeError, binascii.Error):
            raise VaultDamaged(_DAMAGED) from None

    @classmethod
    def _read(cls, found: dict[str, object]) -> Document:
        header = found["header"]
        if not isinstance(header, dict) or header["format"] != "somatui-vault":
            raise ValueError("not a vault")
        if header["version"] != VERSION:
            raise VaultDamaged(
                f"The vault has format {header['version']!s:.20} and this version reads {VERSION}: "
                "use the somatui that wrote it."
            )
        kdf = header["kdf"]
        salt, log2_n = _unb64(kdf["salt"]), kdf["log2_n"]
        fixed = (kdf["name"], kdf["r"], kdf["p"]) == ("scrypt", BLOCK, LANES)
        sound = isinstance(log2_n, int) and LOG2_N <= log2_n <= MOST_LOG2_N and len(salt) == 32
        if not fixed or not sound or not isinstance(header["vault_id"], str):
            raise ValueError("parameters out of range")
        made = Header(header["vault_id"], salt, log2_n)
        if made.to_json() != header:
            raise ValueError("unknown fields")
        serial = found.get("serial", 0)
        if type(serial) is not int or not 0 <= serial <= MOST_SERIAL:
            raise ValueError("serial out of range")
        return cls(made, _unb64(found["wrapped_key"]), _unb64(found["blob"]), serial)

    def open_key(self, passphrase: str) -> bytes:
        """The data key (32 bytes). Raises WrongPassphrase; a damaged wrapping looks the same from outside."""
        try:
            return unseal(passphrase_key(passphrase, self.header), self.wrapped_key, self.header, "data key")
        except (InvalidTag, ValueError):
            raise WrongPassphrase(
                "The passphrase does not open the vault: check keyboard layout and capitals, then try again."
            ) from None

    def open_items(self, data_key: bytes) -> dict[str, bytes]:
        """The secrets. Raises VaultDamaged."""
        try:
            return unpack_items(unseal(data_key, self.blob, self.header, _items_purpose(self.serial)))
        except (InvalidTag, ValueError):
            raise VaultDamaged(_DAMAGED) from None


def _items_purpose(serial: int) -> str:
    """A vault that was made before states were counted has none."""
    return f"items {serial}" if serial else "items"


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _unb64(text: object) -> bytes:
    if not isinstance(text, str):
        raise ValueError("not text")
    return base64.b64decode(text, validate=True)
