"""One TCP port for gRPC and HTTP/1.1: the first bytes of a connection say where it goes (protocol.md 1.4)."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine
from typing import TypeVar

T = TypeVar("T")

PREFACE = b"PRI "
FIRST_S = 10.0
"""A connection that has not said so much by then is closed; one that is closed takes what is left for it by then."""
IDLE_S = 120.0
"""An HTTP connection on which nothing moves for so long is closed; gRPC has pings of its own."""
CONNECTIONS = 4096
"""So many at a time; another is closed at once."""


class Front:
    """Passes connections on to the gRPC port or to the HTTP port behind it, which listen on 127.0.0.1.

    It has a thread and a loop of its own, so that bytes on the way do not stand behind the answers being made.
    """

    def __init__(self, grpc_port: int, http_port: int) -> None:
        self._grpc, self._http = grpc_port, http_port
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._server: asyncio.Server | None = None
        self._open: set[_Pair] = set()

    async def start(self, port: int, host: str = "127.0.0.1") -> int:
        """Listen; returns the port. Raises OSError when it is taken."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="front", daemon=True)
        self._thread.start()
        return await self._there(self._listen(port, host))

    async def stop(self) -> None:
        """Close the port and every connection."""
        if self._loop is None or self._thread is None:
            return
        await self._there(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        await asyncio.to_thread(self._thread.join)
        self._loop.close()

    async def _there(self, work: Coroutine[object, object, T]) -> T:
        """What `work` brings on the front's own loop."""
        assert self._loop is not None
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    async def _listen(self, port: int, host: str) -> int:
        self._server = await asyncio.get_running_loop().create_server(self._accept, host, port, backlog=1024)
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        for pair in tuple(self._open):
            pair.close()
        await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}), return_exceptions=True)

    def _accept(self) -> asyncio.Protocol:
        pair = _Pair(self._behind, self._open.discard)
        if len(self._open) < CONNECTIONS:
            self._open.add(pair)
        else:
            pair.close()
        return pair.near

    def _behind(self, first: bytes) -> tuple[int, float | None]:
        """The port for a connection that begins so, and how long it may be idle."""
        return (self._grpc, None) if first.startswith(PREFACE) else (self._http, IDLE_S)


class _End(asyncio.Protocol):
    """One of a pair's two connections: what it is sent goes to the other as it is."""

    def __init__(self, pair: _Pair) -> None:
        self._pair = pair
        self.transport: asyncio.Transport | None = None
        self.other: _End = self

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._pair.made(self)

    def data_received(self, data: bytes) -> None:
        """Pass it on; before there is anybody behind it is kept."""
        self._pair.moved = True
        if self.other.transport is not None:
            self.other.transport.write(data)
        else:
            self._pair.began(data)

    def eof_received(self) -> bool:
        """Nothing more comes from here; answers may still go there."""
        self._pair.ended(self)
        return True

    def pause_writing(self) -> None:
        """It takes nothing for now, so nothing more is read for it."""
        if self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        """It takes more."""
        self._pair.moved = True
        if self.other.transport is not None:
            self.other.transport.resume_reading()

    def connection_lost(self, _exc: Exception | None) -> None:
        """With one the other ends, once it has what was sent."""
        self._pair.close()


class _Pair:
    """A client's connection and the one behind it."""

    def __init__(self, behind: Callable[[bytes], tuple[int, float | None]], gone: Callable[[_Pair], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._behind, self._gone = behind, gone
        self._first, self._ended = b"", set[_End]()
        self._closed = self.moved = False
        self._connecting: asyncio.Task[object] | None = None
        self._idle_s: float | None = None
        self.near, self._far = _End(self), _End(self)
        self.near.other, self._far.other = self._far, self.near
        self._timer = self._loop.call_later(FIRST_S, self.close)

    def made(self, end: _End) -> None:
        """One of the two is connected."""
        assert end.transport is not None
        if self._closed:
            end.transport.close()
        elif end is self.near:
            end.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        else:
            end.transport.write(self._first)
            self._first = b""
            assert self.near.transport is not None
            self.near.transport.resume_reading()

    def began(self, data: bytes) -> None:
        """The client's first bytes, as many as tell where it belongs."""
        self._first += data
        if len(self._first) < len(PREFACE) or self._connecting is not None:
            return
        assert self.near.transport is not None
        self.near.transport.pause_reading()
        self._timer.cancel()
        port, self._idle_s = self._behind(self._first)
        made = self._loop.create_connection(lambda: self._far, "127.0.0.1", port)
        self._connecting = self._loop.create_task(made)
        self._connecting.add_done_callback(self._connected)

    def _connected(self, task: asyncio.Task[object]) -> None:
        if task.cancelled() or task.exception() is not None:
            self.close()
        elif self._idle_s is not None and not self._closed:
            self._look()

    def _look(self) -> None:
        """Close it if nothing has moved since the last look."""
        assert self._idle_s is not None
        if self.moved:
            self.moved = False
            self._timer = self._loop.call_later(self._idle_s, self._look)
        else:
            self.close()

    def ended(self, end: _End) -> None:
        """One side has said all; when both have, or nobody is behind yet, that is the end."""
        self._ended.add(end)
        to = end.other.transport
        if to is None or len(self._ended) == 2:
            self.close()
        elif to.can_write_eof():
            to.write_eof()

    def close(self) -> None:
        """End both; what was taken is sent first."""
        if self._closed:
            return
        self._closed = True
        self._timer.cancel()
        if self._connecting is not None:
            self._connecting.cancel()
        for end in (self.near, self._far):
            if end.transport is not None:
                end.transport.close()
                if end.transport.get_write_buffer_size():
                    self._loop.call_later(FIRST_S, end.transport.abort)
        self._gone(self)
