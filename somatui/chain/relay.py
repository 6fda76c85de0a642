"""A way to a node that wants credentials: the SDK dials here, this process, and each call goes on with a header added.

The SDK can neither send a header nor user and password out of an address. The door is a loopback port that answers
connections of this very process alone, so that no other user of the machine is let in with the operator's credentials.
The credentials are asked for at each call and kept nowhere here.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import urlsplit

from somatui.chain.errors import Refused
from somatui.chain.identity import UP_TO_LARGEST, dialled
from somatui.domain.hosts import BASIC, LOOPBACK

Auth = Callable[[], str]
"""The vault's `Basic user:pass` or `Header-Name: value` for the node; empty where there is none or it is shut."""

CHUNK = 64 * 1024
_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}")


def no_auth() -> str:
    """No credentials."""
    return ""


def header_of(text: str) -> tuple[str, str]:
    """Name and value of the header that credentials mean. Raises ValueError, whose sentence does not repeat them."""
    text = text.strip()
    if (pair := BASIC.match(text)) and ":" in text[pair.end() :]:
        return "authorization", "Basic " + base64.b64encode(text[pair.end() :].encode()).decode()
    name, colon, value = text.partition(":")
    if not colon or not _NAME.fullmatch(name) or name.lower().endswith("-bin") or not value.strip():
        raise ValueError("The node's credentials are written as Basic user:password, or as Header-Name: value.")
    if not (value.isascii() and value.isprintable()):
        raise ValueError("The node's header may hold plain printable characters only: copy it again.")
    return name.lower(), value.strip()


def meant_for(url: str, first: str, auth: Auth) -> Auth:
    """The first node's credentials for a second one on the same host; another host is somebody else and gets none."""
    same = urlsplit(url).hostname == urlsplit(first).hostname
    return auth if same else no_auth


def readable_on_the_way(address: str) -> bool:
    """Whether credentials sent to this address could be read by others: plain http to another machine."""
    parts = urlsplit(address)
    return parts.scheme != "https" and parts.hostname not in LOOPBACK


class Door:
    """Where the SDK is to dial for a node: the node's own address, or a relay's while there are credentials for it."""

    def __init__(self, url: str, auth: Auth = no_auth) -> None:
        self.url = url
        self._auth = auth
        self._relay: Relay | None = None
        self._turn = asyncio.Lock()

    async def address(self) -> str:
        """The address for now; it changes when the vault is opened or shut. Raises ChainError."""
        if not self.url or not self._auth():
            return self.url
        if readable_on_the_way(self.url):
            raise Refused(
                f"{self.url} would carry the node's credentials where others can read them: use its https address.",
                "not_configured",
            )
        async with self._turn:
            if self._relay is None:
                self._relay = Relay(self.url, self._auth)
                await self._relay.start()
        return self._relay.address

    @property
    def open(self) -> bool:
        """Whether a relay runs."""
        return self._relay is not None

    async def aclose(self) -> None:
        """Shut the relay, where there is one."""
        relay, self._relay = self._relay, None
        if relay is not None:
            await relay.aclose()


class Relay:
    """Passes every call on to `url`, bytes untouched, with the header added."""

    def __init__(self, url: str, auth: Auth) -> None:
        self.address = ""
        self._url = url
        self._auth = auth
        self._open: set[asyncio.Task[None]] = set()
        self._ends = contextlib.AsyncExitStack()

    async def start(self) -> None:
        """Open the port; `address` is then where to dial."""
        import grpc
        import grpc.aio

        passing = self._passing

        class Everything(grpc.GenericRpcHandler):  # type: ignore[misc]
            def service(self, details: Any) -> Any:
                return grpc.stream_stream_rpc_method_handler(passing(details.method))

        folder = tempfile.mkdtemp(prefix="somatui-")
        self._ends.callback(shutil.rmtree, folder, ignore_errors=True)
        self._channel = await self._ends.enter_async_context(dialled(self._url))
        server = grpc.aio.server(options=UP_TO_LARGEST)
        server.add_generic_rpc_handlers((Everything(),))
        self._behind = os.path.join(folder, "node")
        server.add_insecure_port(f"unix:{self._behind}")
        await server.start()
        self._ends.push_async_callback(server.stop, None)
        front = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self._ends.push_async_callback(self._hang_up)
        self._ends.callback(front.close)
        self.address = f"http://127.0.0.1:{front.sockets[0].getsockname()[1]}"

    async def aclose(self) -> None:
        """Shut the port and end what passes through it."""
        await self._ends.aclose()

    def _passing(self, method: str) -> Callable[[AsyncIterator[bytes], Any], AsyncIterator[bytes]]:
        async def through(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
            import grpc
            import grpc.aio

            try:
                metadata = (header_of(self._auth()),)
            except ValueError as wrong:
                await context.abort(grpc.StatusCode.UNAUTHENTICATED, str(wrong))
            call = self._channel.stream_stream(method)(requests, timeout=context.time_remaining(), metadata=metadata)
            try:
                async for answer in call:
                    yield answer
            except grpc.aio.AioRpcError as failure:
                await context.abort(failure.code(), failure.details() or "", failure.trailing_metadata() or ())

        return through

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._open.add(task)
            task.add_done_callback(self._open.discard)
        with contextlib.suppress(OSError, asyncio.CancelledError):
            if is_own(writer.get_extra_info("peername"), writer.get_extra_info("sockname")):
                await self._connect(reader, writer)
        writer.close()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind_reader, behind_writer = await asyncio.open_unix_connection(self._behind)
        ways = {
            asyncio.ensure_future(_pipe(reader, behind_writer)),
            asyncio.ensure_future(_pipe(behind_reader, writer)),
        }
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            behind_writer.close()

    async def _hang_up(self) -> None:
        for task in tuple(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)


def is_own(peer: tuple[str, int], here: tuple[str, int]) -> bool:
    """Whether the far end of the loopback connection from `peer` to `here` is a socket of this process.

    Both ends count: several sockets, also of different users, may share a port as long as they go elsewhere.
    """
    import psutil

    own = (c for c in psutil.Process().net_connections(kind="tcp") if c.laddr and c.raddr)
    return any((_at(c.laddr), _at(c.raddr)) == (tuple(peer), tuple(here)) for c in own)


def _at(address: Any) -> tuple[str, int]:
    return address.ip.removeprefix("::ffff:"), address.port


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while piece := await reader.read(CHUNK):
            writer.write(piece)
            await writer.drain()
