"""Validators when the epoch changes: rewards, who leaves and joins, staged keys, voting power (protocol.md 4.8)."""

from __future__ import annotations

from collections.abc import MutableSequence

from somatui.domain.money import bps
from somatui.practice.ledger import pools
from somatui.practice.ledger.members import clash
from somatui.practice.ledger.state import Staged, SystemState, Validator
from somatui.practice.ledger.targets import QUORUM

TOTAL_POWER, MOST_POWER = 10_000, 1000
JOINS, AT_RISK, OUT_AT_ONCE, GRACE_EPOCHS = 12, 8, 4, 7
REWARD_SLASH_BPS = 5000

Commission = tuple[bytes, bytes, int]
"""What a validator's commission becomes: address, pool, shannons."""


def advance(state: SystemState, part: int) -> tuple[list[Commission], int]:
    """Pay validators their `part` and change the set: the commissions in address order, and what nobody got."""
    commissions, paid = _pay(state, part)
    for validator in state.validators:
        validator.commission_rate = validator.next_epoch_commission_rate
        pools.boundary(validator.staking_pool, state.epoch)
    for validator in state.pending_validators:
        pools.boundary(validator.staking_pool, None)
    for index in sorted(state.pending_removals, reverse=True):
        _depart(state, state.validators.pop(index))
    state.pending_removals.clear()
    _weigh(state)
    _put_on_staged(state.validators)
    share_power(state.validators)
    return sorted(commissions), part - paid


def _pay(state: SystemState, part: int) -> tuple[list[Commission], int]:
    total = sum(v.voting_power for v in state.validators)
    if total == 0:
        return [], 0
    shares = {v.soma_address: part * v.voting_power // total for v in state.validators}
    guilty = {a for a, reporters in state.validator_reports.items() if a in shares and state.power(reporters) >= QUORUM}
    taken = {address: bps(shares[address], REWARD_SLASH_BPS) for address in guilty}
    innocent = total - state.power(guilty)
    commissions: list[Commission] = []
    paid = 0
    for validator in state.validators:
        address = validator.soma_address
        bonus = 0 if address in guilty else sum(taken.values()) * validator.voting_power // max(innocent, 1)
        share = shares[address] - taken.get(address, 0) + bonus
        commission = bps(share, validator.commission_rate)
        pools.reward(validator.staking_pool, share - commission)
        if commission:
            pools.deposit(validator.staking_pool, commission)
            commissions.append((address, validator.staking_pool.id, commission))
        validator.next_epoch_stake += share
        paid += share
    return commissions, paid


def _depart(state: SystemState, validator: Validator) -> None:
    address = validator.soma_address
    state.at_risk_validators.pop(address, None)
    state.validator_reports.pop(address, None)
    kept = {a: reporters - {address} for a, reporters in state.validator_reports.items()}
    state.validator_reports = {a: reporters for a, reporters in kept.items() if reporters}
    validator.staking_pool.deactivation_epoch = state.epoch
    state.inactive_validators[validator.staking_pool.id] = validator


def _weigh(state: SystemState) -> None:
    """Who has too little stake leaves, who has enough joins.

    The last validator never leaves: without any, the real network would stop.
    """
    total = sum(v.staking_pool.soma_balance for v in (*state.validators, *state.pending_validators))

    def raw(validator: Validator) -> int:
        return validator.staking_pool.soma_balance * TOTAL_POWER // total if total else 0

    for validator in reversed(list(state.validators)):
        address, power = validator.soma_address, raw(validator)
        if power >= AT_RISK:
            state.at_risk_validators.pop(address, None)
            continue
        if power >= OUT_AT_ONCE:
            state.at_risk_validators[address] = state.at_risk_validators.get(address, 0) + 1
            if state.at_risk_validators[address] <= GRACE_EPOCHS:
                continue
        if len(state.validators) > 1:
            _swap_out(state.validators, validator)
            _depart(state, validator)
    for validator in list(state.pending_validators):
        if raw(validator) >= JOINS:
            state.pending_validators.remove(validator)
            pools.activate(validator.staking_pool, state.epoch)
            state.validators.append(validator)


def _swap_out(validators: MutableSequence[Validator], leaving: Validator) -> None:
    """The last takes the place of the one that leaves, as the chain does it."""
    index = validators.index(leaving)
    last = validators.pop()
    if last is not leaving:
        validators[index] = last


def _put_on_staged(validators: MutableSequence[Validator]) -> None:
    """Staged keys and addresses hold from now on; of two that clash the later one's are dropped."""
    dropped = []
    for number, first in enumerate(validators):
        for second in validators[number + 1 :]:
            if clash(first, second, staged=True):
                dropped.append(second if second.staged != Staged() else first)
    for validator in validators:
        if not any(validator is one for one in dropped):
            for name in Staged.__dataclass_fields__:
                value = getattr(validator.staged, name)
                if value is not None:
                    setattr(validator, name, value)
        validator.staged = Staged()


def share_power(validators: MutableSequence[Validator]) -> None:
    """10,000 points by stake, capped; what the cap leaves over is spread evenly, odd points by stake."""
    total = sum(v.staking_pool.soma_balance for v in validators)
    if not total:
        return
    most = max(MOST_POWER, -(-TOTAL_POWER // len(validators)))
    ranked = sorted(validators, key=lambda v: (-v.staking_pool.soma_balance, v.soma_address))
    for validator in ranked:
        validator.voting_power = min(validator.staking_pool.soma_balance * TOTAL_POWER // total, most)
    each, odd = divmod(TOTAL_POWER - sum(v.voting_power for v in ranked), len(ranked))
    for place, validator in enumerate(ranked):
        validator.voting_power += each + (1 if place < odd else 0)
