"""gRPC servers with the settings that soma_sdk needs (protocol.md 1.7); what they serve is others'."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import grpc
import grpc.aio

from somatui.practice.ledger.values import Refused

Unary = Callable[[bytes], Awaitable[bytes]]
Metadata = Sequence[tuple[str, str | bytes]]
log = logging.getLogger(__name__)

MESSAGE_BYTES = 4 * 1024 * 1024
"""The longest request; the real node's limit too."""
STREAMS = 1024
"""So many calls at a time on one connection."""
WAITING = 32 * STREAMS
"""Calls that may wait to be begun; above 1,000 the library would drop some at random, those of other clients too."""
PINGS = 1000
"""A client that sends so many pings in a row sooner than once a second is let go; soma_sdk's come every 5 s."""
OPTIONS = (
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 1000),
    ("grpc.http2.max_ping_strikes", PINGS),
    ("grpc.max_concurrent_streams", STREAMS),
    ("grpc.server.max_pending_requests", WAITING),
    ("grpc.server.max_pending_requests_hard_limit", WAITING),
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", MESSAGE_BYTES),
    ("grpc.max_send_message_length", -1),
)
"""Without the fourth a quiet subscription is closed after 20 s; without so_reuseport=0 two servers share a port; the
second and third let go of clients that went away without a word."""

_HUNG_UP = "ExecuteBatchError"
"""What the library logs, with a traceback, where a client was gone before its answer."""
logging.getLogger("grpc._cython.cygrpc").addFilter(lambda told: _HUNG_UP not in told.getMessage())


async def start(port: int, *handlers: grpc.GenericRpcHandler, host: str = "127.0.0.1") -> tuple[Any, int]:
    """A started server and its port; port 0 takes a free one. Raises RuntimeError when the port is taken."""
    server = grpc.aio.server(options=OPTIONS)
    for handler in handlers:
        server.add_generic_rpc_handlers((handler,))
    bound = server.add_insecure_port(f"{host}:{port}")
    await server.start()
    return server, bound


def unary(
    call: Unary,
    headers: Callable[[], Metadata] = lambda: (),
    details: Callable[[Refused], Metadata] = lambda why: (),
) -> grpc.RpcMethodHandler:
    """A handler of raw bytes; Refused becomes its status, anything else INTERNAL with one sentence."""

    async def handle(requests: AsyncIterator[bytes], context: Any) -> bytes:
        try:
            answer = await call(await only(requests))
        except Exception as why:
            await context.send_initial_metadata(headers())
            await abort(context, why, details)
            raise AssertionError("abort returned") from why
        await context.send_initial_metadata(headers())
        return answer

    return grpc.stream_unary_rpc_method_handler(handle)


async def only(requests: AsyncIterator[bytes]) -> bytes:
    """The one message of a call. Handlers take streams because of calls that end before or within it: the library
    leaves those without any answer, the real node refuses them.
    """
    async for request in requests:
        return request
    raise Refused("INTERNAL", "Missing request message.")


async def abort(context: Any, why: Exception, details: Callable[[Refused], Metadata] = lambda why: ()) -> None:
    """End a call with a refusal's status; anything else is logged and INTERNAL."""
    if not isinstance(why, Refused):
        log.error("a call failed", exc_info=why)
        why = Refused("INTERNAL", f"This service failed: {type(why).__name__}: {why}")
    await context.abort(grpc.StatusCode[why.code], why.text, tuple(details(why)))


def service(name: str, handlers: dict[str, grpc.RpcMethodHandler]) -> grpc.GenericRpcHandler:
    """A service by its full name."""
    return grpc.method_handlers_generic_handler(name, handlers)
