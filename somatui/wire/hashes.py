"""Blake2b-256 and what the network derives from it: typed digests, object ids, target seeds (protocol.md 3.2–3.10)."""

from __future__ import annotations

import hashlib


def blake2b256(data: bytes) -> bytes:
    """The network's one hash: Blake2b with 32 bytes of output."""
    return hashlib.blake2b(data, digest_size=32).digest()


def typed_hash(kind: str, encoded: bytes) -> bytes:
    """The digest of a BCS value under its type's name, such as `Object` or `TransactionData`."""
    return blake2b256(f"{kind}::".encode() + encoded)


def derive_id(tx_digest: bytes, number: int) -> bytes:
    """The id of the `number`-th object a transaction creates, counted from 0."""
    return blake2b256(tx_digest + number.to_bytes(8, "little"))


def seed_of(tx_digest: bytes, number: int) -> int:
    """The seed of a target's embedding: the first eight bytes of the same hash, little endian (protocol.md 3.10)."""
    return int.from_bytes(derive_id(tx_digest, number)[:8], "little")


def address_of(public_key: bytes) -> bytes:
    """The address of an Ed25519 public key: hash of the scheme's flag 0 and the key."""
    return blake2b256(b"\x00" + public_key)
