"""A network of 2,048 dimensions, begun without models as the real one's localnet is, and an operator's day on it."""

from __future__ import annotations

import asyncio
import urllib.request
from pathlib import Path

import pytest
from soma_sdk import Keypair

from somatui.domain.ids import normalise_id
from somatui.practice import client
from somatui.practice.genesis import Beginning
from somatui.practice.messages import pb
from somatui.practice.rpc import PAGE_BYTES
from tests.practice.calls import node
from tests.practice.standins import running
from tests.practice.test_servers_sdk import connected, put

DIM = 2048
EMBEDDING = [0.01 * (n % 7 - 3) for n in range(DIM)]
DATA = b"def f(): pass\n" * 50


def fetched(url: str) -> bytes:
    with urllib.request.urlopen(url) as answer:
        body: bytes = answer.read()
    return body


@pytest.mark.slow
async def test_a_day_with_2048_dimensions_from_the_first_model_to_the_data_by_http(tmp_path: Path) -> None:
    async with running(tmp_path, beginning=Beginning(dimensions=DIM)) as info:
        sdk, key = await connected(info), Keypair.generate()
        begun = await sdk.get_latest_system_state()
        assert begun.parameters.target_embedding_dim == await sdk.get_embedding_dim() == DIM
        assert (await sdk.get_active_models(), await sdk.get_targets()) == ([], [])
        assert begun.target_state.reward_per_target == 0, "as a real localnet until its first epoch ends"
        for _ in range(3):
            await sdk.request_faucet(key.address())
        model = await sdk.create_model(key, 1000, 1.0)
        weights, secret = sdk.encrypt_weights(b"weights" * 100)
        await sdk.commit_model(key, model, await put(info, "weights", weights), weights, secret, EMBEDDING)
        await sdk.advance_epoch()
        with pytest.raises(RuntimeError, match="16 numbers, this network uses 2048"):
            await sdk.reveal_model(key, model, secret, EMBEDDING[:16])
        await sdk.reveal_model(key, model, secret, EMBEDDING)
        await sdk.advance_epoch()
        (active,) = await sdk.get_active_models()
        assert active.model_id == model
        pages, token = [], None
        while not pages or token:
            page = await sdk.list_targets(limit=1000, page_token=token)
            pages, token = [*pages, page.targets], page.next_page_token
        assert [len(p) for p in pages] == [63, 37], "a page ends with the row that reaches 512 KiB (protocol.md 9.6)"
        targets = [t for p in pages for t in p]
        assert all(len(t.embedding) == DIM for t in targets)
        # A list writes an id without its leading zeros (protocol.md 8, item 13).
        assert {normalise_id(m) for t in targets for m in t.model_ids} == {normalise_id(model)}
        assert len(await sdk.get_targets(limit=1000)) == 63, "get_targets tells nobody that there are more"
        narrow = await sdk.list_targets(limit=1000, read_mask="id,status,generation_epoch")
        assert [t.id for t in narrow.targets] == [t.id for t in targets]
        async with node(info.rpc_url) as raw:
            asked = pb.ListTargetsRequest(status_filter="open", page_size=1000)
            asked.read_mask.paths.extend(["id", "embedding"])
            sizes = [t.ByteSize() for t in (await raw.ask("ListTargets", asked)).targets]
            assert sum(sizes[:-1]) < PAGE_BYTES <= sum(sizes)
        target = targets[-1]
        await sdk.submit_data(key, target.id, DATA, await put(info, "data", DATA), model, EMBEDDING, 0.5, [1.5])
        assert await asyncio.to_thread(fetched, f"{info.rpc_url}/data/{target.id}") == DATA
        assert await asyncio.to_thread(fetched, f"{info.rpc_url}/model/{model}") == weights
        assert await sdk.fetch_submission_data(target.id) == DATA


@pytest.mark.slow
def test_a_network_of_either_size_is_started_from_the_command_line_and_stays_what_it_is(tmp_path: Path) -> None:
    large, small = tmp_path / "large", tmp_path / "small"
    for folder, dimensions, models, found in (
        (large, 2048, True, 2048),
        (large, None, True, 2048),
        (small, None, False, 16),
    ):
        info = client.start_network(folder, "free", lag_ms=0, dimensions=dimensions, models=models)
        try:
            asyncio.run(_begun(info.rpc_url, found))
        finally:
            client.stop_network(folder)


async def _begun(url: str, dimensions: int) -> None:
    async with node(url) as raw:
        asked = pb.GetEpochRequest()
        asked.read_mask.paths.append("system_state")
        state = (await raw.ask("GetEpoch", asked)).epoch.system_state
        assert (state.parameters.target_embedding_dim, len(state.model_registry.models)) == (dimensions, 0)
