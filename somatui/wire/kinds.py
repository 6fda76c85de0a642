"""Every kind of transaction, declared once: its number, its fields and how each is encoded (protocol.md 3.5)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from somatui.wire.bcs import BcsError, Reader, Writer
from somatui.wire.values import Manifest, ObjectRef, Tensor


@dataclass(frozen=True, slots=True)
class Codec:
    """How one field is written and read."""

    write: Callable[[Writer, Any], object]
    read: Callable[[Reader], Any]


ID = Codec(Writer.raw, lambda r: r.raw(32))
U64 = Codec(Writer.u64, Reader.u64)
BYTES = Codec(Writer.blob, Reader.blob)
D32 = Codec(Writer.blob, lambda r: r.fixed(32))
REF = Codec(lambda w, v: v.write(w), ObjectRef.read)
MANIFEST = Codec(lambda w, v: v.write(w), Manifest.read)
TENSOR = Codec(lambda w, v: v.write(w), Tensor.read)


def option(inner: Codec) -> Codec:
    """An optional field."""
    return Codec(lambda w, v: w.option(v, inner.write), lambda r: r.option(inner.read))


def several(inner: Codec) -> Codec:
    """A sequence; in Python a tuple."""
    return Codec(lambda w, v: w.seq(v, inner.write), lambda r: r.seq(inner.read))


class Kind:
    """A kind of transaction; subclasses are frozen dataclasses whose fields `layout` encodes in order."""

    number: ClassVar[int]
    layout: ClassVar[tuple[Codec, ...]]

    def write(self, writer: Writer) -> None:
        """Append variant number and fields."""
        writer.uleb128(self.number)
        for field, codec in zip(fields(self), self.layout, strict=True):  # type: ignore[arg-type]
            codec.write(writer, getattr(self, field.name))

    @staticmethod
    def read(reader: Reader) -> Kind:
        """Take one off the front; system kinds and unknown numbers are refused."""
        number = reader.uleb128()
        found = BY_NUMBER.get(number)
        if found is None:
            raise BcsError(f"transaction kind {number} is not one that an operator sends")
        made: Kind = found(*(codec.read(reader) for codec in found.layout))
        return made


def _kind(number: int, *layout: Codec) -> Callable[[type[Any]], type[Any]]:
    def declare(cls: type[Any]) -> type[Any]:
        cls.number, cls.layout = number, layout
        BY_NUMBER[number] = cls
        return cls

    return declare


BY_NUMBER: dict[int, type[Any]] = {}


@_kind(3, BYTES, BYTES, BYTES, BYTES, BYTES, BYTES, BYTES, BYTES)
@dataclass(frozen=True)
class AddValidator(Kind):
    """Join the validators; the four addresses are BCS texts inside byte vectors."""

    pubkey: bytes
    network_pubkey: bytes
    worker_pubkey: bytes
    proof_of_possession: bytes
    net_address: bytes
    p2p_address: bytes
    primary_address: bytes
    proxy_address: bytes


@_kind(4, BYTES)
@dataclass(frozen=True)
class RemoveValidator(Kind):
    """Leave the validators."""

    pubkey: bytes


@_kind(5, ID)
@dataclass(frozen=True)
class ReportValidator(Kind):
    """Report another validator."""

    reportee: bytes


@_kind(6, ID)
@dataclass(frozen=True)
class UndoReportValidator(Kind):
    """Take such a report back."""

    reportee: bytes


@_kind(7, *[option(BYTES)] * 8)
@dataclass(frozen=True)
class UpdateValidatorMetadata(Kind):
    """Stage a validator's new addresses and keys for the next epoch."""

    net_address: bytes | None
    p2p_address: bytes | None
    primary_address: bytes | None
    proxy_address: bytes | None
    protocol_pubkey: bytes | None
    worker_pubkey: bytes | None
    network_pubkey: bytes | None
    proof_of_possession: bytes | None


@_kind(8, U64)
@dataclass(frozen=True)
class SetCommissionRate(Kind):
    """A validator's commission for the next epoch, in basis points."""

    new_rate: int


@_kind(9, REF, option(U64), ID)
@dataclass(frozen=True)
class TransferCoin(Kind):
    """Send `amount` shannons of a coin, or the whole coin when None."""

    coin: ObjectRef
    amount: int | None
    recipient: bytes


@_kind(10, several(REF), option(several(U64)), several(ID))
@dataclass(frozen=True)
class PayCoins(Kind):
    """Pay several recipients out of several coins."""

    coins: tuple[ObjectRef, ...]
    amounts: tuple[int, ...] | None
    recipients: tuple[bytes, ...]


@_kind(11, several(REF), ID)
@dataclass(frozen=True)
class TransferObjects(Kind):
    """Hand over whole objects."""

    objects: tuple[ObjectRef, ...]
    recipient: bytes


@_kind(12, ID, REF, option(U64))
@dataclass(frozen=True)
class AddStake(Kind):
    """Stake on a validator."""

    validator: bytes
    coin: ObjectRef
    amount: int | None


@_kind(13, REF)
@dataclass(frozen=True)
class WithdrawStake(Kind):
    """Take a stake back with what it earned."""

    staked: ObjectRef


@_kind(14, U64, U64, U64)
@dataclass(frozen=True)
class CreateModel(Kind):
    """Register a model; the stake (shannons) comes out of the gas coin."""

    stake: int
    commission_bps: int
    architecture_version: int


@_kind(15, ID, MANIFEST, D32, D32, D32)
@dataclass(frozen=True)
class CommitModel(Kind):
    """Commit encrypted weights; the key follows exactly one epoch later."""

    model_id: bytes
    manifest: Manifest
    weights_commitment: bytes
    embedding_commitment: bytes
    key_commitment: bytes


@_kind(16, ID, D32, TENSOR)
@dataclass(frozen=True)
class RevealModel(Kind):
    """Reveal the key and embedding of committed weights."""

    model_id: bytes
    key: bytes
    embedding: Tensor


@_kind(17, ID, REF, option(U64))
@dataclass(frozen=True)
class AddStakeToModel(Kind):
    """Stake on a model."""

    model_id: bytes
    coin: ObjectRef
    amount: int | None


@_kind(18, ID, U64)
@dataclass(frozen=True)
class SetModelCommissionRate(Kind):
    """A model's commission for the next epoch, in basis points."""

    model_id: bytes
    new_rate: int


@_kind(19, ID)
@dataclass(frozen=True)
class DeactivateModel(Kind):
    """Retire a model."""

    model_id: bytes


@_kind(20, ID)
@dataclass(frozen=True)
class ReportModel(Kind):
    """A validator reports a model."""

    model_id: bytes


@_kind(21, ID)
@dataclass(frozen=True)
class UndoReportModel(Kind):
    """Take such a report back."""

    model_id: bytes


@_kind(22, ID, MANIFEST, ID, TENSOR, TENSOR, TENSOR, REF)
@dataclass(frozen=True)
class SubmitData(Kind):
    """Fill a target with data scored by its models."""

    target_id: bytes
    manifest: Manifest
    model_id: bytes
    embedding: Tensor
    distance: Tensor
    loss: Tensor
    bond_coin: ObjectRef


@_kind(23, ID)
@dataclass(frozen=True)
class ClaimRewards(Kind):
    """Pay out a target after its audit epoch."""

    target_id: bytes


@_kind(24, ID)
@dataclass(frozen=True)
class ReportSubmission(Kind):
    """A validator reports a submission."""

    target_id: bytes


@_kind(25, ID)
@dataclass(frozen=True)
class UndoReportSubmission(Kind):
    """Take such a report back."""

    target_id: bytes
