"""The line to the agent: what is pushed is shown, a broken line is said and mended, and an act is never sent twice."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from somatui.domain.codec import to_json
from somatui.domain.snapshot import Snapshot
from somatui.paths import Paths
from somatui.tui.screens.home import STARTING
from somatui.tui.state import SECTIONS, World
from tests.tui.consoles import console
from tests.tui.serve import Agent, busy


@pytest.fixture
def paths() -> Paths:
    return Paths.for_profile("practice")


def test_sections_are_taken_in_one_by_one_and_only_differences_are_told() -> None:
    world, picture = World("practice"), busy()
    assert world.apply(to_json(picture)) == SECTIONS
    assert world.snapshot == picture
    assert world.apply(to_json(picture)) == frozenset()
    assert world.apply({"jobs": []}) == {"jobs"}
    assert world.snapshot == replace(picture, jobs=())


def test_what_an_older_or_newer_agent_says_does_no_harm() -> None:
    world = World("practice")
    world.apply(to_json(busy()))
    assert world.apply({"weather": "fine", "epoch": {"number": "many"}, "wallet": 3}) == frozenset()
    assert world.snapshot == busy()


async def test_a_push_changes_what_is_shown(paths: Paths) -> None:
    async with console(paths) as c:
        await c.shows("epoch 412")
        c.agent.show(replace(busy(), epoch=replace(busy().epoch, number=413)))
        await c.shows("epoch 413")


async def test_a_push_that_comes_while_the_console_closes_is_let_go(paths: Paths) -> None:
    async with console(paths) as c:
        await c.shows("epoch 412")
        c.app.exit(0)
        c.app.on_sections(to_json(replace(busy(), epoch=replace(busy().epoch, number=413))))
        c.app.on_connection(False, "The agent went away.")
        assert c.app.world.snapshot == busy()
        assert c.app.world.connected


async def test_an_agent_that_goes_away_is_said_and_the_last_picture_stays(paths: Paths) -> None:
    async with console(paths) as c:
        await c.agent.stop()
        await c.shows("agent ○ away")
        await c.shows("The agent went away")
        assert "epoch 412" in c.flat
        assert c.app.home is not None and c.app.home.has_class("-away")
        await c.press("c")
        await c.shows("Press a to start it")


async def test_it_comes_back_by_itself_when_the_agent_does(paths: Paths) -> None:
    async with console(paths) as c:
        await c.agent.stop()
        await c.shows("agent ○ away")
        c.app.say(STARTING, "accent")
        again = Agent(paths, replace(busy(), epoch=replace(busy().epoch, number=414)))
        await again.start()
        try:
            await c.shows("epoch 414")
            await c.until(lambda: STARTING not in c.flat, "no word of a start that is over")
            await c.until(lambda: c.app.home and not c.app.home.has_class("-away"), "the panes as they were")
        finally:
            await again.stop()


async def test_an_act_whose_answer_was_lost_is_asked_for_again_under_the_same_key(paths: Paths) -> None:
    async with console(paths) as c:
        asked: list[dict[str, Any]] = []
        hang = asyncio.Event()

        async def slow(**params: Any) -> Any:
            asked.append(params)
            await hang.wait()

        c.agent._server._methods["act"] = slow
        await c.press("f")
        await c.until(lambda: asked, "the act")
        await c.agent.stop()
        await c.shows("it acts only once")
        again = Agent(paths, busy())
        await again.start()
        try:
            await c.until(lambda: again.calls("act"), "the second asking")
            assert again.calls("act")[0] == asked[0]
            await c.shows("Faucet: done")
        finally:
            hang.set()
            await again.stop()


async def test_a_silent_network_is_said_in_the_header(paths: Paths) -> None:
    quiet = replace(busy().network, reachable=False, synced_at_ms=busy().at_ms - 3 * 60_000)
    async with console(paths, replace(busy(), network=quiet), size=(100, 24)) as c:
        await c.shows("network silent 3m")


async def test_nothing_is_painted_again_when_only_the_time_of_the_last_look_changes(paths: Paths) -> None:
    async with console(paths) as c:
        painted: list[str] = []
        for line in ("header", "tabs", "message", "footer"):
            widget = c.app.screen.query_one(f"#{line}")
            widget.render = lambda line=line, inner=widget.render: (painted.append(line), inner())[1]  # type: ignore
        seen: Snapshot = busy()
        for second in (1, 2):
            later = seen.at_ms + second
            c.agent.show(replace(seen, at_ms=later, network=replace(seen.network, synced_at_ms=later)))
            await c.until(lambda at=later: c.app.world.snapshot and c.app.world.snapshot.at_ms == at, "the push")
            await c.pilot.pause()
        assert painted == []


async def test_words_of_strangers_move_no_terminal(paths: Paths) -> None:
    name = "a\x1b]0;owned\x07\u202e\x9bb.py"
    job = replace(busy().jobs[1], title=f"score {name}", last_lines=(f"hit {name}",))
    async with console(paths, replace(busy(), jobs=(job,))) as c:
        await c.press("5")
        await c.shows("score a")
        assert not set(c.screen) & set("\x1b\x07\u202e\x9b")
        assert c.app.world.snapshot is not None and c.app.world.snapshot.jobs[0].last_lines == (
            "hit a�]0;owned���b.py",
        )
