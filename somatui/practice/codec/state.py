"""The system state in messages, with the fields that each state of a model has (protocol.md 2.2, 2.5)."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from somatui.practice.codec.objects import manifest_out
from somatui.practice.ledger.state import Commitment, Model, StakingPool, SystemState, Validator
from somatui.practice.messages import pb
from somatui.wire.text import address_hex, hex_id


def pool_out(pool: StakingPool) -> Any:
    """A StakingPool message."""
    out = pb.StakingPool(
        id=hex_id(pool.id),
        activation_epoch=pool.activation_epoch,
        deactivation_epoch=pool.deactivation_epoch,
        soma_balance=pool.soma_balance,
        rewards_pool=pool.rewards_pool,
        pool_token_balance=pool.pool_token_balance,
        pending_stake=pool.pending_stake,
        pending_total_soma_withdraw=pool.pending_total_soma_withdraw,
        pending_pool_token_withdraw=pool.pending_pool_token_withdraw,
    )
    for epoch, (soma, tokens) in pool.exchange_rates.items():
        rate = pb.PoolTokenExchangeRate(soma_amount=soma, pool_token_amount=tokens)
        out.exchange_rates[epoch].CopyFrom(rate)
    return out


def _validator_out(one: Validator) -> Any:
    return pb.Validator(
        soma_address=address_hex(one.soma_address),
        protocol_pubkey=one.protocol_pubkey,
        network_pubkey=one.network_pubkey,
        worker_pubkey=one.worker_pubkey,
        net_address=one.net_address,
        p2p_address=one.p2p_address,
        primary_address=one.primary_address,
        proxy_address=one.proxy_address,
        voting_power=one.voting_power,
        commission_rate=one.commission_rate,
        next_epoch_stake=one.next_epoch_stake,
        next_epoch_commission_rate=one.next_epoch_commission_rate,
        staking_pool=pool_out(one.staking_pool),
        proof_of_possession=one.proof_of_possession,
        **{f"next_epoch_{f.name}": getattr(one.staged, f.name) for f in fields(one.staged)},
    )


def _commitment(out: Any, made: Commitment) -> None:
    out.manifest.CopyFrom(manifest_out(made.manifest))
    out.weights_commitment = made.weights_commitment
    out.embedding_commitment = made.embedding_commitment
    out.decryption_key_commitment = made.key_commitment


def model_out(model: Model) -> Any:
    """A Model message."""
    out = pb.Model(
        owner=address_hex(model.owner),
        architecture_version=model.architecture_version,
        staking_pool=pool_out(model.staking_pool),
        commission_rate=model.commission_rate,
        next_epoch_commission_rate=model.next_epoch_commission_rate,
        state=model.state,
    )
    if model.state == "created":
        out.create_epoch = model.create_epoch
        return out
    if model.committed is not None:
        _commitment(out, model.committed)
        if model.state == "pending":
            out.commit_epoch = model.committed.commit_epoch
    if model.state in ("active", "inactive"):
        out.decryption_key = model.decryption_key or bytes(32)
        if model.embedding is not None:
            out.embedding.extend(model.embedding.floats())
    if model.state == "active" and model.pending_update is not None:
        _commitment(out.pending_update, model.pending_update)
        out.pending_update.commit_epoch = model.pending_update.commit_epoch
    return out


def parameters_out(state: SystemState) -> Any:
    """A SystemParameters message."""
    return pb.SystemParameters(**{f.name: getattr(state.parameters, f.name) for f in fields(state.parameters)})


def state_out(state: SystemState) -> Any:
    """A SystemState message; nothing secret is in it."""
    out = pb.SystemState(
        epoch=state.epoch,
        epoch_start_timestamp_ms=state.epoch_start_timestamp_ms,
        protocol_version=state.protocol_version,
        parameters=parameters_out(state),
        emission_pool=pb.EmissionPool(
            balance=state.emission_pool.balance, emission_per_epoch=state.emission_pool.emission_per_epoch
        ),
        target_state=pb.TargetState(
            **{f.name: getattr(state.target_state, f.name) for f in fields(state.target_state)}
        ),
        safe_mode=state.safe_mode,
        safe_mode_accumulated_fees=state.safe_mode_accumulated_fees,
        safe_mode_accumulated_emissions=state.safe_mode_accumulated_emissions,
    )
    _validators(out, state)
    out.model_registry.total_model_stake = state.total_model_stake
    for model_id, model in state.models.items():
        out.model_registry.models[hex_id(model_id)].CopyFrom(model_out(model))
        out.model_registry.staking_pool_mappings[hex_id(model.staking_pool.id)] = hex_id(model_id)
    for model_id, reporters in state.model_reports.items():
        _reports(out.model_registry.model_report_records[hex_id(model_id)], reporters)
    return out


def _reports(out: Any, reporters: set[bytes]) -> None:
    out.reporters.extend(address_hex(r) for r in sorted(reporters))


def _validators(out: Any, state: SystemState) -> None:
    found = out.validators
    found.total_stake = state.total_stake
    for one in state.all_validators():
        found.validators.append(_validator_out(one))
    for one in state.pending_validators:
        found.pending_validators.append(_validator_out(one))
    found.pending_removals.extend(state.pending_removals)
    for pool_id, one in state.inactive_validators.items():
        found.inactive_validators[hex_id(pool_id)].CopyFrom(_validator_out(one))
    for one in (*state.all_validators(), *state.pending_validators, *state.inactive_validators.values()):
        found.staking_pool_mappings[hex_id(one.staking_pool.id)] = address_hex(one.soma_address)
    for address, epochs in state.at_risk_validators.items():
        found.at_risk_validators[address_hex(address)] = epochs
    for address, reporters in state.validator_reports.items():
        _reports(out.validator_report_records[address_hex(address)], reporters)
