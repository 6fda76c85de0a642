"""Money that others' transactions bring: written down once per digest before its coins may be spent; and the balance.

What own acts cost and bring is written by the flows, in the same step as the act's end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from somatui.agent.ground import Ground
from somatui.agent.journal import Money
from somatui.chain.effects import EffectsView
from somatui.domain.snapshot import CoinView
from somatui.wire.objects import SYSTEM_STATE_ID
from somatui.wire.text import hex_id

Listed = Sequence[tuple[CoinView, str]]
SYSTEM_STATE = hex_id(SYSTEM_STATE_ID)
MOST_STRANGERS = 20
"""Transactions of somebody else with the key that are told; more of them say nothing new, and may be one a second."""
RECONCILE_LOOKS = 10
RECONCILE_PAUSE_S = 0.3


class Books:
    """The journal's money against the wallet's coins; of the wallet and journal that are in use when it is made."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._journal = ground.journal
        self._known: set[str] = set()
        """Origins of the last listing's coins that are accounted for."""
        self.strangers: set[str] = set()
        """Digests of transactions that somebody else has signed with this wallet's key."""

    async def admit(self, listed: Listed, known: Callable[[str], bool]) -> tuple[CoinView, ...]:
        """The coins of a listing that are accounted for; those that came from elsewhere are, from now on.

        Left out are new coins of own acts whose end is not written yet: their amounts are still to be read.
        Raises ChainError.
        """
        origins, journal = {origin for _, origin in listed}, self._journal
        accounted = origins & self._known
        opening = not journal.accounted()
        unwritten = {i.digest for i in journal.unfinished() if i.digest}
        for origin in sorted(origins - accounted):
            if journal.accounted(origin):
                accounted.add(origin)
            elif origin not in unwritten:
                coins = [coin for coin, made_by in listed if made_by == origin]
                await self._write_down(origin, coins, opening=opening)
                accounted.add(origin)
        self._known = accounted
        return tuple(coin for coin, origin in listed if origin in accounted or known(coin.id))

    async def _write_down(self, origin: str, coins: list[CoinView], *, opening: bool) -> None:
        """Book all that one foreign transaction brought; a claim by somebody else touches the system's state."""
        effects = await self._ground.chain.transaction(origin)
        ground = self._ground
        if self._journal.accounted(origin) or origin in {i.digest for i in self._journal.unfinished()}:
            return
        if not opening and effects is not None and _spends(effects, coins) and len(self.strangers) < MOST_STRANGERS:
            self.strangers.add(origin)
        total = sum(c.balance_shannons for c in coins)
        epoch = effects.epoch if effects else ground.snapshot().epoch.number
        if opening or effects is None or not _pays_out(effects, coins):
            rows = [Money(origin, "received", total, epoch, coins[0].id)]
        else:
            target, bond = self._own_bond(effects)
            rows = [Money(origin, "earned", max(total - bond, 0), epoch, target)]
            rows += [Money(origin, "bond_returned", min(bond, total), epoch, target)] if bond else []
        self._journal.record(rows, ground.now_ms())
        ground.changed()

    def _own_bond(self, effects: EffectsView) -> tuple[str, int]:
        """The target that a foreign claim paid out, and the bond that lay in it if it was filled by this wallet."""
        gone = set(effects.gone)
        for target in effects.gone:
            intent = self._journal.done("submit", target)
            if intent is not None:
                return target, int(intent.result.get("bond_shannons", 0))
        return next((t.id for t in self._ground.snapshot().targets if t.id in gone), ""), 0

    async def reconcile(self) -> dict[str, Any]:
        """The journal's sums and the chain's free balance, in shannons; the difference is 0 when nothing is missing.

        Raises ChainError.
        """
        ground = self._ground
        for look in range(RECONCILE_LOOKS):
            if look:
                await asyncio.sleep(RECONCILE_PAUSE_S)
            listed = await ground.chain.coins_and_origins(ground.address) if ground.address else ()
            await self.admit(listed, lambda _: True)
            free = sum(coin.balance_shannons for coin, _ in listed)
            expected = self._journal.expected_free_shannons()
            if free == expected:
                break
        sums = self._journal.sums()
        return {
            "earned_shannons": sums["earned"],
            "fees_shannons": sums["fee"],
            "bonded_shannons": sums["bond"],
            "bonds_returned_shannons": sums["bond_returned"],
            "staked_shannons": sums["staked"],
            "received_shannons": sums["received"],
            "chain_free_shannons": free,
            "expected_free_shannons": expected,
            "difference_shannons": free - expected,
        }


def _spends(effects: EffectsView, coins: list[CoinView]) -> bool:
    """Whether one of them has paid for it, which only the wallet's own key can do; a coin that somebody hands over
    whole was there before too, and was theirs (protocol.md 4.3)."""
    return effects.gas_id in {coin.id for coin in coins}


def _pays_out(effects: EffectsView, coins: list[CoinView]) -> bool:
    touched = {c.id: c.operation for c in effects.changed}
    return SYSTEM_STATE in touched and all(touched.get(c.id) == "created" for c in coins)
