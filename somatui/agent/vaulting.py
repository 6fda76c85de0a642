"""What the socket offers about the vault: is it there, is it open, open it, close it; never what is in it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from somatui.agent.ground import Ground
from somatui.agent.lease import LeaseHeld
from somatui.agent.server import LOCKED, REFUSED, Method, RpcError
from somatui.vault.base import VaultError


@dataclass(slots=True)
class Vaulting:
    """The methods of the vault. `changed_wallet` is called when the vault is open; it raises LeaseHeld."""

    ground: Ground
    changed_wallet: Callable[[], None]

    def table(self) -> dict[str, Method]:
        """The methods by the name they have on the socket."""
        return {
            "vault.status": self.status,
            "vault.unlock": self.unlock,
            "vault.lock": self.lock,
        }

    async def status(self) -> dict[str, Any]:
        """Whether there is a vault, and whether it is open; never what is in it."""
        vault = self.ground.vault
        return {"exists": vault is not None, "locked": vault is None or vault.locked, "address": self.ground.address}

    async def unlock(self, passphrase: str) -> dict[str, Any]:
        """Open the vault."""
        if self.ground.vault is None:
            raise RpcError(REFUSED, "This profile has no vault: set one up first.")
        try:
            await asyncio.to_thread(self.ground.vault.unlock, passphrase)
        except VaultError as wrong:
            raise RpcError(LOCKED, str(wrong)) from None
        try:
            self.changed_wallet()
        except LeaseHeld as held:
            self.ground.vault.lock()
            raise RpcError(REFUSED, str(held)) from None
        return await self.status()

    async def lock(self) -> dict[str, Any]:
        """Forget the key."""
        if self.ground.vault is not None:
            self.ground.vault.lock()
        self.ground.changed()
        return await self.status()
