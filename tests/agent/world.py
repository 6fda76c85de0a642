"""A practice network in this process and an agent's ground on it: real chain, journal and vault, uploads only named."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from soma_sdk import Keypair

from somatui.agent.flows import Flows
from somatui.agent.ground import Ground, Uploaded
from somatui.agent.journal import Journal
from somatui.agent.signer import Signer
from somatui.agent.states import Fault, no_fault
from somatui.chain.client import Chain, Endpoints
from somatui.chain.snapshot import marked_models, marked_targets
from somatui.config import Profile, Settings
from somatui.domain.snapshot import NetworkView, Snapshot, WalletView
from somatui.paths import Paths
from somatui.practice.card import NetworkInfo
from somatui.vault.file import FileVault
from somatui.wire.text import b58encode
from tests.agent import vaults
from tests.agent.harness import EMBEDDING, a_hit
from tests.practice.standins import running


class KeptUploads(Ground):
    """A ground without a store: what would be stored is only hashed, with the key in the place of the encryption."""

    before_upload: Callable[[bytes | None], None] | None = None

    async def upload(self, source: Path, object_key: str, *, encrypt_key: bytes | None = None) -> Uploaded:
        if self.before_upload is not None:
            self.before_upload(encrypt_key)
        data = source.read_bytes()
        if encrypt_key is not None:
            data = hashlib.blake2b(encrypt_key, digest_size=32).digest() + data
        checksum = b58encode(hashlib.blake2b(data, digest_size=32).digest())
        return Uploaded(f"http://store.example/{object_key}", checksum, len(data))


@dataclass
class World:
    """One operator on one network."""

    info: NetworkInfo
    ground: Ground
    signer: Signer
    flows: Flows
    picture: Snapshot

    async def look(self) -> Snapshot:
        """What the watcher would see now."""
        chain, address = self.ground.chain, self.ground.address
        system = await chain.system()
        await self.signer.refresh()
        models = marked_models(system.models, address)
        own = frozenset(m.id for m in models if m.mine)
        self.picture = replace(
            self.picture,
            network=replace(self.picture.network, reachable=True),
            epoch=system.epoch,
            models=models,
            targets=marked_targets(await chain.targets(("open", "filled")), address, own),
            wallet=WalletView(address=address, unlocked=True, coins=self.signer.coins),
        )
        return self.picture

    async def advance(self, epochs: int = 1) -> Snapshot:
        """The next epoch, seen."""
        for _ in range(epochs):
            await self.ground.chain.advance_epoch()
        return await self.look()

    async def fund(self, coins: int = 2) -> None:
        """So many faucet coins."""
        for number in range(coins):
            await self.flows.act("faucet", {}, f"fund-{number}-{os.urandom(4).hex()}")
        await self.look()

    def weights(self, name: str = "w.safetensors") -> Path:
        """A file to publish."""
        path = self.ground.paths.profile_dir / name
        path.write_bytes(name.encode() * 100)
        return path

    async def publish(self, key: str = "publish", **changes: Any) -> dict[str, Any]:
        """Publish a model."""
        args = {"weights": str(self.weights()), "embedding": EMBEDDING, "label": "first"} | changes
        return await self.flows.act("publish", args, key)

    def hit(self, number: int = 0, size: int = 900, **changes: Any) -> dict[str, Any]:
        """A hit on the number-th open target, as the score worker would report it."""
        target = [t for t in self.picture.targets if t.status == "open"][number]
        return a_hit(self.ground.paths.profile_dir, self.picture, target, size) | changes

    async def difference(self) -> int:
        """What the ledger cannot explain, in shannons."""
        return int((await self.flows.reconcile())["difference_shannons"])

    async def restart(self, fault: Fault = no_fault) -> None:
        """The agent anew on what the last one left on disk; acts in memory are gone."""
        await self.flows.close()
        journal = self.ground.journal
        journal.close()
        self.ground.journal = Journal.open(self.ground.paths.journal, fault)
        self.signer = Signer(self.ground)
        self.flows = Flows(self.ground, self.signer)
        await self.look()


def a_ground(info: NetworkInfo, paths: Paths, snapshot: Callable[[], Snapshot], fault: Fault = no_fault) -> Ground:
    """A wallet of its own in a vault of its own."""
    paths.create()
    keypair = Keypair.generate()
    vault = FileVault.create(paths.vault, "practice")
    vault.set(f"wallet/{keypair.address()}", bytes.fromhex(keypair.to_secret_key()))
    chain = Chain(Endpoints(info.rpc_url, info.faucet_url, info.scoring_url, info.admin_url))
    journal = Journal.open(paths.journal, fault)
    profile = Profile("practice", "practice", info.rpc_url)
    return KeptUploads(paths, profile, Settings(), journal, chain, vault, keypair.address(), True, snapshot=snapshot)


@contextlib.asynccontextmanager
async def operator(info: NetworkInfo, home: Path, fault: Fault = no_fault) -> AsyncIterator[World]:
    """An operator with an empty wallet."""
    with vaults.quick():
        async with _operator(info, home, fault) as made:
            yield made


@contextlib.asynccontextmanager
async def _operator(info: NetworkInfo, home: Path, fault: Fault) -> AsyncIterator[World]:
    made: list[World] = []
    ground = a_ground(info, Paths.for_profile("practice", home), lambda: made[0].picture, fault)
    empty = Snapshot(
        "practice", 0, NetworkView("practice", "practice", reachable=True), wallet=WalletView(ground.address)
    )
    signer = Signer(ground)
    world = World(info, ground, signer, Flows(ground, signer), empty)
    made.append(world)
    try:
        await world.look()
        yield world
    finally:
        await world.flows.close()
        world.ground.journal.close()


@contextlib.asynccontextmanager
async def world(folder: Path, fault: Fault = no_fault) -> AsyncIterator[World]:
    """A network and one operator with two faucet coins on it."""
    async with running(folder / "network") as info, operator(info, folder / "home", fault) as made:
        await made.fund()
        yield made


def card(info: NetworkInfo) -> dict[str, Any]:
    """The network's card as JSON."""
    return dict(json.loads(info.to_json()))
