"""The agent's socket: newline-delimited JSON-RPC 2.0 for this user alone, and changes pushed at most twice a second.

It knows nothing of what it carries; the methods are given to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import logging
import os
import socket
import struct
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

Method = Callable[..., Awaitable[Any]]
PUSH_INTERVAL_S = 0.5
MAX_LINE = 32 * 1024 * 1024

REFUSED, LOCKED, UNKNOWN, FAILED = -32010, -32011, -32012, -32013
_PARSE, _REQUEST, _METHOD, _PARAMS, _INTERNAL = -32700, -32600, -32601, -32602, -32603


class RpcError(Exception):
    """An answer that is no result: code, one sentence, and what helps to act on it."""

    def __init__(self, code: int, message: str, data: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data or {}


class _Peer:
    """One connection: its writer, and the sections it has not been told yet if it listens."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.waiting: dict[str, Any] = {}
        self.changed = asyncio.Event()
        self.follower: asyncio.Task[None] | None = None

    async def send(self, message: dict[str, Any]) -> None:
        if not self.writer.is_closing():
            self.writer.write(json.dumps(message, separators=(",", ":")).encode() + b"\n")
            await self.writer.drain()

    async def follow(self) -> None:
        """Tell what has changed, whatever came in meanwhile in one message, never faster than the interval."""
        with contextlib.suppress(ConnectionError):
            while True:
                await self.changed.wait()
                self.changed.clear()
                sections, self.waiting = self.waiting, {}
                if sections:
                    await self.send({"jsonrpc": "2.0", "method": "changed", "params": {"sections": sections}})
                await asyncio.sleep(PUSH_INTERVAL_S)


class Server:
    """Answers on one socket. `methods` take their parameters by name; `subscribe` is the server's own."""

    def __init__(self, path: Path, methods: Mapping[str, Method]) -> None:
        self._path = path
        self._methods = dict(methods) | {"subscribe": self._no_subscribe}
        self._sections: dict[str, Any] = {}
        self._peers: set[_Peer] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen; a socket left by a dead agent is replaced, so the profile's lease must be held."""
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        self._server = await asyncio.start_unix_server(self._serve, str(self._path), limit=MAX_LINE)
        os.chmod(self._path, 0o600)

    async def close(self) -> None:
        """Stop listening, let answers under way go out, hang up."""
        if self._server is not None:
            self._server.close()
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1)
        for task in self._tasks:
            task.cancel()
        for peer in tuple(self._peers):
            peer.writer.close()

    def publish(self, sections: Mapping[str, Any]) -> None:
        """Give the picture, section by section, as JSON; whoever listens is told of those that differ from before."""
        changed = {name: value for name, value in sections.items() if self._sections.get(name) != value}
        self._sections.update(changed)
        for peer in self._peers:
            if changed and peer.follower is not None:
                peer.waiting.update(changed)
                peer.changed.set()

    async def _no_subscribe(self) -> None:
        raise AssertionError("answered before the table of methods is asked")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = _Peer(writer)
        if peer_uid(writer.get_extra_info("socket")) != os.geteuid():
            writer.close()
            return
        self._peers.add(peer)
        try:
            while line := await reader.readline():
                task = asyncio.ensure_future(self._answer(peer, line))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        except (ConnectionError, ValueError):
            log.info("a connection ended in the middle")
        finally:
            self._peers.discard(peer)
            if peer.follower is not None:
                peer.follower.cancel()
            writer.close()

    async def _answer(self, peer: _Peer, line: bytes) -> None:
        number: Any = None
        try:
            try:
                asked = json.loads(line)
            except ValueError:
                raise RpcError(_PARSE, "That line is not JSON.") from None
            if not isinstance(asked, dict) or not isinstance(asked.get("method"), str):
                raise RpcError(_REQUEST, "That is not a JSON-RPC request.")
            number = asked.get("id")
            answer = {"result": await self._do(peer, asked["method"], asked.get("params") or {})}
        except RpcError as refused:
            answer = {"error": {"code": refused.code, "message": refused.message, "data": refused.data}}
        except Exception as defect:
            log.exception("a method failed")
            text = f"The agent met something unforeseen ({type(defect).__name__}): see agent.log."
            answer = {"error": {"code": _INTERNAL, "message": text, "data": {}}}
        with contextlib.suppress(ConnectionError):
            await peer.send({"jsonrpc": "2.0", "id": number} | answer)

    async def _do(self, peer: _Peer, name: str, params: Any) -> Any:
        if name == "subscribe":
            return self._subscribe(peer)
        method = self._methods.get(name)
        if method is None:
            raise RpcError(_METHOD, f"This agent has no method {name}: restart the older side, console or agent.")
        if not isinstance(params, dict):
            raise RpcError(_PARAMS, f"{name} takes its parameters by name.")
        try:
            inspect.signature(method).bind(**params)
        except TypeError as wrong:
            raise RpcError(_PARAMS, f"{name}: {wrong}.") from None
        return await method(**params)

    def _subscribe(self, peer: _Peer) -> dict[str, bool]:
        if peer.follower is None:
            peer.waiting = dict(self._sections)
            peer.changed.set()
            peer.follower = asyncio.ensure_future(peer.follow())
        return {"ok": True}


def peer_uid(connected: socket.socket) -> int:
    """The user on the other end of a unix socket."""
    if sys.platform == "darwin":
        found = connected.getsockopt(0, 1, 76)
        return int(struct.unpack("2I", found[:8])[1])
    found = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", found)[1])
