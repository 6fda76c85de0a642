"""How the agent comes to its vault at start: still open in the kernel, by passphrase, by a keyring, or locked."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from somatui.agent.wallet_in_use import new_wallet
from somatui.config import Profile, Settings
from somatui.domain.secret_names import WALLET
from somatui.paths import Paths
from somatui.vault import backends, note
from somatui.vault.backends.asking import Unusable
from somatui.vault.base import VaultDamaged, VaultError
from somatui.vault.file import FileVault
from somatui.vault.held import Held, kernel_keyring
from somatui.vault.practice import open_practice_vault

log = logging.getLogger(__name__)

CREDENTIAL = "somatui-passphrase"
"""The name of the passphrase among a systemd unit's credentials."""
MOST_PASSPHRASE_BYTES = 10_000


def open_vault(paths: Paths, profile: Profile, settings: Settings, passphrase: str | None) -> FileVault | None:
    """The profile's vault, open where that is possible; the practice profile gets one made, with a wallet in it.

    Raises VaultError, also for a passphrase that does not fit.
    """
    if profile.network == "practice":
        vault = open_practice_vault(paths.vault, paths.passphrase)
        if not any(name.startswith(WALLET) for name in vault.names()):
            new_wallet(vault)
        return vault
    if not paths.vault.exists():
        return None
    vault = FileVault.open(paths.vault, Held(kernel_keyring()))
    vault.hold_for(settings.auto_lock_s)
    if vault.locked and passphrase is not None:
        vault.unlock(passphrase)
    elif vault.locked:
        try:
            open_by_keyring(vault, profile.name)
        except Unusable as failure:
            log.warning("the vault stays locked: its keyring cannot be used, since %s", failure)
    return vault


def open_by_keyring(vault: FileVault, profile: str) -> bool:
    """Unlock the vault with the key that a keyring keeps, if one does; whether it is open. Raises Unusable."""
    known = note.read(vault.path)
    if known.backend == backends.FILE or known.vault_id != vault.vault_id:
        return False
    key = backends.fetch(known.backend, profile, known.vault_id)
    if key is None:
        raise Unusable("it does not have this vault's key any more")
    try:
        vault.unlock_with(key)
    except (VaultDamaged, ValueError):
        raise Unusable("the key it keeps does not open this vault") from None
    return True


def given_passphrase(descriptor: int | None) -> str | None:
    """The passphrase from a descriptor, else from systemd's credentials, else None. Raises VaultError."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY", "")
    try:
        if descriptor is not None:
            with open(descriptor, "rb") as pipe:
                return as_passphrase(pipe.read(MOST_PASSPHRASE_BYTES + 1))
        if folder and (file := Path(folder) / CREDENTIAL).exists():
            return as_passphrase(file.read_bytes())
    except OSError as failure:
        raise VaultError(
            f"The passphrase cannot be read ({failure.strerror}): look at its descriptor or credential."
        ) from None
    return None


def as_passphrase(given: bytes) -> str:
    """Bytes as a passphrase, without the end of the line. Raises VaultError."""
    try:
        text = given.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise VaultError("The passphrase is not UTF-8: write it as text.") from None
    if len(given) > MOST_PASSPHRASE_BYTES or not text:
        raise VaultError("The passphrase given is empty or far too long: give one line of text.")
    return text
