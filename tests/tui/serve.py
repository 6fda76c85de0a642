"""An agent's own socket server that publishes a literal world and remembers what it is asked: the console's other end.

`python -m tests.tui.serve --home H` serves it to a console in another terminal, with a push every second that changes
nothing but the time of the last look.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import time
from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from struct import pack
from typing import Any

from somatui.agent.server import Method, RpcError, Server
from somatui.domain.codec import to_json
from somatui.domain.snapshot import (
    Alert,
    Duty,
    EpochView,
    IntentView,
    JobView,
    LedgerView,
    NetworkView,
    Parameters,
    Snapshot,
    StakeView,
    WalletView,
)
from somatui.paths import Paths
from tests.domain.worlds import ME, NOW_MS, OTHER, an_id, coin, model, target

HOUR_MS = 3_600_000
EMBEDDING = b64encode(pack("<16f", *[0.25] * 16)).decode()
LOSSES = tuple(6.5 * 0.97**n + 0.8 for n in range(60))


def busy(now_ms: int = NOW_MS) -> Snapshot:
    """An operator's busy moment: claims open, a model waits for its reveal, two jobs run."""
    mine, theirs = an_id("a1c4"), an_id("b2d9")
    epoch = EpochView(
        number=412, starts_at_ms=now_ms - 14 * HOUR_MS - 30_000, threshold=0.978, reward_shannons=12_685_185,
        hits=41, hits_ema=38, hits_wanted=60, targets_generated=90, parameters=Parameters(embedding_dim=16),
        emission_per_epoch_shannons=1_000_000_000, emission_balance_shannons=900_000_000_000,
    )  # fmt: skip
    found = [
        target(f"{0x7C10 + n * 37:04x}" + "9a" * 30, generation_epoch=412, best_distance=0.96 + n * 0.003,
               best_model_id=mine, model_ids=(mine, theirs, an_id("c3")))
        for n in range(24)
    ]  # fmt: skip
    filled = [
        target(f"{0x9E00 + n * 11:04x}" + "4b" * 30, status="claimable", generation_epoch=409, fill_epoch=410,
               submitter=ME, mine=True, bond_shannons=520_000, winning_model_id=mine)
        for n in range(2)
    ]  # fmt: skip
    models = (
        model("a1c4", label="rust-net", commit_epoch=400, create_epoch=400, targets_share=0.93),
        model("e5f6", label="latex-01", state="pending", create_epoch=411, commit_epoch=411, key_at_hand=True),
        model("b2d9", mine=False, owner=OTHER, targets_share=0.4),
    )
    jobs = (
        JobView("job-7", "train", "train small, 500 steps", "running", now_ms - 600_000, now_ms, 0.42,
                {"step": 212, "steps": 500, "loss": 2.183, "tokens_per_s": 6100}, LOSSES),
        JobView("job-8", "score", "score stdlib", "running", now_ms - 300_000, now_ms, None,
                {"candidates_per_s": 24.1, "scored": 5120, "hits": 41}, last_lines=("hit 7c10… 0.9612",)),
        JobView("job-6", "train", "train small, 200 steps", "done", now_ms - 7_000_000, now_ms - 6_000_000, 1.0,
                {"loss": 2.4}, LOSSES[:30], result={"embedding": EMBEDDING}),
    )  # fmt: skip
    return Snapshot(
        profile="practice", at_ms=now_ms, epoch=epoch,
        network=NetworkView("practice", "practice", "practice", reachable=True, synced_at_ms=now_ms),
        wallet=WalletView(ME, "ops-1", True, coins=(coin("c1", 2_000_000_000), coin("c2", 500_000_000)),
                          stakes=(StakeView(an_id("51"), an_id("61"), 1_000_000_000, 401, mine),)),
        targets=(*filled, *found), models=models, jobs=jobs,
        intents=(IntentView("i1", "submit", filled[0].id, "done", now_ms - 90_000, "DiGeSt", None),),
        duties=(Duty("reveal", models[1].id, "reveal latex-01", 412, 412, 500_000_000, True, "warn"),),
        alerts=(Alert("warn", "latex-01 is revealed in this epoch or half of its stake burns.", now_ms),),
        ledger=LedgerView(120_000_000, 1_200_000, 1_040_000, 520_000, 0, 1_000_000_000, 3_000_000_000, 41, 12, 1),
    )  # fmt: skip


class Agent:
    """The real server, answering from a literal world. `asked` holds every call but hello, in order."""

    def __init__(self, paths: Paths, world: Snapshot) -> None:
        self.paths = paths
        self.world = world
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.answers: dict[str, Any] = {
            "preview": {"checks": [], "consequence": None, "simulated": {"fee_shannons": 1_600}, "refused": None},
            "act": {"ok": True, "result": {"earned_shannons": 25_370_370}},
            "job.start": {"job_id": "job-9"},
            "job.stop": {"ok": True},
        }
        names = (*self.answers, "job.log", "vault.status", "vault.unlock", "wallet.use", "refresh")
        self._server = Server(paths.socket, {"hello": self._hello} | {name: self._method(name) for name in names})

    async def _hello(self) -> dict[str, Any]:
        return {"version": "0", "protocol": 1, "profile": self.paths.profile, "pid": 0}

    def _method(self, name: str) -> Method:
        async def answer(**params: Any) -> Any:
            self.asked.append((name, params))
            found = self.answers.get(name, {})
            if isinstance(found, RpcError):
                raise found
            return found

        return answer

    async def start(self) -> None:
        """Listen, with the whole world at hand for who subscribes."""
        self.paths.create()
        await self._server.start()
        self.show(self.world)

    def show(self, world: Snapshot) -> None:
        """Publish another world; the server tells what differs."""
        self.world = world
        self._server.publish(to_json(world))

    async def stop(self) -> None:
        """Go away."""
        await self._server.close()

    def calls(self, method: str) -> list[dict[str, Any]]:
        """The parameters of every call of `method`."""
        return [params for name, params in self.asked if name == method]


@contextlib.asynccontextmanager
async def serving(paths: Paths, world: Snapshot | None = None) -> AsyncIterator[Agent]:
    """A literal agent for as long as the block runs."""
    agent = Agent(paths, world or busy())
    await agent.start()
    try:
        yield agent
    finally:
        await agent.stop()


async def serve_for_ever(home: Path) -> None:
    """Serve the busy world of now, looking at the chain every second and finding it as it was."""
    paths = Paths.for_profile("practice", home)
    async with serving(paths, busy(time.time_ns() // 1_000_000)) as agent:
        print("serving", flush=True)
        while True:
            await asyncio.sleep(1)
            now_ms = time.time_ns() // 1_000_000
            network = replace(agent.world.network, synced_at_ms=now_ms)
            agent.show(replace(agent.world, at_ms=now_ms, network=network))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--home", type=Path, required=True)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve_for_ever(parser.parse_args().home))
