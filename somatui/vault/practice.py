"""The practice profile's vault, under a passphrase kept beside it, since what it guards is worth nothing."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from somatui.vault.base import VaultMissing
from somatui.vault.file import FileVault


def open_practice_vault(vault: Path, passphrase: Path) -> FileVault:
    """Open the vault with the passphrase file of mode 0600 beside it; make both where there is no vault yet.

    Practice coins are worth nothing, so this convenience risks nothing; other networks never get it.
    """
    if not vault.exists():
        made = secrets.token_urlsafe(24)
        descriptor = os.open(passphrase, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(made + "\n")
            file.flush()
            os.fsync(file.fileno())
        return FileVault.create(vault, made)
    try:
        kept = passphrase.read_text("utf-8").strip()
    except OSError:
        raise VaultMissing(
            f"The practice vault's passphrase {passphrase} is gone: start a new practice network with practice reset."
        ) from None
    found = FileVault.open(vault)
    found.unlock(kept)
    return found
