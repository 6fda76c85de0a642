"""What every place for secrets can do, and how it says that it cannot."""

from __future__ import annotations

from typing import Protocol


class VaultError(Exception):
    """A vault cannot be used; the text is one sentence with the cure and never holds a secret."""


class VaultMissing(VaultError):
    """There is no vault at that place."""


class VaultLocked(VaultError):
    """The vault must be unlocked first."""


class WrongPassphrase(VaultError):
    """The passphrase does not open the vault."""


class VaultDamaged(VaultError):
    """The vault's file is not what was written; nothing in it is used."""


class VaultExposed(VaultError):
    """Others can read or own the vault's file."""


class Vault(Protocol):
    """Named secrets as bytes."""

    @property
    def locked(self) -> bool:
        """Whether secrets are out of reach until the passphrase is given."""
        ...

    def unlock(self, passphrase: str) -> None:
        """Open it. Raises WrongPassphrase, VaultDamaged."""
        ...

    def get(self, name: str) -> bytes:
        """The secret of that name; KeyError when there is none, VaultLocked when locked."""
        ...

    def set(self, name: str, value: bytes) -> None:
        """Keep a secret; on return it is on disk."""
        ...

    def delete(self, name: str) -> None:
        """Forget a secret; KeyError when there is none."""
        ...

    def names(self) -> tuple[str, ...]:
        """The names of all secrets, sorted."""
        ...

    def lock(self) -> None:
        """Forget the key that opens the vault."""
        ...
