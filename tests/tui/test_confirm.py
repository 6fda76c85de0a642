"""The consequence is shown before the act, nothing goes without a yes, and one yes sends one call."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import pytest

from somatui.agent.server import FAILED, RpcError
from somatui.domain.actions import Action, Context, by_name
from somatui.domain.checks import Consequence
from somatui.paths import Paths
from somatui.tui.acting import outcome
from tests.tui.consoles import console
from tests.tui.serve import busy


@pytest.fixture
def paths() -> Paths:
    return Paths.for_profile("practice")


async def test_claim_shows_what_it_means_and_y_sends_it_once(paths: Paths) -> None:
    async with console(paths) as c:
        await c.press("c")
        await c.shows("Claim 2 targets")
        await c.shows("0.000 001 600 SOMA tried by the node")
        assert not c.agent.calls("act")
        await c.press("y")
        await c.shows("Claim 2 targets: done, earned 0.025 370 370 SOMA.")
        (sent,) = c.agent.calls("act")
        assert sent["action"] == "claim"
        assert sent["args"]["target_ids"] == [t.id for t in busy().claimable]
        assert len(sent["key"]) == 32


async def test_each_yes_has_an_idempotency_key_of_its_own(paths: Paths) -> None:
    async with console(paths) as c:
        for times in (1, 2):
            await c.press("c")
            await c.shows("tried by the node")
            await c.press("y")
            await c.until(lambda n=times: len(c.agent.calls("act")) == n, "the act")
        assert len({call["key"] for call in c.agent.calls("act")}) == 2


@pytest.mark.parametrize("typed", [False, True])
async def test_in_a_low_terminal_it_begins_with_what_is_done_and_the_ways_out_stand_below(
    paths: Paths, typed: bool
) -> None:
    world = busy()
    main = replace(world, network=replace(world.network, colour="main"))
    async with console(paths, main if typed else world, size=(60, 12)) as c:
        await c.press("c")
        await c.shows("[ Cancel ]")
        await c.pilot.pause()
        effect = by_name("claim").consequence(c.app.context()).effect  # type: ignore[union-attr, arg-type]
        assert " ".join(effect.split()[:5]) in c.flat and "network" in c.flat
        assert ("to go ahead" in c.flat) == typed
        await c.press("down", "down")
        await c.until(lambda: " ".join(effect.split()[:5]) not in c.flat, "what is below")
        assert "[ Cancel ]" in c.flat


@pytest.mark.parametrize("key", ["escape", "enter", "n", "q"])
async def test_nothing_is_sent_when_it_is_left_with(paths: Paths, key: str) -> None:
    async with console(paths) as c:
        await c.press("c")
        await c.shows("tried by the node")
        await c.press(key)
        await c.shows("Claim 2 targets: not done, nothing was sent.")
        assert not c.agent.calls("act")


async def test_the_other_way_out_is_reached_by_arrow_and_enter(paths: Paths) -> None:
    async with console(paths) as c:
        await c.press("c")
        await c.shows("tried by the node")
        await c.press("right", "enter")
        await c.until(lambda: c.agent.calls("act"), "the act")


async def test_a_yes_before_the_node_has_tried_it_waits_for_the_node(paths: Paths) -> None:
    async with console(paths) as c:
        await c.press("c", "y")
        await c.until(lambda: c.agent.calls("act"), "the act")
        assert [name for name, _ in c.agent.asked] == ["preview", "act"]


async def test_what_the_node_refuses_cannot_be_agreed_to(paths: Paths) -> None:
    async with console(paths) as c:
        c.agent.answers["preview"] = {"checks": [], "simulated": {"fee_shannons": None, "error": "no gas"}}
        await c.press("c")
        await c.shows("The node refuses it: no gas")
        await c.press("y", "y")
        await c.press("escape")
        await c.shows("not done")
        assert not c.agent.calls("act")


async def test_what_the_agent_refuses_is_said_in_its_own_words(paths: Paths) -> None:
    async with console(paths) as c:
        c.agent.answers["act"] = RpcError(FAILED, "The node answered that the target is gone.")
        await c.press("c")
        await c.shows("tried by the node")
        await c.press("y")
        await c.shows("Claim 2 targets: The node answered that the target is gone.")


def test_what_came_of_an_act_is_told_with_units() -> None:
    answer = {
        "result": {
            "size": 56_304,
            "commit_epoch": 10,
            "staked_shannons": 10**9,
            "distance": 0.45111100912,
            "ids": ["a"],
        }
    }
    assert outcome("Publish", "act", answer) == (
        "Publish: done, size 56.3 kB, commit epoch 10, staked 1.000 000 000 SOMA, distance 0.451111, 1 id."
    )


class Burn(Action):
    """Burn the house."""

    name, verb, key = "burn", "house burn", ""
    confirms: ClassVar[bool] = True

    def consequence(self, context: Context) -> Consequence:
        return Consequence("Burn the house", "It burns.", irreversible=True, typed_word="burn")


async def test_what_cannot_be_undone_may_ask_for_a_typed_word(paths: Paths) -> None:
    async with console(paths) as c:
        c.app.operator.begin(Burn(), c.app.context())
        await c.shows("Burn the house")
        await c.shows("cannot be undone")
        await c.answers_only_to("burn", other="yes")


async def test_what_only_looks_goes_at_once_and_what_submits_by_itself_is_asked_for(paths: Paths) -> None:
    world = replace(busy(), jobs=())
    async with console(paths, world) as c:
        await c.press("colon")
        await c.type("score submit=no")
        await c.until(lambda: c.agent.calls("job.start"), "the call")
        assert c.agent.calls("job.start") == [{"kind": "score", "args": {"submit": False}}]
        await c.shows("Score: started, job job-9.")
        await c.press("s")
        await c.shows("at most 0.068157 SOMA each")
        assert len(c.agent.calls("job.start")) == 1
        await c.press("y")
        await c.until(lambda: len(c.agent.calls("job.start")) == 2, "the call")
        assert c.agent.calls("job.start")[1] == {"kind": "score", "args": {"submit": True}}
