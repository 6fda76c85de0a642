"""The SDK's values as the domain's: epoch, models, targets, coins, stakes, and the board that workers score against.

Pure: asking the network is client.py's, deciding is the agent's.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from somatui.domain.ids import normalise_address, normalise_id
from somatui.domain.snapshot import (
    CoinView,
    EpochView,
    ModelState,
    ModelView,
    Parameters,
    StakeView,
    TargetStatus,
    TargetView,
)
from somatui.wire.objects import StakedSoma, Target, parse_coin
from somatui.wire.text import b58decode32, hex_id

ID_BYTES = 32
_STATES: dict[str, ModelState] = {
    "Created": "created", "Pending": "pending", "Active": "active", "Inactive": "inactive"
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Weights:
    """A model's encrypted weights: checksum and key in Base58; the key is public once revealed, None before."""

    url: str
    checksum: str
    size: int
    key: str | None = None


@dataclass(frozen=True, slots=True)
class SystemView:
    """The chain's own state at one moment: one read.

    `weights` by model id, `coming` those that are committed and wait for their reveal, of new models and of updates;
    `pools` from pool id to model id; `closed_pools` are models whose pool takes no stake any more, whatever their state
    says (protocol.md 8, 5b).
    """

    epoch: EpochView
    protocol_version: int
    safe_mode: bool
    models: tuple[ModelView, ...]
    weights: Mapping[str, Weights]
    pools: Mapping[str, str]
    closed_pools: frozenset[str]
    coming: Mapping[str, Weights] = field(default_factory=dict)


def read_system(state: Any) -> SystemView:
    """Read `get_latest_system_state`; models come in id order, which is also the chain's."""
    registry = vars(state.model_registry.models)
    bodies = {normalise_id(name): _variant(value.V1) for name, value in registry.items()}
    models: list[ModelView] = []
    weights: dict[str, Weights] = {}
    coming: dict[str, Weights] = {}
    for name in sorted(bodies):
        variant, body = bodies[name]
        models.append(_model(name, variant, body))
        manifest = _manifest(body)
        if manifest is not None:
            weights[name] = manifest
        committed = body if variant == "Pending" else getattr(body, "pending_update", None)
        manifest = _manifest(committed)
        if manifest is not None:
            coming[name] = manifest
    return SystemView(
        epoch=_epoch(state),
        protocol_version=state.protocol_version,
        safe_mode=bool(state.safe_mode),
        models=tuple(models),
        weights=weights,
        pools={normalise_id(body.staking_pool.id): name for name, (_, body) in bodies.items()},
        closed_pools=frozenset(
            name for name, (_, body) in bodies.items() if body.staking_pool.deactivation_epoch is not None
        ),
        coming=coming,
    )


def _variant(value: Any) -> tuple[str, Any]:
    name, body = next(iter(vars(value).items()))
    return name, body


def _epoch(state: Any) -> EpochView:
    p, targets, emission = state.parameters, state.target_state, state.emission_pool
    return EpochView(
        number=state.epoch,
        starts_at_ms=state.epoch_start_timestamp_ms,
        duration_ms=p.epoch_duration_ms,
        threshold=_scalar(targets.distance_threshold),
        reward_shannons=targets.reward_per_target,
        hits=targets.hits_this_epoch,
        hits_ema=targets.hits_ema,
        hits_wanted=p.target_hits_per_epoch,
        targets_generated=targets.targets_generated_this_epoch,
        emission_per_epoch_shannons=emission.emission_per_epoch,
        emission_balance_shannons=emission.balance,
        parameters=Parameters(
            base_fee_shannons=p.base_fee,
            write_fee_shannons=p.write_object_fee,
            value_fee_bps=p.value_fee_bps,
            model_min_stake_shannons=p.model_min_stake,
            bond_shannons_per_byte=p.submission_bond_per_byte,
            max_data_bytes=p.max_submission_data_size,
            submitter_share_bps=p.target_submitter_reward_share_bps,
            model_share_bps=p.target_model_reward_share_bps,
            claimer_share_bps=p.target_claimer_incentive_bps,
            reveal_slash_bps=p.model_reveal_slash_rate_bps,
            embedding_dim=p.target_embedding_dim,
            architecture_version=p.model_architecture_version,
        ),
    )


def _scalar(tensor: Any) -> float:
    """The one f32 of a tensor; 0.0 for the empty tensor of a network that has had no target yet."""
    data = bytes(tensor.bytes)
    return float(struct.unpack("<f", data)[0]) if len(data) == 4 else 0.0


def _model(name: str, variant: str, body: Any) -> ModelView:
    update = getattr(body, "pending_update", None)
    manifest = _manifest(body)
    return ModelView(
        id=name,
        owner=normalise_address(body.owner),
        state=_STATES[variant],
        stake_shannons=body.staking_pool.soma_balance,
        commission_bps=body.commission_rate,
        architecture_version=body.architecture_version,
        create_epoch=getattr(body, "create_epoch", None),
        commit_epoch=getattr(body, "commit_epoch", None),
        update_commit_epoch=None if update is None else update.commit_epoch,
        url=_printable(manifest.url) if manifest else None,
        weights_checksum=manifest.checksum if manifest else None,
        size_bytes=manifest.size if manifest else None,
    )


def _manifest(body: Any) -> Weights | None:
    """The weights that a model or an update names; a slashed model's key of zeros is no key."""
    manifest = getattr(body, "manifest", None)
    if manifest is None:
        return None
    inner = manifest.V1
    key = getattr(body, "decryption_key", None)
    usable = key is not None and any(b58decode32(key))
    return Weights(inner.url, inner.metadata.V1.checksum, inner.metadata.V1.size, key if usable else None)


def _printable(url: str | None) -> str | None:
    """An address that others have chosen; none where a terminal would obey something in it."""
    return url if url is not None and url.isprintable() else None


def read_target(listed: Any) -> TargetView:
    """Read one row of `list_targets`. A target can only be filled in the epoch that made it (protocol.md 4.5)."""
    submitter = listed.submitter
    return TargetView(
        id=normalise_id(listed.id),
        status=_listed_status(listed.status, filled=submitter is not None),
        model_ids=tuple(normalise_id(m) for m in listed.model_ids or ()),
        threshold=float(listed.distance_threshold or 0.0),
        reward_shannons=listed.reward_pool or 0,
        generation_epoch=listed.generation_epoch or 0,
        fill_epoch=listed.generation_epoch if submitter is not None else None,
        submitter=normalise_address(submitter) if submitter is not None else None,
        winning_model_id=normalise_id(listed.winning_model_id) if listed.winning_model_id else None,
        bond_shannons=listed.bond_amount or 0,
        data_url=_printable(listed.data_url),
    )


def _listed_status(text: str, *, filled: bool) -> TargetStatus:
    """The listing shows expired targets as `claimable` too (protocol.md 2.4)."""
    if text == "claimable":
        return "claimable" if filled else "expired"
    if text in ("open", "filled", "expired"):
        return text  # type: ignore[return-value]
    raise ValueError(f"target status {text!r:.40} is unknown")


def target_from_object(target_id: str, contents: bytes, epoch: int) -> TargetView:
    """Read a target from its object's contents (id first), with its status as of `epoch`. Raises BcsError."""
    found = Target.from_bytes(contents[ID_BYTES:])
    filled = found.filled
    status: TargetStatus
    if filled is None:
        status = "expired" if found.generation_epoch < epoch else "open"
    else:
        status = "claimable" if epoch > filled.epoch + 1 else "filled"
    return TargetView(
        id=normalise_id(target_id),
        status=status,
        model_ids=tuple(hex_id(m) for m in found.model_ids),
        threshold=found.threshold.floats()[0],
        reward_shannons=found.reward,
        generation_epoch=found.generation_epoch,
        fill_epoch=filled.epoch if filled else None,
        submitter=filled.submitter.hex() if filled else None,
        winning_model_id=hex_id(filled.model_id) if filled else None,
        bond_shannons=filled.bond if filled else 0,
        data_url=_printable(filled.manifest.url) if filled else None,
    )


def read_coin(found: Any) -> CoinView:
    """Read one coin object; roles are given by `domain.coins.assign_roles`. Raises BcsError."""
    balance = parse_coin(bytes(found.data.contents)[ID_BYTES:])
    return CoinView(normalise_id(found.id), found.version, found.digest, balance)


def read_stake(found: Any, pools: Mapping[str, str]) -> StakeView:
    """Read one staked-SOMA object; `model_id` is None for a validator's pool. Raises BcsError."""
    stake = StakedSoma.from_bytes(bytes(found.data.contents)[ID_BYTES:])
    pool = hex_id(stake.pool_id)
    return StakeView(normalise_id(found.id), pool, stake.principal, stake.activation_epoch, pools.get(pool))


def marked_targets(targets: Iterable[TargetView], address: str, model_ids: frozenset[str]) -> tuple[TargetView, ...]:
    """The targets with what this wallet has to do with each: its own submission, its own model's win."""
    return tuple(
        replace(
            t,
            mine=t.submitter is not None and t.submitter == address,
            own_model_won=t.winning_model_id is not None and t.winning_model_id in model_ids,
        )
        for t in targets
    )


def marked_models(
    models: Iterable[ModelView], address: str, targets: Iterable[TargetView] = ()
) -> tuple[ModelView, ...]:
    """The models with whether they are this wallet's, and the share of the open targets that name each."""
    named = [t.model_ids for t in targets if t.status == "open"]
    return tuple(
        replace(
            m,
            mine=bool(address) and m.owner == address,
            targets_share=sum(m.id in ids for ids in named) / len(named) if named else 0.0,
        )
        for m in models
    )


def board(system: SystemView, listed: Iterable[Any]) -> dict[str, Any]:
    """What a score worker needs: this epoch's open targets with embeddings, and the models they name.

    A target is left out when the weights of one of its models cannot be read, since its winner cannot be known then.
    """
    number = system.epoch.number
    targets = []
    named: set[str] = set()
    for row in listed:
        ids = [normalise_id(m) for m in row.model_ids or ()]
        if row.status != "open" or row.generation_epoch != number or not ids:
            continue
        if any(i not in system.weights or system.weights[i].key is None for i in ids):
            continue
        named.update(ids)
        targets.append({"id": normalise_id(row.id), "embedding": list(row.embedding), "model_ids": ids})
    models = [
        {"id": name, "url": w.url, "checksum": w.checksum, "size": w.size, "key": w.key}
        for name, w in sorted(system.weights.items())
        if name in named
    ]
    return {"epoch": number, "threshold": system.epoch.threshold, "targets": targets, "models": models}
