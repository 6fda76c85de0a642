"""Starts, hears and ends a worker process for the agent, in asyncio; the standard library only, never torch."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from somatui.workers.protocol import Message, ProtocolError, parse_message

PATIENT = {"OMP_WAIT_POLICY": "PASSIVE"}
"""Threads of a worker that spin while they wait would take the cores away from everything else here."""
LINE_LIMIT = 4 * 1024 * 1024
"""Bytes of the longest line that is read; the longest honest one, three embeddings in decimals, has about 0.2 MiB."""
_log = logging.getLogger(__name__)


class WorkerProcess:
    """One worker in a session of its own. It ends with its parent: the kernel tells it, or its standard input does."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The worker's process id, None before it is started."""
        return self._process.pid if self._process else None

    async def start(
        self,
        module: str,
        job: dict[str, Any],
        *,
        secrets: dict[str, str | None] | None,
        stderr_path: Path,
        on_message: Callable[[Message], None],
        env: Mapping[str, str] | None = None,
    ) -> None:
        """Start `python -m module`, hand it the job line, and its secrets by a pipe that only it inherits.

        `env` is what its environment has beside that of this process.

        Call it from the main thread: the kernel's word that a parent is gone is about the thread that started it.
        Raises OSError when there is no process or no log, ValueError for secrets that no pipe holds.
        """
        read_end = _sealed(secrets) if secrets is not None else None
        line = job if read_end is None else job | {"secrets_fd": read_end}
        try:
            with stderr_path.open("ab") as log:
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable, "-P", "-m", module,
                    stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=log, limit=LINE_LIMIT,
                    start_new_session=True, env={**PATIENT, **os.environ, **(env or {})},
                    pass_fds=() if read_end is None else (read_end,),
                )  # fmt: skip
        finally:
            if read_end is not None:
                os.close(read_end)
        self._reader = asyncio.create_task(self._hear(self._process, on_message))
        await self._tell(line)

    async def _hear(self, process: asyncio.subprocess.Process, on_message: Callable[[Message], None]) -> None:
        assert process.stdout is not None
        while True:
            try:
                line = await process.stdout.readline()
            except ValueError:
                _log.warning("worker %d wrote a line that is too long: ignored", process.pid)
                continue
            if not line:
                return
            try:
                message = parse_message(line.decode("utf-8", "replace"))
            except ProtocolError as bad:
                _log.warning("worker %d wrote a line that is no message (%s): ignored", process.pid, bad)
                continue
            try:
                on_message(message)
            except Exception:
                _log.exception("a message of worker %d could not be handled", process.pid)

    async def _tell(self, line: dict[str, Any]) -> None:
        """Write one line; a worker that is gone is noticed by `wait`, not here."""
        process = self._process
        if process is None or process.stdin is None:
            return
        with contextlib.suppress(ConnectionError):
            process.stdin.write((json.dumps(line) + "\n").encode())
            await process.stdin.drain()

    async def board(self) -> None:
        """Tell the worker that its board file has changed."""
        await self._tell({"cmd": "board"})

    async def wait(self) -> int:
        """Exit status, after every message has been handled; negative for a signal."""
        assert self._process is not None and self._reader is not None
        await asyncio.shield(self._reader)
        return await self._process.wait()

    async def stop(self, grace_s: float = 5, cmd: str = "stop") -> int:
        """Ask; after `grace_s` SIGTERM to the process group; after as long again SIGKILL. Returns the exit status.

        `cmd` is "pause" where the job goes on later without anybody's asking.
        """
        assert self._process is not None
        ended = asyncio.create_task(self.wait())
        asked = asyncio.create_task(self._tell({"cmd": cmd}))
        try:
            for how in (signal.SIGTERM, signal.SIGKILL):
                await asyncio.wait({ended}, timeout=grace_s)
                if ended.done():
                    break
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._process.pid, how)
            return await ended
        finally:
            asked.cancel()
            ended.cancel()


def _sealed(secrets: dict[str, str | None]) -> int:
    """The reading end of a pipe that already holds the secrets, all of them, and nobody can write to any more."""
    data = json.dumps(secrets).encode()
    read_end, write_end = os.pipe()
    try:
        os.set_blocking(write_end, False)
        written = os.write(write_end, data)
    except BlockingIOError:
        written = 0
    finally:
        os.close(write_end)
    if written < len(data):
        os.close(read_end)
        raise ValueError("The secrets of a job are larger than a pipe holds: give it those it needs alone.")
    return read_end
