"""Which wallet the agent is for: its address, the lease on it, and whether the vault holds its key."""

from __future__ import annotations

import secrets

from somatui.agent.ground import Ground
from somatui.agent.journal import JournalError
from somatui.agent.journals import of_wallet
from somatui.agent.lease import Lease, LeaseHeld, wallet_lease
from somatui.agent.states import fault_from_environment
from somatui.config import Profile
from somatui.domain.secret_names import WALLET
from somatui.vault.base import Vault
from somatui.wire.hashes import address_of

BUSY = "Acts of the wallet in use are not finished: wait until they are, then use the other one."


class WalletBusy(LeaseHeld):
    """Another wallet cannot be taken into use now; the text is one sentence with the cure."""


class WalletInUse:
    """Keeps `ground.address` and `ground.can_sign` true to profile and vault."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._lease: Lease | None = None

    def settle(self) -> bool:
        """Look again which wallet the profile means; whether it is another one than before.

        Raises:
            LeaseHeld: another agent signs for it; nothing has changed.
            WalletBusy: acts of the present one are not finished; it stays in use, and can sign if its key is there.
            JournalError: its journal cannot be opened; nothing has changed.
        """
        ground = self._ground
        address = address_in_use(ground.profile, ground.vault)
        holds = holds_key(ground.vault, address)
        if address and address != ground.address:
            if ground.address and ground.journal.unfinished():
                self._stay(holds_key(ground.vault, ground.address))
                raise WalletBusy(BUSY)
            self._move(address, keyless=not holds and ground.profile.watches(address))
            ground.can_sign = holds
            return True
        self._stay(holds)
        return False

    def _stay(self, holds: bool) -> None:
        if holds and self._lease is None:
            self._lease = self._take(self._ground.address)
        self._ground.can_sign = holds

    def release(self) -> None:
        """Let other agents sign for it."""
        if self._lease is not None:
            self._lease.release()
            self._lease = None

    def _move(self, address: str, keyless: bool) -> None:
        ground = self._ground
        lease = None if keyless else self._take(address)
        try:
            ground.journal = of_wallet(ground.journal, address, ground.paths, fault_from_environment())
        except JournalError:
            if lease is not None:
                lease.release()
            raise
        self.release()
        self._lease, ground.address = lease, address

    def _take(self, address: str) -> Lease:
        return wallet_lease(self._ground.paths.leases_dir, address, self._ground.paths.profile)


def address_in_use(profile: Profile, vault: Vault | None) -> str:
    """The profile's wallet, else the first one of the vault; empty while that is locked, since names are secret too."""
    if profile.wallet or vault is None or vault.locked:
        return profile.wallet
    found = [name.removeprefix(WALLET) for name in vault.names() if name.startswith(WALLET)]
    return found[0] if found else ""


def holds_key(vault: Vault | None, address: str) -> bool:
    """Whether the vault is open and has the wallet's key."""
    return bool(address) and vault is not None and not vault.locked and WALLET + address in vault.names()


def new_wallet(vault: Vault) -> str:
    """Make a wallet in the vault; its address."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = secrets.token_bytes(32)
    address = address_of(Ed25519PrivateKey.from_private_bytes(key).public_key().public_bytes_raw()).hex()
    vault.set(WALLET + address, key)
    return address
