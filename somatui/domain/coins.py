"""Which coin pays for what: picked on purpose by size and role, never one that cannot pay (R9, R10)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from somatui.domain.money import soma_exact
from somatui.domain.snapshot import CoinView, Parameters

DUST_FACTOR = 10
"""A coin worth less than this many cheap transactions is dust: swept up behind another, never let pay."""


class NoCoin(ValueError):
    """No single coin can pay; the text is one sentence with the cure."""


def dust_limit(parameters: Parameters) -> int:
    """The balance below which a coin counts as dust, in shannons."""
    return DUST_FACTOR * (parameters.base_fee_shannons + 2 * parameters.write_fee_shannons)


def assign_roles(
    coins: Iterable[CoinView], parameters: Parameters, *, reveal_pending: bool = True
) -> tuple[CoinView, ...]:
    """Mark dust, and reserve the smallest coin that can pay a reveal ten times over, if another one is left to work.

    The order is by balance, largest first, then id.
    """
    limit = dust_limit(parameters)
    ordered = sorted(coins, key=lambda c: (-c.balance_shannons, c.id))
    able = [c for c in ordered if c.balance_shannons >= limit]
    reserved = able[-1].id if reveal_pending and len(able) > 1 else None
    return tuple(
        replace(c, role="dust" if c.balance_shannons < limit else "reserved" if c.id == reserved else "working")
        for c in ordered
    )


def choose(
    coins: Iterable[CoinView], need_shannons: int, *, busy: frozenset[str] = frozenset(), reserved_too: bool = False
) -> CoinView:
    """The largest working coin that holds `need_shannons`; the reserved one only for what it is reserved for.

    Raises:
        NoCoin: none is large enough; says the largest there is and what to do.
    """
    roles = ("working", "reserved") if reserved_too else ("working",)
    able = [c for c in coins if c.role in roles and c.id not in busy]
    for coin in sorted(able, key=lambda c: (c.role == "reserved", -c.balance_shannons, c.id)):
        if coin.balance_shannons >= need_shannons:
            return coin
    largest = max((c.balance_shannons for c in able), default=0)
    raise NoCoin(
        f"No single coin holds {soma_exact(need_shannons)} SOMA (largest {soma_exact(largest)}): "
        "merge coins, or fund the wallet."
    )


def dust(coins: Iterable[CoinView], *, busy: frozenset[str] = frozenset(), most: int = 64) -> tuple[CoinView, ...]:
    """Dust coins that may melt into the next transaction as further gas coins, for nothing (protocol.md 9.1)."""
    return tuple(c for c in coins if c.role == "dust" and c.id not in busy)[:most]
