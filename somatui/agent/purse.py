"""The wallet's coins as the signer knows them: newest versions, which are in use, which are gone; pure, no I/O.

Own effects come before listings, which lag behind and go on showing coins that were spent (protocol.md 9.2, 9.7).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from somatui.chain.effects import EffectsView
from somatui.domain.coins import NoCoin, assign_roles, choose, dust
from somatui.domain.snapshot import CoinView, Parameters

KEPT_APART = 8
"""Working coins that stay as they are, so that as many transactions can go side by side; smaller ones are swept up."""
MOST_SWEPT = 64


@dataclass(frozen=True, slots=True)
class Held:
    """Coins that belong to one transaction: the one that pays, and those that melt into it."""

    coin: CoinView
    sweep: tuple[CoinView, ...] = ()

    @property
    def ids(self) -> tuple[str, ...]:
        """All of them, the payer first."""
        return (self.coin.id, *(c.id for c in self.sweep))

    @property
    def total_shannons(self) -> int:
        """What the payer holds once the others have melted into it."""
        return self.coin.balance_shannons + sum(c.balance_shannons for c in self.sweep)


class Purse:
    """The coins of one wallet. `parameters` and `reveal_pending` of each call decide which coin has which role."""

    def __init__(self) -> None:
        self._coins: dict[str, CoinView] = {}
        self._held: set[str] = set()
        self._gone: dict[str, tuple[int, int]] = {}
        self._touched: dict[str, int] = {}
        self._looks = 0

    def coins(self, parameters: Parameters, *, reveal_pending: bool) -> tuple[CoinView, ...]:
        """All coins with their roles, those in use too."""
        return assign_roles(self._coins.values(), parameters, reveal_pending=reveal_pending)

    def knows(self, coin_id: str) -> bool:
        """Whether the coin is one of these."""
        return coin_id in self._coins

    def take(
        self, need_shannons: int, parameters: Parameters, *, reveal_pending: bool, reserved: bool, sweep: bool
    ) -> Held | None:
        """Take a coin that holds `need_shannons` out of circulation; None when one does but is in use.

        Raises:
            NoCoin: no coin holds so much, in use or not.
        """
        coins = self.coins(parameters, reveal_pending=reveal_pending)
        busy = frozenset(self._held)
        try:
            coin = choose(coins, need_shannons, busy=busy, reserved_too=reserved)
        except NoCoin:
            if not busy:
                raise
            choose(coins, need_shannons, reserved_too=reserved)
            return None
        held = Held(coin, self._swept(coins, busy | {coin.id}) if sweep else ())
        self._held.update(held.ids)
        return held

    def _swept(self, coins: tuple[CoinView, ...], busy: frozenset[str]) -> tuple[CoinView, ...]:
        """Dust and the smallest working coins beyond those kept apart, for nothing (protocol.md 9.1)."""
        small = [c for c in coins if c.role == "working" and c.id not in busy][KEPT_APART:]
        return (*dust(coins, busy=busy, most=MOST_SWEPT), *small)[:MOST_SWEPT]

    def hold(self, ids: Iterable[str]) -> None:
        """Take coins out of circulation that signed bytes name, whether known yet or not."""
        self._held.update(ids)

    def release(self, ids: Iterable[str]) -> None:
        """Give coins back."""
        self._held.difference_update(ids)

    def held(self, ids: Iterable[str]) -> Held | None:
        """The same coins as they are known; None when the first of them is not."""
        known = [self._coins[i] for i in ids if i in self._coins]
        return Held(known[0], tuple(known[1:])) if known else None

    def wrote(self, effects: EffectsView, held: Held | None, spent_shannons: int) -> None:
        """Take over what a transaction did to the coins it named; `spent_shannons` left the payer besides the fee.

        A coin that is gone is not believed in again before the next epoch, whatever listings show (protocol.md 8, 5a).
        """
        self._looks += 1
        for coin_id in effects.gone:
            self._coins.pop(coin_id, None)
            self._gone[coin_id] = (effects.version, effects.epoch)
            self._touched[coin_id] = self._looks
        for coin_id in held.ids if held else ():
            written = effects.written(coin_id)
            if written is None or coin_id not in self._coins:
                continue
            balance = self._coins[coin_id].balance_shannons
            if held and coin_id == effects.gas_id:
                balance = max(held.total_shannons - effects.fee.total - spent_shannons, 0)
            self._touched[coin_id] = self._looks
            self._coins[coin_id] = CoinView(coin_id, written.version, written.digest, balance)

    def bar(self, coin_id: str, epoch: int) -> None:
        """Do without a coin until the epoch is over: another transaction holds it so long (R10)."""
        coin = self._coins.pop(coin_id, None)
        if coin is not None:
            self._gone[coin_id] = (coin.version, epoch)

    def begin_listing(self) -> int:
        """Call before asking the chain; `listed` wants the number back to know what has changed meanwhile."""
        self._looks += 1
        return self._looks

    def listed(self, coins: Iterable[CoinView], began: int, epoch: int) -> None:
        """Take over a listing, except where the purse knows newer."""
        seen = {c.id: c for c in coins}
        for coin_id, (version, gone_in) in tuple(self._gone.items()):
            if epoch > gone_in:
                del self._gone[coin_id]
            elif coin_id in seen and seen[coin_id].version <= version:
                del seen[coin_id]
        for coin_id, known in tuple(self._coins.items()):
            listed = seen.get(coin_id)
            fresh = self._touched.get(coin_id, 0) > began or coin_id in self._held
            if fresh if listed is None else listed.version < known.version:
                seen[coin_id] = known
        self._coins = {i: replace(c, role="working") for i, c in seen.items()}
        self._touched = {i: n for i, n in self._touched.items() if n > began or i in self._held}
