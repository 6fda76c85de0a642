"""A practice network and an agent as real processes in a home of their own, killed and started again at will.

Nothing outlives `close`, which also fails when a process of this home is left.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import os
import select
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from somatui.agent import states
from somatui.agent.client import AgentClient
from somatui.chain.client import Chain, Endpoints
from somatui.domain.codec import from_json
from somatui.domain.snapshot import Snapshot, TargetView
from somatui.paths import Paths
from somatui.wire.text import b58encode

EMBEDDING = base64.b64encode(struct.pack("<16f", *(0.1 * (n + 1) for n in range(16)))).decode()
READY_S = 60.0


class Household:
    """One home: its network (on stand-in workers) and its agent. `by_itself` lets the keeper reveal and claim."""

    def __init__(self, home: Path, *, by_itself: bool = False) -> None:
        self.paths = Paths.for_profile("practice", home).create()
        self._environment = os.environ | {
            "SOMATUI_HOME": str(home),
            "SOMATUI_AUTO_REVEAL": str(by_itself).lower(),
            "SOMATUI_AUTO_CLAIM": str(by_itself).lower(),
            "SOMATUI_FILL_PACE_PER_MINUTE": "100000",
            "OMP_NUM_THREADS": "1",
        }
        self._network: subprocess.Popen[bytes] | None = None
        self._agent: subprocess.Popen[bytes] | None = None
        self._numbers = iter(range(1_000_000))
        self.card: dict[str, Any] = {}

    def start_network(self) -> None:
        """The network, new or as it was left."""
        folder = self.paths.network_dir
        folder.mkdir(parents=True, exist_ok=True)
        words = [sys.executable, "-m", "tests.practice.standins", "serve", str(folder), "free"]
        with (self.paths.state_dir / "network.log").open("ab") as log:
            self._network = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, env=self._environment
            )
        assert self._network.stdout is not None
        self.card = json.loads(_line(self._network.stdout.fileno(), READY_S))

    def start_agent(self, fault: str = "") -> None:
        """The agent; `fault` like `submit:signed` kills it as soon as its journal holds that state."""
        ready, told = os.pipe()
        words = [sys.executable, "-m", "somatui.agent", "--profile", "practice", "--ready-fd", str(told)]
        environment = self._environment | ({"SOMATUI_FAULT": fault} if fault else {})
        with self.paths.agent_log.open("ab") as log:
            self._agent = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=(told,), env=environment
            )
        os.close(told)
        try:
            said = _line(ready, READY_S)
        finally:
            os.close(ready)
        assert said == b"ready" or (fault and not said), f"the agent said {said!r}: {self.last_words()}"

    def agent_died(self, limit_s: float = 60.0) -> bool:
        """Wait for the agent's end; whether SIGKILL was it."""
        assert self._agent is not None
        return self._agent.wait(limit_s) == -signal.SIGKILL

    @property
    def agent_runs(self) -> bool:
        """Whether the agent is there."""
        return self._agent is not None and self._agent.poll() is None

    def kill_agent(self) -> None:
        """SIGKILL, as a power cut would."""
        assert self._agent is not None
        self._agent.kill()
        self._agent.wait()

    def kill_network(self) -> None:
        """SIGKILL; `start_network` brings it back with the same ports and the same chain."""
        assert self._network is not None and self._network.stdout is not None
        self._network.kill()
        self._network.wait()
        self._network.stdout.close()

    def stop_agent(self) -> int:
        """An orderly end; the exit status."""
        assert self._agent is not None
        if self.agent_runs:
            self._agent.terminate()
        return self._agent.wait(30)

    def close(self) -> None:
        """End both and see that nothing of this home is left running."""
        for process in (self._agent, self._network):
            if process is not None and process.poll() is None:
                process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(15)
                process.kill()
                process.wait()
            if process is not None and process.stdout is not None:
                process.stdout.close()
        until = time.monotonic() + 10
        while left := list(self._left()):
            assert time.monotonic() < until, f"left running: {left}"
            time.sleep(0.05)

    def _left(self) -> Iterator[str]:
        home = str(self.paths.home)
        for process in psutil.process_iter(["cmdline", "environ", "status"]):
            if process.pid == os.getpid() or process.info["status"] == psutil.STATUS_ZOMBIE:
                continue
            if (process.info["environ"] or {}).get("SOMATUI_HOME") == home:
                yield " ".join(process.info["cmdline"] or ())

    def last_words(self) -> str:
        """The end of the agent's log."""
        return self.paths.agent_log.read_text("utf-8", "replace")[-2_000:]

    @contextlib.asynccontextmanager
    async def client(self) -> Any:
        """A connection to the agent."""
        made = await AgentClient.connect(self.paths)
        try:
            yield made
        finally:
            await made.close()

    async def call(self, method: str, **params: Any) -> Any:
        """One call over a connection of its own."""
        async with self.client() as client:
            return await client.call(method, **params)

    async def act(self, action: str, args: dict[str, Any] | None = None, key: str | None = None) -> dict[str, Any]:
        """One act, finished when this returns."""
        name = key or f"key-{next(self._numbers)}-{os.getpid()}"
        return dict((await self.call("act", action=action, args=args or {}, key=name))["result"])

    async def look(self) -> Snapshot:
        """The agent's picture, as new as the chain."""
        async with self.client() as client:
            await client.call("refresh")
            return from_json(Snapshot, await client.call("snapshot"))

    async def all_ended(self, limit_s: float = 60.0) -> list[dict[str, Any]]:
        """Wait until every intent has ended; the intents."""
        async with asyncio.timeout(limit_s):
            while True:
                found = (await self.call("intents"))["intents"]
                if all(i["state"] in states.ENDED for i in found):
                    return list(found)
                await asyncio.sleep(0.05)

    async def difference(self) -> int:
        """What the ledger cannot explain, in shannons."""
        return int((await self.call("ledger.reconcile"))["difference_shannons"])

    def chain(self) -> Chain:
        """The network without the agent in between."""
        card = self.card
        return Chain(Endpoints(card["rpc_url"], card["faucet_url"], card["scoring_url"], card["admin_url"]))

    def publishing(self, label: str) -> dict[str, Any]:
        """Arguments of a publish; the weights are some bytes."""
        path = self.paths.profile_dir / f"{label}.safetensors"
        path.write_bytes(label.encode() * 200)
        return {"weights": str(path), "embedding": EMBEDDING, "label": label, "commission_bps": 1_000}

    def hit(self, picture: Snapshot, target: TargetView, size: int = 700) -> dict[str, Any]:
        """A hit on that target as the score worker would report it."""
        return a_hit(self.paths.profile_dir, picture, target, size)


def a_hit(folder: Path, picture: Snapshot, target: TargetView, size: int) -> dict[str, Any]:
    """A hit on that target as the score worker would report it, its bytes in `folder`."""
    checksums = {m.id: m.weights_checksum for m in picture.models}
    path = folder / f"data-{target.id[2:18]}"
    data = (target.id.encode() * 20)[:size]
    path.write_bytes(data)
    return {
        "target_id": target.id,
        "model_id": target.model_ids[0],
        "distance": 0.25,
        "loss": 1.5,
        "embedding": EMBEDDING,
        "path": str(path),
        "size": len(data),
        "checksum": b58encode(hashlib.blake2b(data, digest_size=32).digest()),
        "models": [{"id": m, "weights_checksum": checksums[m]} for m in target.model_ids],
    }


@contextlib.contextmanager
def household(home: Path, *, by_itself: bool = False) -> Iterator[Household]:
    """A network that runs and an agent that can be started."""
    made = Household(home, by_itself=by_itself)
    try:
        made.start_network()
        yield made
    finally:
        made.close()


def _line(descriptor: int, seconds: float) -> bytes:
    """One line from a pipe; empty when it is closed or nothing comes in time."""
    held, until = b"", time.monotonic() + seconds
    while not held.endswith(b"\n"):
        readable, _, _ = select.select([descriptor], [], [], max(0.0, until - time.monotonic()))
        piece = os.read(descriptor, 65_536) if readable else b""
        if not piece:
            break
        held += piece
    return held.strip()
