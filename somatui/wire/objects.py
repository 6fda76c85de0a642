"""Objects of the ledger: owners, digests and the contents of coins, stakes and targets (protocol.md 3.6, 3.7)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

from somatui.wire.bcs import BcsError, Reader, Writer
from somatui.wire.hashes import typed_hash
from somatui.wire.values import Manifest, ObjectRef, Tensor

SYSTEM_STATE_ID = bytes(31) + b"\x05"


class ObjectType(IntEnum):
    """The four types, numbered as in an object's bytes."""

    SYSTEM_STATE = 0
    COIN = 1
    STAKED_SOMA = 2
    TARGET = 3

    @property
    def label(self) -> str:
        """The name on the wire: `SystemState`, `Coin`, `StakedSoma`, `Target`."""
        return {0: "SystemState", 1: "Coin", 2: "StakedSoma", 3: "Target"}[self.value]


@dataclass(frozen=True, slots=True)
class Owner:
    """An address, or shared since a version, or neither: immutable."""

    address: bytes | None = None
    shared_since: int | None = None

    def write(self, writer: Writer) -> None:
        """Append variant and content."""
        if self.address is not None:
            writer.uleb128(0).raw(self.address)
        elif self.shared_since is not None:
            writer.uleb128(1).u64(self.shared_since)
        else:
            writer.uleb128(2)

    @classmethod
    def read(cls, reader: Reader) -> Owner:
        """Take one off the front."""
        variant = reader.uleb128()
        if variant > 2:
            raise BcsError(f"owner has variant {variant}")
        return cls(reader.raw(32)) if variant == 0 else cls(None, reader.u64()) if variant == 1 else cls()


@dataclass(frozen=True)
class Object:
    """One version of one object; `contents` leaves out the id that its bytes begin with."""

    id: bytes
    type: ObjectType
    version: int
    contents: bytes
    owner: Owner
    previous_transaction: bytes

    def to_bytes(self) -> bytes:
        """The BCS bytes that the digest is made of."""
        writer = Writer().uleb128(self.type).u64(self.version).blob(self.id + self.contents)
        self.owner.write(writer)
        return writer.blob(self.previous_transaction).done()

    @classmethod
    def from_bytes(cls, data: bytes) -> Object:
        """Read all of `data`; raises BcsError."""
        reader = Reader(data)
        number = reader.uleb128()
        if number > 3:
            raise BcsError(f"object type {number} is unknown")
        version, body = reader.u64(), reader.blob()
        if len(body) < 32:
            raise BcsError("an object's bytes begin with its id")
        found = cls(body[:32], ObjectType(number), version, body[32:], Owner.read(reader), reader.fixed(32))
        reader.done()
        return found

    @cached_property
    def digest(self) -> bytes:
        """The 32 bytes that references to this version carry."""
        return typed_hash("Object", self.to_bytes())

    @property
    def ref(self) -> ObjectRef:
        """A reference to this version."""
        return ObjectRef(self.id, self.version, self.digest)


def coin_contents(balance_shannons: int) -> bytes:
    """A coin's contents: 8 bytes."""
    return Writer().u64(balance_shannons).done()


def parse_coin(contents: bytes) -> int:
    """A coin's balance in shannons; raises BcsError."""
    reader = Reader(contents)
    balance = reader.u64()
    reader.done()
    return balance


@dataclass(frozen=True, slots=True)
class StakedSoma:
    """A stake's contents: pool id (32 bytes), the epoch it counts from, its principal in shannons."""

    pool_id: bytes
    activation_epoch: int
    principal: int

    def to_bytes(self) -> bytes:
        """The 48 bytes."""
        return Writer().raw(self.pool_id).u64(self.activation_epoch).u64(self.principal).done()

    @classmethod
    def from_bytes(cls, contents: bytes) -> StakedSoma:
        """Read all of `contents`; raises BcsError."""
        reader = Reader(contents)
        found = cls(reader.raw(32), reader.u64(), reader.u64())
        reader.done()
        return found


@dataclass(frozen=True, slots=True)
class Filled:
    """What a target holds once somebody has filled it."""

    epoch: int
    submitter: bytes
    model_id: bytes
    model_owner: bytes
    bond: int
    manifest: Manifest
    embedding: Tensor
    distance: Tensor
    loss: Tensor


@dataclass(frozen=True, slots=True)
class Target:
    """A target's contents, open (`filled` is None) or filled; a claimed one is deleted by the chain."""

    embedding: Tensor
    model_ids: tuple[bytes, ...]
    threshold: Tensor
    reward: int
    generation_epoch: int
    filled: Filled | None = None
    reports: tuple[bytes, ...] = ()

    def to_bytes(self) -> bytes:
        """The BCS bytes in the order of protocol.md 3.7."""
        writer = Writer()
        self.embedding.write(writer)
        writer.seq(self.model_ids, Writer.raw)
        self.threshold.write(writer)
        writer.u64(self.reward).u64(self.generation_epoch)
        done = self.filled
        if done is None:
            writer.uleb128(0).raw(b"\0\0\0").u64(0).raw(b"\0\0\0\0")
        else:
            writer.uleb128(1).u64(done.epoch)
            for owner in (done.submitter, done.model_id, done.model_owner):
                writer.flag(True).raw(owner)
            writer.u64(done.bond)
            for part in (done.manifest, done.embedding, done.distance, done.loss):
                writer.flag(True)
                part.write(writer)
        return writer.seq(sorted(self.reports), Writer.raw).done()

    @classmethod
    def from_bytes(cls, contents: bytes) -> Target:
        """Read all of `contents`; raises BcsError for a target that is half filled."""
        reader = Reader(contents)
        embedding, models = Tensor.read(reader), reader.seq(lambda r: r.raw(32))
        threshold, reward, generation = Tensor.read(reader), reader.u64(), reader.u64()
        status = reader.uleb128()
        epoch = reader.u64() if status == 1 else 0
        submitter, model_id, model_owner = (reader.option(lambda r: r.raw(32)) for _ in range(3))
        bond = reader.u64()
        manifest = reader.option(Manifest.read)
        won, distance, loss = (reader.option(Tensor.read) for _ in range(3))
        reports = reader.seq(lambda r: r.raw(32))
        reader.done()
        filled = None
        if status == 1:
            if None in (submitter, model_id, model_owner, manifest, won, distance, loss):
                raise BcsError("a filled target lacks a part of its submission")
            filled = Filled(epoch, submitter, model_id, model_owner, bond, manifest, won, distance, loss)  # type: ignore[arg-type]
        elif status != 0 or bond or any(v is not None for v in (submitter, model_id, manifest, won)):
            raise BcsError("an open target holds parts of a submission")
        return cls(embedding, models, threshold, reward, generation, filled, reports)
