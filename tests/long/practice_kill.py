"""Kills a practice network with -9 at random moments while several clients send, and looks for what it had answered.

`python -m tests.long.practice_kill --kills 200 [--seed N]`, or `--short` for a few kills. After each kill: everything
acknowledged is there as it was answered, what was not is sent again and lands once, no transaction counts twice, and
the network answers again within `--ready-seconds`. Exit status 1 and the folder when one of these does not hold.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import shutil
import signal
import socket
import statistics
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import grpc.aio

from somatui.practice import client
from somatui.practice.card import NetworkInfo, ServeError
from somatui.practice.desk import LAG_MS
from somatui.practice.genesis import LEDGER
from somatui.practice.lane import Lane
from somatui.practice.messages import pb
from somatui.wire.hashes import blake2b256
from somatui.wire.text import b58encode, hex_id
from somatui.wire.transaction import SignedTransaction
from tests.practice.ledgers import network

SHORT_KILLS = 4
CLIENTS = 6
LONGEST_LIFE_S = 0.6
READY_S = 2.0
FUNDS, FEES = 2_000_000_000, 1600
"""Shannons of a faucet's coin, and what each transfer costs: the base fee and two writes."""


class Broken(AssertionError):
    """Something acknowledged is lost, or something is there twice, or the network comes back too late."""


@dataclass
class Client:
    """One lane, what it was answered, and what it does not know the end of."""

    lane: Lane
    recipient: bytes
    answered: dict[bytes, bytes] = field(default_factory=dict)
    unsure: SignedTransaction | None = None

    async def load(self) -> None:
        """Send until the network is gone."""
        with contextlib.suppress(grpc.aio.AioRpcError):
            while True:
                self.unsure = self.lane.signed_payment(self.recipient, 1)
                await self.land()

    async def land(self) -> None:
        """Send what the end of is not known; answered is answered."""
        if self.unsure is not None:
            effects = await self.lane.send(self.unsure)
            body = effects.SerializeToString(deterministic=True)
            if not effects.status.success or self.answered.setdefault(self.unsure.data.digest, body) != body:
                raise Broken(f"{b58encode(self.unsure.data.digest)} is answered in another way")
            self.unsure = None

    async def check(self, digests: list[bytes]) -> None:
        """Each of these is there as it was answered; all that was answered has been done once."""
        for digest in digests:
            asked = pb.GetTransactionRequest(digest=b58encode(digest))
            asked.read_mask.paths.append("effects")
            try:
                found = (await self.lane.ask("GetTransaction", asked)).transaction.effects
            except grpc.aio.AioRpcError as why:
                raise Broken(f"{b58encode(digest)} was acknowledged and is lost ({why.details()})") from None
            if found.transaction_digest != b58encode(digest) or not found.status.success:
                raise Broken(f"{b58encode(digest)} is not what was acknowledged")

    async def count(self) -> None:
        """Coin and recipient hold what so many transfers leave; waits for the checkpoint."""
        sent, until = len(self.answered), time.monotonic() + 5
        assert self.lane.coin is not None
        while True:
            coin = (await self.lane.ask("GetObject", pb.GetObjectRequest(object_id=hex_id(self.lane.coin.id)))).object
            got = (await self.lane.ask("GetBalance", pb.GetBalanceRequest(owner=hex_id(self.recipient)))).balance
            left = (await self.lane.ask("GetBalance", pb.GetBalanceRequest(owner=hex_id(self.lane.address)))).balance
            if (coin.version, got, left) == (self.lane.coin.version, sent, FUNDS - sent * (FEES + 1)):
                return
            if time.monotonic() > until:
                raise Broken(f"{sent} sent: coin at {coin.version}, {got} arrived, {left} left")
            await asyncio.sleep(0.05)


@dataclass
class Loop:
    """One network, its clients and how often what happened."""

    folder: Path
    chance: random.Random
    ready_s: float
    clients: list[Client] = field(default_factory=list)
    counted: Counter[str] = field(default_factory=Counter)
    starts: list[float] = field(default_factory=list)
    epoch: int = 0
    ports: str = field(default_factory=lambda: quiet_ports())

    async def run(self, kills: int) -> None:
        """Live and die so often."""
        network(self.folder / LEDGER).close()
        for number in range(CLIENTS):
            self.clients.append(Client(Lane(f"kill {number}"), blake2b256(b"recipient %d" % number)))
        info = await self.start()
        for one in self.clients:
            await one.lane.fund(info)
        for _ in range(kills):
            fresh = await self.live_and_die(info)
            info = await self.start()
            await self.check(info, fresh)
            if self.counted["kills"] % 20 == 0:
                print(dict(self.counted), flush=True)
        for one in self.clients:
            await one.check(list(one.answered))
            await one.lane.close()
        await asyncio.to_thread(client.stop_network, self.folder)

    async def start(self) -> NetworkInfo:
        """A network that answers, with or without checkpoint lag, and everybody connected to it."""
        began = time.monotonic()
        lag = self.chance.choice((0, LAG_MS))
        info = await asyncio.to_thread(client.start_network, self.folder, self.ports, lag_ms=lag)
        for one in self.clients:
            await one.lane.close()
            await one.lane.open(info)
        await self.clients[0].lane.ask("GetServiceInfo", pb.GetServiceInfoRequest())
        self.starts.append(time.monotonic() - began)
        if self.counted["kills"] and self.starts[-1] > self.ready_s:
            raise Broken(f"{self.starts[-1]:.2f} s from the start to the first answer")
        return info

    async def live_and_die(self, info: NetworkInfo) -> list[list[bytes]]:
        """Load until the kill; returns what each client was answered in this life."""
        before = [len(one.answered) for one in self.clients]
        tasks = [asyncio.ensure_future(one.load()) for one in self.clients]
        if self.chance.random() < 0.3:
            tasks.append(asyncio.ensure_future(self.advance(info)))
        await asyncio.sleep(self.chance.uniform(0, LONGEST_LIFE_S))
        os.kill(info.pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(info.pid, 0)
        self.counted["kills"] += 1
        await asyncio.gather(*tasks)
        fresh = [list(one.answered)[n:] for one, n in zip(self.clients, before, strict=True)]
        self.counted["acknowledged"] += sum(map(len, fresh))
        return fresh

    async def advance(self, info: NetworkInfo) -> None:
        """End epochs under load."""
        with contextlib.suppress(ServeError):
            while True:
                self.epoch = await client.advance_epoch(info)
                self.counted["epochs"] += 1

    async def check(self, info: NetworkInfo, fresh: list[list[bytes]]) -> None:
        """What was acknowledged before the kill stands; what was not lands once."""
        epoch = (await self.clients[0].lane.ask("GetServiceInfo", pb.GetServiceInfoRequest())).epoch
        if epoch < self.epoch:
            raise Broken(f"epoch {self.epoch} was acknowledged, the network is in {epoch}")
        for one, digests in zip(self.clients, fresh, strict=True):
            await one.check(digests)
            self.counted["sent again"] += one.unsure is not None
            again = one.unsure
            await one.land()
            one.unsure = again
            await one.land()
            await one.count()


def quiet_ports() -> str:
    """Five ports that no system hands out by itself, so that nobody takes one while the network is dead."""
    found: list[int] = []
    chance = random.SystemRandom()
    while len(found) < 5:
        port = chance.randrange(20_000, 32_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            found.append(port)
    return ",".join(map(str, found))


def main() -> int:
    """Exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.long.practice_kill", description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--short", action="store_true", help=f"{SHORT_KILLS} kills")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--ready-seconds", type=float, default=READY_S, help=f"to the first answer (default {READY_S})")
    args = parser.parse_args()
    seed = args.seed if args.seed is not None else random.SystemRandom().randrange(1_000_000)
    folder = Path(tempfile.mkdtemp(prefix="somatui-practice-kill-"))
    print(f"seed {seed}, folder {folder}", flush=True)
    loop = Loop(folder, random.Random(seed), args.ready_seconds)
    try:
        asyncio.run(loop.run(SHORT_KILLS if args.short else args.kills))
    except Broken as broken:
        print(f"BROKEN after {dict(loop.counted)}: {broken} (seed {seed}, folder {folder})", file=sys.stderr)
        return 1
    finally:
        client.stop_network(folder)
    shutil.rmtree(folder)
    slow, usual = max(loop.starts[1:]), statistics.median(loop.starts[1:])
    print(f"whole: {dict(loop.counted)}; ready again in {usual:.2f} s, at most {slow:.2f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
