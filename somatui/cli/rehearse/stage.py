"""What a rehearsal is played on: a fresh network, its agent by way of its socket, the chain, and wallets beside it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from somatui.cli.day.steps import Day
from somatui.cli.problem import Problem, as_problem
from somatui.domain.ids import short
from somatui.domain.snapshot import EpochView, ModelView, TargetView
from somatui.paths import Paths
from somatui.wire.text import b58encode

if TYPE_CHECKING:
    from somatui.chain.client import Chain
    from somatui.cli.rehearse.script import Script
    from somatui.practice.card import NetworkInfo
    from somatui.storage.s3 import Bucket

EMBEDDING = tuple(0.1 * (n + 1) for n in range(16))
"""Any sixteen numbers: what a model would say of itself, and what data would be found to be."""
DATA_BYTES = 10_000


@dataclass(slots=True)
class Stage:
    """One rehearsal's means. The agent's acts go by `day`; `chain` reads, and sends for the wallets of `script`."""

    day: Day
    info: NetworkInfo
    chain: Chain
    paths: Paths
    seed: int
    wallets: int = field(default=0)

    def say(self, text: str) -> None:
        """A line of what happens."""
        self.day.teller.say(text)

    async def setting(self, name: str, value: object) -> None:
        """Change one of the agent's settings."""
        await self.day.client.call("settings.set", key=name, value=value)

    async def advance(self) -> EpochView:
        """The next epoch, once agent and chain are in it."""
        await self.day.advance()
        return await self.epoch()

    async def epoch(self) -> EpochView:
        """The epoch as the chain has it."""
        return await self.chain.epoch()

    async def model(self, model_id: str) -> ModelView:
        """A model as the chain has it. Raises Problem."""
        found = next((m for m in await self.chain.models() if m.id == model_id), None)
        if found is None:
            raise Problem(f"The practice network lists no model {short(model_id)}: start the rehearsal again.")
        return found

    async def target(self) -> TargetView:
        """The first open target, by id. Raises Problem."""
        found = sorted((t for t in await self.chain.targets(("open",))), key=lambda t: t.id)
        if not found:
            raise Problem("The practice network has no open target: start the rehearsal again.")
        return found[0]

    async def target_of(self, model_id: str) -> TargetView:
        """The first open target that names this model. Raises Problem."""
        found = [t for t in await self.chain.targets(("open",)) if model_id in t.model_ids]
        if not found:
            raise Problem(f"No open target names model {short(model_id)}: start the rehearsal with another --seed.")
        return min(found, key=lambda t: t.id)

    async def own_balance(self) -> int:
        """Shannons in the coins of the agent's wallet, read from the chain."""
        return await self.chain.balance_shannons((await self.day.look()).wallet.address)

    async def script(self, coins: int) -> Script:
        """Another wallet with so many faucet coins, whose owner takes no care at all."""
        from somatui.cli.rehearse.script import Script
        from somatui.practice.ledger.genesis import key_of

        self.wallets += 1
        made = Script(self.chain, key_of(self.seed, f"rehearsal {self.wallets}"))
        for _ in range(coins):
            for coin in await self.chain.faucet(made.address):
                await self.chain.settled(coin.digest)
        return made

    def validator(self) -> Script:
        """The wallet of the network's one validator, whose voting power is a quorum by itself."""
        from somatui.cli.rehearse.script import Script
        from somatui.practice.ledger.genesis import key_of

        return Script(self.chain, key_of(self.seed, "validator"))

    def bucket(self) -> Bucket:
        """The network's object store as its owner meets it."""
        from somatui.storage.s3 import Bucket, Store

        info = self.info
        store = Store(info.store_url, info.bucket, public_url=f"{info.store_url}/{info.bucket}")
        return Bucket(store, info.access_key, info.secret_key)

    async def refusal(self, action: str, args: dict[str, Any]) -> str:
        """The sentence with which the agent refuses an act. Raises Problem when it does it."""
        try:
            await self.day.act(action, args)
        except Exception as refused:
            return str(as_problem(refused))
        raise Problem(f"The agent did what it should refuse ({action}): this is a defect of somatui.")

    async def alarm(self, about: str) -> None:
        """Wait for the agent's alert of that name, and repeat it. Raises Problem."""
        seen = await self.day.wait("the agent's alert", lambda s: any(a.about == about for a in s.alerts))
        self.say(f"the agent alarms: {next(a.text for a in seen.alerts if a.about == about)}")

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait for the clock, or for whatever else needs no question to the network."""
        while not holds():
            await asyncio.sleep(0.02)

    def weights(self, name: str) -> dict[str, Any]:
        """Arguments of a publish; the weights are some bytes, since nothing is scored here."""
        path = self.paths.profile_dir / f"{name}.safetensors"
        path.write_bytes(name.encode() * 200)
        return {"weights": str(path), "embedding": packed(EMBEDDING), "label": name, "commission_bps": 1_000}

    def copy_of(self, target: TargetView) -> Path:
        """Where the agent's machine keeps what is submitted for a target."""
        return self.paths.profile_dir / f"data-{short(target.id)}"

    def hit(self, target: TargetView, models: tuple[ModelView, ...], winner: int = 0) -> dict[str, Any]:
        """A hit on a target as the agent takes one from its scorer; data and distance are made up.

        `winner` is which of the target's models the hit says to have won.
        """
        data = bytes_for(target)
        path = self.copy_of(target)
        path.write_bytes(data)
        known = {m.id: m.weights_checksum for m in models}
        return {
            "target_id": target.id,
            "model_id": target.model_ids[winner],
            "distance": 0.25,
            "loss": 1.5,
            "embedding": packed(EMBEDDING),
            "path": str(path),
            "size": len(data),
            "checksum": checksum_of(data),
            "models": [{"id": m, "weights_checksum": known[m]} for m in target.model_ids],
        }


def bytes_for(target: TargetView) -> bytes:
    """Some data of 10,000 bytes, other for each target."""
    return (target.id.encode() * DATA_BYTES)[:DATA_BYTES]


def checksum_of(data: bytes) -> str:
    """Base58 of Blake2b-256."""
    return b58encode(hashlib.blake2b(data, digest_size=32).digest())


def packed(embedding: tuple[float, ...]) -> str:
    """An embedding as the agent takes it: Base64 of f32."""
    return base64.b64encode(struct.pack(f"<{len(embedding)}f", *embedding)).decode()
