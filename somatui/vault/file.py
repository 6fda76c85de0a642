"""The encrypted-file vault: one JSON file of mode 0600, replaced whole and fsynced under a lock at every change."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from somatui.files import write_whole
from somatui.vault import sealed
from somatui.vault.base import VaultDamaged, VaultError, VaultExposed, VaultLocked, VaultMissing
from somatui.vault.sealed import Document


class FileVault:
    """Secrets in an encrypted file; keeps the data key in memory while unlocked. Implements `Vault`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._key: bytes | None = None

    @classmethod
    def create(cls, path: Path, passphrase: str) -> FileVault:
        """Make a new vault and leave it unlocked. Raises VaultError when something stands there already."""
        made = cls(path)
        with made._lock():
            if path.exists():
                raise VaultError(f"{path.name} exists already: unlock it, or move it away first.")
            header, key = sealed.fresh_header(), os.urandom(32)
            wrapped = sealed.seal(sealed.passphrase_key(passphrase, header), key, header, "data key")
            made._write(Document(header, wrapped, sealed.seal(key, sealed.pack_items({}), header, "items")))
        made._key = key
        return made

    @classmethod
    def open(cls, path: Path) -> FileVault:
        """An existing vault, still locked. Raises VaultMissing, VaultExposed or VaultDamaged."""
        found = cls(path)
        found._read()
        return found

    @property
    def locked(self) -> bool:
        """Whether `unlock` is needed before secrets can be read."""
        return self._key is None

    def unlock(self, passphrase: str) -> None:
        """Open the vault. Raises WrongPassphrase, or VaultDamaged when the passphrase fits and the items do not."""
        document = self._read()
        key = document.open_key(passphrase)
        document.open_items(key)
        self._key = key

    def lock(self) -> None:
        """Forget the data key."""
        self._key = None

    def change_passphrase(self, old: str, new: str) -> None:
        """Wrap the data key anew, under a new salt. Raises WrongPassphrase."""
        with self._lock():
            document = self._read()
            key = document.open_key(old)
            header = sealed.Header(document.header.vault_id, os.urandom(32))
            wrapped = sealed.seal(sealed.passphrase_key(new, header), key, header, "data key")
            items = sealed.pack_items(document.open_items(key))
            self._write(Document(header, wrapped, sealed.seal(key, items, header, "items")))
        self._key = key

    def names(self) -> tuple[str, ...]:
        """The names of all secrets, sorted."""
        return tuple(sorted(self._items(self._read())))

    def get(self, name: str) -> bytes:
        """The secret of that name; KeyError when there is none."""
        return self._items(self._read())[name]

    def set(self, name: str, value: bytes) -> None:
        """Keep a secret; on return it is on disk."""
        with self._lock():
            document = self._read()
            self._replace(document, self._items(document) | {name: value})

    def delete(self, name: str) -> None:
        """Forget a secret; KeyError when there is none."""
        with self._lock():
            document = self._read()
            items = self._items(document)
            del items[name]
            self._replace(document, items)

    def _items(self, document: Document) -> dict[str, bytes]:
        if self._key is None:
            raise VaultLocked("The vault is locked: unlock it with the passphrase first.")
        return document.open_items(self._key)

    def _replace(self, document: Document, items: dict[str, bytes]) -> None:
        key = self._key
        assert key is not None
        blob = sealed.seal(key, sealed.pack_items(items), document.header, "items")
        self._write(Document(document.header, document.wrapped_key, blob))

    def _read(self) -> Document:
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            raise VaultMissing(f"There is no vault at {self.path}: create one first.") from None
        except OSError as failure:
            raise VaultError(f"The vault {self.path} cannot be read ({failure.strerror}).") from failure
        with os.fdopen(descriptor, "rb") as file:
            found = os.fstat(file.fileno())
            if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
                raise VaultExposed(
                    f"Others can reach {self.path}: make it yours alone with chmod 600, change the keys."
                )
            if found.st_size > sealed.MOST_BYTES:
                raise VaultDamaged(f"{self.path.name} is too large to be a vault: put back a copy of it.")
            return Document.from_bytes(file.read())

    def _write(self, document: Document) -> None:
        """What stood there stays whole until the new one does."""
        try:
            write_whole(self.path, document.to_bytes())
        except OSError as failure:
            raise VaultError(_write_sentence(self.path, failure)) from failure

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """One writer at a time, across processes."""
        try:
            descriptor = os.open(
                self.path.with_name(f".{self.path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
            )
        except OSError as failure:
            raise VaultError(_write_sentence(self.path, failure)) from failure
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _write_sentence(path: Path, failure: OSError) -> str:
    if failure.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"The disk that holds {path} is full: free some space; the vault is as it was."
    return f"The vault {path} cannot be written ({failure.strerror}): check its folder; the vault is as it was."
