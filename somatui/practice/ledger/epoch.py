"""The epoch change, step by step (protocol.md 4.6, 4.9)."""

from __future__ import annotations

from somatui.domain.money import bps
from somatui.practice.ledger import committee, pools
from somatui.practice.ledger.state import SystemState
from somatui.practice.ledger.targets import QUORUM, f32, make_epoch_targets
from somatui.practice.ledger.view import View


def change_epoch(view: View, now_ms: int) -> None:
    """Begin the next epoch on a view whose sender is the system."""
    state = view.state
    fees = sum(state.epoch_fees)
    rewards = fees + state.safe_mode_accumulated_fees + state.safe_mode_accumulated_emissions
    state.safe_mode, state.safe_mode_accumulated_fees, state.safe_mode_accumulated_emissions = False, 0, 0
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
    commissions, nobodys = committee.advance(state, part)
    _models(state)
    state.emission_pool.balance += nobodys
    for address, pool_id, amount in commissions:
        view.create_stake(address, pool_id, amount, state.epoch)
    make_epoch_targets(view)


def enter_safe_mode(state: SystemState, now_ms: int) -> None:
    """What the chain does when an epoch change fails: number, start and what the next good one will hand out."""
    emitted = min(state.emission_pool.emission_per_epoch, state.emission_pool.balance)
    state.emission_pool.balance -= emitted
    state.safe_mode = True
    state.safe_mode_accumulated_fees += sum(state.epoch_fees)
    state.safe_mode_accumulated_emissions += emitted
    state.epoch += 1
    state.epoch_start_timestamp_ms = now_ms
    state.epoch_fees = (0, 0, 0)


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


def _models(state: SystemState) -> None:
    p, epoch = state.parameters, state.epoch
    for model_id, model in sorted(state.models.items()):
        reporters = state.model_reports.get(model_id, set())
        if model.state == "active" and state.power(reporters) >= QUORUM:
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
