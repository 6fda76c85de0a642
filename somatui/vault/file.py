"""The encrypted-file vault: one JSON file of mode 0600, replaced whole and fsynced under a lock at every change."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from somatui.files import write_whole
from somatui.vault import note, sealed
from somatui.vault.base import VaultDamaged, VaultError, VaultExposed, VaultLocked, VaultMissing
from somatui.vault.held import Held
from somatui.vault.note import Note
from somatui.vault.sealed import Document


class FileVault:
    """Secrets in an encrypted file, whose data key is held while it is unlocked. Implements `Vault`."""

    def __init__(self, path: Path, held: Held | None = None) -> None:
        self.path = path
        self._held = held or Held()

    @classmethod
    def create(cls, path: Path, passphrase: str, held: Held | None = None) -> FileVault:
        """Make a new vault and leave it unlocked. Raises VaultError when something stands there already."""
        made = cls(path, held)
        with made._lock():
            if path.exists():
                raise VaultError(f"{path.name} exists already: unlock it, or move it away first.")
            vault_id, key = os.urandom(16).hex(), os.urandom(32)
            made._write(Document.fresh(vault_id, passphrase, key, {}, 1))
        made._hold(vault_id, key)
        return made

    @classmethod
    def open(cls, path: Path, held: Held | None = None) -> FileVault:
        """An existing vault, locked unless its key is still held. Raises VaultMissing, VaultExposed or VaultDamaged."""
        found = cls(path, held)
        document = found._read()
        found._held.name(document.header.vault_id)
        if (key := found._held.take()) is not None:
            try:
                document.open_items(key)
            except VaultDamaged:
                found._held.drop()
        return found

    @property
    def locked(self) -> bool:
        """Whether `unlock` is needed before secrets can be read."""
        return self._held.take() is None

    @property
    def held_in(self) -> str:
        """Where the data key is: `kernel`, `agent`, or empty while locked."""
        return self._held.where

    @property
    def vault_id(self) -> str:
        """What tells this vault from every other; not secret."""
        return self._read().header.vault_id

    @property
    def copy_is_old(self) -> bool:
        """Whether this is an older state of the vault than one that was here before."""
        return _is_old(self._read(), note.read(self.path))

    def unlock(self, passphrase: str) -> None:
        """Open the vault. Raises WrongPassphrase, or VaultDamaged when the passphrase fits and the items do not."""
        self.unlock_with(self._read().open_key(passphrase))

    def unlock_with(self, key: bytes) -> None:
        """Open the vault with its data key. Raises VaultDamaged for another one."""
        document = self._read()
        document.open_items(key)
        self._hold(document.header.vault_id, key)
        self._noted(document)

    def data_key(self) -> bytes:
        """The data key, for a keyring to keep. Raises VaultLocked."""
        key = self._held.take()
        if key is None:
            raise VaultLocked("The vault is locked: unlock it with the passphrase first.")
        return key

    def hold_for(self, seconds: int) -> None:
        """Say how long an unlocking lasts, 0 until it is locked; another time than before begins now.

        A key that was found in the kernel goes on with the time it has.
        """
        before, self._held.seconds = self._held.seconds, seconds
        if before not in (None, seconds) and (key := self._held.take()) is not None:
            self._held.put(key)

    def closed_for(self, other: FileVault) -> None:
        """Forget the data key, unless it lies where the key of `other` does."""
        if not self._held.same_place(other._held):
            self._held.drop()

    def lock(self) -> None:
        """Forget the data key, in the kernel's keyring too."""
        self._held.drop()

    def change_passphrase(self, old: str, new: str) -> None:
        """Wrap the data key anew, under a new salt. An old copy stays one. Raises WrongPassphrase."""
        with self._lock():
            document = self._read()
            key = document.open_key(old)
            items, vault_id = document.open_items(key), document.header.vault_id
            self._write(Document.fresh(vault_id, new, key, items, self._next(document)))
        self._hold(document.header.vault_id, key)

    def rotate(self, passphrase: str) -> None:
        """Seal everything with a new data key; whoever has the old one has nothing. Raises WrongPassphrase."""
        fresh = os.urandom(32)
        with self._lock():
            document = self._read()
            items = document.open_items(document.open_key(passphrase))
            self._accept(document, passphrase, fresh, items)
        self._hold(document.header.vault_id, fresh)

    def export(self, target: Path, passphrase: str) -> None:
        """Write a copy that opens with the same passphrase and has a data key of its own.

        Raises WrongPassphrase, VaultError when something stands at `target` or it cannot be written.
        """
        document = self._read()
        items = document.open_items(document.open_key(passphrase))
        copy = Document.fresh(document.header.vault_id, passphrase, os.urandom(32), items, document.serial)
        if os.path.lexists(target):
            raise VaultError(f"{target} exists already: name a file that does not.")
        try:
            write_whole(target, copy.to_bytes())
        except OSError as failure:
            raise VaultError(
                f"The copy {target} cannot be written ({failure.strerror}): name another place."
            ) from failure

    @classmethod
    def restore(cls, source: Path, path: Path, passphrase: str, held: Held | None = None) -> tuple[FileVault, int]:
        """Put the copy `source` in the vault's place and unlock it; also how many states of this vault it lacks.

        What stood there is kept beside it. Raises WrongPassphrase, VaultDamaged, VaultMissing.
        """
        document = Document.from_bytes(_bytes_of(source, private=False))
        items = document.open_items(document.open_key(passphrase))
        made = cls(path, held)
        key = os.urandom(32)
        with made._lock():
            known = note.read(path)
            same = known.vault_id == document.header.vault_id
            lacks = max(0, known.serial - document.serial) if same else 0
            if path.exists():
                with _as_vault_errors(path):
                    write_whole(_aside(path), _bytes_of(path, private=False))
            made._accept(document, passphrase, key, items)
        made._hold(document.header.vault_id, key)
        return made, lacks

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

    def _hold(self, vault_id: str, key: bytes) -> None:
        self._held.name(vault_id)
        self._held.put(key)

    def _items(self, document: Document) -> dict[str, bytes]:
        return document.open_items(self.data_key())

    def _replace(self, document: Document, items: dict[str, bytes]) -> None:
        """The next state."""
        sealed_anew = Document.sealed(
            document.header, document.wrapped_key, self.data_key(), items, self._next(document)
        )
        self._write(sealed_anew)

    def _next(self, document: Document) -> int:
        """The next state's serial. An old copy keeps its own, so that it is known for one until somebody accepts it."""
        return document.serial + (0 if _is_old(document, note.read(self.path)) else 1)

    def _accept(self, document: Document, passphrase: str, key: bytes, items: dict[str, bytes]) -> None:
        """The next state under a new salt, counted on from the newest that was ever here."""
        known = note.read(self.path)
        vault_id = document.header.vault_id
        newest = max(document.serial, known.serial if known.vault_id == vault_id else 0)
        self._write(Document.fresh(vault_id, passphrase, key, items, newest + 1))

    def _noted(self, document: Document) -> None:
        known = note.read(self.path)
        if known.vault_id != document.header.vault_id:
            note.write(self.path, Note(document.header.vault_id, document.serial))
        elif document.serial > known.serial:
            note.write(self.path, replace(known, serial=document.serial))

    def _read(self) -> Document:
        return Document.from_bytes(_bytes_of(self.path, private=True))

    def _write(self, document: Document) -> None:
        """What stood there stays whole until the new one does; drafts of writers that died are swept up."""
        with _as_vault_errors(self.path):
            write_whole(self.path, document.to_bytes())
        self._noted(document)
        for draft in self.path.parent.glob(f".{self.path.name}.????????"):
            with contextlib.suppress(OSError):
                draft.unlink()

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """One writer at a time, across processes."""
        with _as_vault_errors(self.path):
            descriptor = os.open(
                self.path.with_name(f".{self.path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
            )
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _is_old(document: Document, known: Note) -> bool:
    return known.vault_id == document.header.vault_id and document.serial < known.serial


def _bytes_of(path: Path, *, private: bool) -> bytes:
    """A vault's file, which must be its owner's alone where it is in use."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (os.O_NOFOLLOW if private else 0))
    except FileNotFoundError:
        raise VaultMissing(f"There is no vault at {path}: create one first.") from None
    except OSError as failure:
        raise VaultError(f"The vault {path} cannot be read ({failure.strerror}).") from failure
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(file.fileno())
        if private and (found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077):
            raise VaultExposed(f"Others can reach {path}: make it yours alone with chmod 600, change the keys.")
        if found.st_size > sealed.MOST_BYTES:
            raise VaultDamaged(f"{path.name} is too large to be a vault: put back a copy of it.")
        try:
            return file.read()
        except OSError as failure:
            raise VaultError(f"The vault {path} cannot be read ({failure.strerror}).") from failure


def _aside(path: Path) -> Path:
    """A free name beside a vault for what stands there."""
    number = 1
    while os.path.lexists(named := path.with_name(f"{path.stem}-before-{number}.json")):
        number += 1
    return named


@contextmanager
def _as_vault_errors(path: Path) -> Iterator[None]:
    """The system's refusals to write, as sentences."""
    try:
        yield
    except OSError as failure:
        if failure.errno in (errno.ENOSPC, errno.EDQUOT):
            text = f"The disk that holds {path} is full: free some space; the vault is as it was."
        else:
            reason = failure.strerror
            text = f"The vault {path} cannot be written ({reason}): check its folder; the vault is as it was."
        raise VaultError(text) from failure
