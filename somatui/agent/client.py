"""The way to the agent for consoles and commands: connect, call, be told of changes, start and stop it.

Standard library only: it is on the path to the console's first paint.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from somatui.domain.printable import readable
from somatui.paths import Paths

PROTOCOL = 1
MAX_LINE = 32 * 1024 * 1024
START_SECONDS = 30.0
STOP_SECONDS = 20.0

Sections = dict[str, Any]


class AgentError(Exception):
    """The agent's refusal: `code` as in the socket's table, `message` one sentence, `data` what belongs to it."""

    def __init__(self, code: int, message: str, data: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data or {}


class AgentGone(ConnectionError):
    """The connection ended before the answer came."""


class AgentClient:
    """One connection. Calls may overlap; answers find their caller."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._number = 0
        self._open: dict[int, asyncio.Future[Any]] = {}
        self._listener: Callable[[Sections], None] | None = None
        self._task = asyncio.ensure_future(self._read())
        self.closed = asyncio.Event()

    @classmethod
    async def connect(cls, paths: Paths) -> AgentClient:
        """Connect to the profile's agent.

        Raises:
            OSError: no agent answers there.
            AgentError: it speaks another protocol; says which side to restart.
        """
        reader, writer = await asyncio.open_unix_connection(str(paths.socket), limit=MAX_LINE)
        client = cls(reader, writer)
        try:
            said = await asyncio.wait_for(client.call("hello"), 10)
        except TimeoutError:
            await client.close()
            raise AgentGone("The agent does not answer: restart it.") from None
        if said.get("protocol") != PROTOCOL:
            await client.close()
            older = "agent" if int(said.get("protocol") or 0) < PROTOCOL else "console"
            raise AgentError(-32001, f"Agent and console are of different versions: restart the {older}.", said)
        return client

    async def call(self, method: str, /, **params: Any) -> Any:
        """Ask and wait for the answer. Raises AgentError for a refusal, AgentGone when the connection ends."""
        if self.closed.is_set():
            raise AgentGone("The agent has gone.")
        self._number += 1
        number = self._number
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._open[number] = answer
        request = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        try:
            self._writer.write(json.dumps(request, separators=(",", ":")).encode() + b"\n")
            await self._writer.drain()
            return await answer
        finally:
            self._open.pop(number, None)

    async def subscribe(self, callback: Callable[[Sections], None]) -> None:
        """Have `callback` called with sections of the Snapshot as JSON: all of them first, then those that change."""
        self._listener = callback
        await self.call("subscribe")

    async def close(self) -> None:
        """Hang up."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    async def _read(self) -> None:
        try:
            while line := await self._reader.readline():
                self._take(readable(json.loads(line)))
        except (OSError, ValueError):
            pass
        finally:
            self.closed.set()
            for answer in self._open.values():
                if not answer.done():
                    answer.set_exception(AgentGone("The agent went away before it answered."))

    def _take(self, message: dict[str, Any]) -> None:
        if message.get("method") == "changed":
            if self._listener is not None:
                self._listener(message["params"]["sections"])
            return
        answer = self._open.get(message.get("id") or 0)
        if answer is None or answer.done():
            return
        error = message.get("error")
        if error is None:
            answer.set_result(message.get("result"))
        else:
            answer.set_exception(AgentError(int(error["code"]), str(error["message"]), error.get("data")))


async def ensure_agent(paths: Paths) -> None:
    """See that the profile's agent answers; start it detached where none does. Raises AgentError with its sentence."""
    if await _answers(paths):
        return
    paths.create()
    refusal = await asyncio.to_thread(_start, paths)
    if refusal is not None and not await _answers(paths):
        raise AgentError(-32000, refusal)


async def stop_agent(paths: Paths) -> None:
    """Ask the profile's agent to stop and wait until it is gone; nothing to do where none runs.

    Raises AgentError when it is still there after twenty seconds.
    """
    try:
        client = await AgentClient.connect(paths)
    except (OSError, EOFError):
        return
    with contextlib.suppress(ConnectionError):
        await client.call("shutdown")
    await client.close()
    until = time.monotonic() + STOP_SECONDS
    while _lock_is_held(paths):
        if time.monotonic() > until:
            raise AgentError(-32000, f"The agent has not stopped within {STOP_SECONDS:.0f} s: see {paths.agent_log}.")
        await asyncio.sleep(0.02)


async def _answers(paths: Paths) -> bool:
    try:
        client = await AgentClient.connect(paths)
    except (OSError, EOFError):
        return False
    await client.close()
    return True


def _start(paths: Paths) -> str | None:
    """Start an agent in a session of its own and wait until it says that it is ready; its sentence if it refuses."""
    ready, told = os.pipe()
    words = [sys.executable, "-P", "-m", "somatui.agent", *paths.options(), "--ready-fd", str(told)]
    log = os.open(paths.agent_log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=(told,), start_new_session=True
        )
    finally:
        os.close(log)
        os.close(told)
    try:
        line = _read_line(ready, START_SECONDS)
    finally:
        os.close(ready)
    if line == b"ready":
        return None
    if line:
        return line.decode("utf-8", "replace")
    ended = process.poll()
    how = "is not ready" if ended is None else f"ended with status {ended}"
    return f"The agent {how}: see {paths.agent_log}."


def _read_line(descriptor: int, seconds: float) -> bytes:
    import select

    found = b""
    until = time.monotonic() + seconds
    while not found.endswith(b"\n"):
        there, _, _ = select.select([descriptor], [], [], max(0.0, until - time.monotonic()))
        more = os.read(descriptor, 4096) if there else b""
        if not more:
            break
        found += more
    return found.strip()


def _lock_is_held(paths: Paths) -> bool:
    import fcntl

    try:
        descriptor = os.open(paths.agent_lock, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
