"""An agent as a process for a profile of its own on a practice network without lag, its vault under a passphrase."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from somatui.agent.client import AgentClient, ensure_agent, stop_agent
from somatui.config import save_profile
from somatui.paths import Paths
from tests.agent.harness import Household

PASSPHRASE = "four words nobody guesses"
PROFILE = "ops"


class Operator:
    """One profile's agent, asked over its socket; `network` may be asked for its chain."""

    def __init__(self, network: Household, paths: Paths) -> None:
        self.network, self.paths = network, paths

    def ask(self, method: str, **params: Any) -> Any:
        """One call over a connection of its own. Raises AgentError."""

        async def session() -> Any:
            async with self.connect() as client:
                return await client.call(method, **params)

        return asyncio.run(session())

    @contextlib.asynccontextmanager
    async def connect(self) -> AsyncIterator[AgentClient]:
        """A connection for several calls."""
        client = await AgentClient.connect(self.paths)
        try:
            yield client
        finally:
            await client.close()

    def look(self) -> dict[str, Any]:
        """The picture as JSON, as new as the chain."""
        self.ask("refresh")
        return dict(self.ask("snapshot"))

    def wallets(self) -> dict[str, dict[str, Any]]:
        """Every wallet by its address."""
        return {w["address"]: w for w in self.ask("wallet.list")["wallets"]}

    def restart(self) -> None:
        """The agent anew; its vault is locked then."""
        asyncio.run(stop_agent(self.paths))
        asyncio.run(ensure_agent(self.paths))


@contextlib.contextmanager
def operator(home: Path) -> Iterator[Operator]:
    """A network, an agent on it, and a vault that is open."""
    network = Household(home)
    try:
        network.start_network()
        paths = Paths.for_profile(PROFILE, home).create()
        card = network.card
        save_profile(paths, network="custom", rpc_url=card["rpc_url"], faucet_url=card["faucet_url"])
        made = Operator(network, paths)
        asyncio.run(ensure_agent(paths))
        try:
            made.ask("vault.create", passphrase=PASSPHRASE, backend="file")
            yield made
        finally:
            asyncio.run(stop_agent(paths))
    finally:
        network.close()
