"""Eight hours in ten minutes: every process of an operator's profile under load, and whether any of them grows.

`python -m tests.long.soak [--minutes 10] [--seed N]`, or `--short`: a practice network whose epochs last seconds, an
agent that reveals and claims by itself, a scoring that submits, a training, a console that shows them. Memory,
descriptors and threads of each process and the disk are sampled; after a warm-up a line is fitted to each. It prints
the table and ends with 1 where one rises faster than `LIMITS` says, where nothing was submitted or claimed, where a
shannon is not explained, or where a process is left at the end. `--short` is too short for slopes of memory and disk.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import math
import os
import shutil
import statistics
import sys
import tempfile
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from somatui.agent.client import AgentClient, ensure_agent, stop_agent
from somatui.cli.day.guard import guarded
from somatui.domain.codec import from_json
from somatui.domain.snapshot import Snapshot
from somatui.paths import Paths, make_private
from somatui.practice.client import start_network, stop_network
from tests.tui.measure import Terminal, environment

SHORT_MINUTES, SAMPLES = 0.25, 150
WARM = 1 / 3
"""The part of the time in which caches fill."""
LIMITS = {"MiB": 0.5, "descriptors": 0.5, "threads": 0.5, "disk MiB": 2.0, "workers.score MiB": 1.0}
"""The steepest lines, a minute. The score worker's memory goes up and down by some MiB, which slopes; folders hold
every act and hit for good, a chain what happens on it."""
SHORT_LIMITS = {"descriptors": 600.0, "threads": 600.0}
EPOCH_S = 30
NEAR = 0.3
"""The distance that counts as a hit whatever the network's threshold: so that there are some, and no flood."""
KEPT = 500
"""Scored candidates that are kept, so few that they are as many as may be before the warm-up ends."""
BEGUN_S = 120
ENOUGH_SHANNONS = 3_000_000_000
PROGRAM = """
import itertools, json, os, random
for number in itertools.count(json.loads(os.environ.get("SOMATUI_CURSOR", "0"))):
    chance = random.Random(number)
    words = " ".join(chance.choice("def return x y for in if else 0 1 + - ( ) :".split()) for _ in range(600))
    print(json.dumps({"text": words[:1024], "cursor": number + 1}), flush=True)
"""


class Broken(AssertionError):
    """It did not go as it must."""


@dataclass
class Course:
    """One figure over time: seconds and values."""

    at: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def per_minute(self) -> float:
        """The slope of the line through it."""
        return 60 * statistics.linear_regression(self.at, self.values).slope if len(self.at) > 2 else 0.0


@dataclass
class Samples:
    """What was seen of each process, by name and id, and of the disk, by folder."""

    home: Path
    began: float = field(default_factory=time.monotonic)
    courses: dict[tuple[str, str], Course] = field(default_factory=lambda: defaultdict(Course))

    def take(self, roots: dict[str, int]) -> None:
        """Look once at these processes and all they have started, and at the disk."""
        for name, pid in roots.items():
            with contextlib.suppress(psutil.NoSuchProcess):
                root = psutil.Process(pid)
                for process in (root, *root.children(recursive=True)):
                    with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                        self.look(f"{name if process == root else _named(process)} {process.pid}", process)
        for folder in ("state/profiles", "cache", "state/practice"):
            self.add(folder, "disk MiB", _disk(self.home / folder) / (1 << 20))

    def look(self, name: str, process: psutil.Process) -> None:
        """One process."""
        found = process.memory_info().rss, process.num_fds(), process.num_threads()
        for what, value in zip(("MiB", "descriptors", "threads"), (found[0] / (1 << 20), *found[1:]), strict=True):
            self.add(name, what, value)

    def add(self, name: str, what: str, value: float) -> None:
        """One figure."""
        course = self.courses[name, what]
        course.at.append(time.monotonic() - self.began)
        course.values.append(value)

    def table(self, limits: dict[str, float], until: float) -> tuple[list[str], list[str]]:
        """Lines of the table, and what is steeper than it may be; of processes that were there all along."""
        lines, steep = [f"{'':34}{'':12}{'first':>9}{'last':>9}{'a minute':>10}"], []
        for (name, what), whole in sorted(self.courses.items()):
            kept = [(at, value) for at, value in zip(whole.at, whole.values, strict=True) if at >= WARM * until]
            if whole.at[0] > WARM * until or not kept or kept[-1][0] < 0.9 * until:
                continue
            course = Course(*map(list, zip(*kept, strict=True)))
            slope = course.per_minute()
            lines.append(f"{name:34}{what:12}{kept[0][1]:9.1f}{kept[-1][1]:9.1f}{slope:+10.2f}")
            most = limits.get(f"{name.split()[0]} {what}", limits.get(what, math.inf))
            if slope > most:
                steep.append(f"{name}: {slope:+.2f} {what} a minute, more than {most:g}")
        return lines, steep


def _named(process: psutil.Process) -> str:
    words = process.cmdline()
    module = words[words.index("-m") + 1] if "-m" in words[:-1] else Path(words[-1] if words else "gone").name
    return module.removeprefix("somatui.")[:24]


def _disk(folder: Path) -> int:
    total = 0
    for at, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.stat(os.path.join(at, name)).st_blocks * 512
    return total


class Watched:
    """The console in a terminal that somebody reads."""

    def __init__(self, home: Path) -> None:
        self.terminal, self.over = Terminal(environment(home), 120, 40), threading.Event()
        self.terminal.until(("q quit",))
        self.terminal.child.send("5")
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while not self.over.is_set():
            self.terminal.read(0.2)

    def close(self) -> None:
        """Leave it. Raises Broken where it does not end well."""
        self.over.set()
        self._reader.join()
        if status := self.terminal.close():
            raise Broken(f"the console ended with {status}")


@dataclass
class Soak:
    """One operator's home and what became of it."""

    paths: Paths
    seed: int
    client: Any = None
    epochs: set[int] = field(default_factory=set)

    async def act(self, action: str, args: dict[str, Any] | None = None) -> None:
        """One act, finished when this returns."""
        await self.client.call("act", action=action, args=args or {}, key=uuid.uuid4().hex)

    async def look(self) -> Snapshot:
        """The agent's picture."""
        return from_json(Snapshot, await self.client.call("snapshot"))

    async def aim(self, seen: Snapshot) -> None:
        """Have what is `NEAR` count in this epoch."""
        self.epochs.add(seen.epoch.number)
        margin = min(1.0, max(0.0, seen.epoch.threshold - NEAR))
        await self.client.call("settings.set", key="distance_margin", value=margin)

    async def begin(self) -> None:
        """Coins, a training, a scoring that submits from two sources."""
        for _ in range(3):
            await self.act("faucet")
        await self.aim(await self.look())
        corpus = {"paths": None, "max_bytes": 16_384, "seed": self.seed}
        checkpoints = {"checkpoint_every": 5, "micro_batch": 1, "accumulate": 1}
        await self.client.call("job.start", kind="train", args={"steps": 1_000_000, "corpus": corpus, **checkpoints})
        (self.paths.home or Path()).joinpath("tell.py").write_text(PROGRAM)
        sources = [
            {"kind": "program", "command": f"{sys.executable} {self.paths.home}/tell.py"}, {"kind": "files"}
        ]  # fmt: skip
        await self.client.call(
            "job.start",
            kind="score",
            args={
                "submit": True,
                "hits_each": 1,
                "kept": KEPT,
                "corpus": corpus | {"sources": sources, "window": "chunk"},
            },
        )
        async with asyncio.timeout(BEGUN_S):
            while not {"scored", "step"} <= {
                k for job in (await self.look()).jobs for k, v in job.metrics.items() if v
            }:
                await asyncio.sleep(0.2)

    async def run(self, samples: Samples, roots: dict[str, int], seconds: float) -> Snapshot:
        """Keep the wallet filled and sample until the time is over; the last picture."""
        every, ends, due = max(1.0, seconds / SAMPLES), time.monotonic() + seconds, 0.0
        while time.monotonic() < ends:
            seen = await self.look()
            if seen.epoch.number not in self.epochs:
                await self.aim(seen)
            if failed := [f"{job.id}: {job.error}" for job in seen.jobs if job.state == "failed"]:
                raise Broken("; ".join(failed))
            if seen.wallet.free_shannons < ENOUGH_SHANNONS:
                await self.act("faucet")
            if time.monotonic() >= due:
                await asyncio.to_thread(samples.take, roots)
                due = time.monotonic() + every
            await asyncio.sleep(min(1.0, every))
        return await self.look()

    async def end(self, seen: Snapshot, *, short: bool) -> tuple[str, list[str]]:
        """Stop the jobs and hold the books together; a line that sums up, and what is not as it must be."""
        for job in seen.jobs:
            await self.client.call("job.stop", job_id=job.id)
        difference = int((await self.client.call("ledger.reconcile"))["difference_shannons"])
        ledger, figures = (await self.look()).ledger, {k: v for job in seen.jobs for k, v in job.metrics.items()}
        faults = [f"{difference} shannons are not explained"] if difference else []
        faults += [] if short or (ledger.hits and ledger.claims) else ["nothing was submitted or nothing claimed"]
        return (
            f"{len(self.epochs)} epochs, {figures['scored']:.0f} candidates, {figures['step']:.0f} steps, "
            f"{ledger.hits} submitted, {ledger.claims} claimed, difference {difference} shannons"
        ), faults


@contextlib.asynccontextmanager
async def soaking(home: Path, seed: int) -> AsyncIterator[tuple[Soak, dict[str, int]]]:
    """Network, agent and console on that home, ended in order; the ids of their processes."""
    cache = Paths.for_profile("practice").seeds_cache
    os.environ |= {"SOMATUI_HOME": str(home), "SOMATUI_THREADS": "1"}
    paths = Paths.for_profile("practice", home).create()
    with guarded(paths):
        try:
            info = await asyncio.to_thread(
                start_network, make_private(paths.network_dir), "free", seed, epoch_seconds=EPOCH_S, cache=cache
            )
            await ensure_agent(paths)
            soak = Soak(paths, seed, await AgentClient.connect(paths))
            pid = int((await soak.client.call("hello"))["pid"])
            console = await asyncio.to_thread(Watched, home)
            yield soak, {"network": info.pid, "agent": pid, "console": console.terminal.child.pid}
            await soak.client.close()
            await asyncio.to_thread(console.close)
        finally:
            await stop_agent(paths)
            await asyncio.to_thread(stop_network, paths.network_dir)


async def soak(home: Path, seconds: float, seed: int, *, short: bool) -> list[str]:
    """All of it; lines to print. Raises Broken."""
    samples = Samples(home)
    async with soaking(home, seed) as (one, roots):
        await one.begin()
        samples.began = time.monotonic()
        said, faults = await one.end(await one.run(samples, roots, seconds), short=short)
        tree = [p for pid in roots.values() for p in (psutil.Process(pid), *psutil.Process(pid).children(True))]
    _, left = psutil.wait_procs(tree, timeout=15)
    lines, steep = samples.table(SHORT_LIMITS if short else LIMITS, seconds)
    faults += [*steep, *(f"left running: {process.pid}" for process in left)]
    if faults:
        raise Broken("\n".join((*lines, said, *faults)))
    return [*lines, said]


def main() -> int:
    """Exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.long.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--short", action="store_true", help=f"{60 * SHORT_MINUTES:.0f} seconds")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="somatui-soak-"))
    print(f"home {home}", flush=True)
    try:
        minutes = SHORT_MINUTES if args.short else args.minutes
        print("\n".join(asyncio.run(soak(home, 60 * minutes, args.seed, short=args.short))), flush=True)
    except Broken as broken:
        print(f"BROKEN:\n{broken}\n(home {home})", file=sys.stderr)
        return 1
    shutil.rmtree(home)
    return 0


if __name__ == "__main__":
    sys.exit(main())
