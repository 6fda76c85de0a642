"""A new network: its state, its first objects, the faucet's key (protocol.md 4.11)."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from somatui.domain.money import bps
from somatui.practice.ledger.execute import finish
from somatui.practice.ledger.state import (
    Commitment,
    EmissionPool,
    Model,
    Parameters,
    StakingPool,
    SystemState,
    TargetState,
    Validator,
)
from somatui.practice.ledger.system import Genesis
from somatui.practice.ledger.targets import f32, make_epoch_targets
from somatui.practice.ledger.values import Executed, Fee, GenesisConfig
from somatui.practice.ledger.view import View
from somatui.wire.hashes import address_of, blake2b256
from somatui.wire.objects import SYSTEM_STATE_ID, ObjectType, Owner, coin_contents
from somatui.wire.transaction import TransactionData
from somatui.wire.values import Manifest, Tensor

SOMA = 1_000_000_000
SYSTEM = bytes(32)
VALIDATOR_STAKE = 20_000 * SOMA
G2_GENERATOR = bytes.fromhex(
    "93e02b6052719f607dacd3a088274f65596bd0d09920b61ab5da61bbdc7f5049"  # pragma: allowlist secret
    "334cf11213945d57e5ac7d055d042b7e024aa2b2f08f0a91260805272dc51051"  # pragma: allowlist secret
    "c6e47ad4fa403b02b4510b647ae3d1770bac0326a805bbefd48056c8c121bdb8"  # pragma: allowlist secret
)
G1_GENERATOR = bytes.fromhex(
    "97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac58"  # pragma: allowlist secret
    "6c55e83ff97a1aeffb3af00adb22c6bb"  # pragma: allowlist secret
)


def key_of(seed: int, name: str) -> bytes:
    """The 32-byte Ed25519 seed of one of the network's own accounts; worth nothing outside it."""
    return blake2b256(f"practice {name} {seed}".encode())


def address_of_key(key: bytes) -> bytes:
    """The address of an Ed25519 seed."""
    return address_of(Ed25519PrivateKey.from_private_bytes(key).public_key().public_bytes_raw())


def genesis_id(number: int) -> bytes:
    """The id of the `number`-th object made at genesis."""
    return blake2b256(b"soma-genesis-object-id" + number.to_bytes(8, "little"))


def begin(config: GenesisConfig) -> tuple[Executed, SystemState]:
    """The first transaction and the state after it."""
    faucet = key_of(config.seed, "faucet")
    validator = _validator(config.seed)
    emission = EmissionPool(680_000 * SOMA, 1370 * SOMA)
    parameters = Parameters(epoch_duration_ms=config.epoch_duration_ms, target_embedding_dim=config.dim)
    parameters.target_initial_distance_threshold = f32(parameters.target_initial_distance_threshold)
    parameters.target_max_distance_threshold = f32(parameters.target_max_distance_threshold)
    parameters.target_min_distance_threshold = f32(parameters.target_min_distance_threshold)
    reward = bps(emission.emission_per_epoch, parameters.target_reward_allocation_bps) // 200
    goal = TargetState(parameters.target_initial_distance_threshold, reward_per_target=reward if config.models else 0)
    state = SystemState(config.chain, 0, config.now_ms, 5, parameters, [validator], emission, goal, faucet)
    seed = f"{config.chain} {config.seed}".encode()
    data = TransactionData(Genesis(seed), SYSTEM, ())
    view = View(state, data.digest, SYSTEM, {})
    view.create(ObjectType.SYSTEM_STATE, b"\x00", Owner(shared_since=1), SYSTEM_STATE_ID)
    number = 1
    for account, count in ((address_of_key(faucet), 5), (validator.soma_address, 1)):
        for _ in range(count):
            view.create(ObjectType.COIN, coin_contents(300_000 * SOMA), Owner(account), genesis_id(number))
            number += 1
    view.create_stake(validator.soma_address, validator.staking_pool.id, VALIDATOR_STAKE, 0)
    _models(view, config, number)
    make_epoch_targets(view)
    return finish(view, data, None, Fee(0, 0, 0), config.now_ms), state


def _models(view: View, config: GenesisConfig, number: int) -> None:
    state = view.state
    for one in config.models:
        model_id, pool_id = genesis_id(number), genesis_id(number + 1)
        number += 2
        pool = StakingPool(pool_id, 0, None, one.stake_shannons, 0, one.stake_shannons)
        pool.exchange_rates[0] = (one.stake_shannons, one.stake_shannons)
        embedding = Tensor.of(one.embedding)
        manifest = Manifest(one.url, one.checksum, one.size)
        made = Commitment(manifest, one.checksum, embedding.commitment, blake2b256(one.key), 0)
        state.models[model_id] = Model(one.owner, 1, "active", 0, pool, 0, 0, made, one.key, embedding)
        state.emission_pool.balance -= one.stake_shannons
        state.total_model_stake += one.stake_shannons
        view.create_stake(one.owner, pool_id, one.stake_shannons, 0)


def _validator(seed: int) -> Validator:
    address = address_of_key(key_of(seed, "validator"))
    network, worker = (
        Ed25519PrivateKey.from_private_bytes(key_of(seed, f"validator {name}")).public_key().public_bytes_raw()
        for name in ("network", "worker")
    )
    pool = StakingPool(genesis_id(0), 0, None, VALIDATOR_STAKE, 0, VALIDATOR_STAKE, {0: (0, 0)})
    where = "/ip4/127.0.0.1/tcp/8080/http"
    return Validator(
        address, G2_GENERATOR, network, worker, G1_GENERATOR, where, where, where, where,
        10_000, 200, VALIDATOR_STAKE, 200, pool,
    )  # fmt: skip
