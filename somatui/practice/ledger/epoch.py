"""The epoch change, step by step (protocol.md 4.6, 4.9)."""

from __future__ import annotations

from somatui.domain.money import bps
from somatui.practice.ledger import pools
from somatui.practice.ledger.state import SystemState
from somatui.practice.ledger.targets import QUORUM, f32, make_epoch_targets
from somatui.practice.ledger.view import View


def change_epoch(view: View, now_ms: int) -> None:
    """Begin the next epoch on a view whose sender is the system."""
    state = view.state
    fees = sum(state.epoch_fees)
    rewards = fees
    if now_ms >= state.epoch_start_timestamp_ms + state.parameters.epoch_duration_ms:
        emitted = min(state.emission_pool.emission_per_epoch, state.emission_pool.balance)
        state.emission_pool.balance -= emitted
        rewards += emitted
    _adjust_value_fee(state, fees)
    state.epoch += 1
    state.epoch_start_timestamp_ms = now_ms
    state.epoch_fees = (0, 0, 0)
    part = bps(rewards, state.parameters.validator_reward_allocation_bps)
    state.emission_pool.balance += rewards - part
    _adjust_difficulty(state)
    commissions = _reward_validators(state, part)
    _models(state)
    for address, pool_id, amount in commissions:
        view.create_stake(address, pool_id, amount, state.epoch)
    make_epoch_targets(view)


def _adjust_value_fee(state: SystemState, fees: int) -> None:
    p = state.parameters
    ratio = fees * 10_000 // p.target_epoch_fee_collection
    limit = bps(p.value_fee_bps, p.fee_adjustment_rate_bps)
    if ratio > 10_000:
        step = min(bps(p.value_fee_bps, ratio - 10_000), limit)
        p.value_fee_bps = min(p.value_fee_bps + step, p.max_value_fee_bps)
    else:
        step = min(bps(p.value_fee_bps, 10_000 - ratio), limit)
        p.value_fee_bps = max(p.value_fee_bps - step, p.min_value_fee_bps)


def _adjust_difficulty(state: SystemState) -> None:
    p, now = state.parameters, state.target_state
    hits, decay = now.hits_this_epoch, p.target_hits_ema_decay_bps
    now.hits_ema = hits if now.hits_ema == 0 else (decay * now.hits_ema + (10_000 - decay) * hits) // 10_000
    if now.hits_ema:
        z = (1.0 - now.distance_threshold) / 0.022
        step = max(abs(z) * p.target_difficulty_adjustment_rate_bps / 10_000, 2.0)
        z += step if now.hits_ema > p.target_hits_per_epoch else 0.0
        z -= step if now.hits_ema < p.target_hits_per_epoch else 0.0
        wanted = 1.0 - 0.022 * z
        now.distance_threshold = f32(min(max(wanted, p.target_min_distance_threshold), p.target_max_distance_threshold))
    now.hits_this_epoch = now.targets_generated_this_epoch = 0
    budget = bps(state.emission_pool.emission_per_epoch, p.target_reward_allocation_bps)
    now.reward_per_target = budget // p.target_hits_per_epoch


def _reward_validators(state: SystemState, part: int) -> list[tuple[bytes, bytes, int]]:
    """Pay every validator by voting power; returns the commissions as (address, pool, shannons), in address order."""
    commissions, paid = [], 0
    for validator in sorted(state.validators, key=lambda v: v.soma_address):
        share = bps(part, validator.voting_power)
        commission = bps(share, validator.commission_rate)
        paid += share
        pools.reward(validator.staking_pool, share - commission)
        if commission:
            pools.deposit(validator.staking_pool, commission)
            commissions.append((validator.soma_address, validator.staking_pool.id, commission))
        validator.commission_rate = validator.next_epoch_commission_rate
        pools.boundary(validator.staking_pool, state.epoch)
        validator.next_epoch_stake = validator.staking_pool.soma_balance
    state.emission_pool.balance += part - paid
    return commissions


def _models(state: SystemState) -> None:
    p, epoch = state.parameters, state.epoch
    power = {v.soma_address: v.voting_power for v in state.validators}
    for model_id, model in sorted(state.models.items()):
        reporters = state.model_reports.get(model_id, set())
        if model.state == "active" and sum(power.get(r, 0) for r in reporters) >= QUORUM:
            pools.slash(model.staking_pool, p.model_tally_slash_rate_bps, epoch)
            model.state = "inactive"
        elif model.state == "created" and model.create_epoch + 1 < epoch:
            pools.slash(model.staking_pool, p.model_reveal_slash_rate_bps, epoch)
        elif model.state == "pending" and model.committed and model.committed.commit_epoch < epoch - 1:
            pools.slash(model.staking_pool, p.model_reveal_slash_rate_bps, epoch)
            model.state, model.decryption_key, model.embedding = "inactive", bytes(32), None
        if model.pending_update and model.pending_update.commit_epoch < epoch - 1:
            model.pending_update = None
        if model.state == "active":
            model.commission_rate = model.next_epoch_commission_rate
        if model.state != "inactive":
            pools.boundary(model.staking_pool, epoch if model.state == "active" else None)
    state.model_reports.clear()
    state.total_model_stake = sum(m.staking_pool.soma_balance for _, m in state.active_models())
