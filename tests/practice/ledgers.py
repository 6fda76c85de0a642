"""A small network and wallets that sign for themselves, for tests of the ledger."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from somatui.practice.ledger.ledger import Ledger
from somatui.practice.ledger.values import Executed, GenesisConfig, GenesisModel
from somatui.wire.hashes import address_of, blake2b256
from somatui.wire.kinds import CommitModel, Kind, RevealModel, SubmitData
from somatui.wire.objects import Object, ObjectType, Target
from somatui.wire.transaction import Signature, SignedTransaction, TransactionData, signing_message
from somatui.wire.values import Manifest, Tensor

NOW = 1_700_000_000_000
DAY = 86_400_000
SOMA = 10**9
OTHER = b"\x44" * 32
KEY = b"\x07" * 32
EMBEDDING = Tensor.of([0.5] * 16)
WEIGHTS = Manifest("http://127.0.0.1/weights", b"\x05" * 32, 1000)


def network(path: Path, models: int = 3, **changes: int) -> Ledger:
    """A network with a few models."""
    made = tuple(
        GenesisModel(
            bytes([n]) * 32,
            "http://127.0.0.1/w",
            bytes([n]) * 32,
            100,
            KEY,
            tuple((n * i) % 7 - 3.0 for i in range(16)),
            10**9,
        )
        for n in range(1, models + 1)
    )
    return Ledger.create(path, GenesisConfig("practice", made, NOW, 1, **changes))


class Wallet:
    """One key; sends with its richest coin unless told otherwise."""

    def __init__(self, ledger: Ledger, seed: int = 1, faucet: int = 2) -> None:
        self.ledger = ledger
        self.key = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
        self.address = address_of(self.key.public_key().public_bytes_raw())
        for _ in range(faucet):
            ledger.faucet(self.address, NOW)

    def coins(self) -> list[Object]:
        """Coins, richest first."""
        return self.ledger.owned(self.address, ObjectType.COIN, 1000, None)[0][::-1]

    def signed(self, kind: Kind, gas: list[Object] | None = None) -> SignedTransaction:
        """Signed, not sent."""
        data = TransactionData(kind, self.address, tuple(c.ref for c in (gas or self.coins()[:1])))
        signature = self.key.sign(signing_message(data.to_bytes()))
        return SignedTransaction(data, Signature(signature, self.key.public_key().public_bytes_raw()))

    def send(self, kind: Kind, gas: list[Object] | None = None) -> Executed:
        """Signed and executed."""
        return self.ledger.execute(self.signed(kind, gas), NOW)


def commit(model_id: bytes, embedding: Tensor = EMBEDDING) -> CommitModel:
    """A commitment that `reveal` matches."""
    return CommitModel(model_id, WEIGHTS, WEIGHTS.checksum, embedding.commitment, blake2b256(KEY))


def reveal(model_id: bytes, embedding: Tensor = EMBEDDING) -> RevealModel:
    """The reveal that belongs to `commit`."""
    return RevealModel(model_id, KEY, embedding)


def submit(target_id: bytes, target: Target, bond: Object, size: int = 1000, distance: float = 0.5) -> SubmitData:
    """A submission for the target's first model."""
    data = Manifest("http://127.0.0.1/data", b"\x06" * 32, size)
    loss = Tensor.of([1.5])
    return SubmitData(target_id, data, target.model_ids[0], EMBEDDING, Tensor.of([distance]), loss, bond.ref)


def fees(done: Executed) -> tuple[int, int, int]:
    """Base, operation and value fee, in shannons."""
    fee = done.effects.fee
    return fee.base, fee.operation, fee.value


def failure(done: Executed) -> int:
    """The kind of a transaction's failure, which took the base fee alone."""
    assert done.effects.error is not None
    assert fees(done) == (1000, 0, 0)
    return done.effects.error.kind
