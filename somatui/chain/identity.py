"""Which network a node belongs to: its chain's identifier, name and server version, asked over gRPC.

The SDK tells the name alone, which every network of a kind shares; the identifier is the genesis checkpoint's digest
(protocol.md 2.4).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from somatui.chain.errors import ChainError, Refused, Timeout, Unreachable, from_grpc

if TYPE_CHECKING:
    import grpc.aio

METHOD = "/soma.rpc.LedgerService/GetServiceInfo"
_CHAIN_ID, _CHAIN, _SERVER = 1, 2, 8
_MOST_TEXT = 200
UNLIMITED = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))


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
    import grpc
    import grpc.aio

    try:
        async with dialled(address) as channel:
            call = channel.unary_unary(METHOD)
            answer: bytes = await asyncio.wait_for(call(b"", timeout=limit_s), limit_s + 1)
    except grpc.aio.AioRpcError as failure:
        raise from_grpc(failure.code().name, failure.details() or "", "the network") from None
    except TimeoutError:
        raise Timeout(f"The network did not answer within {limit_s:g} seconds.") from None
    except (ValueError, UnicodeError):
        raise Refused(
            f"“{address}” is not a node's address: it looks like https://node.example.", "malformed"
        ) from None
    return read(answer)


def dialled(address: str) -> grpc.aio.Channel:
    """A channel to an http or https address, past any proxy of the environment, as the SDK dials. Raises ValueError."""
    from urllib.parse import urlsplit

    import grpc
    import grpc.aio

    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password:
        raise ValueError(address)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    where = f"{host}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
    options = (("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1), *UNLIMITED)
    if parts.scheme == "https":
        return grpc.aio.secure_channel(where, grpc.ssl_channel_credentials(), options)
    return grpc.aio.insecure_channel(where, options)


def read(answer: bytes) -> Identity:
    """GetServiceInfoResponse (protocol.md 5), the three texts of it. Raises Unreachable for anything else."""
    try:
        found = dict(_texts(answer))
    except (IndexError, ValueError):
        raise Unreachable("What answers there is no node of this network: check the address.") from None
    if not found.get(_CHAIN_ID):
        raise Unreachable("The node does not say which network it belongs to: check the address.")
    return Identity(found[_CHAIN_ID], found.get(_CHAIN, ""), found.get(_SERVER, ""))


def _texts(message: bytes) -> list[tuple[int, str]]:
    """The text fields of a protobuf message; numbers and messages in it are passed over."""
    found: list[tuple[int, str]] = []
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            _, at = _varint(message, at)
        elif kind == 2:
            length, at = _varint(message, at)
            if at + length > len(message):
                raise IndexError("cut short")
            if number in (_CHAIN_ID, _CHAIN, _SERVER):
                text = message[at : at + length].decode()
                if len(text) > _MOST_TEXT or not text.isprintable():
                    raise ValueError("not a name")
                found.append((number, text))
            at += length
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            raise ValueError("not a message")
    return found


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("not a number")
