"""Staking pools: exchange rates, deposits, withdrawals, the epoch boundary (protocol.md 4.7)."""

from __future__ import annotations

from somatui.domain.money import bps
from somatui.practice.ledger.state import StakingPool

Rate = tuple[int, int]


def rate_at(pool: StakingPool, epoch: int) -> Rate:
    """(shannons, tokens) that held in an epoch; (0, 0) when the pool was not active."""
    if pool.activation_epoch is None or epoch < pool.activation_epoch:
        return (0, 0)
    last = epoch if pool.deactivation_epoch is None else min(epoch, pool.deactivation_epoch)
    known = [e for e in pool.exchange_rates if e <= last]
    return pool.exchange_rates[max(known)] if known else (0, 0)


def tokens(rate: Rate, amount: int) -> int:
    """Pool tokens for shannons."""
    return amount if 0 in rate else amount * rate[1] // rate[0]


def new_pool(pool_id: bytes, stake: int) -> StakingPool:
    """A pool that is not active yet and holds its owner's stake at once."""
    return StakingPool(pool_id, soma_balance=stake, pool_token_balance=stake)


def activate(pool: StakingPool, epoch: int) -> None:
    """The pool counts from this epoch on."""
    pool.activation_epoch = epoch
    pool.exchange_rates[epoch] = (pool.soma_balance, pool.pool_token_balance)


def deposit(pool: StakingPool, amount: int) -> None:
    """Stake: at once before activation, else pending until the epoch changes."""
    if pool.activation_epoch is None:
        pool.soma_balance += amount
        pool.pool_token_balance += amount
    else:
        pool.pending_stake += amount


def reward(pool: StakingPool, amount: int) -> None:
    """Earnings that belong to all stakers."""
    pool.soma_balance += amount
    pool.rewards_pool += amount


def slash(pool: StakingPool, rate_bps: int, epoch: int) -> None:
    """Burn a share of the pool and close it (protocol.md 4.6)."""
    pool.soma_balance -= bps(pool.soma_balance, rate_bps)
    pool.deactivation_epoch = epoch


def boundary(pool: StakingPool, epoch: int | None) -> None:
    """Withdrawals, pending stake and, with the new epoch given, its exchange rate."""
    pool.soma_balance -= pool.pending_total_soma_withdraw
    pool.pool_token_balance -= pool.pending_pool_token_withdraw
    pool.pending_total_soma_withdraw = pool.pending_pool_token_withdraw = 0
    current = (pool.soma_balance, pool.pool_token_balance)
    pool.pool_token_balance += tokens(current, pool.pending_stake)
    pool.soma_balance += pool.pending_stake
    pool.pending_stake = 0
    if epoch is not None:
        pool.exchange_rates[epoch] = (pool.soma_balance, pool.pool_token_balance)
