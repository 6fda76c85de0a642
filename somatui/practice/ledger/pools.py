"""Staking pools: exchange rates, deposits, withdrawals, the epoch boundary (protocol.md 4.7)."""

from __future__ import annotations

from somatui.domain.money import bps
from somatui.practice.ledger.state import StakingPool
from somatui.practice.ledger.values import Refused

Rate = tuple[int, int]
_SLASHED = (
    "The pool holds less than this stake is owed, because it was slashed: the real network stops on such a withdrawal "
    "(this practice network refuses it); nothing was changed"
)
_COUNTED_AT_ONCE = (
    "This stake counted at once, in a pool that is not active yet: the real network stops when it is withdrawn in the "
    "epoch it was made (this practice network refuses it); wait for the next epoch"
)


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


def worth(rate: Rate, given: int) -> int:
    """Shannons for pool tokens."""
    return given if 0 in rate else given * rate[0] // rate[1]


def new_pool(pool_id: bytes, stake: int) -> StakingPool:
    """A pool that is not active yet and holds its owner's stake at once."""
    return StakingPool(pool_id, soma_balance=stake, pool_token_balance=stake)


def activate(pool: StakingPool, epoch: int) -> None:
    """The pool counts from this epoch on."""
    pool.activation_epoch = epoch
    pool.exchange_rates[epoch] = (pool.soma_balance, pool.pool_token_balance)


def deposit(pool: StakingPool, amount: int) -> None:
    """Stake: at once before activation, else pending until the epoch changes."""
    pool.pending_stake += amount
    if pool.activation_epoch is None:
        _take_in(pool)


def withdraw(pool: StakingPool, since: int, principal: int, epoch: int) -> int:
    """Shannons that a stake which counts from epoch `since` is paid; the pool shrinks when the epoch changes.

    Raises Refused where the real network would stop on an arithmetic error (protocol.md 8, item 5).
    """
    if since > epoch:
        if pool.pending_stake < principal:
            raise Refused("FAILED_PRECONDITION", _COUNTED_AT_ONCE)
        pool.pending_stake -= principal
        return principal
    given = tokens(rate_at(pool, since), principal)
    earned = min(max(worth(rate_at(pool, epoch), given) - principal, 0), pool.rewards_pool)
    paid = principal + earned
    if paid > pool.soma_balance - pool.pending_total_soma_withdraw:
        raise Refused("FAILED_PRECONDITION", _SLASHED)
    if given > pool.pool_token_balance - pool.pending_pool_token_withdraw:
        raise Refused("FAILED_PRECONDITION", _SLASHED)
    pool.rewards_pool -= earned
    pool.pending_total_soma_withdraw += paid
    pool.pending_pool_token_withdraw += given
    if pool.deactivation_epoch is not None:
        _pay_out(pool)
    return paid


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
    _pay_out(pool)
    _take_in(pool)
    if epoch is not None:
        pool.exchange_rates[epoch] = (pool.soma_balance, pool.pool_token_balance)


def _pay_out(pool: StakingPool) -> None:
    pool.soma_balance -= pool.pending_total_soma_withdraw
    pool.pool_token_balance -= pool.pending_pool_token_withdraw
    pool.pending_total_soma_withdraw = pool.pending_pool_token_withdraw = 0


def _take_in(pool: StakingPool) -> None:
    """Pending stake joins: one to one into an empty pool, else at the current rate for the pool as a whole."""
    current = (pool.soma_balance, pool.pool_token_balance)
    pool.soma_balance += pool.pending_stake
    pool.pool_token_balance = tokens(current, pool.soma_balance)
    pool.pending_stake = 0
