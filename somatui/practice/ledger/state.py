"""The system state as one tree of values, named after protocol.md 2.5; copying and storing it, no rules."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterable, Mapping, MutableMapping, MutableSequence, Sequence
from dataclasses import dataclass, field, fields
from typing import TypeVar

from somatui.practice.ledger.shared import Registry, Roster
from somatui.wire.objects import SYSTEM_STATE_ID as SYSTEM_STATE_ID
from somatui.wire.values import Manifest, Tensor

T = TypeVar("T")


@dataclass(slots=True)
class Parameters:
    """The constants of protocol version 5 (protocol.md 4.10); amounts in shannons, thresholds are f32."""

    epoch_duration_ms: int = 86_400_000
    validator_reward_allocation_bps: int = 7000
    model_min_stake: int = 1_000_000_000
    model_architecture_version: int = 1
    model_reveal_slash_rate_bps: int = 5000
    model_tally_slash_rate_bps: int = 9500
    target_epoch_fee_collection: int = 1_000_000_000
    base_fee: int = 1000
    write_object_fee: int = 300
    value_fee_bps: int = 10
    min_value_fee_bps: int = 1
    max_value_fee_bps: int = 50
    fee_adjustment_rate_bps: int = 1250
    target_models_per_target: int = 3
    target_embedding_dim: int = 16
    target_initial_distance_threshold: float = 1.05
    target_reward_allocation_bps: int = 8000
    target_hits_per_epoch: int = 86_400
    target_hits_ema_decay_bps: int = 9000
    target_difficulty_adjustment_rate_bps: int = 10_000
    target_max_distance_threshold: float = 2.0
    target_min_distance_threshold: float = 0.95
    target_initial_targets_per_epoch: int = 100
    target_submitter_reward_share_bps: int = 4975
    target_model_reward_share_bps: int = 4975
    target_claimer_incentive_bps: int = 50
    submission_bond_per_byte: int = 65
    max_submission_data_size: int = 1_048_576


@dataclass(slots=True)
class StakingPool:
    """A pool's balances; `exchange_rates` maps an epoch to (shannons, pool tokens)."""

    id: bytes
    activation_epoch: int | None = None
    deactivation_epoch: int | None = None
    soma_balance: int = 0
    rewards_pool: int = 0
    pool_token_balance: int = 0
    exchange_rates: dict[int, tuple[int, int]] = field(default_factory=dict)
    pending_stake: int = 0
    pending_total_soma_withdraw: int = 0
    pending_pool_token_withdraw: int = 0

    def copy(self) -> StakingPool:
        """A copy that shares nothing that changes."""
        made = copy.copy(self)
        made.exchange_rates = dict(self.exchange_rates)
        return made


@dataclass(frozen=True, slots=True)
class Commitment:
    """Committed weights: where they lie and the hashes that the reveal must match."""

    manifest: Manifest
    weights_commitment: bytes
    embedding_commitment: bytes
    key_commitment: bytes
    commit_epoch: int


@dataclass(slots=True)
class Model:
    """A model; `state` is created, pending, active or inactive, `committed` is there from pending on."""

    owner: bytes
    architecture_version: int
    state: str
    create_epoch: int
    staking_pool: StakingPool
    commission_rate: int
    next_epoch_commission_rate: int
    committed: Commitment | None = None
    decryption_key: bytes | None = None
    embedding: Tensor | None = None
    pending_update: Commitment | None = None

    def copy(self) -> Model:
        """A copy that shares nothing that changes."""
        made = copy.copy(self)
        made.staking_pool = self.staking_pool.copy()
        return made


@dataclass(slots=True)
class Staged:
    """A validator's keys and addresses that hold from the next epoch on; None stays as it is."""

    protocol_pubkey: bytes | None = None
    network_pubkey: bytes | None = None
    worker_pubkey: bytes | None = None
    proof_of_possession: bytes | None = None
    net_address: str | None = None
    p2p_address: str | None = None
    primary_address: str | None = None
    proxy_address: str | None = None


@dataclass(slots=True)
class Validator:
    """A validator; keys are bytes, addresses are multiaddr texts."""

    soma_address: bytes
    protocol_pubkey: bytes
    network_pubkey: bytes
    worker_pubkey: bytes
    proof_of_possession: bytes
    net_address: str
    p2p_address: str
    primary_address: str
    proxy_address: str
    voting_power: int
    commission_rate: int
    next_epoch_stake: int
    next_epoch_commission_rate: int
    staking_pool: StakingPool
    staged: Staged = field(default_factory=Staged)

    def copy(self) -> Validator:
        """A copy that shares nothing."""
        return _copied(self)


@dataclass(slots=True)
class EmissionPool:
    """What is left to be given out, and how much of it each whole epoch."""

    balance: int
    emission_per_epoch: int


@dataclass(slots=True)
class TargetState:
    """What the next target gets, and the counters of this epoch."""

    distance_threshold: float
    targets_generated_this_epoch: int = 0
    hits_this_epoch: int = 0
    hits_ema: int = 0
    reward_per_target: int = 0


@dataclass(slots=True)
class SystemState:
    """Everything that is no object of its own; changed by rules on a copy, kept when they succeed.

    What a copy costs does not depend on how many models there are: it shares them until they are asked for by id.
    """

    chain: str
    epoch: int
    epoch_start_timestamp_ms: int
    protocol_version: int
    parameters: Parameters
    validators: MutableSequence[Validator]
    emission_pool: EmissionPool
    target_state: TargetState
    faucet_key: bytes = field(repr=False)
    models: MutableMapping[bytes, Model] = field(default_factory=Registry)
    total_model_stake: int = 0
    model_reports: dict[bytes, set[bytes]] = field(default_factory=dict)
    epoch_fees: tuple[int, int, int] = (0, 0, 0)
    safe_mode: bool = False
    safe_mode_accumulated_fees: int = 0
    safe_mode_accumulated_emissions: int = 0
    pending_validators: list[Validator] = field(default_factory=list)
    pending_removals: list[int] = field(default_factory=list)
    inactive_validators: dict[bytes, Validator] = field(default_factory=dict)
    at_risk_validators: dict[bytes, int] = field(default_factory=dict)
    validator_reports: dict[bytes, set[bytes]] = field(default_factory=dict)

    @property
    def total_stake(self) -> int:
        """What all active validators hold."""
        return sum(v.staking_pool.soma_balance for v in self.all_validators())

    def copy(self) -> SystemState:
        """A copy that can be changed and shares nothing that changes."""
        rest = {name: getattr(self, name) for name in SMALL}
        return SystemState(
            models=registry(self.models).copy(), validators=roster(self.validators).copy(), **_copied(rest)
        )

    def seal(self) -> None:
        """Kept: only copies change from now on; what it holds may be read without being copied."""
        self.models, self.validators = registry(self.models), roster(self.validators)
        self.models.seal()
        self.validators.seal()

    def all_models(self) -> Mapping[bytes, Model]:
        """All models, to be read only; who changes one asks `models` for it by id."""
        return registry(self.models).peek()

    def all_validators(self) -> Sequence[Validator]:
        """All validators, to be read only; who changes one asks `validators` for it."""
        return roster(self.validators).peek()

    def validator(self, address: bytes) -> Validator | None:
        """An active validator, to be changed."""
        if all(v.soma_address != address for v in self.all_validators()):
            return None
        return next(v for v in self.validators if v.soma_address == address)

    def member(self, address: bytes) -> Validator | None:
        """An active or pending validator, to be changed."""
        waiting = (v for v in self.pending_validators if v.soma_address == address)
        return self.validator(address) or next(waiting, None)

    def power(self, addresses: Iterable[bytes]) -> int:
        """The voting power that these addresses hold together; 6667 is a quorum."""
        named = set(addresses)
        return sum(v.voting_power for v in self.all_validators() if v.soma_address in named)

    def active_models(self) -> list[tuple[bytes, Model]]:
        """Active models in the order of their ids, to be read only."""
        return [(i, m) for i, m in sorted(self.all_models().items()) if m.state == "active"]


SMALL = tuple(f.name for f in fields(SystemState) if f.name not in ("models", "validators"))
"""Fields of the state that are copied and stored whole; the other two are shared and stored by their parts."""


def registry(models: MutableMapping[bytes, Model]) -> Registry[Model]:
    """Models as a registry, however they were given."""
    return models if isinstance(models, Registry) else Registry({i: m.copy() for i, m in models.items()})


def roster(validators: MutableSequence[Validator]) -> Roster[Validator]:
    """Validators as a roster, however they were given."""
    return validators if isinstance(validators, Roster) else Roster(v.copy() for v in validators)


def _copied(value: T) -> T:
    made: T = pickle.loads(pickle.dumps(value, pickle.HIGHEST_PROTOCOL))
    return made
