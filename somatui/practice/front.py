"""One TCP port for gRPC and HTTP/1.1: the first bytes of a connection say where it goes (protocol.md 1.4)."""

from __future__ import annotations

import asyncio
import contextlib
import socket

PREFACE = b"PRI "
CHUNK = 64 * 1024
FIRST_S = 10.0
"""A connection that has not said so much by then is closed."""
IDLE_S = 120.0
"""An HTTP connection on which nothing moves for so long is closed; gRPC has pings of its own."""
CONNECTIONS = 4096
"""So many at a time; another is closed at once."""


class Front:
    """Passes connections on to the gRPC port or to the HTTP port behind it, which listen on 127.0.0.1."""

    def __init__(self, grpc_port: int, http_port: int) -> None:
        self._grpc, self._http = grpc_port, http_port
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    async def start(self, port: int, host: str = "127.0.0.1") -> int:
        """Listen; returns the port. Raises OSError when it is taken."""
        self._server = await asyncio.start_server(self._accept, host, port, limit=CHUNK, backlog=1024)
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def stop(self) -> None:
        """Close the port and every connection."""
        if self._server is not None:
            self._server.close()
        for task in tuple(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._open) >= CONNECTIONS:
            writer.close()
            return
        task = asyncio.current_task()
        if task is not None:
            self._open.add(task)
            task.add_done_callback(self._open.discard)
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.CancelledError):
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            await self._connect(reader, writer)
        writer.close()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await asyncio.wait_for(reader.readexactly(len(PREFACE)), FIRST_S)
        port, idle = (self._grpc, None) if first == PREFACE else (self._http, IDLE_S)
        behind_reader, behind_writer = await asyncio.open_connection("127.0.0.1", port, limit=CHUNK)
        try:
            behind_writer.write(first)
            await asyncio.gather(_pipe(reader, behind_writer, idle), _pipe(behind_reader, writer, idle))
        finally:
            behind_writer.close()


async def _pipe(source: asyncio.StreamReader, sink: asyncio.StreamWriter, idle_s: float | None) -> None:
    try:
        while chunk := await asyncio.wait_for(source.read(CHUNK), idle_s):
            sink.write(chunk)
            await asyncio.wait_for(sink.drain(), idle_s)
        if sink.can_write_eof():
            sink.write_eof()
    except OSError:
        sink.close()
