"""A wallet as a careless script has one: it signs whatever it is told, checks nothing first and keeps no journal.

Only rehearsals use it, since the agent refuses what they have to show.
"""

from __future__ import annotations

from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from somatui.chain import build
from somatui.chain.client import Chain
from somatui.chain.effects import EffectsView
from somatui.cli.problem import Problem
from somatui.cli.rehearse.stage import EMBEDDING, bytes_for, checksum_of
from somatui.domain.snapshot import CoinView, TargetView
from somatui.wire.hashes import address_of
from somatui.wire.kinds import SubmitData
from somatui.wire.text import b58decode32, b58encode, parse_address, parse_id
from somatui.wire.transaction import Signature, SignedTransaction, TransactionData, signing_message
from somatui.wire.values import Manifest, Tensor

WEIGHTS = b"what a script would have trained" * 100
NOWHERE = "http://127.0.0.1:9/data"


class Script:
    """One such wallet; `address` has 64 hex digits. Transactions go one after another, the largest coin paying."""

    def __init__(self, chain: Chain, key: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(key)
        self._public = self._key.public_key().public_bytes_raw()
        self.chain = chain
        self.address = address_of(self._public).hex()

    async def coins(self) -> tuple[CoinView, ...]:
        """Its coins, the largest first."""
        return tuple(sorted(await self.chain.coins(self.address), key=lambda c: (-c.balance_shannons, c.id)))

    async def coin(self) -> CoinView:
        """Its largest coin."""
        return (await self.coins())[0]

    async def balance(self) -> int:
        """All its coins together, in shannons."""
        return await self.chain.balance_shannons(self.address)

    def signed(self, data: TransactionData) -> bytes:
        """The bytes that are sent."""
        signature = Signature(self._key.sign(signing_message(data.to_bytes())), self._public)
        return SignedTransaction(data, signature).to_bytes()

    async def send(self, data: TransactionData, *, fails: str | None = None) -> EffectsView:
        """Send without having it tried, and wait for its checkpoint; it must fail with `fails`, if that is named.

        Raises Problem when it ends otherwise, ChainError when the network does not take it.
        """
        effects = await self.chain.execute(self.signed(data))
        await self.chain.settled(b58encode(data.digest))
        if effects.error_kind != fails:
            how = effects.error_text or "it was executed"
            raise Problem(f"The practice network did not end this as a rehearsal must ({how}): start it again.")
        return effects

    async def create(self, stake_shannons: int) -> str:
        """Register a model and no more; its id."""
        data = self.creation(await self.coin(), stake_shannons)
        await self.send(data)
        return build.new_model_id(data)

    def creation(self, coin: CoinView, stake_shannons: int) -> TransactionData:
        """What registers a model."""
        return build.create_model(
            self.address, coin, stake_shannons=stake_shannons, commission_bps=1_000, architecture_version=1
        )

    async def commit(self, model_id: str, key: bytes, weights: bytes = WEIGHTS) -> EffectsView:
        """Commit weights, whose key is given; they lie nowhere, since nobody fetches them here."""
        data = build.commit_model(
            self.address,
            await self.coin(),
            model_id=model_id,
            url=NOWHERE,
            checksum=checksum_of(weights),
            size=len(weights),
            embedding=EMBEDDING,
            key=key,
        )
        return await self.send(data)

    async def reveal(
        self, model_id: str, key: bytes, embedding: Sequence[float] = EMBEDDING, *, fails: str | None = None
    ) -> EffectsView:
        """Reveal a key and an embedding."""
        coin = await self.coin()
        data = build.reveal_model(self.address, coin, model_id=model_id, key=key, embedding=embedding)
        return await self.send(data, fails=fails)

    def submission(
        self, target: TargetView, bond: CoinView, gas: Sequence[CoinView], model_id: str | None = None
    ) -> TransactionData:
        """A made-up hit on a target; the ledger takes the distance that is claimed, as the real one does."""
        data = bytes_for(target)
        kind = SubmitData(
            parse_id(target.id),
            Manifest(NOWHERE, b58decode32(checksum_of(data)), len(data)),
            parse_id(model_id or target.model_ids[0]),
            Tensor.of(EMBEDDING),
            Tensor.of([0.25]),
            Tensor.of([1.5]),
            build.reference(bond),
        )
        return TransactionData(kind, parse_address(self.address), tuple(build.reference(c) for c in gas))
