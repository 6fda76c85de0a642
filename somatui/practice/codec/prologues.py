"""The system's own transactions that stand in every checkpoint of the real node, four to a period (protocol.md 9.6)."""

from __future__ import annotations

from typing import Any

from somatui.practice.codec.masks import Tree, wants
from somatui.practice.codec.text import timestamp
from somatui.practice.ledger.numbered import number_in, numbered
from somatui.practice.ledger.values import Checkpoint
from somatui.practice.messages import pb
from somatui.wire.text import address_hex, b58encode

COUNT = 4
KIND = b"prol"
EMPTY = 1
"""The version that effects without objects name."""


def digests(made: Checkpoint) -> list[bytes]:
    """The digests of a checkpoint's prologues; the first checkpoint has none."""
    return [numbered(KIND, made.sequence, part) for part in range(COUNT)] if made.sequence else []


def total(made: Checkpoint) -> int:
    """How many transactions the network has executed up to and with this checkpoint, prologues included."""
    return made.total_transactions + COUNT * made.sequence


def place(digest: bytes) -> tuple[int, int] | None:
    """(checkpoint, part) of a prologue's digest; None for every other."""
    found = number_in(KIND, digest)
    return found if found and found[0] > 0 and found[1] < COUNT else None


def prologue_out(made: Checkpoint, part: int, wanted: Tree) -> Any:
    """An ExecutedTransaction message: no owner, no objects, no fee."""
    digest = b58encode(numbered(KIND, made.sequence, part))
    out = pb.ExecutedTransaction()
    if wants(wanted, "digest"):
        out.digest = digest
    if wants(wanted, "transaction"):
        commit = out.transaction.kind.consensus_commit_prologue
        commit.epoch, commit.round, commit.sub_dag_index = made.epoch, COUNT * made.sequence + part, 0
        commit.commit_timestamp.CopyFrom(timestamp(made.timestamp_ms))
        commit.consensus_commit_digest = b58encode(numbered(b"comm", made.sequence, part))
        commit.additional_state_digest = b58encode(bytes(32))
        out.transaction.digest, out.transaction.sender = digest, address_hex(bytes(32))
    if wants(wanted, "effects"):
        out.effects.status.success = True
        out.effects.epoch = made.epoch
        fee = out.effects.fee
        fee.base_fee = fee.operation_fee = fee.value_fee = fee.total_fee = 0
        out.effects.transaction_digest, out.effects.lamport_version = digest, EMPTY
    if wants(wanted, "checkpoint"):
        out.checkpoint = made.sequence
    if wants(wanted, "timestamp"):
        out.timestamp.CopyFrom(timestamp(made.timestamp_ms))
    return out
