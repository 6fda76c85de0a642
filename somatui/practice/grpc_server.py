"""gRPC servers on 127.0.0.1 with the settings that soma_sdk needs (protocol.md 1.7); what they serve is others'."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import grpc.aio

from somatui.practice.ledger.values import Refused

Unary = Callable[[bytes], Awaitable[bytes]]
log = logging.getLogger(__name__)

OPTIONS = (
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 1000),
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", 16 * 1024 * 1024),
    ("grpc.max_send_message_length", -1),
)
"""Without the second, a quiet subscription is closed after 20 s; without so_reuseport=0 two servers share a port."""


async def start(port: int, *handlers: grpc.GenericRpcHandler) -> tuple[Any, int]:
    """A started server and its port; port 0 takes a free one. Raises RuntimeError when the port is taken."""
    server = grpc.aio.server(options=OPTIONS)
    for handler in handlers:
        server.add_generic_rpc_handlers((handler,))
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    return server, bound


def unary(call: Unary) -> grpc.RpcMethodHandler:
    """A handler of raw bytes; Refused becomes its status, anything else INTERNAL with one sentence."""

    async def handle(request: bytes, context: Any) -> bytes:
        try:
            return await call(request)
        except Refused as why:
            await abort(context, why)
        except Exception as why:
            log.exception("a call failed")
            await context.abort(grpc.StatusCode.INTERNAL, f"The practice network failed: {type(why).__name__}: {why}")
        raise AssertionError("abort returned")

    return grpc.unary_unary_rpc_method_handler(handle)


async def abort(context: Any, why: Refused) -> None:
    """End a call with a refusal's status."""
    await context.abort(grpc.StatusCode[why.code], why.text)


def service(name: str, handlers: dict[str, grpc.RpcMethodHandler]) -> grpc.GenericRpcHandler:
    """A service by its full name."""
    return grpc.method_handlers_generic_handler(name, handlers)
