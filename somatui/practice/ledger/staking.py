"""Rules of AddStake and WithdrawStake, for validators' pools and, withdrawing, models' (protocol.md 4.3, 4.7)."""

from __future__ import annotations

from somatui.domain.money import bps
from somatui.practice.ledger import pools
from somatui.practice.ledger.state import Model, SystemState, Validator
from somatui.practice.ledger.values import Refused
from somatui.practice.ledger.view import INSUFFICIENT_COIN_BALANCE, INVALID_ARGUMENTS, Failure, View
from somatui.wire.kinds import AddStake, WithdrawStake
from somatui.wire.objects import ObjectType, StakedSoma
from somatui.wire.values import ObjectRef

_UNREVEALED = (
    "The model of this stake is not revealed: were it slashed when the epoch changes, its pool could not pay and the "
    "real network would stop (this practice network refuses the withdrawal until then); nothing was changed"
)
VALIDATOR_NOT_FOUND, STAKING_POOL_NOT_FOUND = 16, 18


def principal(view: View, ref: ObjectRef) -> int:
    """Shannons that one of the sender's stakes was made of."""
    return StakedSoma.from_bytes(view.owned(ref.id, ObjectType.STAKED_SOMA).contents).principal


def add_stake(view: View, kind: AddStake, value_fee: int) -> None:
    """Stake on an active or pending validator; a gas coin keeps what the fees will take."""
    coin, balance = kind.coin.id, view.balance(kind.coin.id)
    kept = value_fee + 3 * view.state.parameters.write_object_fee if coin == view.gas else 0
    amount = balance - kept if kind.amount is None else kind.amount
    if balance < amount + kept or (kind.amount is None and kept and amount <= 0):
        raise Failure(INSUFFICIENT_COIN_BALANCE)
    validator = view.state.member(kind.validator)
    if validator is None:
        raise Failure(VALIDATOR_NOT_FOUND)
    if amount == 0:
        raise Failure(INVALID_ARGUMENTS, "Stake amount cannot be 0!")
    view.take(coin, amount)
    pools.deposit(validator.staking_pool, amount)
    validator.next_epoch_stake += amount
    view.create_stake(view.sender, validator.staking_pool.id, amount, view.epoch + 1)


def withdraw_stake(view: View, kind: WithdrawStake, value_fee: int) -> None:
    """Take a stake back with what it earned, as a new coin."""
    staked = StakedSoma.from_bytes(view.owned(kind.staked.id, ObjectType.STAKED_SOMA).contents)
    holder = _holder(view.state, staked.pool_id)
    if holder is None:
        raise Failure(STAKING_POOL_NOT_FOUND)
    pool = holder.staking_pool
    paid = pools.withdraw(pool, staked.activation_epoch, staked.principal, view.epoch)
    if isinstance(holder, Model) and holder.state in ("created", "pending"):
        left = pool.soma_balance - bps(pool.soma_balance, view.state.parameters.model_reveal_slash_rate_bps)
        if pool.pending_total_soma_withdraw > left:
            raise Refused("FAILED_PRECONDITION", _UNREVEALED)
    if isinstance(holder, Validator):
        holder.next_epoch_stake = max(holder.next_epoch_stake - paid, 0)
    elif holder.state == "active":
        view.state.total_model_stake = max(view.state.total_model_stake - paid, 0)
    view.delete(kind.staked.id)
    view.create_coin(view.sender, paid)


def _holder(state: SystemState, pool_id: bytes) -> Validator | Model | None:
    """Whose pool it is, to be changed: validators first, those that left, then models in any state."""
    address = next((v.soma_address for v in state.all_validators() if v.staking_pool.id == pool_id), None)
    if address is not None:
        return state.validator(address)
    waiting = next((v for v in state.pending_validators if v.staking_pool.id == pool_id), None)
    if waiting is not None:
        return waiting
    if pool_id in state.inactive_validators:
        return state.inactive_validators[pool_id]
    model_id = next((i for i, m in state.all_models().items() if m.staking_pool.id == pool_id), None)
    return None if model_id is None else state.models[model_id]
