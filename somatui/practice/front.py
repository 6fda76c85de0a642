"""One TCP port for gRPC and HTTP/1.1: the first bytes of a connection say where it goes (protocol.md 1.4)."""

from __future__ import annotations

import asyncio
import contextlib

PREFACE = b"PRI "
CHUNK = 64 * 1024


class Front:
    """Listens on 127.0.0.1 and passes connections on to the gRPC port or to the HTTP port behind it."""

    def __init__(self, grpc_port: int, http_port: int) -> None:
        self._grpc, self._http = grpc_port, http_port
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    async def start(self, port: int) -> int:
        """Listen; returns the port. Raises OSError when it is taken."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", port, limit=CHUNK)
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
        task = asyncio.current_task()
        if task is not None:
            self._open.add(task)
            task.add_done_callback(self._open.discard)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await self._connect(reader, writer)
        writer.close()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await reader.readexactly(len(PREFACE))
        port = self._grpc if first == PREFACE else self._http
        behind_reader, behind_writer = await asyncio.open_connection("127.0.0.1", port, limit=CHUNK)
        try:
            behind_writer.write(first)
            await asyncio.gather(_pipe(reader, behind_writer), _pipe(behind_reader, writer))
        finally:
            behind_writer.close()


async def _pipe(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    try:
        while chunk := await source.read(CHUNK):
            sink.write(chunk)
            await sink.drain()
        if sink.can_write_eof():
            sink.write_eof()
    except OSError:
        sink.close()
