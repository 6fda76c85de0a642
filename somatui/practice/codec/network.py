"""Service info, epochs, protocol parameters and checkpoints in messages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

from somatui.practice.codec import prologues
from somatui.practice.codec.effects import Find, executed_out, fee_out, objects_out
from somatui.practice.codec.masks import Tree, wants
from somatui.practice.codec.state import state_out
from somatui.practice.codec.text import timestamp
from somatui.practice.ledger.history import Epoch
from somatui.practice.ledger.state import SystemState
from somatui.practice.ledger.values import Checkpoint, Executed, Refused
from somatui.practice.messages import pb
from somatui.wire.hashes import typed_hash
from somatui.wire.text import b58encode

SERVER = "soma-node/0.1.19"
"""What `check_api_version` of soma_sdk 0.1.15 accepts (protocol.md 1.5)."""

_ARTIFACTS = "Hu1Kq6yF9jGgTd5o9Tav3saEFSzTg7ZKehYqa8QvQXGE"
"""The digest of no artifacts, as every recorded checkpoint but the first carries it."""

_OTHER_PARAMETERS = {
    "buffer_stake_for_protocol_upgrade_bps": 5000,
    "consensus_bad_nodes_stake_threshold": 30,
    "consensus_commit_rate_estimation_window_size": 10,
    "consensus_gc_depth": 60,
    "consensus_max_num_transactions_in_block": 512,
    "consensus_max_transaction_size_bytes": 262_144,
    "consensus_max_transactions_in_block_bytes": 524_288,
    "epoch_duration_ms": 86_400_000,
    "execution_version": 2,
    "initial_value_fee_bps": 10,
    "max_checkpoint_size_bytes": 31_457_280,
    "max_transactions_per_checkpoint": 20_000,
    "min_checkpoint_interval_ms": 200,
    "mysticeti_num_leaders_per_round": 1,
    "reward_slashing_rate_bps": 5000,
    "target_embedding_dim": 2048,
}
"""Parameters of protocol version 5 that no rule here reads, and two that a local network overrides."""


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


def epoch_out(state: SystemState, number: int, known: Epoch | None, wanted: Tree) -> Any:
    """An Epoch message: `state` is the current one, `known` what is remembered of this epoch.

    A past epoch shows the state it began with; one that has not begun has only its number.
    """
    out = pb.Epoch(epoch=number)
    if number > state.epoch:
        if wants(wanted, "committee"):
            raise Refused("NOT_FOUND", f"Committee for epoch {number} not found")
        return out
    if number == state.epoch:
        out = _portrait(state, wanted)
    elif known is not None and known.portrait:
        out = pb.Epoch.FromString(known.portrait)
    elif wants(wanted, "protocol_config"):
        out.protocol_config.CopyFrom(protocol_out(state))
    if known is not None:
        out.first_checkpoint = known.first
        out.start.CopyFrom(timestamp(known.start_ms))
        if known.last is not None and known.end_ms is not None:
            out.last_checkpoint = known.last
            out.end.CopyFrom(timestamp(known.end_ms))
    return out


def portrait(state: SystemState) -> bytes:
    """What is kept of the state that an epoch begins with: an Epoch message with all that hangs on the state."""
    body: bytes = _portrait(state, {}).SerializeToString()
    return body


def _portrait(state: SystemState, wanted: Tree) -> Any:
    out = pb.Epoch(epoch=state.epoch)
    if wants(wanted, "protocol_config"):
        out.protocol_config.CopyFrom(protocol_out(state))
    if wants(wanted, "committee"):
        out.committee.CopyFrom(_committee_out(state, state.epoch))
    if wants(wanted, "system_state"):
        out.system_state.CopyFrom(state_out(state))
    return out


def _committee_out(state: SystemState, number: int) -> Any:
    out = pb.ValidatorCommittee(epoch=number)
    for one in state.validators:
        out.members.add(authority_key=one.protocol_pubkey, weight=one.voting_power)
    return out


def checkpoint_out(
    made: Checkpoint,
    proof: bytes,
    wanted: Tree,
    transaction: Callable[[bytes], Executed | None],
    find: Find,
    following: Epoch | None = None,
) -> Any:
    """A Checkpoint message with the wanted parts; `proof` is any valid G1 point, nobody checks what it signs.

    `following` is the epoch that begins after it, where it is the last of one.
    """
    out = pb.Checkpoint(sequence_number=made.sequence, digest=b58encode(made.digest))
    before = prologues.digests(made)
    content = b58encode(typed_hash("CheckpointContents", b"".join((*before, *made.digests))))
    if wants(wanted, "summary"):
        out.summary.CopyFrom(_summary_out(made, content, following))
    if wants(wanted, "signature"):
        out.signature.epoch = made.epoch
        out.signature.signature = proof
        out.signature.bitmap.append(0)
    if wants(wanted, "contents"):
        out.contents.digest, out.contents.version = content, 1
        for digest in (*before, *made.digests):
            out.contents.transactions.add(transaction=b58encode(digest))
    below = wanted.get("transactions", {})
    if wants(wanted, "transactions"):
        out.transactions.extend(prologues.prologue_out(made, part, below) for part in range(len(before)))
    if wants(wanted, "transactions") and set(below) == {"digest"}:
        for digest in made.digests:
            out.transactions.add(digest=b58encode(digest))
    elif wants(wanted, "transactions") or wants(wanted, "objects"):
        done = [found for found in map(transaction, made.digests) if found is not None]
        if wants(wanted, "transactions"):
            out.transactions.extend(
                executed_out(replace(one, timestamp_ms=made.timestamp_ms), below, plain=True) for one in done
            )
        if wants(wanted, "objects"):
            out.objects.CopyFrom(objects_out(done, find))
    return out


def _summary_out(made: Checkpoint, content: str, following: Epoch | None) -> Any:
    out = pb.CheckpointSummary(
        digest=b58encode(made.digest),
        epoch=made.epoch,
        sequence_number=made.sequence,
        total_network_transactions=prologues.total(made),
        content_digest=content,
        epoch_rolling_transaction_fees=fee_out(made.fees),
        timestamp=timestamp(made.timestamp_ms),
    )
    if made.previous is not None:
        out.previous_digest = b58encode(made.previous)
        out.commitments.add(kind="CHECKPOINT_ARTIFACTS", digest=_ARTIFACTS)
    if following is not None:
        begun = pb.Epoch.FromString(following.portrait)
        out.end_of_epoch_data.next_epoch_validator_committee.CopyFrom(begun.committee)
        out.end_of_epoch_data.next_epoch_protocol_version = begun.protocol_config.protocol_version
    return out
