"""Rules of a model's life: create, commit, reveal, stake, commission, retire (protocol.md 4.3)."""

from __future__ import annotations

from somatui.practice.ledger import pools
from somatui.practice.ledger.state import Commitment, Model
from somatui.practice.ledger.view import INSUFFICIENT_COIN_BALANCE, INVALID_ARGUMENTS, OTHER_ERROR, Failure, View
from somatui.wire.hashes import blake2b256
from somatui.wire.kinds import (
    AddStakeToModel,
    CommitModel,
    CreateModel,
    DeactivateModel,
    RevealModel,
    SetModelCommissionRate,
)

MODEL_NOT_FOUND, NOT_MODEL_OWNER, MODEL_NOT_ACTIVE = 11, 12, 13
ALREADY_INACTIVE, REVEAL_EPOCH, EMBEDDING_MISMATCH, NO_PENDING_UPDATE = 26, 27, 28, 29
ARCHITECTURE, COMMISSION_TOO_HIGH, MIN_STAKE, KEY_MISMATCH = 30, 31, 32, 57
INVALID_STATE = "Model in invalid state for this operation"


def _owned(view: View, model_id: bytes) -> Model:
    model = view.state.models.get(model_id)
    if model is None:
        raise Failure(MODEL_NOT_FOUND)
    if model.owner != view.sender:
        raise Failure(NOT_MODEL_OWNER)
    return model


def create_model(view: View, kind: CreateModel, value_fee: int) -> None:
    """Register a model; its stake comes out of the gas coin."""
    parameters = view.state.parameters
    if kind.architecture_version != parameters.model_architecture_version:
        raise Failure(ARCHITECTURE)
    if kind.stake < parameters.model_min_stake:
        raise Failure(MIN_STAKE)
    if kind.commission_bps > 10_000:
        raise Failure(COMMISSION_TOO_HIGH)
    balance = view.balance(view.gas)
    if balance < kind.stake + value_fee + 3 * parameters.write_object_fee:
        raise Failure(INSUFFICIENT_COIN_BALANCE)
    view.set_balance(view.gas, balance - kind.stake)
    model_id, pool_id = view.next_id(), view.next_id()
    pool = pools.new_pool(pool_id, kind.stake)
    rate = kind.commission_bps
    made = Model(view.sender, kind.architecture_version, "created", view.epoch, pool, rate, rate)
    view.state.models[model_id] = made
    view.create_stake(view.sender, pool_id, kind.stake, view.epoch + 1)


def commit_model(view: View, kind: CommitModel, value_fee: int) -> None:
    """Commit first weights, or an update of an active model."""
    model = _owned(view, kind.model_id)
    made = Commitment(
        kind.manifest, kind.weights_commitment, kind.embedding_commitment, kind.key_commitment, view.epoch
    )
    if model.state == "created":
        model.state, model.committed = "pending", made
    elif model.state == "active":
        model.pending_update = made
    else:
        raise Failure(OTHER_ERROR, INVALID_STATE)


def reveal_model(view: View, kind: RevealModel, value_fee: int) -> None:
    """Reveal key and embedding in the one epoch after the commit."""
    model = _owned(view, kind.model_id)
    if model.state not in ("pending", "active"):
        raise Failure(OTHER_ERROR, INVALID_STATE)
    committed = model.committed if model.state == "pending" else model.pending_update
    if committed is None:
        raise Failure(NO_PENDING_UPDATE)
    if view.epoch != committed.commit_epoch + 1:
        raise Failure(REVEAL_EPOCH)
    if blake2b256(kind.key) != committed.key_commitment:
        raise Failure(KEY_MISMATCH)
    if kind.embedding.commitment != committed.embedding_commitment:
        raise Failure(EMBEDDING_MISMATCH)
    if model.state == "pending":
        model.state = "active"
        pools.activate(model.staking_pool, view.epoch)
        view.state.total_model_stake += model.staking_pool.soma_balance
    model.committed, model.pending_update = committed, None
    model.decryption_key, model.embedding = kind.key, kind.embedding


def add_stake(view: View, kind: AddStakeToModel, value_fee: int) -> None:
    """Stake on somebody's model (quirks of the gas coin as in protocol.md 4.3)."""
    model = view.state.models.get(kind.model_id)
    if model is None:
        raise Failure(MODEL_NOT_FOUND)
    if model.state == "inactive" or model.staking_pool.deactivation_epoch is not None:
        raise Failure(ALREADY_INACTIVE)
    coin, balance = kind.coin.id, view.balance(kind.coin.id)
    amount = balance if kind.amount is None else kind.amount
    if amount == 0:
        raise Failure(INVALID_ARGUMENTS, "Stake amount cannot be 0!")
    kept = value_fee + 2 * view.state.parameters.write_object_fee if coin == view.gas and kind.amount is not None else 0
    if balance < amount + kept:
        raise Failure(INSUFFICIENT_COIN_BALANCE)
    if amount == balance:
        view.delete(coin)
    else:
        view.set_balance(coin, balance - amount)
    pools.deposit(model.staking_pool, amount)
    if model.state == "active":
        view.state.total_model_stake += amount
    view.create_stake(view.sender, model.staking_pool.id, amount, view.epoch + 1)


def set_commission(view: View, kind: SetModelCommissionRate, value_fee: int) -> None:
    """A commission from the next epoch on."""
    if kind.new_rate > 10_000:
        raise Failure(COMMISSION_TOO_HIGH)
    model = _owned(view, kind.model_id)
    if model.state != "active":
        raise Failure(MODEL_NOT_ACTIVE)
    model.next_epoch_commission_rate = kind.new_rate


def deactivate(view: View, kind: DeactivateModel, value_fee: int) -> None:
    """Retire a model at once."""
    model = _owned(view, kind.model_id)
    if model.state != "active":
        raise Failure(MODEL_NOT_ACTIVE)
    model.state, model.staking_pool.deactivation_epoch = "inactive", view.epoch
    view.state.total_model_stake -= model.staking_pool.soma_balance + model.staking_pool.pending_stake
    view.state.model_reports.pop(kind.model_id, None)
