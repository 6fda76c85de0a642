"""Kills the agent at random moments of random acts for as long as it is told to, and holds chain and journal together.

`python -m tests.long.kill_loop --minutes 30 [--seed N]`, or `--short` for a few kills. Exit status 1 and the home's
path when an effect is missing, is there twice, or a shannon cannot be explained.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import math
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from somatui.agent.client import AgentError, AgentGone
from somatui.domain.snapshot import Snapshot
from tests.agent.harness import Household, household

SHORT_KILLS = 3
LONGEST_LIFE_S = 1.2
"""Most acts take less; a few survive, which is wanted too."""
AT_ONCE = 4


class Broken(AssertionError):
    """Something is lost, doubled or unexplained."""


@dataclass
class Loop:
    """One home, and what must be true of it."""

    home: Household
    chance: random.Random
    count: Counter[str] = field(default_factory=Counter)
    published: set[str] = field(default_factory=set)
    filled: set[str] = field(default_factory=set)
    number: int = 0

    async def run(self, until: float, kills: float) -> None:
        """Rounds until the time is over, or so many kills."""
        self.home.start_agent()
        for _ in range(3):
            await self.home.act("faucet")
        await self.home.act("publish", self.home.publishing("first"), "first")
        self.published.add("first")
        while time.monotonic() < until and self.count["kills"] < kills:
            picture = await self.home.look()
            await self.dying(self.plan(picture))
            await self.check()
            if self.chance.random() < 0.25:
                await self.next_epoch()

    def plan(self, picture: Snapshot) -> list[tuple[str, dict[str, Any], str]]:
        """Acts that make sense now, a few of them at once."""
        acts: list[tuple[str, dict[str, Any], str]] = []
        free = [t for t in picture.targets if t.status == "open" and t.id not in self.filled]
        for target in self.chance.sample(free, min(len(free), self.chance.randint(0, AT_ONCE))):
            acts.append(("submit", {"hit": self.home.hit(picture, target)}, f"submit:{target.id}"))
        if picture.claimable and self.chance.random() < 0.7:
            acts.append(("claim", {"target_ids": None}, f"claim:{self.fresh()}"))
        for model in picture.models:
            if model.mine and model.state == "pending" and model.commit_epoch == picture.epoch.number - 1:
                acts.append(("reveal", {"model_id": model.id}, f"reveal:{model.id}"))
        if len(self.published) < 12 and picture.wallet.free_shannons > 1_300_000_000 and self.chance.random() < 0.3:
            label = f"model-{self.fresh()}"
            acts.append(("publish", self.home.publishing(label), label))
        if picture.wallet.free_shannons < 1_500_000_000 and self.chance.random() < 0.5:
            acts.append(("faucet", {}, f"faucet:{self.fresh()}"))
        return acts

    def fresh(self) -> int:
        """A number that was not used."""
        self.number += 1
        return self.number

    async def dying(self, acts: list[tuple[str, dict[str, Any], str]]) -> None:
        """Begin acts, kill the agent at some moment, start it, and wait until everything has ended."""
        tasks = [asyncio.ensure_future(self.home.act(*act)) for act in acts]
        await asyncio.sleep(self.chance.uniform(0, LONGEST_LIFE_S))
        self.home.kill_agent()
        self.count["kills"] += 1
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException) and not isinstance(answer, AgentGone | AgentError | OSError):
                raise answer
        self.home.start_agent()
        await self.home.all_ended()
        for action, args, key in acts:
            if action == "faucet":
                continue
            with contextlib.suppress(AgentError):
                await self.home.act(action, args, key)
                self.count[action] += 1
                if action == "publish":
                    self.published.add(key)
                if action == "submit":
                    self.filled.add(str(args["hit"]["target_id"]))

    async def check(self) -> None:
        """The chain holds each effect once, and the ledger explains every shannon."""
        difference = await self.home.difference()
        if difference:
            raise Broken(f"{difference} shannons are not explained")
        picture, chain = await self.home.look(), self.home.chain()
        address = picture.wallet.address
        models = [m for m in await chain.models() if m.owner == address]
        if len(models) != len(self.published):
            raise Broken(f"{len(models)} models on the chain, {len(self.published)} published")
        if lost := [m.id for m in models if m.state == "created"]:
            raise Broken(f"created and not committed: {lost}")
        entries = (await self.home.call("ledger.show"))["entries"]
        for kind in ("bond", "bond_returned", "earned"):
            per_target = Counter(e["subject"] for e in entries if e["kind"] == kind)
            if doubled := [t for t, n in per_target.items() if n > 1]:
                raise Broken(f"{kind} twice for {doubled}")
        bonds = {e["subject"] for e in entries if e["kind"] == "bond"}
        back = {e["subject"] for e in entries if e["kind"] == "bond_returned"}
        mine = {t.id for t in await chain.targets(("filled",), submitter=address)}
        if mine != bonds - back:
            raise Broken(f"bonds {bonds - back ^ mine} are in the books or on the chain, not in both")

    async def next_epoch(self) -> None:
        """The next epoch, with every reveal that is due made first."""
        await self.reveal_due()
        await self.home.act("advance")
        self.count["epochs"] += 1
        await self.reveal_due()

    async def reveal_due(self) -> None:
        picture = await self.home.look()
        for model in picture.models:
            if model.mine and model.state == "pending" and model.commit_epoch == picture.epoch.number - 1:
                await self.home.act("reveal", {"model_id": model.id})


def main() -> int:
    """Exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.long.kill_loop", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--short", action="store_true", help=f"{SHORT_KILLS} kills")
    parser.add_argument("--seed", type=int, default=None)
    args = parser.parse_args()
    seed = args.seed if args.seed is not None else random.SystemRandom().randrange(1_000_000)
    ends = time.monotonic() + 60 * args.minutes
    folder = Path(tempfile.mkdtemp(prefix="somatui-kill-"))
    print(f"seed {seed}, home {folder}", flush=True)
    try:
        with household(folder) as home:
            loop = Loop(home, random.Random(seed))
            asyncio.run(loop.run(ends, SHORT_KILLS if args.short else math.inf))
    except Broken as broken:
        print(f"BROKEN after {dict(loop.count)}: {broken} (seed {seed}, home {folder})", file=sys.stderr)
        return 1
    print(f"whole: {dict(loop.count)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
