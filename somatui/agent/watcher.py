"""Looks at the chain: often at its small state, at its lists when that state, an act of ours or time says so."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

from somatui.agent.belonging import belongs
from somatui.agent.ground import Ground
from somatui.agent.journal import JournalError
from somatui.agent.picture import Seen
from somatui.chain.errors import ChainError
from somatui.chain.snapshot import SystemView
from somatui.config import ConfigError
from somatui.domain.networks import careful
from somatui.domain.snapshot import NetworkView

log = logging.getLogger(__name__)

LISTS_EVERY_S = 15.0
"""Claims by others change lists without changing the small state; so often they are read whatever it says."""
NOT_RUNNING = "The practice network is not running: start it here or with somatui practice serve --background."
SECOND = "The first node is silent: what is shown comes from {}, and nothing is sent until the first one answers."
MOST_WAIT_S = 30.0
"""The longest pause between two tries while the network does not answer."""


class Watcher:
    """One look after another. `seen` is the last; `on_look` is told of every one, `list_coins` refreshes the wallet."""

    def __init__(
        self, ground: Ground, list_coins: Callable[[], Awaitable[object]], on_look: Callable[[], None]
    ) -> None:
        self._ground = ground
        self._list_coins = list_coins
        self._on_look = on_look
        self._wake = asyncio.Event()
        self.turn = asyncio.Lock()
        """Whoever holds it keeps the chain from being looked at."""
        self._listed_at = float("-inf")
        self._failures = 0
        profile = ground.profile
        self.seen = Seen(
            NetworkView(name=profile.name, kind=profile.network, rpc_url=profile.rpc_url, colour=profile.colour)
        )

    def forget(self) -> None:
        """Another wallet is in use: its stakes are not known yet."""
        self.seen = replace(self.seen, stakes=())

    def poke(self) -> None:
        """Look soon, at the lists too."""
        self._listed_at = float("-inf")
        self._wake.set()

    async def run(self) -> None:
        """Look for ever."""
        while True:
            self._wake.clear()
            try:
                await self.look()
            except Exception:
                self._failures += 1
                log.exception("a look met something unforeseen")
            pause = self._ground.settings.watch_interval_ms / 1_000
            pause = min(pause * 2 ** min(self._failures, 8), max(pause, MOST_WAIT_S))
            try:
                async with asyncio.timeout(pause):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def refresh(self) -> None:
        """Look now, lists and all, and have it told before this returns."""
        self._listed_at = float("-inf")
        await self.look()

    async def look(self) -> None:
        """One look; what fails is kept in `seen.network.error`, with everything else as it was."""
        async with self.turn:
            try:
                self.seen = await self._look()
                self._failures = 0
            except (ChainError, JournalError) as failure:
                self._failures += 1
                self._moved()
                here = self._ground.profile.network == "practice" and not self._ground.profile.rpc_url
                broken = replace(self.seen.network, reachable=False, error=NOT_RUNNING if here else str(failure))
                self.seen = replace(self.seen, network=broken)
        self._on_look()

    def _moved(self) -> None:
        """A practice network that was started again may have other addresses."""
        try:
            if self._ground.profile.network == "practice" and self._ground.reload():
                self._failures = 0
                self._wake.set()
        except ConfigError as failure:
            log.warning("the settings cannot be read: %s", failure)

    async def _look(self) -> Seen:
        ground, chain, before = self._ground, self._ground.chain, self.seen
        system = await chain.system()
        network = before.network
        if before.system is None or not network.reachable or network.rpc_url != chain.reading:
            await belongs(ground, reading=True)
            found = await chain.network(ground.profile.name, ground.profile.network, ground.now_ms(), system)
            network = replace(found, colour=careful(ground.profile.colour, found.chain))
            if not network.reachable:
                self._failures += 1
                return replace(before, network=network)
        network = replace(
            network,
            safe_mode=system.safe_mode,
            protocol_version=system.protocol_version,
            colour=careful(ground.profile.colour, network.chain),
            has_store=ground.profile.store is not None,
            synced_at_ms=ground.now_ms(),
            error=SECOND.format(network.rpc_url) if network.rpc_url != chain.endpoints.rpc_url else None,
        )
        targets, stakes = before.targets, before.stakes
        if self._lists_due(system):
            began = time.monotonic()
            targets = await chain.targets(("open", "filled"))
            if ground.address:
                await self._list_coins()
                stakes = await chain.staked(ground.address, system.pools)
            self._listed_at = began
        return Seen(network, system, targets, stakes)

    def _lists_due(self, system: SystemView) -> bool:
        old = self.seen.system
        if old is None or time.monotonic() - self._listed_at > LISTS_EVERY_S:
            return True
        names = ("number", "hits", "targets_generated")
        moved = any(getattr(old.epoch, n) != getattr(system.epoch, n) for n in names)
        return moved or old.models != system.models
