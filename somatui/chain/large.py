"""The system state that the SDK cannot take, since its answers end at 4 MiB (protocol.md 1.5): asked over gRPC.

It is given in the SDK's shape as far as `snapshot.read_system` looks; embeddings, which make it large, are passed over.
"""

from __future__ import annotations

import struct
from types import SimpleNamespace
from typing import Any

from somatui.chain.identity import unary
from somatui.wire.proto import Message
from somatui.wire.text import b58encode

METHOD = "/soma.rpc.LedgerService/GetEpoch"
_PATHS = (b"system_state", b"epoch")
REQUEST = b"\x12" + bytes([sum(2 + len(p) for p in _PATHS)]) + b"".join(b"\x0a" + bytes([len(p)]) + p for p in _PATHS)
"""GetEpochRequest whose read mask has these paths; sub-paths bring the whole state all the same (protocol.md 9.6)."""
_PARAMETERS = {
    "epoch_duration_ms": 1, "model_min_stake": 3, "model_architecture_version": 4, "model_reveal_slash_rate_bps": 5,
    "base_fee": 8, "write_object_fee": 9, "value_fee_bps": 10, "target_embedding_dim": 15, "target_hits_per_epoch": 18,
    "target_submitter_reward_share_bps": 24, "target_model_reward_share_bps": 25, "target_claimer_incentive_bps": 26,
    "submission_bond_per_byte": 27, "max_submission_data_size": 30,
}  # fmt: skip
_TARGETS = {"targets_generated_this_epoch": 2, "hits_this_epoch": 3, "hits_ema": 4, "reward_per_target": 5}


async def ask(address: str, limit_s: float) -> bytes:
    """A GetEpochResponse of up to 256 MiB. Raises ChainError."""
    return await unary(address, METHOD, REQUEST, limit_s)


def read(answer: bytes) -> Any:
    """The state in it. Raises ProtoError."""
    state = Message(answer).message(1).message(3)
    targets, emission, registry = state.maybe_message(12), state.message(7), state.maybe_message(11)
    return SimpleNamespace(
        epoch=state.number(1),
        epoch_start_timestamp_ms=state.number(2),
        protocol_version=state.number(3),
        parameters=_numbers(state.message(4), _PARAMETERS),
        emission_pool=_numbers(emission, {"balance": 1, "emission_per_epoch": 2}),
        target_state=_targets(targets),
        model_registry=SimpleNamespace(
            models=SimpleNamespace(**{i: _model(m) for i, m in registry.entries(7)} if registry else {})
        ),
        safe_mode=bool(state.maybe_number(14)),
    )


def _numbers(found: Message, fields: dict[str, int]) -> SimpleNamespace:
    return SimpleNamespace(**{name: found.number(field) for name, field in fields.items()})


def _targets(found: Message | None) -> SimpleNamespace:
    """An absent one is that of a network that has had no target yet."""
    if found is None:
        return SimpleNamespace(distance_threshold=SimpleNamespace(bytes=b""), **dict.fromkeys(_TARGETS, 0))
    made = _numbers(found, _TARGETS)
    made.distance_threshold = SimpleNamespace(bytes=struct.pack("<f", found.real(1)))
    return made


def _model(found: Message) -> SimpleNamespace:
    """A model in its version and in its state, as the SDK wraps both."""
    state, pool = found.text(14), found.message(10)
    body = SimpleNamespace(
        owner=found.text(1),
        architecture_version=found.number(2),
        commission_rate=found.number(11),
        staking_pool=SimpleNamespace(
            id=pool.text(1), deactivation_epoch=pool.maybe_number(3), soma_balance=pool.number(4)
        ),
    )
    if state == "created":
        body.create_epoch = found.number(15)
    else:
        body.manifest = _manifest(found.message(3))
    if state == "pending":
        body.commit_epoch = found.number(7)
    if state in ("active", "inactive"):
        body.decryption_key = b58encode(found.raw(8))
        update = found.maybe_message(13)
        body.pending_update = update and SimpleNamespace(
            commit_epoch=update.number(5), manifest=_manifest(update.message(1))
        )
    return SimpleNamespace(V1=SimpleNamespace(**{state.title(): body}))


def _manifest(found: Message) -> SimpleNamespace:
    inner = found.message(1)
    metadata = inner.message(2).message(1)
    return SimpleNamespace(
        V1=SimpleNamespace(
            url=inner.text(1),
            metadata=SimpleNamespace(V1=SimpleNamespace(checksum=b58encode(metadata.raw(1)), size=metadata.number(2))),
        )
    )
