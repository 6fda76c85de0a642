"""The console's line to the agent: connect, listen, and come back with growing patience when it breaks.

It starts an agent once, at the beginning and when asked; an agent that was stopped on purpose stays stopped.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Protocol

from somatui.agent.client import AgentClient, AgentError, AgentGone, ensure_agent
from somatui.paths import Paths, PathsError

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 8.0


class Listener(Protocol):
    """Who is told: sections as they are pushed, and each change of the connection with its sentence."""

    def on_sections(self, sections: dict[str, Any]) -> None:
        """Sections of the Snapshot as JSON."""

    def on_connection(self, connected: bool, trouble: str) -> None:
        """Whether the agent answers, and if not, why."""


class Link:
    """One connection at a time, for as long as the console is open."""

    def __init__(self, paths: Paths, listener: Listener) -> None:
        self.paths = paths
        self._listener = listener
        self._client: AgentClient | None = None
        self._task: asyncio.Task[None] | None = None
        self._wanted = asyncio.Event()
        self._up = asyncio.Event()
        self._refusal = ""

    def open(self) -> None:
        """Begin; starts an agent where none answers. A second call asks again at once."""
        self._wanted.set()
        if self._task is None:
            self._task = asyncio.ensure_future(self._keep())

    async def close(self) -> None:
        """Hang up; the agent goes on."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._drop()

    async def call(self, method: str, /, **params: Any) -> Any:
        """Ask the agent. Raises AgentError for its refusal, AgentGone when it is away or leaves before it answers."""
        if self._client is None:
            raise AgentGone("The agent is away: nothing was sent. Press a to start it.")
        return await self._client.call(method, **params)

    async def back(self, seconds: float) -> bool:
        """Wait until the agent is connected again, at most so long."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._up.wait(), seconds)
        return self._up.is_set()

    async def _keep(self) -> None:
        pause = FIRST_PAUSE_S
        while True:
            trouble = await self._once()
            if self._up.is_set():
                pause = FIRST_PAUSE_S
                self._up.clear()
            self._listener.on_connection(False, trouble)
            await self._drop()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wanted.wait(), pause)
            pause = min(pause * 2, LONGEST_PAUSE_S)

    async def _once(self) -> str:
        """One connection from beginning to end; why it ended, as a sentence."""
        try:
            if self._wanted.is_set():
                self._wanted.clear()
                await ensure_agent(self.paths)
            self._client = await AgentClient.connect(self.paths)
            await self._client.subscribe(self._listener.on_sections)
            self._up.set()
            self._refusal = ""
            self._listener.on_connection(True, "")
            await self._client.closed.wait()
            return "The agent went away; jobs and duties wait for it. Press a to start it again."
        except (AgentError, PathsError) as refusal:
            self._refusal = str(refusal)
            return self._refusal
        except AgentGone as gone:
            return str(gone)
        except OSError:
            return self._refusal or "No agent answers; jobs and duties wait for it. Press a to start it."

    async def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(OSError):
                await client.close()
