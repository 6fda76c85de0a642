"""The agent's real process, killed in every state of every act that moves money: each effect is there exactly once."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from somatui.agent import states
from somatui.agent.client import AgentError, AgentGone
from tests.agent.harness import Household, household

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Household]:
    with household(tmp_path / "h") as made:
        yield made


def from_the_last(home: Household, action: str) -> Iterator[str]:
    """The states of an act, the last first, each with an agent that dies as soon as its journal holds it.

    The next agent ends what was begun, which takes it through later states only: so it may be the one that dies in the
    state before, in an act of its own.
    """
    assert home.stop_agent() == 0, "an orderly end is none"
    home.start_agent(fault=f"{action}:{states.ORDER[action][-1]}")
    yield from reversed(states.ORDER[action])


async def killed_in(home: Household, action: str, state: str, args: dict[str, Any]) -> dict[str, Any]:
    """Do an act with the agent that dies in that state, then with the one after it, under the same key; its result."""
    key = f"{action}:{state}"
    with contextlib.suppress(AgentGone, ConnectionError):
        await home.act(action, args, key)
    assert home.agent_died(), f"{key} was not reached"
    order = states.ORDER[action]
    before = order.index(state) - 1
    home.start_agent(fault=f"{action}:{order[before]}" if before >= 0 else "")
    intents = await home.all_ended()
    mine = [i for i in intents if i["action"] == action]
    assert mine[-1]["state"] == states.DONE, f"{key}: {mine[-1]} {home.last_words()}"
    assert [name for name, _ in mine[-1]["events"]] == list(states.ORDER[action]), key
    result = await home.act(action, args, key)
    assert await home.difference() == 0, key
    assert len([i for i in (await home.call("intents"))["intents"] if i["action"] == action]) == len(mine)
    return result


async def start(home: Household, coins: int = 1) -> None:
    home.start_agent()
    for _ in range(coins):
        await home.act("faucet")


async def to_open_targets(home: Household) -> str:
    """A model of one's own in use, and targets that name it or others."""
    model = str((await home.act("publish", home.publishing("own")))["model_id"])
    await home.act("advance")
    await home.act("reveal", {"model_id": model})
    await home.act("advance")
    return model


async def own_models(home: Household) -> list[str]:
    address = (await home.look()).wallet.address
    return sorted(m.state for m in await home.chain().models() if m.owner == address)


async def test_publish_killed_in_any_state_makes_one_model(home: Household) -> None:
    await start(home, coins=len(states.ORDER["publish"]))
    for number, state in enumerate(from_the_last(home, "publish"), 1):
        result = await killed_in(home, "publish", state, home.publishing(f"model-{state}"))
        assert await own_models(home) == ["pending"] * number
        stakes = await home.chain().staked((await home.look()).wallet.address)
        assert [s.principal_shannons for s in stakes] == [1_000_000_000] * number
        assert result["label"] == f"model-{state}"


async def test_reveal_killed_in_any_state_makes_the_model_active(home: Household) -> None:
    all_states = states.ORDER["reveal"]
    await start(home, coins=len(all_states) + 1)
    models = [str((await home.act("publish", home.publishing(s)))["model_id"]) for s in all_states]
    await home.act("advance")
    for number, (model, state) in enumerate(zip(models, from_the_last(home, "reveal"), strict=True), 1):
        await killed_in(home, "reveal", state, {"model_id": model})
        assert (await own_models(home)).count("active") == number
    await home.act("advance")
    assert await own_models(home) == ["active"] * len(models)


async def test_submit_killed_in_any_state_fills_one_target(home: Household) -> None:
    await start(home, coins=2)
    await to_open_targets(home)
    for number, state in enumerate(from_the_last(home, "submit"), 1):
        picture = await home.look()
        target = next(t for t in picture.targets if t.status == "open")
        await killed_in(home, "submit", state, {"hit": home.hit(picture, target)})
        filled = await home.chain().targets(("filled",), submitter=picture.wallet.address)
        assert len(filled) == number and target.id in {t.id for t in filled}


async def test_claim_killed_in_any_state_pays_once(home: Household) -> None:
    await start(home, coins=2)
    await to_open_targets(home)
    wanted: list[str] = []
    for _ in states.ORDER["claim"]:
        picture = await home.look()
        target = next(t for t in picture.targets if t.status == "open" and t.id not in wanted)
        await home.act("submit", {"hit": home.hit(picture, target)})
        wanted.append(target.id)
    await home.act("advance")
    await home.act("advance")
    earned = 0
    for target_id, state in zip(wanted, from_the_last(home, "claim"), strict=True):
        result = await killed_in(home, "claim", state, {"target_ids": [target_id]})
        assert result["claimed"] == [target_id]
        earned += result["earned_shannons"]
        assert await home.chain().target(target_id, 4) is None
    said = await home.call("ledger.reconcile")
    assert said["earned_shannons"] == earned and said["bonded_shannons"] == said["bonds_returned_shannons"]


async def test_an_agent_killed_at_the_reveal_is_followed_by_one_that_finds_it_by_itself(tmp_path: Path) -> None:
    with household(tmp_path / "h", by_itself=True) as home:
        await start(home, coins=2)
        await home.act("publish", home.publishing("own"))
        home.stop_agent()
        home.start_agent(fault="reveal:signed")
        with contextlib.suppress(AgentGone, AgentError, ConnectionError):
            await home.act("advance")
        assert home.agent_died()
        home.start_agent()
        await home.all_ended()
        assert await own_models(home) == ["active"] and await home.difference() == 0


async def test_a_faucet_killed_before_its_answer_is_counted_and_not_asked_again(home: Household) -> None:
    home.start_agent(fault="faucet:planned")
    with contextlib.suppress(AgentGone, ConnectionError):
        await home.act("faucet", key="f")
    assert home.agent_died()
    home.start_agent(fault="faucet:done")
    await home.all_ended()
    with contextlib.suppress(AgentGone, ConnectionError):
        await home.act("faucet", key="g")
    assert home.agent_died()
    home.start_agent()
    assert (await home.look()).wallet.free_shannons == 2_000_000_000 and await home.difference() == 0


async def test_a_network_that_dies_under_a_publish_has_one_model_when_it_is_back(home: Household) -> None:
    moments = ("keyed", "uploaded", "create_signed", "created", "commit_signed")
    await start(home, coins=len(moments))
    known, published = len(moments), 0
    for moment in moments:
        acting = asyncio.ensure_future(home.act("publish", home.publishing(moment), moment))
        async with asyncio.timeout(60), home.client() as client:
            while not any(
                moment in [s for s, _ in i["events"]] for i in (await client.call("intents"))["intents"][known:]
            ):
                await asyncio.sleep(0)
        home.kill_network()
        home.start_network()
        await asyncio.wait({acting})
        ended = await home.all_ended(120)
        assert len(ended) == (known := known + 1)
        published += ended[-1]["state"] == "done"
        assert ended[-1]["state"] in ("done", "refused") and await own_models(home) == ["pending"] * published, moment
        assert await home.difference() == 0, moment


def test_some_random_kills_lose_and_double_nothing() -> None:
    words = [sys.executable, "-m", "tests.long.kill_loop", "--short"]
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
