"""A practice network for setups of profiles of one's own, and a hand that walks the setup's screens."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textual import events

from somatui.agent.client import AgentClient, stop_agent
from somatui.paths import Paths
from somatui.tui.console import SomatuiApp
from somatui.tui.setup.walk import Walk
from tests.tui.consoles import Console

SECONDS = 60.0
PASSPHRASE = "four words nobody guesses"


@dataclass(frozen=True)
class Network:
    """Where a practice network's services are, and the keys of its store."""

    rpc_url: str
    faucet_url: str
    store_url: str
    bucket: str
    access_key: str
    secret_key: str

    @property
    def public_url(self) -> str:
        return f"{self.store_url}/{self.bucket}"


@contextlib.contextmanager
def network(folder: Path) -> Iterator[Network]:
    """A practice network in a process of its own, on free ports, without a checkpoint lag."""
    folder.mkdir(parents=True)
    words = [sys.executable, "-m", "tests.practice.standins", "serve", str(folder), "free", "0"]
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        card = json.loads(process.stdout.readline())
        yield Network(**{name: card[name] for name in Network.__dataclass_fields__})
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


class Hand(Console):
    """Keys for the setup's screens, and what they show."""

    of = 8

    async def until(self, condition: Callable[[], Any], what: str = "") -> None:
        """Wait for a condition, which may be an agent that starts and a check that asks others."""
        limit = time.monotonic() + SECONDS
        while not condition():
            assert time.monotonic() < limit, f"never came: {what}\n{self.screen}"
            await self.pilot.pause(0.05)

    async def paste(self, *texts: str) -> None:
        """Put texts into the focused field and the following ones."""
        for number, text in enumerate(texts):
            if number:
                await self.press("down")
            focused = self.app.focused
            assert focused is not None, self.screen
            focused.post_message(events.Paste(text))
            await self.pilot.pause()

    async def give(self, *texts: str, key: str = "enter") -> None:
        """Put texts into the fields, and have the last one read."""
        await self.paste(*texts)
        await self.press(key)

    async def passes(self, found: str, title: str) -> None:
        """Wait for what the checks find, and go on to the step of that title."""
        await self.shows(found)
        await self.press("enter")
        await self.step(title)

    async def step(self, title: str) -> None:
        """Wait for a step by its title."""
        await self.shows(f" of {self.of} {title} ")


@contextlib.asynccontextmanager
async def setting_up(
    home: Path, *, named: str = "", size: tuple[int, int] = (80, 24), walk: Walk | None = None
) -> AsyncIterator[Hand]:
    """The setup's first screen, or the one where it was left, in a terminal of that size."""
    paths = Paths.for_profile(named or "practice", home)
    app = SomatuiApp(paths, walk=walk or Walk.begin(paths, named=bool(named)))
    async with app.run_test(size=size) as pilot:
        hand = Hand(app, pilot, None)  # type: ignore[arg-type]
        await hand.shows("Setup")
        yield hand
        await asyncio.sleep(0)


async def end_agent(home: Path, profile: str) -> None:
    """Stop the agent that a setup has started."""
    await stop_agent(Paths.for_profile(profile, home))


async def lock_vault(home: Path, profile: str) -> None:
    """Have the agent forget the vault's key."""
    client = await AgentClient.connect(Paths.for_profile(profile, home))
    await client.call("vault.lock")
    await client.close()


def everything_written(home: Path) -> Iterator[tuple[Path, bytes]]:
    """Every file under a home but the vault."""
    for folder, _, names in os.walk(home):
        for name in names:
            file = Path(folder, name)
            if file.is_file() and name != "vault.json":
                yield file, file.read_bytes()
