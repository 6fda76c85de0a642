"""The steps of an operator's day, each an act through the agent's socket and a condition that must hold afterwards."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from somatui.agent import states
from somatui.cli.day.teller import Teller
from somatui.cli.output import amount
from somatui.cli.problem import Problem, as_problem
from somatui.domain.codec import from_json
from somatui.domain.ids import short
from somatui.domain.snapshot import JobView, Snapshot

WAIT_SECONDS = 90.0
LOOK_SECONDS = 0.2
ENDED = ("done", "failed", "stopped")


@dataclass(slots=True)
class Day:
    """One day on one agent. `run` leaves the agent running; stopping is for whoever started it."""

    client: Any
    teller: Teller
    seed: int
    steps: int
    epochs: int = 0
    reconciled: dict[str, Any] = field(default_factory=dict)

    async def run(self) -> Snapshot:
        """From an empty wallet to a reconciled ledger; the last picture. Raises Problem."""
        await self.wait("the network to answer", lambda s: s.network.reachable and bool(s.wallet.address))
        await self.fund()
        job = await self.train()
        await self.publish(job)
        await self.advance()
        await self.reveal()
        await self.advance()
        await self.score()
        await self.advance()
        await self.advance()
        await self.claim()
        self.reconciled = await self.client.call("ledger.reconcile")
        self.teller.say(f"ledger held against the chain: difference {self.reconciled['difference_shannons']} shannons")
        return await self.look()

    async def look(self) -> Snapshot:
        """The agent's picture now."""
        return from_json(Snapshot, await self.client.call("snapshot"))

    async def wait(self, what: str, holds: Callable[[Snapshot], bool], seconds: float = WAIT_SECONDS) -> Snapshot:
        """Look until a condition holds. Raises Problem when it does not in time."""
        until = time.monotonic() + seconds
        while not holds(seen := await self.look()):
            if time.monotonic() > until:
                raise Problem(f"Waited {seconds:.0f} s for {what} in vain: see agent.log in the state's folder.")
            self.teller.live(f"waiting for {what}")
            await asyncio.sleep(LOOK_SECONDS)
        return seen

    async def act(self, action: str, args: dict[str, Any] | None = None) -> dict[str, Any]:
        """One act of the agent, finished when this returns."""
        self.teller.live(f"{action} …")
        answer = await self.client.call("act", action=action, args=args or {}, key=uuid.uuid4().hex)
        return dict(answer.get("result") or {})

    async def job(self, kind: str, args: dict[str, Any]) -> JobView:
        """Start a job and see it to its end. Raises Problem when it fails."""
        job_id = (await self.client.call("job.start", kind=kind, args=args))["job_id"]
        while True:
            found = next((j for j in (await self.look()).jobs if j.id == job_id), None)
            if found is not None and found.state in ENDED:
                break
            if found is not None:
                self.teller.live(f"{kind}: {figures(found)}")
            await asyncio.sleep(LOOK_SECONDS)
        if found.state == "failed":
            raise Problem(f"The {kind} job failed ({found.error}): see somatui jobs log {found.id}.")
        return found

    async def fund(self) -> None:
        """Coins from the faucet."""
        await self.act("faucet")
        seen = await self.wait("the faucet's coins", lambda s: s.wallet.free_shannons > 0)
        free = amount(seen.wallet.free_shannons)
        self.teller.say(f"wallet {short(seen.wallet.address)} has {free} from the faucet")

    async def train(self) -> JobView:
        """A small model, trained for some steps."""
        corpus = {"paths": None, "max_bytes": 16_384, "seed": self.seed}
        args = {"config": "small", "steps": self.steps, "seed": self.seed, "corpus": corpus}
        job = await self.job("train", args)
        loss, rate = f"loss {job.history[0]:.2f} → {job.history[-1]:.2f}", job.metrics.get("tokens_per_s", 0)
        self.teller.say(f"trained a model for {self.steps} steps: {loss}, {rate:,.0f} bytes a second")
        return job

    async def publish(self, job: JobView) -> None:
        """Create and commit with the least stake."""
        stake = (await self.look()).epoch.parameters.model_min_stake_shannons
        args = {"job_id": job.id, "commission_bps": 1_000, "stake_shannons": stake, "label": "first"}
        await self.act("publish", args)
        seen = await self.wait("the commit", lambda s: any(m.mine and m.state == "pending" for m in s.models))
        mine = next(m for m in seen.models if m.mine and m.state == "pending")
        self.teller.say(f"published model {short(mine.id)}: {amount(stake)} staked, weights committed")

    async def advance(self) -> None:
        """The next epoch."""
        before = (await self.look()).epoch.number
        await self.act("advance")
        await self.client.call("refresh")
        seen = await self.wait("the next epoch", lambda s: s.epoch.number > before)
        self.epochs += seen.epoch.number - before
        opened = sum(t.status == "open" for t in seen.targets)
        self.teller.say(f"epoch {seen.epoch.number} has begun: {opened} targets open")

    async def reveal(self) -> None:
        """The key, in the one epoch that accepts it; the keeper may be quicker."""
        seen = await self.look()
        waiting = next((m for m in seen.models if m.mine and m.state == "pending"), None)
        if waiting is not None:
            await self.or_the_keeper("reveal", {"model_id": waiting.id})
        seen = await self.wait("the reveal", lambda s: any(m.mine and m.state == "active" for m in s.models))
        mine = next(m for m in seen.models if m.mine and m.state == "active")
        self.teller.say(f"revealed model {short(mine.id)}: it is active")

    async def or_the_keeper(self, action: str, args: dict[str, Any]) -> None:
        """Act; a refusal may only mean that the keeper has begun, which the wait that follows finds out."""
        try:
            await self.act(action, args)
        except Exception as refused:
            self.teller.live(f"{action}: {as_problem(refused)}")

    async def score(self) -> None:
        """Files of the standard library against the open targets; what hits is uploaded and submitted."""
        corpus = {"paths": None, "max_bytes": 4_096, "seed": self.seed}
        args = {"corpus": corpus, "limit": 120, "max_hits": 8, "hits_each": 1, "submit": True}
        job = await self.job("score", args)
        m = job.metrics
        found = f"{m.get('hits', 0):.0f} hits, the closest at {m.get('best_distance', 0):.3f}"
        self.teller.say(f"scored {m.get('scored', 0):.0f} files of the standard library: {found}")
        seen = await self.wait("the submissions", lambda s: not submitting(s))
        self.teller.say(f"submitted {seen.ledger.hits} hits, {amount(seen.bonded_shannons)} in bonds")

    async def claim(self) -> None:
        """Everything of ours that has come through the audit window."""
        seen = await self.look()
        if seen.claimable:
            await self.or_the_keeper("claim", {"target_ids": None})
        await self.client.call("refresh")
        seen = await self.wait("the claims", lambda s: not s.claimable)
        self.teller.say(f"claimed {amount(seen.ledger.earned_shannons)} for {seen.ledger.claims} targets")


def submitting(seen: Snapshot) -> bool:
    """Whether a submission of the journal has not come to its end."""
    return any(i.action == "submit" and i.state not in states.ENDED for i in seen.intents)


def figures(job: JobView) -> str:
    """A running job's progress in one line."""
    done = [] if job.done is None else [f"{job.done * 100:.0f} %"]
    shown = ("loss", "scored", "hits", "best_distance")
    known = [f"{name.replace('_', ' ')} {job.metrics[name]:,.4g}" for name in shown if name in job.metrics]
    return "  ".join([*done, *known]) or job.state
