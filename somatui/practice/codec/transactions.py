"""Transactions in messages: rebuilt and checked when they come in, taken apart when they go out (protocol.md 6)."""

from __future__ import annotations

from typing import Any

from somatui.practice.codec.kinds import kind_in, kind_out
from somatui.practice.codec.objects import ref_in, ref_out
from somatui.practice.codec.text import address_in, digest_in, invalid, missing
from somatui.practice.messages import pb
from somatui.wire.text import address_hex, b58encode
from somatui.wire.transaction import Signature, SignedTransaction, TransactionData


def data_in(message: Any) -> TransactionData:
    """The TransactionData that a client means; Refused unless its digest is the one the client says."""
    for name in ("kind", "sender"):
        if not message.HasField(name):
            raise missing(f"transaction.{name}")
    sender = address_in(message.sender, "transaction.sender")
    gas = tuple(ref_in(r) for r in message.gas_payment)
    data = TransactionData(kind_in(message.kind), sender, gas)
    if message.HasField("digest") and digest_in(message.digest, "transaction.digest") != data.digest:
        raise invalid("transaction.digest", f"its bytes have the digest {b58encode(data.digest)}")
    return data


def signed_in(message: Any) -> SignedTransaction:
    """What ExecuteTransaction carries; Refused unless there is exactly one Ed25519 signature."""
    if not message.HasField("transaction"):
        raise missing("transaction")
    data = data_in(message.transaction)
    if len(message.signatures) != 1 or message.signatures[0].WhichOneof("signature") != "simple":
        raise invalid("signatures", "exactly one simple signature is expected")
    simple = message.signatures[0].simple
    if simple.scheme != 0 or len(simple.signature) != 64 or len(simple.public_key) != 32:
        raise invalid("signatures", "an Ed25519 signature of 64 bytes and its key of 32 are expected")
    return SignedTransaction(data, Signature(simple.signature, simple.public_key))


def data_out(data: TransactionData) -> Any:
    """A Transaction message."""
    return pb.Transaction(
        digest=b58encode(data.digest),
        kind=kind_out(data.kind),
        sender=address_hex(data.sender),
        gas_payment=[ref_out(r) for r in data.gas_payment],
    )


def signature_out(signature: Signature) -> Any:
    """A UserSignature message."""
    simple = pb.SimpleSignature(scheme="ED25519", signature=signature.signature, public_key=signature.public_key)
    return pb.UserSignature(scheme="ED25519", simple=simple)
