"""Raw gRPC calls on a running network, for tests of what no client library shows."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio

from somatui.practice.messages import SERVICES, Method, pb

METHODS = {m.name: m for methods in SERVICES.values() for m in methods}
LIMIT = ("grpc.max_receive_message_length", 64 * 1024 * 1024)


class Node:
    """One channel; `ask` by a method's short name."""

    def __init__(self, channel: Any) -> None:
        self.channel = channel

    def call(self, name: str, request: Any) -> Any:
        """A unary call that has begun."""
        method: Method = METHODS[name]
        made = self.channel.unary_unary(
            method.path, request_serializer=lambda m: m.SerializeToString(),
            response_deserializer=method.response.FromString,
        )  # fmt: skip
        return made(request, timeout=30)

    async def ask(self, name: str, request: Any) -> Any:
        """The answer."""
        return await self.call(name, request)

    async def refused(self, name: str, request: Any) -> tuple[str, str, Any]:
        """Code, text and typed status of a call that is refused."""
        try:
            await self.call(name, request)
        except grpc.aio.AioRpcError as why:
            found = dict(why.trailing_metadata() or ()).get("grpc-status-details-bin")
            return why.code().name, why.details() or "", pb.Status.FromString(found) if found else None
        raise AssertionError(f"{name} was not refused")

    def subscribe(self, *paths: str) -> Any:
        """The checkpoint stream with a mask."""
        method = METHODS["SubscribeCheckpoints"]
        made = self.channel.unary_stream(
            method.path, request_serializer=lambda m: m.SerializeToString(),
            response_deserializer=method.response.FromString,
        )  # fmt: skip
        request = pb.SubscribeCheckpointsRequest()
        request.read_mask.paths.extend(paths)
        return made(request)


@contextlib.asynccontextmanager
async def node(rpc_url: str) -> AsyncIterator[Node]:
    """A channel of its own."""
    options = (LIMIT, ("grpc.use_local_subchannel_pool", 1))
    async with grpc.aio.insecure_channel(rpc_url.removeprefix("http://"), options=options) as channel:
        yield Node(channel)
