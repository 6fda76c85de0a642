"""What the socket offers about wallets: make, import, label, choose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from somatui.agent.ground import Ground
from somatui.agent.server import Method


@dataclass(slots=True)
class Wallets:
    """The methods of the wallets. `changed_wallet` is called when another wallet is in use; it raises LeaseHeld."""

    ground: Ground
    changed_wallet: Callable[[], None]

    def table(self) -> dict[str, Method]:
        """The methods by the name they have on the socket."""
        return {}
