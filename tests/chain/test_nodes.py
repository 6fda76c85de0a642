"""Nodes as operators have them: two of one network, a dead one, one of another network, one that wants a header."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import socket
import sys
from collections.abc import Iterator

import pytest
from soma_sdk import SomaClient

from somatui.chain.client import Chain, Endpoints
from somatui.chain.errors import NotFound, Refused, Unreachable
from somatui.chain.identity import OtherChain, ask
from somatui.chain.relay import Door, header_of, is_own
from somatui.practice.card import NetworkInfo
from tests.chain.nets import gate, networks
from tests.recordings import calls

pytestmark = pytest.mark.slow

PASSING = "x-api-key: k-1234"
BASIC = "Basic ops:secret"  # pragma: allowlist secret


@pytest.fixture(scope="module")
def nets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[NetworkInfo, NetworkInfo]]:
    with networks(tmp_path_factory.mktemp("nets"), (1, 2)) as (first, second):
        yield first, second


@pytest.fixture
def net(nets: tuple[NetworkInfo, NetworkInfo]) -> NetworkInfo:
    return nets[0]


@pytest.fixture
def other(nets: tuple[NetworkInfo, NetworkInfo]) -> NetworkInfo:
    return nets[1]


def dead_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


async def test_a_node_says_which_network_it_belongs_to_and_two_networks_differ(
    net: NetworkInfo, other: NetworkInfo
) -> None:
    told = await Chain(Endpoints(net.rpc_url)).identity()
    assert told.name == "practice" and told.server.startswith("soma-node/") and 40 <= len(told.chain_id) <= 44
    assert (await ask(other.rpc_url, 10)).chain_id != told.chain_id


async def test_reads_go_to_the_second_node_while_the_first_is_dead_and_sends_do_not(net: NetworkInfo) -> None:
    executed = next(c for c in calls("day", "execute_transaction") if "result" in c)
    chain = Chain(Endpoints(dead_port(), rpc_url_2=net.rpc_url))
    assert (await chain.system()).epoch.number == 0
    seen = await chain.network("ops", "custom", 1)
    assert seen.reachable and seen.rpc_url == net.rpc_url
    with pytest.raises(Unreachable, match="does not know the transaction"):
        await chain.transaction("1" * 32)
    with pytest.raises(Unreachable):
        await chain.execute(base64.b64decode(executed["args"][0]["bytes"]))
    with pytest.raises(Unreachable):
        await chain.identity()


async def test_the_first_node_is_read_again_when_it_is_back(net: NetworkInfo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("somatui.chain.client.AWAY_S", 0.0)
    async with gate(net.rpc_url) as (url, first):
        chain = Chain(Endpoints(url, rpc_url_2=net.rpc_url))
        await chain.identity()
        await chain.system()
        before = first.asked
    assert (await chain.system()).epoch.number == 0
    async with gate(net.rpc_url, port=int(url.rpartition(":")[2])) as (_, again):
        await chain.system()
        assert before and again.asked


async def test_a_second_node_of_another_network_is_never_read(net: NetworkInfo, other: NetworkInfo) -> None:
    known = (await ask(net.rpc_url, 10)).chain_id
    chain = Chain(Endpoints(dead_port(), rpc_url_2=other.rpc_url), chain=known)
    with pytest.raises(OtherChain, match="belongs to another network"):
        await chain.system()


async def test_with_both_nodes_dead_it_is_unreachable(net: NetworkInfo) -> None:
    with pytest.raises(Unreachable, match="does not answer"):
        await Chain(Endpoints(dead_port(), rpc_url_2=dead_port())).system()


@pytest.mark.parametrize(
    ("stored", "header"),
    [(PASSING, ("x-api-key", "k-1234")), (BASIC, ("authorization", "Basic b3BzOnNlY3JldA=="))],
)  # pragma: allowlist secret
async def test_a_node_that_wants_a_header_gets_it_with_reads_and_sends(
    stored: str, header: tuple[str, str], net: NetworkInfo
) -> None:
    opened = [""]
    executed = next(c for c in calls("day", "execute_transaction") if "result" in c)
    async with gate(net.rpc_url, header) as (url, _):
        endpoints = Endpoints(url, net.faucet_url, admin_url=net.admin_url)
        async with contextlib.aclosing(Chain(endpoints, auth=lambda: opened[0])) as chain:
            with pytest.raises(Refused, match="wants credentials"):
                await chain.system()
            opened[0] = stored
            assert (await chain.system()).epoch.number == 0
            assert (await chain.identity()).name == "practice"
            with pytest.raises((Refused, NotFound)) as unknown_coins:
                await chain.execute(base64.b64decode(executed["args"][0]["bytes"]))
            assert "credentials" not in str(unknown_coins.value)
            opened[0] = "x-api-key: wrong"
            with pytest.raises(Refused, match="wants credentials"):
                await chain.system()


async def test_the_sdk_itself_sends_no_credentials(net: NetworkInfo) -> None:
    async with gate(net.rpc_url, header_of(BASIC)) as (url, _):
        client = await SomaClient(rpc_url=url.replace("://", "://ops:secret@"))  # pragma: allowlist secret
        with pytest.raises(RuntimeError, match="Unauthenticated"):
            await client.get_chain_identifier()


async def test_nobody_else_on_the_machine_is_let_through_the_relay(net: NetworkInfo) -> None:
    async with gate(net.rpc_url, header_of(PASSING)) as (url, node), contextlib.AsyncExitStack() as stack:
        door = await stack.enter_async_context(contextlib.aclosing(Door(url, lambda: PASSING)))
        address = await door.address()
        stranger = (
            "import socket; s = socket.create_connection(('127.0.0.1', " + address.rpartition(":")[2] + "));"
            "s.sendall(b'PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n' + bytes(3) + b'\\4' + bytes(5));"
            "print(len(s.recv(99)))"
        )
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", stranger, stdout=asyncio.subprocess.PIPE)
        said, _ = await process.communicate()
        assert said.strip() in (b"0", b"") and node.asked == 0
        assert (await ask(address, 10)).name == "practice"


def test_a_port_that_this_process_uses_for_another_way_lets_nobody_in() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as own:
        assert is_own(own.getsockname(), server.getsockname())
        assert not is_own(own.getsockname(), ("127.0.0.1", server.getsockname()[1] + 1))
        assert not is_own(server.getsockname(), server.getsockname())


async def test_the_second_node_gets_the_firsts_credentials_on_the_same_host_alone(net: NetworkInfo) -> None:
    async with gate(net.rpc_url, header_of(PASSING)) as (url, node):
        for first, good in ((dead_port(), True), ("https://node.invalid", False)):
            endpoints = Endpoints(first, rpc_url_2=url)
            async with contextlib.aclosing(Chain(endpoints, auth=lambda: PASSING)) as chain:
                with contextlib.nullcontext() if good else pytest.raises(Unreachable):
                    await chain.system()
        assert node.asked


async def test_credentials_do_not_go_over_the_wire_in_the_clear() -> None:
    with pytest.raises(Refused, match="use its https address") as caught:
        await Chain(Endpoints("http://node.example:9000"), auth=lambda: BASIC).system()
    assert "secret" not in str(caught.value)
