"""Keyrings that open the vault without typing: Secret Service, the macOS Keychain, `pass`.

Secrets have one home, the encrypted file; a keyring keeps its data key and nothing else. So counting, copies, export
and restore are the same everywhere, the passphrase opens the vault when a keyring does not, and a new data key takes
back what a keyring has ever given away. A keyring counts only after a random value was written, read and deleted there
within a time limit: one that is locked looks healthy and then asks on a screen that nobody sees. Installed packages
are never searched for keyrings: any of them could take over.
"""

from __future__ import annotations

import base64
import binascii
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from somatui.vault.backends.asking import Unusable, ask
from somatui.vault.base import VaultError

FILE, SECRET_SERVICE, KEYCHAIN, PASS = "file", "secret-service", "keychain", "pass"
CALLED: Mapping[str, str] = {
    FILE: "the passphrase alone",
    SECRET_SERVICE: "the desktop's Secret Service",
    KEYCHAIN: "the macOS Keychain",
    PASS: "the program pass",
}
Asked = Callable[..., "str | None"]


@dataclass(frozen=True, slots=True)
class Choice:
    """What opens the vault beside the passphrase, and the sentence that says why it is that."""

    backend: str
    why: str


def choose(named: str, asked: Asked = ask) -> Choice:
    """What `vault` in config.toml means on this machine.

    Raises VaultError when a keyring is named that does not work: another one is never taken in its place.
    """
    if named == FILE:
        return Choice(FILE, "config.toml wants the passphrase and no keyring.")
    if named != "auto":
        reason = _absent(named) or _tried(named, asked)
        if reason:
            raise VaultError(
                f"config.toml names {CALLED[named]} for the vault's key, but {reason}: cure that, or set vault to file."
            )
        return Choice(named, f"config.toml names {CALLED[named]}, and a random value came back from it unchanged.")
    usual = KEYCHAIN if sys.platform == "darwin" else SECRET_SERVICE
    reason = _absent(usual) or _tried(usual, asked)
    if reason:
        return Choice(FILE, f"The passphrase opens the vault, since {CALLED[usual]} is of no use here: {reason}.")
    return Choice(usual, f"A random value came back unchanged from {CALLED[usual]}.")


def keep(backend: str, profile: str, vault_id: str, key: bytes, asked: Asked = ask) -> None:
    """Put the vault's data key into a keyring. Raises Unusable."""
    asked("write", backend, _service(profile), vault_id, base64.b64encode(key).decode())


def fetch(backend: str, profile: str, vault_id: str, asked: Asked = ask) -> bytes | None:
    """The data key that a keyring keeps, None where it has none. Raises Unusable."""
    kept = asked("read", backend, _service(profile), vault_id)
    if kept is None:
        return None
    try:
        return base64.b64decode(kept.strip(), validate=True)
    except (ValueError, binascii.Error):
        raise Unusable("what it keeps is not this vault's key") from None


def forget(backend: str, profile: str, vault_id: str, asked: Asked = ask) -> None:
    """Have a keyring forget the data key. Raises Unusable."""
    asked("delete", backend, _service(profile), vault_id)


def _service(profile: str) -> str:
    return f"somatui/{profile}"


def _tried(backend: str, asked: Asked) -> str:
    """Why a keyring does not work; empty when it does."""
    try:
        asked("try", backend, "somatui/try", os.urandom(8).hex(), os.urandom(32).hex())
    except Unusable as failure:
        return str(failure)
    return ""


def _absent(backend: str) -> str:
    """Why a keyring cannot be there at all; empty when it may be."""
    if backend == KEYCHAIN:
        return "" if sys.platform == "darwin" else "this is not a Mac"
    if backend == PASS:
        return "" if shutil.which("pass") else "it is not installed"
    if sys.platform == "darwin":
        return "a Mac has none"
    return "" if os.environ.get("DBUS_SESSION_BUS_ADDRESS") else "there is no D-Bus session"
