"""What anybody would write with soma_sdk against a local network on the default ports; prints what happened as JSON."""

from __future__ import annotations

import asyncio
import json
import sys
import urllib.request
from typing import Any

from soma_sdk import Keypair, SomaClient


async def main(data_url: str, weights_url: str) -> dict[str, Any]:
    client, key = await SomaClient(**json.loads(sys.argv[5])), Keypair.generate()
    for _ in range(3):
        await client.request_faucet(key.address())
    sealed = urllib.request.urlopen(weights_url).read()
    model, secret, embedding = await client.create_model(key, 0, 1.0), sys.argv[3], json.loads(sys.argv[4])
    created = await client.get_balance(key.address())
    await client.commit_model(key, model, weights_url, sealed, secret, embedding)
    await client.advance_epoch()
    await client.reveal_model(key, model, secret, embedding)
    await client.advance_epoch()
    data = urllib.request.urlopen(data_url).read()
    for target in await client.get_targets():
        score = await client.score(data_url, await client.get_model_manifests(target), target.embedding, data=data)
        if score.distance[0] <= target.distance_threshold:
            break
    winner = target.model_ids[score.winner]
    await client.submit_data(
        key, target.id, data, data_url, winner, score.embedding, score.distance[0], score.loss_score
    )  # fmt: skip
    submitted = await client.get_balance(key.address())
    await client.advance_epoch()
    await client.advance_epoch()
    rate = (await client.get_latest_system_state()).parameters.value_fee_bps
    await client.claim_rewards(key, target.id)
    claimed = await client.get_balance(key.address())
    smallest = (await client.list_owned_objects(key.address(), "coin"))[0]
    await client.merge_coins(key)
    coins = await client.list_owned_objects(key.address(), "coin")
    return {
        "created": created, "submitted": submitted, "claimed": claimed, "own": winner == model, "coins": len(coins),
        "reward": target.reward_pool, "bond": 65 * len(data), "rate": rate,
        "smallest": int.from_bytes(smallest.data.contents[32:40], "little"),
        "end": sum(int.from_bytes(c.data.contents[32:40], "little") for c in coins),
    }  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(*sys.argv[1:3]))))
