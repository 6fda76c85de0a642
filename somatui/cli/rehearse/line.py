"""A line to the network that loses one answer: the question goes through, and what comes back never arrives."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import urlsplit

HOST = "127.0.0.1"
PIECE = 65_536


@dataclass(slots=True)
class _Link:
    """One connection through the line: whether its answers are swallowed, and the end of what was asked."""

    deaf: bool = False
    tail: bytes = b""


class BadLine:
    """A port in front of the network. A connection that carries the bytes `marked` gets no answer from then on."""

    def __init__(self, rpc_url: str) -> None:
        self._port = urlsplit(rpc_url).port or 80
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.marked = b""
        self.url = ""

    @contextlib.asynccontextmanager
    async def up(self) -> AsyncIterator[BadLine]:
        """The line, until the block ends."""
        server = await asyncio.start_server(self._connected, HOST, 0)
        self.url = f"http://{HOST}:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()
            self.cut()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """Hang up, as a router does that restarts; who connects again is answered."""
        self.marked = b""
        for writer in tuple(self._open):
            writer.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection(HOST, self._port)
        except OSError:
            writer.close()
            return
        self._open |= {writer, back}
        link = _Link()
        for way in (self._ask(reader, back, link), self._answer(there, writer, link)):
            task = asyncio.ensure_future(way)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _ask(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, link: _Link) -> None:
        with contextlib.suppress(OSError):
            while piece := await source.read(PIECE):
                link.tail = (link.tail + piece)[-2 * PIECE :]
                link.deaf = link.deaf or bool(self.marked and self.marked in link.tail)
                target.write(piece)
                await target.drain()
        self._hang_up(target)

    async def _answer(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, link: _Link) -> None:
        with contextlib.suppress(OSError):
            while piece := await source.read(PIECE):
                if not link.deaf:
                    target.write(piece)
                    await target.drain()
        self._hang_up(target)

    def _hang_up(self, writer: asyncio.StreamWriter) -> None:
        self._open.discard(writer)
        writer.close()
