"""The first screen of a machine with nothing set up: one key to a running practice network, or a sentence why not."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
from textual.pilot import Pilot

from somatui.paths import Paths
from somatui.tui.app import needs_first_screen
from somatui.tui.console import SomatuiApp
from somatui.tui.practice import PracticeStart
from tests.tui.consoles import Console
from tests.tui.serve import Agent, busy, serving


@pytest.fixture
def paths() -> Paths:
    return Paths.for_profile("practice")


@contextlib.asynccontextmanager
async def first(paths: Paths, agent: Any = None, size: tuple[int, int] = (80, 24)) -> AsyncIterator[Console]:
    app = SomatuiApp(paths, first=True)
    async with app.run_test(size=size) as pilot:
        pilot_of_any: Pilot[Any] = pilot
        yield Console(app, pilot_of_any, agent)


def stand_in(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Let another program stand for the verb that starts the network."""
    monkeypatch.setattr(PracticeStart, "words", property(lambda _self: [sys.executable, "-c", code]))


def test_it_is_shown_only_where_neither_an_agent_nor_a_network_is(paths: Paths) -> None:
    assert needs_first_screen(paths)
    paths.create()
    paths.network_dir.mkdir(parents=True)
    card = {"version": 1, "pid": os.getpid(), "chain": "practice", "rpc_url": "", "faucet_url": "", "scoring_url": ""}
    card |= {"admin_url": "", "store_url": "", "bucket": "", "started_at_ms": 0}
    (paths.network_dir / "network.json").write_text(json.dumps(card), "utf-8")
    assert not needs_first_screen(paths)


async def test_an_agent_is_reason_enough_for_the_console_but_not_the_socket_of_a_dead_one(paths: Paths) -> None:
    async with serving(paths, busy()):
        assert not await asyncio.to_thread(needs_first_screen, paths)
    with socket.socket(socket.AF_UNIX) as left_over:
        left_over.bind(str(paths.socket))
    assert needs_first_screen(paths)


def test_the_verb_it_runs_names_profile_and_home(paths: Paths) -> None:
    words = PracticeStart(paths, "free").words
    assert words[1:7] == ["-P", "-m", "somatui", "practice", "serve", "--background"]
    assert words[7:] == ["--profile", "practice", "--home", str(paths.home), "--ports", "free"]


@pytest.mark.parametrize("size", [(80, 24), (160, 48), (60, 24)])
async def test_it_offers_practice_and_says_where_settings_stand(paths: Paths, size: tuple[int, int]) -> None:
    async with first(paths, size=size) as c:
        for text in ("Nothing is set up on this machine yet.", "p practice", "s setup", "q quit"):
            await c.shows(text)
        assert str(paths.config_file).replace(" ", "") in c.flat.replace(" ", "")


async def test_s_opens_the_guided_setup_and_esc_comes_back(paths: Paths) -> None:
    async with first(paths) as c:
        await c.press("s")
        await c.shows("Setup 1 of 8 What do you want to do?")
        await c.shows("that is used when none is named.")
        await c.press("escape")
        await c.shows("Nothing is set up on this machine yet.")


async def test_p_starts_the_network_and_opens_the_console_on_it(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, "pass")
    async with serving(paths, busy()) as agent, first(paths, agent) as c:
        await c.press("p")
        await c.shows("epoch 412")
        await c.press("c")
        await c.shows("Claim 2 targets")


async def test_a_start_that_fails_says_its_sentence_and_offers_free_ports(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch, "import sys; sys.exit('Port 9000 is taken: choose others with --ports free.')")
    async with first(paths) as c:
        await c.press("p")
        await c.shows("Port 9000 is taken: choose others with --ports free.")
        await c.shows("f ports The same on ports")


async def test_esc_takes_a_start_back(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import time, sys\ntry: time.sleep(60)\nexcept KeyboardInterrupt: sys.exit('Taken back.')"
    stand_in(monkeypatch, code)
    async with first(paths) as c:
        await c.press("p")
        await c.shows("esc takes it back")
        start = c.app.screen._start  # type: ignore[attr-defined]
        await c.until(lambda: start._child is not None, "the child")
        await asyncio.sleep(0)
        await c.press("escape")
        await c.until(lambda: start._child.returncode is not None, "the end")


async def test_an_agent_that_will_not_start_is_said_on_the_console(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    from somatui.agent.client import AgentError
    from somatui.tui import link

    async def refuse(*_: object) -> None:
        raise AgentError(-32000, "Another agent holds this wallet: stop it first.")

    monkeypatch.setattr(link, "ensure_agent", refuse)
    stand_in(monkeypatch, "pass")
    async with first(paths, Agent(paths, busy())) as c:
        await c.press("p")
        await c.shows("Another agent holds this wallet: stop it first.")
