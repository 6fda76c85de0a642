"""Asking the faucet, which gives anew each time it is asked: so it is asked once per intent, by one process only."""

from __future__ import annotations

from typing import Any

from somatui.agent.flows.base import Flow
from somatui.agent.ground import Ground
from somatui.agent.journal import Intent, Money
from somatui.agent.signer import Signer
from somatui.agent.states import DONE, FAILED
from somatui.chain.errors import ChainError


class Faucet(Flow):
    """Planned, then done: what came is counted by the digests of the faucet's transactions, never twice."""

    action = "faucet"

    def __init__(self, ground: Ground, signer: Signer) -> None:
        super().__init__(ground, signer)
        self._asking: set[str] = set()

    async def begin(self, args: dict[str, Any], key: str) -> Intent:
        """A new intent each time, and marked as this process's own to ask for."""
        intent = self.ground.journal.begin(self.action, self.ground.address, {}, key, self.ground.now_ms())
        self._asking.add(intent.id)
        return intent

    async def step(self, intent: Intent) -> Intent:
        """Ask. Without an answer nobody knows whether coins come; when they do, the books find them by their digest."""
        if intent.id not in self._asking:
            return self.enter(intent, FAILED, note="The agent stopped before the faucet answered: ask again.")
        self._asking.discard(intent.id)
        chain = self.ground.chain
        try:
            coins = await chain.faucet(self.ground.address)
        except ChainError as failure:
            return self.enter(intent, FAILED, note=str(failure))
        epoch = self.ground.snapshot().epoch.number
        sums: dict[str, int] = {}
        for coin in coins:
            sums[coin.digest] = sums.get(coin.digest, 0) + coin.amount_shannons
        result = {"received_shannons": sum(sums.values()), "coins": [c.id for c in coins]}
        rows = [Money(digest, "received", amount, epoch, intent.subject) for digest, amount in sums.items()]
        done = self.enter(intent, DONE, result=result, money=rows)
        await self._shown(tuple(sums))
        return done

    async def _shown(self, digests: tuple[str, ...]) -> None:
        """Wait until the coins can be spent; the act is done whether they show or not."""
        try:
            for digest in digests:
                await self.ground.chain.settled(digest)
            await self.signer.refresh()
        except ChainError:
            return
        self.ground.changed()
