"""A ledger that is made to stand where a recording stands; the rules it runs are the practice network's own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from somatui.practice.codec.objects import manifest_in
from somatui.practice.ledger.epoch import change_epoch
from somatui.practice.ledger.execute import finish
from somatui.practice.ledger.genesis import SYSTEM
from somatui.practice.ledger.ledger import Ledger
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
from somatui.practice.ledger.store import Store
from somatui.practice.ledger.system import ChangeEpoch
from somatui.practice.ledger.values import Changed, Checkpoint, Effects, Executed, Fee, GenesisConfig
from somatui.practice.ledger.view import View
from somatui.wire.hashes import blake2b256
from somatui.wire.objects import SYSTEM_STATE_ID, Object, ObjectType, Owner
from somatui.wire.text import parse_address, parse_id
from somatui.wire.transaction import TransactionData
from somatui.wire.values import Tensor


def _optional(message: Any, name: str) -> Any:
    return getattr(message, name) if message.HasField(name) else None


def _pool(message: Any) -> StakingPool:
    return StakingPool(
        parse_id(message.id),
        _optional(message, "activation_epoch"),
        _optional(message, "deactivation_epoch"),
        message.soma_balance,
        message.rewards_pool,
        message.pool_token_balance,
        {e: (r.soma_amount, r.pool_token_amount) for e, r in sorted(message.exchange_rates.items())},
        message.pending_stake,
        message.pending_total_soma_withdraw,
        message.pending_pool_token_withdraw,
    )


def _commitment(message: Any) -> Commitment | None:
    if not message.HasField("manifest"):
        return None
    return Commitment(
        manifest_in(message.manifest),
        message.weights_commitment,
        message.embedding_commitment,
        message.decryption_key_commitment,
        message.commit_epoch,
    )


def _model(message: Any) -> Model:
    return Model(
        parse_address(message.owner),
        message.architecture_version,
        message.state,
        message.create_epoch,
        _pool(message.staking_pool),
        message.commission_rate,
        message.next_epoch_commission_rate,
        _commitment(message),
        _optional(message, "decryption_key"),
        Tensor.of(tuple(message.embedding)) if message.embedding else None,
        _commitment(message.pending_update) if message.HasField("pending_update") else None,
    )


def _validator(message: Any) -> Validator:
    told = set(message.DESCRIPTOR.fields_by_name) - {"soma_address", "staking_pool"}
    names = [f.name for f in fields(Validator) if f.name in told]
    parts = {name: getattr(message, name) for name in names}
    return Validator(
        soma_address=parse_address(message.soma_address), staking_pool=_pool(message.staking_pool), **parts
    )


def state_in(message: Any, before: SystemState) -> SystemState:
    """A recorded system state as the ledger holds it; what no message tells is kept from `before`."""
    state = before.copy()
    state.epoch, state.epoch_start_timestamp_ms = message.epoch, message.epoch_start_timestamp_ms
    state.protocol_version, state.safe_mode = message.protocol_version, message.safe_mode
    state.parameters = Parameters(**{f.name: getattr(message.parameters, f.name) for f in fields(Parameters)})
    state.emission_pool = EmissionPool(message.emission_pool.balance, message.emission_pool.emission_per_epoch)
    state.target_state = TargetState(**{f.name: getattr(message.target_state, f.name) for f in fields(TargetState)})
    state.validators = [_validator(v) for v in message.validators.validators]
    registry = message.model_registry
    models = {parse_id(i): _model(m) for i, m in sorted(registry.models.items())}
    for model_id, model in models.items():
        old = before.models.get(model_id)
        if old and old.committed and model.committed and model.state != "pending":
            model.committed = replace(model.committed, commit_epoch=old.committed.commit_epoch)
    state.models, state.total_model_stake = models, registry.total_model_stake
    state.model_reports = {
        parse_id(i): {parse_address(r) for r in records.reporters}
        for i, records in registry.model_report_records.items()
    }
    return state


def system_object(version: int, previous: bytes) -> Object:
    """The system state's object as the next transaction meets it; its content is not kept here."""
    return Object(SYSTEM_STATE_ID, ObjectType.SYSTEM_STATE, version, b"\0", Owner(shared_since=1), previous)


class World(Ledger):
    """The ledger under test: its rules are untouched, its clocks and checkpoints are the recording's."""

    stamps: dict[bytes, tuple[int, int]]
    shown: tuple[Checkpoint, Checkpoint] | None = None
    injected = 0
    reader: World | None = None
    """The ledger that reads see; what it has executed is in a checkpoint."""

    def __init__(self, store: Store) -> None:
        """As the ledger, with no stamps yet."""
        super().__init__(store)
        self.stamps = {}

    @classmethod
    def of(cls, path: Path, first: Any, stamps: dict[bytes, tuple[int, int]]) -> World:
        """A fresh network whose state is the first recorded one."""
        ledger = cls.create(path, GenesisConfig("localnet", (), first.epoch_start_timestamp_ms, 1))
        assert isinstance(ledger, World)
        ledger._store.sql.execute("PRAGMA synchronous=OFF")
        ledger.stamps = stamps
        ledger.put((), state=state_in(first, ledger.state))
        return ledger

    def put(self, objects: Iterable[Object], gone: Iterable[Object] = (), state: SystemState | None = None) -> None:
        """Make objects and state what the recording says, as one entry that no client can ask for."""
        self.injected += 1
        digest = blake2b256(b"injected" + self.injected.to_bytes(8, "little"))
        written = list(objects)
        removed = [Changed(o.id, o.type, (o.version, o.digest, o.owner), None, "deleted") for o in gone]
        state = state or self.state
        effects = Effects(True, None, state.epoch, Fee(0, 0, 0), digest, None, [], 0, removed)
        data = TransactionData(ChangeEpoch(0, 0, 0, 0, digest), SYSTEM, ())
        with self._store.writing():
            for one in written:
                self._store.sql.execute("DELETE FROM version WHERE id = ? AND version >= ?", (one.id, one.version))
            self._store.keep(Executed(digest, None, data, effects, [], None, 0, written), state)
        self.state = state

    def begin_epoch(self, digest: bytes, now_ms: int) -> None:
        """The rules' epoch change under the digest and clock of the recording."""
        state, system = self.state.copy(), self.get_object(SYSTEM_STATE_ID)
        assert system is not None
        kind = ChangeEpoch(state.epoch + 1, state.protocol_version, sum(state.epoch_fees), now_ms, digest)
        view = View(state, digest, SYSTEM, {SYSTEM_STATE_ID: system})
        change_epoch(view, now_ms)
        data = TransactionData(kind, SYSTEM, ())
        done = replace(finish(view, data, None, Fee(0, 0, 0), now_ms), digest=digest)
        with self._store.writing():
            self._store.keep(done, state)
        self.state = state

    def transaction(self, digest: bytes) -> Executed | None:
        """An executed transaction, sealed and dated as the recording says."""
        done = super().transaction(digest)
        if done is None or digest not in self.stamps:
            shown = done is not None and self.reader is not None and self.reader.transaction(digest) is not None
            return replace(done, checkpoint=0) if done is not None and shown else done
        checkpoint, at = self.stamps[digest]
        return replace(done, checkpoint=checkpoint, timestamp_ms=at)

    def checkpoint(self, sequence: int | None = None) -> Checkpoint | None:
        """What the recording shows while one of its answers is compared, else the ledger's own."""
        if self.shown is not None:
            _, last = self.shown
            return last if sequence is None else next((c for c in self.shown if c.sequence == sequence), None)
        at = next((at for number, at in self.stamps.values() if number == sequence), None)
        if at is not None and sequence is not None:
            return Checkpoint(sequence, self.state.epoch, bytes(32), None, at, [], Fee(0, 0, 0), 0)
        return super().checkpoint(sequence)
