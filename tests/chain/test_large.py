"""System states read past the SDK: the same as by the SDK where it can, and where it cannot any more."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from soma_sdk import SomaClient

from somatui.agent.client import MAX_LINE
from somatui.agent.picture import Own, compose, sections
from somatui.agent.watcher import Watcher
from somatui.chain import large
from somatui.chain.client import Chain, Endpoints
from somatui.chain.errors import Unreachable
from somatui.chain.snapshot import read_system
from somatui.config import Settings
from somatui.domain.snapshot import empty
from somatui.practice.bench import ledger_of
from somatui.wire.proto import Message, ProtoError
from tests.agent.world import operator
from tests.chain.replay import replayed
from tests.practice.standins import running
from tests.recordings import calls

MODELS, DIM = 600, 2048


async def test_every_recorded_state_is_read_as_the_sdk_reads_it() -> None:
    with replayed("day") as day:
        states = set()
        for call in calls("day", "get_latest_system_state"):
            day.at = call["n"] - 1
            by_sdk = await Chain(Endpoints(day.url)).system()
            assert read_system(large.read(await large.ask(day.url, 10))) == by_sdk
            states |= {m.state for m in by_sdk.models}
        assert states == {"created", "pending", "active", "inactive"}


@pytest.mark.parametrize(
    "answer",
    [b"", b"\x0a\x00", b"\x0a\x02\x1a\x00", b"\x0a\x7f", b"\x0b", b"\xff" * 20, b"\x08" + b"\xff" * 9 + b"\x7f"],
)
def test_what_is_no_state_is_refused(answer: bytes) -> None:
    with pytest.raises(ProtoError):
        large.read(answer)


def test_a_field_of_another_kind_is_refused_and_unknown_ones_are_passed_over() -> None:
    body = b"\x08\x96\x01" + b"\x12\x02hi" + b"\x1d\x00\x00\x80\x3f" + b"\x21" + bytes(8) + b"\x08\x07"
    found = Message(body)
    assert (found.number(1), found.text(2), found.real(3)) == (7, "hi", 1.0)
    for wrong in (lambda: found.raw(1), lambda: found.number(2), lambda: found.text(9), lambda: found.real(2)):
        with pytest.raises(ProtoError):
            wrong()


async def test_nobody_there_is_told_as_such() -> None:
    with pytest.raises(Unreachable):
        await large.ask("http://127.0.0.1:1", 5)


@pytest.mark.slow
async def test_600_models_of_2048_numbers_are_read_though_the_sdk_cannot(tmp_path: Path) -> None:
    ledger_of(tmp_path / "network", MODELS, DIM)
    async with running(tmp_path / "network") as info:
        sdk = await SomaClient(rpc_url=info.rpc_url)
        with pytest.raises(RuntimeError, match="decoded message length too large: found [0-9]{7} bytes.*4194304"):
            await sdk.get_latest_system_state()
        chain = Chain(Endpoints(info.rpc_url))
        for _ in range(2):
            system = await chain.system()
            assert len(system.models) == len(system.weights) == len(system.pools) == MODELS
        assert {m.state for m in system.models} == {"active"} and system.epoch.parameters.embedding_dim == DIM
        assert all(w.key is not None and w.size == 1000 for w in system.weights.values())
        board = await chain.board(system)
        assert len(board["targets"]) > 62 and all(len(t["embedding"]) == DIM for t in board["targets"])
        async with operator(info, tmp_path / "home") as world:
            assert len(world.picture.models) == MODELS
            await world.fund(1)
            watcher = Watcher(world.ground, world.signer.refresh, lambda: None)
            await watcher.look()
            own = Own("practice", world.ground.address, True, Settings(), coins=world.signer.coins)
            snapshot = compose(watcher.seen, own, empty("practice", "practice"), world.ground.now_ms())
            assert snapshot.network.reachable and len(snapshot.models) == MODELS and len(snapshot.targets) == 100
            assert sum(c.balance_shannons for c in snapshot.wallet.coins) == 2 * 10**9
            assert len(json.dumps(sections(snapshot))) < MAX_LINE / 10
