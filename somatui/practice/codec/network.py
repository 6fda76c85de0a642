"""Service info, epochs, protocol parameters and checkpoints in messages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

from somatui.practice.codec.effects import Find, executed_out, fee_out, objects_out
from somatui.practice.codec.masks import Tree, wants
from somatui.practice.codec.state import state_out
from somatui.practice.codec.text import timestamp
from somatui.practice.ledger.state import SystemState
from somatui.practice.ledger.values import Checkpoint, Executed
from somatui.practice.messages import pb
from somatui.wire.hashes import typed_hash
from somatui.wire.text import b58encode

SERVER = "soma-node/0.1.19"
"""What `check_api_version` of soma_sdk 0.1.15 accepts (protocol.md 1.5)."""

_OTHER_PARAMETERS = {
    "buffer_stake_for_protocol_upgrade_bps": 5000,
    "consensus_bad_nodes_stake_threshold": 30,
    "consensus_commit_rate_estimation_window_size": 10,
    "consensus_gc_depth": 60,
    "consensus_max_num_transactions_in_block": 512,
    "consensus_max_transaction_size_bytes": 262_144,
    "consensus_max_transactions_in_block_bytes": 524_288,
    "execution_version": 2,
    "initial_value_fee_bps": 10,
    "max_checkpoint_size_bytes": 31_457_280,
    "max_transactions_per_checkpoint": 20_000,
    "min_checkpoint_interval_ms": 200,
    "mysticeti_num_leaders_per_round": 1,
    "reward_slashing_rate_bps": 5000,
    "target_embedding_dim": 2048,
}
"""Parameters of protocol version 5 that no rule here reads, and one that the small model overrides."""


def info_out(state: SystemState, genesis: Checkpoint, last: Checkpoint) -> Any:
    """A GetServiceInfoResponse message."""
    return pb.GetServiceInfoResponse(
        chain_id=b58encode(genesis.digest),
        chain=state.chain,
        epoch=state.epoch,
        checkpoint_height=last.sequence,
        timestamp=timestamp(last.timestamp_ms),
        lowest_available_checkpoint=0,
        lowest_available_checkpoint_objects=0,
        server=SERVER,
    )


def protocol_out(state: SystemState) -> Any:
    """A ProtocolConfig message: every parameter as text."""
    texts = {f.name: getattr(state.parameters, f.name) for f in fields(state.parameters)}
    texts |= _OTHER_PARAMETERS
    texts.pop("value_fee_bps")
    return pb.ProtocolConfig(
        protocol_version=state.protocol_version,
        attributes={name: f"{value:.7g}" if isinstance(value, float) else str(value) for name, value in texts.items()},
    )


def epoch_out(state: SystemState, number: int, wanted: Tree) -> Any:
    """An Epoch message; an epoch that is not the current one has only its number and the protocol's parameters."""
    out = pb.Epoch(epoch=number)
    if wants(wanted, "protocol_config"):
        out.protocol_config.CopyFrom(protocol_out(state))
    if number != state.epoch:
        return out
    if wants(wanted, "start"):
        out.start.CopyFrom(timestamp(state.epoch_start_timestamp_ms))
    if wants(wanted, "committee"):
        out.committee.epoch = number
        for one in state.validators:
            out.committee.members.add(authority_key=one.protocol_pubkey, weight=one.voting_power)
    if wants(wanted, "system_state"):
        out.system_state.CopyFrom(state_out(state))
    return out


def checkpoint_out(
    made: Checkpoint,
    proof: bytes,
    wanted: Tree,
    transaction: Callable[[bytes], Executed | None],
    find: Find,
) -> Any:
    """A Checkpoint message with the wanted parts; `proof` is any valid G1 point, nobody checks what it signs."""
    out = pb.Checkpoint(sequence_number=made.sequence, digest=b58encode(made.digest))
    content = b58encode(typed_hash("CheckpointContents", b"".join(made.digests)))
    if wants(wanted, "summary"):
        out.summary.digest = b58encode(made.digest)
        out.summary.epoch = made.epoch
        out.summary.sequence_number = made.sequence
        out.summary.total_network_transactions = made.total_transactions
        out.summary.content_digest = content
        if made.previous is not None:
            out.summary.previous_digest = b58encode(made.previous)
        out.summary.epoch_rolling_transaction_fees.CopyFrom(fee_out(made.fees))
        out.summary.timestamp.CopyFrom(timestamp(made.timestamp_ms))
    if wants(wanted, "signature"):
        out.signature.epoch = made.epoch
        out.signature.signature = proof
        out.signature.bitmap.append(0)
    if wants(wanted, "contents"):
        out.contents.digest, out.contents.version = content, 1
        for digest in made.digests:
            out.contents.transactions.add(transaction=b58encode(digest))
    below = wanted.get("transactions", {})
    if wants(wanted, "transactions") and set(below) == {"digest"}:
        for digest in made.digests:
            out.transactions.add(digest=b58encode(digest))
    elif wants(wanted, "transactions") or wants(wanted, "objects"):
        done = [found for found in map(transaction, made.digests) if found is not None]
        if wants(wanted, "transactions"):
            out.transactions.extend(executed_out(one, below) for one in done)
        if wants(wanted, "objects"):
            out.objects.CopyFrom(objects_out(done, find))
    return out
