"""Ways in which an agent is interrupted: a kill right after a journal entry, a reply that is lost, a network away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from somatui.chain.client import Chain
from somatui.chain.effects import EffectsView, TransactionView
from somatui.chain.errors import Refused, Timeout, Unreachable


class Killed(BaseException):
    """The process ends here: nothing after it runs, what is on disk stays."""


class KillAt:
    """The journal's fault hook: once, as soon as it holds that state."""

    def __init__(self, action: str, state: str) -> None:
        self._wanted: tuple[str, str] | None = (action, state)

    def __call__(self, action: str, state: str) -> None:
        if (action, state) == self._wanted:
            self._wanted = None
            raise Killed(f"{action}:{state}")


class Rough(Chain):
    """A real chain with a bad line. Each list holds what happens to the next calls; an empty one is a good line."""

    def __init__(self, like: Chain) -> None:
        super().__init__(like.endpoints)
        self.executing: list[str] = []
        self.simulating: list[str] = []
        self.finding: list[str] = []
        self.executed: list[bytes] = []
        self.before_execute: Callable[[], Awaitable[Any]] | None = None

    async def execute(self, signed: bytes, limit_s: float = 120.0) -> EffectsView:
        if self.before_execute is not None:
            first, self.before_execute = self.before_execute, None
            await first()
        how = self.executing.pop(0) if self.executing else ""
        if how == "away":
            raise Unreachable("The network does not answer.", outcome_unknown=True)
        if how == "refused":
            raise Refused("The network refused it: for no known reason.", "other")
        if how.startswith("locked"):
            raise Refused("Object is held by another transaction.", "locked", how.removeprefix("locked "))
        if how == "stale":
            raise Refused("Object is at another version by now.", "stale")
        if how == "unsent":
            raise Unreachable("The network does not answer.", outcome_unknown=False)
        self.executed.append(signed)
        effects = await super().execute(signed, limit_s)
        if how == "lost":
            raise Timeout("The network did not answer in time.")
        if how == "killed":
            raise Killed("after execution")
        return effects

    async def transaction(self, digest: str) -> TransactionView | None:
        if (self.finding.pop(0) if self.finding else "") == "away":
            raise Unreachable("The network does not answer.")
        return await super().transaction(digest)

    async def simulate(self, data: bytes) -> EffectsView:
        how = self.simulating.pop(0) if self.simulating else ""
        if how == "away":
            raise Unreachable("The network does not answer.")
        return await super().simulate(data)


async def until(holds: Callable[[], bool], seconds: float = 20) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.01)
