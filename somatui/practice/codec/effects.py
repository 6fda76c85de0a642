"""Effects and executed transactions in messages (protocol.md 2.2, 4.2, 4.4)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from somatui.practice.codec.masks import Tree, wants
from somatui.practice.codec.objects import object_out, owner_out
from somatui.practice.codec.text import timestamp
from somatui.practice.codec.transactions import data_out, signature_out
from somatui.practice.ledger.values import Changed, Effects, ExecError, Executed, Fee
from somatui.practice.messages import pb
from somatui.wire.objects import Object
from somatui.wire.text import b58encode, hex_id
from somatui.wire.transaction import SignedTransaction

Find = Callable[[bytes, int], Object | None]
"""One version of an object."""

_KINDS = pb.ExecutionError.DESCRIPTOR.enum_types_by_name["ExecutionErrorKind"].values_by_number
_RENAMED = {
    "SharedObjectCongestion": "ExecutionCancelledDueToSharedObjectCongestion",
    "ChallengeWindowOpen": "AuditWindowOpen",
    "ChallengeWindowClosed": "AuditWindowClosed",
}


def fee_out(fee: Fee) -> Any:
    """A TransactionFee message."""
    return pb.TransactionFee(base_fee=fee.base, operation_fee=fee.operation, value_fee=fee.value, total_fee=fee.total)


def error_out(error: ExecError) -> Any:
    """An ExecutionError with the description that the real node writes."""
    out = pb.ExecutionError(kind=error.kind)
    detail = error.other_error or error.description
    name = "".join(word.capitalize() for word in _KINDS[error.kind].name.split("_"))
    name = _RENAMED.get(name, name)
    if error.object_id is not None:
        out.object_id = hex_id(error.object_id)
        out.description = f"{name} {{ object_id: {hex_id(error.object_id)} }}"
    elif detail is None:
        out.description = name
    elif name == "OtherError":
        out.other_error, out.description = detail, f'OtherError("{detail}")'
    elif detail.startswith(("reason=", "field=")):
        key, _, text = detail.partition("=")
        out.other_error, out.description = text, f'{name} {{ {key}: "{text}" }}'
    else:
        out.other_error = detail
        spoken = re.sub(r"(0x[0-9a-f]{64})", r'Address("\1")', detail.replace("=", ": "))
        out.description = f"{name} {{ {spoken} }}"
    return out


def changed_out(change: Changed, *, plain: bool = False) -> Any:
    """A ChangedObject message: ids padded, `0x` before everything; `plain` without `0x` and without the type."""
    prefix = "" if plain else "0x"
    out = pb.ChangedObject(
        object_id=prefix + change.id.hex(),
        input_state="INPUT_OBJECT_STATE_EXISTS" if change.input else "INPUT_OBJECT_STATE_DOES_NOT_EXIST",
        output_state="OUTPUT_OBJECT_STATE_OBJECT_WRITE" if change.output else "OUTPUT_OBJECT_STATE_DOES_NOT_EXIST",
        id_operation=change.operation.upper(),
        object_type=None if plain else change.type.label,
    )
    if change.input:
        version, digest, owner = change.input
        out.input_version, out.input_digest = version, b58encode(digest)
        out.input_owner.CopyFrom(owner_out(owner, prefix))
    if change.output:
        version, digest, owner = change.output
        out.output_version, out.output_digest = version, b58encode(digest)
        out.output_owner.CopyFrom(owner_out(owner, prefix))
    return out


def _gone_out(object_id: bytes, version: int, prefix: str) -> Any:
    return pb.UnchangedSharedObject(kind="MUTATED_DELETED", object_id=prefix + object_id.hex(), version=version)


def effects_out(effects: Effects, *, plain: bool = False) -> Any:
    """A TransactionEffects message; `plain` as checkpoints carry it (protocol.md 9.6)."""
    status = pb.ExecutionStatus(success=effects.success)
    if effects.error is not None:
        status.error.CopyFrom(error_out(effects.error))
    return pb.TransactionEffects(
        status=status,
        epoch=effects.epoch,
        fee=fee_out(effects.fee),
        transaction_digest=b58encode(effects.digest),
        gas_object_index=effects.gas_object_index,
        dependencies=[b58encode(d) for d in effects.dependencies],
        lamport_version=effects.lamport_version,
        unchanged_shared_objects=[_gone_out(i, v, "" if plain else "0x") for i, v in effects.gone],
        changed_objects=[changed_out(c, plain=plain) for c in effects.changed],
    )


def executed_out(done: Executed, wanted: Tree, *, plain: bool = False) -> Any:
    """An ExecutedTransaction message with the wanted parts, but for objects; `plain` as checkpoints carry it."""
    out = pb.ExecutedTransaction()
    if wants(wanted, "digest"):
        out.digest = b58encode(done.digest)
    if wants(wanted, "transaction"):
        out.transaction.CopyFrom(data_out(done.data))
    if wants(wanted, "signatures") and done.signed is not None:
        out.signatures.append(signature_out(SignedTransaction.from_bytes(done.signed).signature))
    if wants(wanted, "effects"):
        out.effects.CopyFrom(effects_out(done.effects, plain=plain))
    if wants(wanted, "checkpoint") and done.checkpoint is not None:
        out.checkpoint = done.checkpoint
    if wants(wanted, "timestamp"):
        out.timestamp.CopyFrom(timestamp(done.timestamp_ms))
    if wants(wanted, "balance_changes"):
        for address, amount in done.balance_changes:
            out.balance_changes.add(address=address.hex(), amount=str(amount))
    return out


def objects_out(many: Iterable[Executed], find: Find, prefix: str = "") -> Any:
    """Every object that transactions met or wrote, in both versions, ordered by id and version."""
    seen: dict[tuple[bytes, int], Object] = {}
    for done in many:
        for one in done.objects:
            seen[one.id, one.version] = one
        for change in done.effects.changed:
            if change.input is not None and (change.id, change.input[0]) not in seen:
                met = find(change.id, change.input[0])
                if met is not None:
                    seen[met.id, met.version] = met
    return pb.ObjectSet(objects=[object_out(seen[key], prefix) for key in sorted(seen)])
