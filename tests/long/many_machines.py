"""A score job on several machines, here as many process trees, of which processes and whole machines are killed.

`python -m tests.long.many_machines [--machines 3] [--candidates 600] [--kills 3]`, or `--short`. The job's own machine
is one of them, the others join by the command line, each with a home of its own. Once scoring is under way a process of
another machine is killed with -9, then the job's own worker, which is started again as the agent does, then all that
runs on one machine, turn about; each time the others go on or come again, and take over its shard. In the end every
candidate is counted once, and the targets hit are those that one worker alone hits. Exit status 1 when not.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from somatui.workers.mailbox import own_key
from somatui.workers.meeting import KEY
from somatui.workers.protocol import Message, parse_message
from tests.storage import stores
from tests.workers import inside
from tests.workers.boards import Board
from tests.workers.processes import start
from tests.workers.test_score import job

TARGETS, THRESHOLD = 8, 0.9
PATIENCE_S, AGAIN_S = 600.0, 1.0
NODE, TORCHRUN = "somatui.workers.node", "torch.distributed.run"


class Broken(AssertionError):
    """Something is lost, or counted twice."""


class Machine:
    """A machine that joins: `somatui score join` with a home of its own."""

    def __init__(self, folder: Path, number: int, at: str, key: Path) -> None:
        self.home = folder / f"home-{number}"
        line = [sys.executable, "-m", "somatui", "--home", str(self.home), "score", "join", at, "--key", str(key)]
        self.process = subprocess.Popen([*line, "--gpus", "none", "--json"], stdin=subprocess.DEVNULL)

    def nodes(self) -> list[psutil.Process]:
        """Its processes that torchrun started."""
        with contextlib.suppress(psutil.NoSuchProcess):
            below = psutil.Process(self.process.pid).children(recursive=True)
            return [p for p in below if _words(p)[-2:] == ["-m", NODE] and TORCHRUN not in _words(p)]
        return []

    def die(self) -> None:
        """What a power failure does."""
        with contextlib.suppress(psutil.NoSuchProcess):
            below = psutil.Process(self.process.pid).children(recursive=True)
            for process in (psutil.Process(self.process.pid), *below):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def lives(process: subprocess.Popen[str]) -> Iterator[Message]:
    """What the job's worker tells, to its end."""
    assert process.stdout is not None
    for line in process.stdout:
        yield parse_message(line)


def go(folder: Path, machines: int, candidates: int, kills: int) -> dict[str, Any]:
    """The whole of it; figures. Raises Broken."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        at = f"127.0.0.1:{free.getsockname()[1]}"
    with stores.running(folder / "store") as store:
        board = Board(store, folder / "board.json")
        models = [board.add_model(1), board.add_model(2)]
        for number in range(TARGETS):
            board.add_target(100 + number, models)
        board.write(threshold=THRESHOLD)
        asked = job(folder, candidates, work_dir=str(folder / "alone"))
        alone = {m.body["target_id"] for m in inside.done("score", asked) if m.kind == "hit"}
        asked |= {"job": "score", "gpus": "none", "work_dir": str(folder / "work"),
                  "nodes": {"count": machines, "at": at}}  # fmt: skip
        began, run = time.monotonic(), Run(folder, at, machines - 1, kills)
        try:
            run.live(asked, candidates)
            return judge(run, candidates, alone, began)
        finally:
            if run.own is not None:
                run.own.kill()
                run.own.wait()
            for machine in run.others:
                machine.die()


class Run:
    """What was told, and who was killed."""

    def __init__(self, folder: Path, at: str, others: int, kills: int) -> None:
        self.key, self.kills = folder / "work" / KEY, kills
        own_key(self.key)
        self.others = [Machine(folder, number, at, self.key) for number in range(others)]
        self.own: subprocess.Popen[str] | None = None
        self.hits: list[list[str]] = []
        """The targets that each life of the job's own worker told of."""
        self.last: Message | None = None
        self.said: list[str] = []
        self.killed = 0
        self._came = self._marks = 0
        self._until = time.monotonic() + PATIENCE_S

    def live(self, asked: dict[str, Any], candidates: int) -> None:
        """Listen to the end of the job, and start its own worker again where that was killed. Raises Broken."""
        while self.own is None or self.own.wait() == -signal.SIGKILL:
            if self.own is not None:
                time.sleep(AGAIN_S)
            self.own, self._came, self._marks = start("nodes", asked), 0, 0
            self.hits.append([])
            for message in lives(self.own):
                self.hear(message, candidates)
                if time.monotonic() > self._until:
                    raise Broken(f"not over after {PATIENCE_S:g} s: {self.said}")

    def hear(self, message: Message, candidates: int) -> None:
        """Kill some once all take part, while there is much to do."""
        self.last = message
        match message.kind:
            case "hit":
                self.hits[-1].append(message.body["target_id"])
            case "log":
                self.said.append(message.body["text"])
                if message.body["text"].endswith("takes part"):
                    self._came, self._marks = self._came + 1, 0
            case "checkpoint":
                self._marks += 1
        scored = int(message.body.get("scored", 0)) if message.kind == "checkpoint" else candidates
        come = self._came > sum(m.process.poll() is None for m in self.others)
        ready = [m for m in self.others if m.nodes()] if come else []
        if self.killed < self.kills and self._marks >= 3 and scored < candidates * 3 // 4 and ready:
            match self.killed % 3:
                case 0:
                    ready[0].nodes()[0].kill()
                    self._came -= 1
                case 1 if self.own is not None:
                    self.own.kill()
                case _:
                    ready[0].die()
            self.killed, self._marks = self.killed + 1, 0


def judge(run: Run, candidates: int, alone: set[str], began: float) -> dict[str, Any]:
    """Hold what was told against what one worker tells."""
    if run.last is None or run.last.kind != "done":
        raise Broken(f"it ended with {run.last}")
    told = run.last.body["result"]
    if (told["scored"], told["reason"]) != (candidates, "corpus"):
        raise Broken(f"{told['scored']} of {candidates} candidates are counted, and it ended by {told['reason']}")
    # A new life tells again what an earlier one may have told nobody of.
    found = set().union(*run.hits)
    if found != alone or told["hits"] != len(alone) or any(len(set(life)) != len(life) for life in run.hits):
        raise Broken(f"targets hit: {run.hits}, by one worker alone: {sorted(alone)}")
    if run.killed < run.kills:
        raise Broken(f"it was over after {run.killed} kills: give it more candidates")
    for machine in run.others:
        with contextlib.suppress(subprocess.TimeoutExpired):
            machine.process.wait(60)
        if machine.process.returncode not in (0, -signal.SIGKILL):
            raise Broken(f"a machine that joined ended with {machine.process.returncode}")
    if left := [p.pid for p in psutil.process_iter() if str(run.key.parent.parent) in " ".join(_words(p))]:
        raise Broken(f"processes that are left: {left}")
    return {
        "seconds": round(time.monotonic() - began, 1), "machines": len(run.others) + 1, "kills": run.killed,
        "scored": told["scored"], "hits": len(found), "taken over": sum("elsewhere" in s for s in run.said),
    }  # fmt: skip


def main() -> int:
    """Run it and print its figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.long.many_machines")
    parser.add_argument("--machines", type=int, default=3)
    parser.add_argument("--candidates", type=int, default=600)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--short", action="store_true", help="two machines, one kill")
    args = parser.parse_args()
    if args.short:
        args.machines, args.candidates, args.kills = 2, 40, 1
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory(prefix="machines-") as folder:
        try:
            print(go(Path(folder), args.machines, args.candidates, args.kills))
        except Broken as broken:
            print(f"Broken: {broken}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
