"""The unmodified soma_sdk against a network whose two workers are stand-ins: the whole protocol, no engine."""

from __future__ import annotations

import asyncio
import urllib.request
from pathlib import Path
from typing import Any

import boto3
import grpc
import pytest
from botocore.config import Config
from soma_sdk import Keypair, SomaClient

from somatui.practice import client
from somatui.practice.card import NetworkInfo
from somatui.practice.messages import pb
from tests.practice.standins import running

SOMA = 1_000_000_000
EMBEDDING = [0.1 * n for n in range(16)]
DATA = b"def f(): pass\n" * 50


async def connected(info: NetworkInfo) -> Any:
    return await SomaClient(
        rpc_url=info.rpc_url, faucet_url=info.faucet_url, scoring_url=info.scoring_url, admin_url=info.admin_url
    )


async def put(info: NetworkInfo, key: str, data: bytes) -> str:
    def write() -> None:
        boto3.client(
            "s3", endpoint_url=info.store_url, region_name="auto", aws_access_key_id=info.access_key,
            aws_secret_access_key=info.secret_key, config=Config(s3={"addressing_style": "path"}),
        ).put_object(Bucket=info.bucket, Key=key, Body=data)  # fmt: skip

    await asyncio.to_thread(write)
    return f"{info.store_url}/{info.bucket}/{key}"


async def balance(sdk: Any, key: Any) -> int:
    coins = await sdk.list_owned_objects(key.address(), "coin")
    return sum(int.from_bytes(coin.data.contents[32:40], "little") for coin in coins)


async def test_an_operators_day_is_the_same_to_the_shannon(tmp_path: Path) -> None:
    async with running(tmp_path) as info:
        sdk, key = await connected(info), Keypair.generate()
        await sdk.check_api_version()
        assert (await sdk.get_embedding_dim(), await sdk.get_protocol_version()) == (16, 5)
        for _ in range(3):
            (coin,) = (await sdk.request_faucet(key.address())).coins_sent
            assert coin.amount == 2 * SOMA
        model = await sdk.create_model(key, 1000, 1.0)
        assert await balance(sdk, key) == 5 * SOMA - 500_000 - 1000 - 3 * 300
        weights, secret = sdk.encrypt_weights(b"weights" * 100)
        url = await put(info, "weights", weights)
        await sdk.commit_model(key, model, url, weights, secret, EMBEDDING)
        assert await sdk.advance_epoch() == 1
        await sdk.reveal_model(key, model, secret, EMBEDDING)
        assert await sdk.advance_epoch() == 2
        assert model in [m.model_id for m in await sdk.get_active_models()]
        target = (await sdk.get_targets(limit=1))[0]
        where = await put(info, "data", DATA)
        manifests = await sdk.get_model_manifests(target)
        scored = await sdk.score(where, manifests, target.embedding, data=DATA)
        before = await balance(sdk, key)
        await sdk.submit_data(
            key, target.id, DATA, where, target.model_ids[scored.winner], scored.embedding, scored.distance[0],
            scored.loss_score,
        )  # fmt: skip
        bond = 65 * len(DATA)
        assert before - await balance(sdk, key) in (bond + 2200, bond + 2500)
        assert await sdk.fetch_submission_data(target.id) == DATA
        assert await sdk.fetch_model(model) == weights
        assert [await sdk.advance_epoch(), await sdk.advance_epoch()] == [3, 4]
        before, rate = await balance(sdk, key), (await sdk.get_latest_system_state()).parameters.value_fee_bps
        await sdk.claim_rewards(key, target.id)
        # Targets list ids without their leading zeros (protocol.md 8, item 13).
        own = int(target.model_ids[scored.winner], 16) == int(model, 16)
        others = 0 if own else target.reward_pool * 4975 // 10_000
        fee = 1000 + 6 * 300 + target.reward_pool * (rate // 2) // 10_000
        assert await balance(sdk, key) == before + target.reward_pool - others + bond - fee
        with pytest.raises(RuntimeError, match="ClaimRewards failed .* InputObjectDeleted"):
            await sdk.claim_rewards(key, target.id)
        await sdk.merge_coins(key)
        assert len(await sdk.list_owned_objects(key.address(), "coin")) == 2
        assert await sdk.get_balance(key.address()) == pytest.approx(await balance(sdk, key) / SOMA)


async def test_downloads_go_through_the_rpc_port_too(tmp_path: Path) -> None:
    async with running(tmp_path) as info:
        sdk = await connected(info)
        model = (await sdk.get_active_models())[0].model_id
        (manifest,) = await sdk.get_model_manifests([model])

        def read(url: str) -> bytes:
            with urllib.request.urlopen(url) as answer:
                body: bytes = answer.read()
            return body

        assert await asyncio.to_thread(read, f"{info.rpc_url}/model/{model}") == await asyncio.to_thread(
            read, manifest.url
        )
        for path, status in (("model/0x12", 404), ("data/0x12", 404), ("data/xyz", 400), ("other", 404)):
            with pytest.raises(urllib.error.HTTPError, match=str(status)):
                await asyncio.to_thread(read, f"{info.rpc_url}/{path}")


async def test_scoring_answers_refuses_and_survives_its_worker(tmp_path: Path) -> None:
    async with running(tmp_path) as info:
        sdk = await connected(info)
        assert await sdk.scoring_health()
        manifests = await sdk.get_model_manifests([m.model_id for m in await sdk.get_active_models()])
        good = await asyncio.gather(*(sdk.score(f"http://h/{n}", manifests, EMBEDDING, data=b"x") for n in range(5)))
        assert {tuple(r.loss_score) for r in good} == {(1.5,)}
        for url, models, text in (
            ("http://h/x", [], "At least one model manifest is required"),
            ("http://h/broken", manifests, "Client specified an invalid argument.*Checksum mismatch"),
            ("http://h/die", manifests, "ended unexpectedly"),
        ):
            with pytest.raises(RuntimeError, match=text):
                await sdk.score(url, models, EMBEDDING, data=b"x")
        assert (await sdk.score("http://h/again", manifests, EMBEDDING, data=b"x")).distance == [0.5]


async def test_the_same_seed_makes_the_same_network(tmp_path: Path) -> None:
    seen = []
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        async with running(tmp_path / name, seed=seed) as info:
            sdk = await connected(info)
            models = [(m.model_id, tuple(m.embedding)) for m in await sdk.get_active_models()]
            targets = [(t.id, tuple(t.embedding)) for t in await sdk.get_targets()]
            seen.append((models, targets))
    assert seen[0] == seen[1] != seen[2]
    assert len(seen[0][0]) == 3


async def test_a_network_goes_on_where_it_stopped(tmp_path: Path) -> None:
    key = Keypair.generate()
    async with running(tmp_path) as first:
        sdk = await connected(first)
        await sdk.request_faucet(key.address())
        await sdk.advance_epoch()
    async with running(tmp_path) as again:
        sdk = await connected(again)
        assert (await sdk.get_epoch()).epoch == 1
        assert await balance(sdk, key) == 2 * SOMA
        assert again.store_url == first.store_url
        (manifest,) = await sdk.get_model_manifests([(await sdk.get_active_models())[0].model_id])
        assert manifest.url.startswith(again.store_url)


async def test_listed_ids_lose_their_leading_zeros_and_either_form_is_understood(tmp_path: Path) -> None:
    async with running(tmp_path) as info, grpc.aio.insecure_channel(info.rpc_url.removeprefix("http://")) as channel:
        ask = channel.unary_unary(
            "/soma.rpc.StateService/ListTargets",
            request_serializer=pb.ListTargetsRequest.SerializeToString,
            response_deserializer=pb.ListTargetsResponse.FromString,
        )
        look = channel.unary_unary(
            "/soma.rpc.StateService/GetTarget",
            request_serializer=pb.GetTargetRequest.SerializeToString,
            response_deserializer=pb.GetTargetResponse.FromString,
        )
        pages, token = [], b""
        while True:
            page = await ask(pb.ListTargetsRequest(status_filter="OPEN", page_size=30, page_token=token))
            if not page.targets:
                break
            pages.append([t.id for t in page.targets])
            token = page.next_page_token
            if not token:
                break
        ids = [one for page in pages for one in page]
        assert len(ids) == len(set(ids)) == 100
        short = [one for one in ids if len(one) < 66]
        assert short
        assert not any(one.startswith("0x0") for one in ids)
        for text in (short[0], "0x" + short[0][2:].rjust(64, "0")):
            assert (await look(pb.GetTargetRequest(target_id=text))).target.id == short[0]
        with pytest.raises(grpc.aio.AioRpcError, match="do not match request filters"):
            await ask(pb.ListTargetsRequest(status_filter="filled", page_token=token or b'["open", null, null, ""]'))
        with pytest.raises(grpc.aio.AioRpcError, match="invalid status_filter: 'nonsense'"):
            await ask(pb.ListTargetsRequest(status_filter="nonsense"))


async def test_the_client_of_the_command_line_asks_faucet_and_admin(tmp_path: Path) -> None:
    async with running(tmp_path) as info:
        ((amount, _, _),) = await client.faucet(info, "11" * 32)
        assert (amount, await client.advance_epoch(info)) == (2 * SOMA, 1)
        assert client.read_info(tmp_path) == info
        assert (tmp_path / "network.json").stat().st_mode & 0o777 == 0o600
    assert client.read_info(tmp_path) is None
