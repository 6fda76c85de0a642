"""A profile is for one network: what its agent does when the node is of another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from somatui.agent.belonging import belongs, fits
from somatui.agent.flows import ActRefused
from somatui.agent.journal import JournalError
from somatui.agent.watcher import Watcher
from somatui.chain.errors import ChainError
from somatui.chain.identity import Identity, OtherChain
from somatui.config import NetworkKind, Profile, load, save_profile
from somatui.domain.snapshot import NetworkView
from somatui.paths import Paths
from somatui.practice.card import NetworkInfo
from tests.agent.cut import Rough, until
from tests.agent.world import World, operator
from tests.chain.nets import gate_beside, networks

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def nets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[NetworkInfo, NetworkInfo]]:
    with networks(tmp_path_factory.mktemp("nets"), (1, 2)) as (first, second):
        yield first, second


def use(made: World, info: NetworkInfo) -> None:
    """Have the profile's node be this one."""
    save_profile(made.ground.paths, network="custom", rpc_url=info.rpc_url, faucet_url=info.faucet_url)
    made.ground.profile = load(made.ground.paths).profile
    made.ground.dial()


@pytest.fixture
async def ops(nets: tuple[NetworkInfo, NetworkInfo], tmp_path: Path) -> AsyncIterator[World]:
    async with operator(nets[0], tmp_path) as made:
        made.ground.paths = Paths.for_profile("ops", tmp_path).create()
        use(made, nets[0])
        yield made


async def test_the_first_contact_writes_down_the_network_and_another_one_is_never_signed_for(
    ops: World, nets: tuple[NetworkInfo, NetworkInfo]
) -> None:
    await ops.fund()
    known = (await ops.ground.chain.identity()).chain_id
    assert load(ops.ground.paths).profile.chain == ops.ground.profile.chain == known
    await ops.publish("at-home")
    signed = [i.id for i in ops.ground.journal.intents() if i.signed]
    use(ops, nets[1])
    with pytest.raises((ActRefused, OtherChain), match="nothing is signed"):
        await ops.publish("away", label="second")
    assert [i.id for i in ops.ground.journal.intents() if i.signed] == signed
    with pytest.raises(OtherChain, match="profile ops is for"):
        await ops.signer.refresh()
    assert load(ops.ground.paths).profile.chain == known


async def test_what_another_network_says_of_signed_bytes_is_not_believed(
    ops: World, nets: tuple[NetworkInfo, NetworkInfo], caplog: pytest.LogCaptureFixture
) -> None:
    await ops.fund()
    ops.ground.chain = line = Rough(ops.ground.chain)
    line.executing = ["away"] * 1_000
    task = asyncio.ensure_future(ops.publish())
    await until(lambda: any(i.in_flight for i in ops.ground.journal.unfinished()))
    use(ops, nets[1])
    await until(lambda: "nothing is signed" in caplog.text)
    assert [i.state for i in ops.ground.journal.unfinished()] == ["create_signed"]
    use(ops, nets[0])
    await task
    states = [s for s, _ in ops.ground.journal.events(ops.ground.journal.intents("publish")[0].id)]
    assert states.count("create_signed") == 1 and await ops.difference() == 0


async def test_the_watcher_shows_a_node_of_another_network_as_no_network(
    ops: World, nets: tuple[NetworkInfo, NetworkInfo]
) -> None:
    save_profile(ops.ground.paths, chain="elsewhere")
    use(ops, nets[0])
    watcher = Watcher(ops.ground, ops.signer.refresh, lambda: None)
    await watcher.look()
    assert not watcher.seen.network.reachable and "profile ops is for elsewhere" in str(watcher.seen.network.error)
    save_profile(ops.ground.paths, chain=None)
    use(ops, nets[0])
    await watcher.look()
    assert watcher.seen.network.reachable and watcher.seen.network.colour == "testnet"


async def test_a_main_network_under_another_name_is_told_as_one(ops: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ask = ops.ground.chain.network

    async def network(*args: Any) -> NetworkView:
        return replace(await ask(*args), chain="mainnet")

    monkeypatch.setattr(ops.ground.chain, "network", network)
    watcher = Watcher(ops.ground, ops.signer.refresh, lambda: None)
    for _ in range(2):
        await watcher.look()
        assert (watcher.seen.network.colour, watcher.seen.network.standing) == ("main", "main")


async def test_a_look_that_cannot_be_written_down_is_told_and_not_the_last_one(ops: World) -> None:
    full = [JournalError("The disk that holds the journal is full: free some space.")]

    async def list_coins() -> None:
        if full:
            raise full.pop()

    watcher = Watcher(ops.ground, list_coins, lambda: None)
    await watcher.look()
    assert not watcher.seen.network.reachable and "is full" in str(watcher.seen.network.error)
    await watcher.look()
    assert watcher.seen.network.reachable


async def test_what_is_read_comes_from_the_second_node_and_nothing_is_signed_while_the_first_is_dead(
    ops: World, nets: tuple[NetworkInfo, NetworkInfo]
) -> None:
    await ops.fund()
    dead = "http://127.0.0.1:9"
    save_profile(ops.ground.paths, rpc_url=dead, rpc_url_2=nets[0].rpc_url)
    ops.ground.profile = load(ops.ground.paths).profile
    ops.ground.dial()
    watcher = Watcher(ops.ground, ops.signer.refresh, lambda: None)
    await watcher.look()
    assert watcher.seen.network.reachable and watcher.seen.network.rpc_url == nets[0].rpc_url
    assert "nothing is sent until the first one answers" in str(watcher.seen.network.error)
    assert ops.signer.coins
    with pytest.raises(ActRefused):
        await ops.publish("dead")
    assert not [i for i in ops.ground.journal.intents() if i.signed]


async def test_the_nodes_credentials_come_from_the_vault_while_it_is_open(
    ops: World, nets: tuple[NetworkInfo, NetworkInfo]
) -> None:
    await ops.fund()
    vault = ops.ground.vault
    assert vault is not None
    with gate_beside(nets[0].rpc_url, ("x-api-key", "k-1234")) as url:
        use(ops, replace(nets[0], rpc_url=url))
        with pytest.raises(ChainError, match="wants credentials"):
            await ops.signer.refresh()
        vault.set("rpc/ops/auth", b"X-Api-Key: k-1234")
        await ops.publish("with-key")
        vault.set("rpc/ops/host", b"node.example")
        assert ops.ground.node_auth() == ""
        vault.set("rpc/ops/host", b"127.0.0.1")
        vault.lock()
        with pytest.raises(ChainError, match="wants credentials"):
            await ops.signer.refresh()
        old = ops.ground.chain
        ops.ground.dial()
        while old.relayed:
            await asyncio.sleep(0)


async def test_a_practice_network_may_be_any(ops: World) -> None:
    ops.ground.profile = replace(ops.ground.profile, network="practice", chain="elsewhere")
    await belongs(ops.ground)


@pytest.mark.parametrize(
    ("kind", "chain", "name", "good"),
    [
        ("testnet", "", "testnet", True), ("testnet", "", "mainnet", False), ("localnet", "", "localnet", True),
        ("localnet", "", "practice", True), ("localnet", "", "testnet", False), ("custom", "", "anything", True),
        ("custom", "id", "anything", True), ("custom", "other", "anything", False),
        ("testnet", "testnet", "testnet", True),
    ],
)  # fmt: skip
def test_a_node_fits_by_its_identifier_or_before_that_by_its_name(
    kind: NetworkKind, chain: str, name: str, good: bool
) -> None:
    assert fits(Profile("ops", kind, chain=chain), Identity("id", name, "")) is good
