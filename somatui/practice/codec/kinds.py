"""Every kind of transaction in messages: which protobuf field holds which part of the wire's value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from somatui.practice.codec.objects import manifest_in, manifest_out, ref_in, ref_out
from somatui.practice.codec.text import address_in, id_in, invalid, missing, timestamp
from somatui.practice.ledger.system import ChangeEpoch, Genesis
from somatui.practice.ledger.values import Refused
from somatui.practice.messages import pb
from somatui.wire import kinds as k
from somatui.wire.text import address_hex, hex_id
from somatui.wire.values import Tensor


@dataclass(frozen=True, slots=True)
class Part:
    """One field: its name, how its value is read, and how it is written."""

    name: str
    read: Callable[[Any, str], Any]
    write: Callable[[Any], Any]
    optional: bool = False


def _same(value: Any, _name: str) -> Any:
    return value


def _digest(value: bytes, name: str) -> bytes:
    if len(value) != 32:
        raise invalid(name, f"32 bytes are expected, got {len(value)}")
    return value


def _u64(name: str, optional: bool = False) -> Part:
    return Part(name, _same, lambda v: v, optional)


def _bytes(name: str, optional: bool = False) -> Part:
    return Part(name, _same, lambda v: v, optional)


def _d32(name: str) -> Part:
    return Part(name, _digest, lambda v: v)


def _id(name: str) -> Part:
    return Part(name, id_in, hex_id)


def _address(name: str) -> Part:
    return Part(name, address_in, address_hex)


def _ref(name: str) -> Part:
    return Part(name, lambda v, _n: ref_in(v), ref_out)


def _refs(name: str) -> Part:
    return Part(name, lambda v, _n: tuple(ref_in(r) for r in v), lambda v: [ref_out(r) for r in v])


def _manifest(name: str) -> Part:
    return Part(name, lambda v, _n: manifest_in(v), manifest_out)


def _data_manifest(name: str) -> Part:
    return Part(name, lambda v, _n: manifest_in(v.manifest), lambda v: pb.SubmissionManifest(manifest=manifest_out(v)))


def _tensor(name: str) -> Part:
    return Part(name, lambda v, _n: Tensor.of(tuple(v)), lambda v: v.floats())


def _scalar(name: str) -> Part:
    return Part(name, lambda v, _n: Tensor.of((v,)), lambda v: v.floats()[0])


_AMOUNTS = Part("amounts", lambda v, _n: tuple(v), lambda v: v or ())
_RECIPIENTS = Part("recipients", lambda v, n: tuple(address_in(a, n) for a in v), lambda v: [address_hex(a) for a in v])

PARTS: dict[str, tuple[type[Any], tuple[Part, ...]]] = {
    "add_validator": (
        k.AddValidator,
        tuple(map(_bytes, ("pubkey_bytes", "network_pubkey_bytes", "worker_pubkey_bytes", "proof_of_possession",
                           "net_address", "p2p_address", "primary_address", "proxy_address"))),
    ),
    "remove_validator": (k.RemoveValidator, (_bytes("pubkey_bytes"),)),
    "report_validator": (k.ReportValidator, (_address("reportee"),)),
    "undo_report_validator": (k.UndoReportValidator, (_address("reportee"),)),
    "update_validator_metadata": (
        k.UpdateValidatorMetadata,
        tuple(_bytes(f"next_epoch_{n}", True) for n in
              ("network_address", "p2p_address", "primary_address", "proxy_address", "protocol_pubkey",
               "worker_pubkey", "network_pubkey", "proof_of_possession")),
    ),
    "set_commission_rate": (k.SetCommissionRate, (_u64("new_rate"),)),
    "transfer_coin": (k.TransferCoin, (_ref("coin"), _u64("amount", True), _address("recipient"))),
    "pay_coins": (k.PayCoins, (_refs("coins"), _AMOUNTS, _RECIPIENTS)),
    "transfer_objects": (k.TransferObjects, (_refs("objects"), _address("recipient"))),
    "add_stake": (k.AddStake, (_address("address"), _ref("coin_ref"), _u64("amount", True))),
    "withdraw_stake": (k.WithdrawStake, (_ref("staked_soma"),)),
    "create_model": (k.CreateModel, (_u64("stake_amount"), _u64("commission_rate"), _u64("architecture_version"))),
    "commit_model": (
        k.CommitModel,
        (_id("model_id"), _manifest("manifest"), _d32("weights_commitment"), _d32("embedding_commitment"),
         _d32("decryption_key_commitment")),
    ),
    "reveal_model": (k.RevealModel, (_id("model_id"), _d32("decryption_key"), _tensor("embedding"))),
    "add_stake_to_model": (k.AddStakeToModel, (_id("model_id"), _ref("coin_ref"), _u64("amount", True))),
    "set_model_commission_rate": (k.SetModelCommissionRate, (_id("model_id"), _u64("new_rate"))),
    "deactivate_model": (k.DeactivateModel, (_id("model_id"),)),
    "report_model": (k.ReportModel, (_id("model_id"),)),
    "undo_report_model": (k.UndoReportModel, (_id("model_id"),)),
    "submit_data": (
        k.SubmitData,
        (_id("target_id"), _data_manifest("data_manifest"), _id("model_id"), _tensor("embedding"),
         _scalar("distance_score"), _tensor("loss_score"), _ref("bond_coin")),
    ),
    "claim_rewards": (k.ClaimRewards, (_id("target_id"),)),
    "report_submission": (k.ReportSubmission, (_id("target_id"),)),
    "undo_report_submission": (k.UndoReportSubmission, (_id("target_id"),)),
}  # fmt: skip
"""Name in TransactionKind's oneof → the wire's class and its fields, in the wire's order."""

_NAMES = {made: name for name, (made, _) in PARTS.items()}


def kind_in(message: Any) -> k.Kind:
    """The kind that a client sent. Raises Refused for system kinds, unknown kinds and missing parts."""
    name = message.WhichOneof("kind")
    if name not in PARTS:
        raise Refused("INVALID_ARGUMENT", f"transaction kind {name or 'none'} cannot be sent")
    made, parts = PARTS[name]
    body = getattr(message, name)
    values: list[Any] = []
    for part in parts:
        field = body.DESCRIPTOR.fields_by_name[part.name]
        if field.has_presence and not body.HasField(part.name):
            if not part.optional:
                raise missing(f"{name}.{part.name}")
            values.append(None)
        else:
            values.append(part.read(getattr(body, part.name), f"{name}.{part.name}"))
    found: k.Kind = made(*values)
    return found


def kind_out(kind: k.Kind) -> Any:
    """A TransactionKind message."""
    if isinstance(kind, Genesis):
        return pb.TransactionKind(genesis=pb.GenesisTransaction())
    if isinstance(kind, ChangeEpoch):
        change = pb.ChangeEpoch(
            epoch=kind.epoch,
            epoch_start_timestamp=timestamp(kind.epoch_start_ms),
            protocol_version=kind.protocol_version,
            fees=kind.fees,
            epoch_randomness=kind.randomness,
        )
        return pb.TransactionKind(change_epoch=change)
    name = _NAMES[type(kind)]
    out = pb.TransactionKind()
    body = getattr(out, name)
    body.SetInParent()
    for field, part in zip(fields(kind), PARTS[name][1], strict=True):  # type: ignore[arg-type]
        value = getattr(kind, field.name)
        if value is not None:
            _put(body, part.name, part.write(value))
    return out


def _put(body: Any, name: str, value: Any) -> None:
    field = body.DESCRIPTOR.fields_by_name[name]
    if field.is_repeated:
        getattr(body, name).extend(value)
    elif field.message_type is not None:
        getattr(body, name).CopyFrom(value)
    else:
        setattr(body, name, value)
