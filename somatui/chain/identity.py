"""Which network a node belongs to: its chain's identifier, name and server version, asked over gRPC.

The SDK tells the name alone, which every network of a kind shares; the identifier is the genesis checkpoint's digest
(protocol.md 2.4).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from somatui.chain.errors import ChainError, Refused, Timeout, Unreachable, from_grpc
from somatui.wire.proto import Message, ProtoError

if TYPE_CHECKING:
    import grpc.aio

METHOD = "/soma.rpc.LedgerService/GetServiceInfo"
_CHAIN_ID, _CHAIN, _SERVER = 1, 2, 8
_MOST_TEXT = 200
LARGEST, LONGEST_NAME = 256 * 1024 * 1024, 64 * 1024
"""Bytes of one message: the system state of thirty thousand models, and a node's word of itself."""
UP_TO_LARGEST = (("grpc.max_receive_message_length", LARGEST), ("grpc.max_send_message_length", LARGEST))
_NO_NODE = "What answers there is no node of this network: check the address."


@dataclass(frozen=True, slots=True)
class Identity:
    """`chain_id` is Base58, `name` what the network calls itself (`testnet`), `server` the node's version."""

    chain_id: str
    name: str
    server: str


class OtherChain(ChainError):
    """The node belongs to another network than the profile; nothing was signed."""


async def ask(address: str, limit_s: float) -> Identity:
    """Ask the node at `address` (http or https) who it is. Raises ChainError."""
    try:
        return read(await unary(address, METHOD, b"", limit_s, LONGEST_NAME))
    except Refused as refused:
        raise Unreachable(_NO_NODE) if refused.kind == "too_large" else refused from None


async def unary(address: str, method: str, request: bytes, limit_s: float, most_bytes: int = LARGEST) -> bytes:
    """One call to a node over a connection of its own, which takes no longer answer. Raises ChainError."""
    import grpc
    import grpc.aio

    try:
        async with dialled(address, most_bytes) as channel:
            call = channel.unary_unary(method)
            answer: bytes = await asyncio.wait_for(call(request, timeout=limit_s), limit_s + 1)
            return answer
    except grpc.aio.AioRpcError as failure:
        raise from_grpc(failure.code().name, failure.details() or "", "the network") from None
    except TimeoutError:
        raise Timeout(f"The network did not answer within {limit_s:g} seconds.") from None
    except (ValueError, UnicodeError):
        raise Refused(
            f"“{address}” is not a node's address: it looks like https://node.example.", "malformed"
        ) from None


def dialled(address: str, most_bytes: int = LARGEST) -> grpc.aio.Channel:
    """A channel to an http or https address, past any proxy of the environment, as the SDK dials.

    A longer answer than `most_bytes` is refused before it is read. Raises ValueError.
    """
    from urllib.parse import urlsplit

    import grpc
    import grpc.aio

    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password:
        raise ValueError(address)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    where = f"{host}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
    own = (("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1))
    options = (*own, ("grpc.max_receive_message_length", most_bytes), ("grpc.max_send_message_length", LARGEST))
    if parts.scheme == "https":
        return grpc.aio.secure_channel(where, grpc.ssl_channel_credentials(), options)
    return grpc.aio.insecure_channel(where, options)


def read(answer: bytes) -> Identity:
    """GetServiceInfoResponse (protocol.md 2.5), the three texts of it. Raises Unreachable for anything else."""
    try:
        found = Message(answer)
        chain_id, name, server = (_name(found, field) for field in (_CHAIN_ID, _CHAIN, _SERVER))
    except ProtoError:
        raise Unreachable(_NO_NODE) from None
    if not chain_id:
        raise Unreachable("The node does not say which network it belongs to: check the address.")
    return Identity(chain_id, name, server)


def _name(found: Message, field: int) -> str:
    text = "" if found.maybe_raw(field) is None else found.text(field)
    if len(text) > _MOST_TEXT or not text.isprintable():
        raise ProtoError("not a name")
    return text
