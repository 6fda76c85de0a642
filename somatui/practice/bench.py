"""Measures practice networks as clients see them: processes of their own, asked over gRPC, transactions signed here."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from somatui.practice import client
from somatui.practice.card import NetworkInfo
from somatui.practice.desk import LAG_MS
from somatui.practice.genesis import CHAIN, LEDGER
from somatui.practice.lane import Lane
from somatui.practice.ledger.ledger import Ledger
from somatui.practice.ledger.values import GenesisConfig, GenesisModel
from somatui.wire.hashes import blake2b256

CLIENTS = 16
AT_ONCE = 1000
"""So many coins one transaction makes while the ledger is filled."""
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is done: seconds of load, transactions in a row, objects before and after, transactions that are waited
    for with the lag on, models and their numbers.
    """

    seconds: float = 8.0
    row: int = 400
    few: int = 1000
    many: int = 100_000
    lagged: int = 20
    models: int = 500
    dim: int = 2048


SHORT = Sizes(seconds=0.5, row=20, few=200, many=1200, lagged=3, models=20, dim=64)


@dataclass(slots=True)
class Figures:
    """What was measured, by name."""

    values: dict[str, tuple[float, str]] = field(default_factory=dict)

    def add(self, name: str, value: float, unit: str) -> None:
        """Keep one figure; the highest stands where there is one already."""
        known = self.values.get(name)
        self.values[name] = (max(value, known[0]) if known else value, unit)

    def document(self) -> dict[str, Any]:
        """The shape of every bench; a figure without a unit is a ratio."""
        results = [
            {"name": name, "ratio": round(value, 3)} if not unit else
            {"name": name, "value": round(value, 3), "unit": unit}
            for name, (value, unit) in self.values.items()
        ]  # fmt: skip
        return {"machine": machine(), "results": results}


def machine() -> dict[str, Any]:
    """What figures depend on; `load` is that of the last minute, the bench among it."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 2),
    }


def measure(short: bool = False, tell: Tell = lambda text: None) -> dict[str, Any]:
    """Run everything; raises ServeError when a network cannot be started."""
    sizes, figures = SHORT if short else Sizes(), Figures()
    with tempfile.TemporaryDirectory(prefix="somatui-bench-") as folder:
        asyncio.run(_transactions(Path(folder) / "transactions", sizes, figures, tell))
        asyncio.run(_lagging(Path(folder) / "lagging", sizes, figures, tell))
        asyncio.run(_epochs(Path(folder) / "epochs", sizes, figures, tell))
    return figures.document()


def ledger_of(folder: Path, models: int, dim: int) -> None:
    """The ledger of a network in this new folder, whose models are random numbers: nothing is trained."""
    folder.mkdir(mode=0o700)
    chance = np.random.default_rng(1)
    made = tuple(
        GenesisModel(blake2b256(b"owner %d" % n), "http://127.0.0.1/w", blake2b256(b"weights %d" % n), 1000,
                     blake2b256(b"key %d" % n), tuple(chance.standard_normal(dim).tolist()), 10**9)
        for n in range(models)
    )  # fmt: skip
    now_ms = time.time_ns() // 1_000_000
    Ledger.create(folder / LEDGER, GenesisConfig(CHAIN, made, now_ms, 1, dim=dim)).close()


@asynccontextmanager
async def _network(folder: Path, models: int, dim: int, lag_ms: int = 0) -> AsyncIterator[NetworkInfo]:
    """A network of its own process."""
    ledger_of(folder, models, dim)
    info = await asyncio.to_thread(client.start_network, folder, "free", lag_ms=lag_ms)
    try:
        yield info
    finally:
        await asyncio.to_thread(client.stop_network, folder)


@asynccontextmanager
async def _lanes(info: NetworkInfo, count: int) -> AsyncIterator[list[Lane]]:
    lanes = [Lane(str(number)) for number in range(count)]
    try:
        for lane in lanes:
            await lane.open(info)
            await lane.fund(info)
        yield lanes
    finally:
        for lane in lanes:
            await lane.close()


async def _transactions(folder: Path, sizes: Sizes, figures: Figures, tell: Tell) -> None:
    async with _network(folder, 3, 16) as info, _lanes(info, CLIENTS + 1) as lanes:
        first, others = lanes[0], lanes[1:]
        tell(f"Filling the ledger with {sizes.few:,} objects.")
        await _fill(first, sizes.few)
        tell("One client.")
        few = await _row(first, sizes.row)
        figures.add("practice.tx_per_s_1", len(few) / sum(few), "1/s")
        figures.add("practice.latency_p50_ms", 1000 * statistics.median(few), "ms")
        tell(f"{CLIENTS} clients, and one that reads.")
        async with _reader(info) as read:
            reading = asyncio.ensure_future(read(sizes.seconds))
            sent, reads = await _load(others, sizes.seconds), await reading
        figures.add("practice.tx_per_s_16", sent / sizes.seconds, "1/s")
        figures.add("practice.read_p99_ms", 1000 * _percentile(reads, 99), "ms")
        tell(f"Filling the ledger with {sizes.many:,} objects.")
        await _fill(first, sizes.many - sizes.few)
        many = await _row(first, sizes.row)
        figures.add("practice.cost_growth_100k", statistics.median(many) / statistics.median(few), "")
        figures.add("practice.rss_mb", _peak_mb(info.pid), "MB")


async def _epochs(folder: Path, sizes: Sizes, figures: Figures, tell: Tell) -> None:
    tell(f"An epoch change with {sizes.models} models of {sizes.dim:,} numbers.")
    async with _network(folder, sizes.models, sizes.dim) as info:
        for _ in range(2):
            began = time.perf_counter()
            await client.advance_epoch(info)
            figures.add("practice.epoch_change_500_s", time.perf_counter() - began, "s")
        figures.add("practice.rss_mb", _peak_mb(info.pid), "MB")


async def _fill(lane: Lane, objects: int) -> None:
    """Coins for addresses that nobody has."""
    for begin in range(0, objects, AT_ONCE):
        numbers = range(begin, min(begin + AT_ONCE, objects))
        await lane.spread([blake2b256(b"nobody %d" % number) for number in numbers], 1)


async def _row(lane: Lane, count: int) -> list[float]:
    """Seconds that each of some transactions in a row took."""
    spent = []
    for _ in range(count):
        began = time.perf_counter()
        await lane.pay(bytes(31) + b"\x01", 1)
        spent.append(time.perf_counter() - began)
    return spent


async def _load(lanes: list[Lane], seconds: float) -> int:
    """How many transactions all lanes got through side by side."""
    ends = time.perf_counter() + seconds

    async def send(lane: Lane) -> int:
        sent = 0
        while time.perf_counter() < ends:
            await lane.pay(bytes(31) + b"\x01", 1)
            sent += 1
        return sent

    return sum(await asyncio.gather(*(send(lane) for lane in lanes)))


@asynccontextmanager
async def _reader(info: NetworkInfo) -> AsyncIterator[Callable[[float], Awaitable[list[float]]]]:
    """A client that reads when it is told for how many seconds, and tells what each read took."""
    words = (sys.executable, "-P", "-m", "somatui.practice.reads")
    child = await asyncio.create_subprocess_exec(
        *words, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=2**24
    )
    assert child.stdin is not None and child.stdout is not None
    said, told = child.stdin, child.stdout

    async def read(seconds: float) -> list[float]:
        said.write(f"{seconds}\n".encode())
        spent: list[float] = json.loads(await told.readline())
        return spent

    try:
        said.write(f"{info.to_json()}\n".encode())
        await told.readline()
        yield read
    finally:
        said.close()
        await child.wait()


async def _lagging(folder: Path, sizes: Sizes, figures: Figures, tell: Tell) -> None:
    """How long others wait for a transaction when the network takes its time, as the real one does."""
    tell(f"Checkpoints {LAG_MS} ms late.")
    async with _network(folder, 3, 16, LAG_MS) as info, _lanes(info, 1) as (lane,):
        seen, spent = lane.checkpoints("transactions.digest"), []
        await anext(seen)
        for _ in range(sizes.lagged):
            began = time.perf_counter()
            digest = (await lane.pay(bytes(31) + b"\x01", 1)).transaction_digest
            while digest not in [done.digest for done in (await anext(seen)).checkpoint.transactions]:
                pass
            spent.append(time.perf_counter() - began)
        median = 1000 * statistics.median(spent)
        figures.add("practice.latency_lag_p50_ms", median, "ms")
        figures.add("practice.latency_over_lag", median / LAG_MS, "")


def _percentile(values: list[float], percent: int) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) * percent // 100, len(ordered) - 1)]


def _peak_mb(pid: int) -> float:
    """The most memory that a process had, where the system remembers it; else what it has."""
    if sys.platform == "linux":
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1000
    said = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=True).stdout
    return int(said) / 1000
