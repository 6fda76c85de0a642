"""Transactions as they are signed and sent: data, digest, signature (protocol.md 3.3, 3.4)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from somatui.wire.bcs import BcsError, Reader, Writer
from somatui.wire.hashes import address_of, blake2b256, typed_hash
from somatui.wire.kinds import Kind
from somatui.wire.values import ObjectRef

INTENT = b"\x00\x00\x01"
MAX_TRANSACTION_BYTES = 262_032
"""The largest TransactionData that consensus takes; one byte more costs 90 s (protocol.md 9.1)."""


@dataclass(frozen=True)
class TransactionData:
    """What is signed: the act, the sender's address (32 bytes), the coins that pay."""

    kind: Kind
    sender: bytes
    gas_payment: tuple[ObjectRef, ...]

    def write(self, writer: Writer) -> None:
        """Append version 1 of the data."""
        writer.uleb128(0)
        self.kind.write(writer)
        writer.raw(self.sender).seq(self.gas_payment, lambda w, ref: ref.write(w))

    @classmethod
    def read(cls, reader: Reader) -> TransactionData:
        """Take one off the front."""
        if reader.uleb128() != 0:
            raise BcsError("only version 1 of TransactionData is known")
        return cls(Kind.read(reader), reader.raw(32), reader.seq(ObjectRef.read))

    def to_bytes(self) -> bytes:
        """The BCS bytes."""
        writer = Writer()
        self.write(writer)
        return writer.done()

    @classmethod
    def from_bytes(cls, data: bytes) -> TransactionData:
        """Read all of `data`; raises BcsError."""
        reader = Reader(data)
        found = cls.read(reader)
        reader.done()
        return found

    @cached_property
    def digest(self) -> bytes:
        """The 32 bytes by which the network knows the transaction, before and after it is sent."""
        return typed_hash("TransactionData", self.to_bytes())


def signing_message(data: bytes) -> bytes:
    """The 32 bytes that Ed25519 signs for BCS TransactionData."""
    return blake2b256(INTENT + data)


@dataclass(frozen=True)
class Signature:
    """An Ed25519 signature (64 bytes) and the public key (32 bytes) that made it."""

    signature: bytes
    public_key: bytes

    @property
    def address(self) -> bytes:
        """The address that signs with this key."""
        return address_of(self.public_key)


@dataclass(frozen=True)
class SignedTransaction:
    """TransactionData with its signature, the form that `execute_transaction` takes."""

    data: TransactionData
    signature: Signature

    def to_bytes(self) -> bytes:
        """The BCS bytes: one entry, intent, data, one signature of 97 bytes."""
        writer = Writer().uleb128(1).raw(INTENT)
        self.data.write(writer)
        writer.uleb128(1).blob(b"\x00" + self.signature.signature + self.signature.public_key)
        return writer.done()

    @classmethod
    def from_bytes(cls, data: bytes) -> SignedTransaction:
        """Read all of `data`; raises BcsError for other schemes, intents and numbers of signatures."""
        reader = Reader(data)
        if reader.uleb128() != 1 or reader.raw(3) != INTENT:
            raise BcsError("not one signed transaction of this network")
        body = TransactionData.read(reader)
        if reader.uleb128() != 1:
            raise BcsError("one signature is expected")
        signature = reader.fixed(97)
        reader.done()
        if signature[0] != 0:
            raise BcsError(f"signature scheme {signature[0]} is not Ed25519")
        return cls(body, Signature(signature[1:65], signature[65:]))
