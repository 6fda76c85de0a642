"""The socket from both ends: calls, refusals, pushed changes, and who may connect."""

from __future__ import annotations

import asyncio
import json
import stat
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from somatui.agent import client as client_module
from somatui.agent.client import AgentClient, AgentError, AgentGone
from somatui.agent.server import PUSH_INTERVAL_S, RpcError, Server
from somatui.paths import Paths


class World:
    """A server with a few methods, and what was asked of them."""

    def __init__(self, paths: Paths) -> None:
        self.paths = paths
        self.release = asyncio.Event()
        self.protocol = 1
        self.finished = asyncio.Event()
        self.server = Server(paths.socket, {"hello": self.hello, "slow": self.slow, "refuse": self.refuse,
                                            "break": self.break_, "echo": self.echo})  # fmt: skip

    async def hello(self) -> dict[str, Any]:
        return {"version": "0", "protocol": self.protocol, "profile": "practice", "pid": 1}

    async def slow(self) -> str:
        await self.release.wait()
        self.finished.set()
        return "at last"

    async def echo(self, text: str, times: int = 1) -> str:
        return text * times

    async def refuse(self) -> None:
        raise RpcError(-32010, "Not now: wait.", {"checks": [1]})

    async def break_(self) -> None:
        raise RuntimeError("secret detail")


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World(Paths.for_profile("practice").create())
    await made.server.start()
    yield made
    await made.server.close()


async def test_the_socket_is_for_this_user_alone(world: World) -> None:
    assert stat.S_IMODE(world.paths.socket.stat().st_mode) == 0o600


async def test_another_users_connection_is_closed_without_an_answer(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("somatui.agent.server.peer_uid", lambda _: 54_321)
    with pytest.raises(AgentGone):
        await AgentClient.connect(world.paths)


async def test_answers_find_their_callers_in_any_order(world: World) -> None:
    client = await AgentClient.connect(world.paths)
    slow = asyncio.ensure_future(client.call("slow"))
    assert await client.call("echo", text="ab", times=2) == "abab"
    world.release.set()
    assert await slow == "at last"
    await client.close()


async def test_a_refusal_keeps_code_sentence_and_data(world: World) -> None:
    client = await AgentClient.connect(world.paths)
    with pytest.raises(AgentError) as refused:
        await client.call("refuse")
    assert (refused.value.code, refused.value.message, refused.value.data) == (
        -32010,
        "Not now: wait.",
        {"checks": [1]},
    )
    for call in (client.call("absent"), client.call("echo"), client.call("echo", wrong=1)):
        with pytest.raises(AgentError):
            await call
    await client.close()


async def test_a_defect_is_told_without_its_details(world: World) -> None:
    client = await AgentClient.connect(world.paths)
    with pytest.raises(AgentError) as failed:
        await client.call("break")
    assert "RuntimeError" in failed.value.message and "secret detail" not in failed.value.message
    await client.close()


async def test_a_line_that_is_not_json_is_answered_and_survived(world: World) -> None:
    reader, writer = await asyncio.open_unix_connection(str(world.paths.socket))
    writer.write(b'{"broken\n[1]\n{"jsonrpc":"2.0","id":7,"method":"hello"}\n')
    answers = [json.loads(await reader.readline()) for _ in range(3)]
    assert [a.get("error", {}).get("code") for a in answers] == [-32700, -32600, None] and answers[2]["id"] == 7
    writer.close()


async def test_an_act_goes_on_when_its_console_is_closed(world: World) -> None:
    client = await AgentClient.connect(world.paths)
    asking = asyncio.ensure_future(client.call("slow"))
    await client.call("hello")
    await client.close()
    with pytest.raises(AgentGone):
        await asking
    world.release.set()
    await asyncio.wait_for(world.finished.wait(), 5)


async def test_a_listener_hears_everything_first_and_then_only_what_changed(world: World) -> None:
    client = await AgentClient.connect(world.paths)
    heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    world.server.publish({"epoch": {"number": 1}, "jobs": []})
    await client.subscribe(heard.put_nowait)
    assert await heard.get() == {"epoch": {"number": 1}, "jobs": []}
    world.server.publish({"epoch": {"number": 1}, "jobs": ["a"]})
    assert await heard.get() == {"jobs": ["a"]}
    world.server.publish({"epoch": {"number": 1}, "jobs": ["a"]})
    world.server.publish({"epoch": {"number": 2}, "jobs": ["a"]})
    assert await heard.get() == {"epoch": {"number": 2}}
    await client.close()


async def test_many_changes_become_few_messages(world: World) -> None:
    client = await AgentClient.connect(world.paths)
    heard: asyncio.Queue[tuple[float, dict[str, Any]]] = asyncio.Queue()
    await client.subscribe(lambda sections: heard.put_nowait((time.monotonic(), sections)))
    for number in range(200):
        world.server.publish({"epoch": number})
        await asyncio.sleep(0)
    times = []
    while True:
        at, sections = await asyncio.wait_for(heard.get(), 5)
        times.append(at)
        if sections["epoch"] == 199:
            break
    assert len(times) <= 3
    assert all(later - sooner >= PUSH_INTERVAL_S * 0.8 for sooner, later in zip(times, times[1:], strict=False))
    await client.close()


async def test_a_version_mismatch_says_which_side_to_restart(world: World) -> None:
    world.protocol = 0
    with pytest.raises(AgentError, match="restart the agent"):
        await AgentClient.connect(world.paths)
    world.protocol = 2
    with pytest.raises(AgentError, match="restart the console"):
        await AgentClient.connect(world.paths)


async def test_a_socket_left_by_a_dead_agent_is_replaced(world: World) -> None:
    await world.server.close()
    world.paths.socket.write_text("")
    await world.server.start()
    client = await AgentClient.connect(world.paths)
    await client.close()


async def test_stopping_where_none_runs_is_nothing() -> None:
    await client_module.stop_agent(Paths.for_profile("practice"))
