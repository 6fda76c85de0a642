"""A client that signs for itself and sends one transaction after the other with one coin; for measuring and killing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import grpc
import grpc.aio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from somatui.practice import client
from somatui.practice.card import NetworkInfo
from somatui.practice.codec.text import digest_in, id_in
from somatui.practice.codec.transactions import data_out, signature_out
from somatui.practice.messages import SERVICES, pb
from somatui.wire.hashes import address_of, blake2b256
from somatui.wire.kinds import Kind, PayCoins, TransferCoin
from somatui.wire.text import hex_id, parse_id
from somatui.wire.transaction import Signature, SignedTransaction, TransactionData, signing_message
from somatui.wire.values import ObjectRef

PATHS = {m.name: m for methods in SERVICES.values() for m in methods}
OPTIONS = (("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1))
SECONDS = 30.0


class Lane:
    """One key, one coin, one connection of its own."""

    def __init__(self, name: str) -> None:
        """`name` fixes the key, which is worth nothing outside a practice network."""
        self._key = Ed25519PrivateKey.from_private_bytes(blake2b256(f"practice lane {name}".encode()))
        self._public = self._key.public_key().public_bytes_raw()
        self.address = address_of(self._public)
        self.coin: ObjectRef | None = None
        self._channel: Any = None

    async def open(self, info: NetworkInfo) -> None:
        """Connect."""
        self._channel = grpc.aio.insecure_channel(info.rpc_url.removeprefix("http://"), options=OPTIONS)

    async def close(self) -> None:
        """Let go of the connection."""
        if self._channel is not None:
            await self._channel.close()

    async def ask(self, method: str, request: Any) -> Any:
        """One call; raises grpc.aio.AioRpcError."""
        found = PATHS[method]
        call = self._channel.unary_unary(
            found.path,
            request_serializer=lambda m: m.SerializeToString(),
            response_deserializer=found.response.FromString,
        )
        return await call(request, timeout=SECONDS)

    async def checkpoints(self, *paths: str) -> AsyncIterator[Any]:
        """Every checkpoint from now on with these parts, as the network's messages."""
        found, request = PATHS["SubscribeCheckpoints"], pb.SubscribeCheckpointsRequest()
        request.read_mask.paths.extend(paths)
        call = self._channel.unary_stream(
            found.path,
            request_serializer=lambda m: m.SerializeToString(),
            response_deserializer=found.response.FromString,
        )
        async for message in call(request):
            yield message

    async def fund(self, info: NetworkInfo) -> None:
        """Take a coin of 2 SOMA from the faucet; raises ServeError."""
        coin = (await client.faucet(info, self.address.hex()))[0][1]
        await self.look(parse_id(coin))

    async def look(self, coin: bytes) -> None:
        """Use this coin in the version it has now."""
        found = (await self.ask("GetObject", pb.GetObjectRequest(object_id=hex_id(coin)))).object
        self.coin = ObjectRef(coin, found.version, digest_in(found.digest, "digest"))

    def signed(self, kind: Callable[[ObjectRef], Kind]) -> SignedTransaction:
        """A transaction of the lane's coin, which pays for it too."""
        assert self.coin is not None
        data = TransactionData(kind(self.coin), self.address, (self.coin,))
        return SignedTransaction(data, Signature(self._key.sign(signing_message(data.to_bytes())), self._public))

    async def send(self, signed: SignedTransaction) -> Any:
        """Send; the lane goes on from the coin's new version. Returns the effects, raises grpc.aio.AioRpcError."""
        request = pb.ExecuteTransactionRequest(
            transaction=data_out(signed.data), signatures=[signature_out(signed.signature)]
        )
        effects = (await self.ask("ExecuteTransaction", request)).transaction.effects
        coin = signed.data.gas_payment[0].id
        for change in effects.changed_objects:
            if id_in(change.object_id, "object_id") == coin:
                self.coin = ObjectRef(coin, change.output_version, digest_in(change.output_digest, "digest"))
        return effects

    def signed_payment(self, recipient: bytes, shannons: int) -> SignedTransaction:
        """A transfer out of the lane's coin, not sent."""
        return self.signed(lambda coin: TransferCoin(coin, shannons, recipient))

    async def pay(self, recipient: bytes, shannons: int) -> Any:
        """Pay out of the lane's coin; one coin more is on the ledger."""
        return await self.send(self.signed_payment(recipient, shannons))

    async def spread(self, recipients: Sequence[bytes], shannons: int) -> Any:
        """Pay so much to each; so many coins more are on the ledger."""
        amounts = (shannons,) * len(recipients)
        return await self.send(self.signed(lambda coin: PayCoins((coin,), amounts, tuple(recipients))))
