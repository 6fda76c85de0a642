"""A console driven by keys against the literal agent, in a terminal of a chosen size."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from textual.pilot import Pilot
from textual.widgets import Input

from somatui.domain.snapshot import Snapshot
from somatui.paths import Paths
from somatui.tui.console import SomatuiApp
from tests.domain.worlds import NOW_MS
from tests.tui.serve import Agent, serving

SECONDS = 10.0


def screen_of(app: SomatuiApp) -> str:
    """The characters of the topmost screen, a line for each row."""
    strips = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip) for strip in strips)


class Console:
    """The app, its keys, and the agent it talks to."""

    def __init__(self, app: SomatuiApp, pilot: Pilot[Any], agent: Agent) -> None:
        self.app, self.pilot, self.agent = app, pilot, agent

    async def press(self, *keys: str) -> None:
        """Press keys one after the other."""
        await self.pilot.press(*keys)

    async def type(self, text: str) -> None:
        """Type text, then enter."""
        names = {" ": "space", "=": "equals_sign", "!": "exclamation_mark"}
        await self.pilot.press(*(names.get(c, c) for c in text), "enter")

    async def until(self, condition: Callable[[], Any], what: str = "") -> None:
        """Wait for a condition; fail after ten seconds with what the screen shows."""
        limit = time.monotonic() + SECONDS
        while not condition():
            assert time.monotonic() < limit, f"never came: {what}\n{self.screen}"
            await self.pilot.pause(0.01)

    async def shows(self, text: str) -> None:
        """Wait until the screen shows `text`, line breaks and frames left aside."""
        await self.until(lambda: text in self.flat, text)

    async def answers_only_to(self, word: str, other: str, method: str = "act") -> None:
        """The panel that asks for a typed word acts on that word, and not on another one."""
        await self.until(lambda: isinstance(self.app.focused, Input), "the entry")
        await self.type(other)
        assert not self.agent.calls(method)
        self.app.screen.query_one(Input).value = ""
        await self.type(word)
        await self.until(lambda: self.agent.calls(method), "the act")

    @property
    def screen(self) -> str:
        """The screen's characters, a line for each row."""
        return screen_of(self.app)

    @property
    def flat(self) -> str:
        """The screen in one line, without frames and without runs of spaces."""
        return " ".join(self.screen.replace("│", " ").split())


@contextlib.asynccontextmanager
async def console(
    paths: Paths, world: Snapshot | None = None, size: tuple[int, int] = (80, 24), theme: str = "dark"
) -> AsyncIterator[Console]:
    """A console that is connected and has shown its first picture."""
    async with serving(paths, world) as agent:
        app = SomatuiApp(paths, theme)
        app.clock = lambda: NOW_MS
        async with app.run_test(size=size) as pilot:
            opened = Console(app, pilot, agent)
            await opened.until(lambda: app.world.snapshot is not None and app.home is not None, "the first picture")
            await pilot.pause()
            yield opened
        await asyncio.sleep(0)
