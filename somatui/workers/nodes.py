"""Worker that scores one corpus on many machines: `python -m somatui.workers.nodes`, on the machine of the agent.

Job: that of `score_many`, with {"nodes": {"count": machines, "at": "HOST:PORT"}}; the key that all machines need is in
`nodes.key` of the work folder. It keeps the store in which they meet, takes part with this machine's own places, and
deals out shards: a place has one at a time, from the cursor that was told last. Each machine's torchrun keeps a process
at each place. One that is lost is dropped, and its shard given to the next place that is free; what had been scored
since its last checkpoint is scored again, and counts once.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import base58

from somatui.engine.cipher import checksum
from somatui.files import write_whole
from somatui.workers.board import BoardError
from somatui.workers.gpu import look
from somatui.workers.mailbox import Mailbox, opened, own_key
from somatui.workers.meeting import KEY, Here, environment, host_port, torchrun
from somatui.workers.merging import Merged, Part
from somatui.workers.places import places, visible
from somatui.workers.protocol import Message
from somatui.workers.session import JobError, Session, run

SILENCE_S = 20.0
"""A place that says nothing for so long is lost; it says something every second."""
TICK_S, BYE_S, END_S, AGAIN_S = 0.2, 5.0, 1.5, 2.0
ALONE_S = 60.0
"""How long a machine may join once every place is parked; by then torchrun has also started again what had died."""
HELD_S = 20.0
"""How long the worker of an agent that was killed may still hold the address, while the machines save their work."""
RESTARTS = 5
"""Times in a row that this machine's torchrun may end before anybody takes part."""


@dataclass
class Node:
    """One place of one machine as long as its process lives; `part` is what it works on."""

    box: str
    heard: float
    name: str = ""
    seat: str = ""
    part: Part | None = None


class Own:
    """This machine's torchrun, which is started again when it ends."""

    def __init__(self, here: Here, seats: int) -> None:
        self._seats, self._env = seats, environment(here)
        self._process: subprocess.Popen[bytes] | None = None
        self.failed, self._again = 0, 0.0

    def keep(self) -> str:
        """Have it run; what there is to say of it. Raises JobError when it fails and fails again."""
        if self._process is not None and self._process.poll() is None:
            return ""
        said = "" if self._process is None else f"torchrun ended here (status {self._process.returncode})"
        if said:
            self._process, self.failed, self._again = None, self.failed + 1, time.monotonic() + AGAIN_S
            if self.failed > RESTARTS:
                raise JobError(f"{said} {self.failed} times: see the worker's log.")
            return f"{said}: again in {AGAIN_S:g} s"
        if time.monotonic() >= self._again:
            self._process = subprocess.Popen(
                torchrun(self._seats),
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=sys.stderr,
                start_new_session=True,
            )
        return ""

    def end(self) -> None:
        """Let it end by itself, and end it where it does not."""
        if (process := self._process) is None:
            return
        for how in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(END_S)
                break
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, how)
        process.wait()


class Nodes:
    """A job on many machines, told to its parent as one."""

    def __init__(self, job: dict[str, Any], session: Session, mailbox: Mailbox, merged: Merged, own: Own) -> None:
        self._job, self._session, self._mailbox, self._merged, self._own = job, session, mailbox, merged, own
        self._board, self._folder = Path(job["board"]), Path(job["work_dir"])
        self._nodes: dict[str, Node] = {}
        self._gone: set[str] = set()
        self._parked: set[str] = set()
        self._forged, self._alone = 0, 0.0

    def run(self) -> dict[str, Any]:
        """Deal out shards until the limit, enough hits, the corpus's end or a stop. Raises JobError, ParkedError."""
        try:
            while not (self._session.stopping.is_set() or self._merged.enough):
                self._step()
                if (not self._working() and not self._waiting()) or self._is_alone():
                    break
                if said := self._own.keep():
                    self._merged.say(said)
                self._session.stopping.wait(TICK_S)
        except BrokenPipeError:
            # The agent is gone, which its end of the other pipe may not have told yet.
            self._session.stopping.set()
            raise
        finally:
            self._dismiss()
            self._own.end()
        return self._merged.ended(self._merged.parts, stopped=self._session.stopping.is_set())

    def _step(self) -> None:
        self._greet()
        for node in tuple(self._nodes.values()):
            self._hear(node)
        if self._mailbox.forged > self._forged:
            self._forged = self._mailbox.forged
            self._merged.say("somebody here does not have this job's key: a machine joined with that of another job?")
        if self._session.board_changed.is_set():
            self._session.board_changed.clear()
            self._new_board()
        for node in tuple(self._nodes.values()):
            if time.monotonic() - node.heard > SILENCE_S:
                self._drop(node, "is silent")
                # If it was only slow, it comes again under another name.
                self._mailbox.put(f"in/{node.box}", {"cmd": "leave"})
        for node in self._nodes.values():
            if node.name and node.part is None and node.seat not in self._parked and (waiting := self._waiting()):
                self._give(node, waiting[0])
        self._merged.tell(self._working())

    def _is_alone(self) -> bool:
        """Whether every place has been parked for so long that nobody is to be waited for any more."""
        if not self._merged.parked or any(n.name and n.seat not in self._parked for n in self._nodes.values()):
            self._alone = 0.0
            return False
        if not self._alone:
            self._alone = time.monotonic()
            self._merged.say(f"every place is parked: a machine may join within {ALONE_S:g} s, then the job fails")
        return time.monotonic() - self._alone >= ALONE_S

    def _working(self) -> set[int]:
        """The shards that somebody works on."""
        return {n.part.index for n in self._nodes.values() if n.part}

    def _waiting(self) -> list[Part]:
        """Shards that nobody works on and that may have more."""
        working = self._working()
        return [p for p in self._merged.parts if p.waits and p.index not in working]

    def _greet(self) -> None:
        for name in self._mailbox.names():
            if name not in self._nodes and name not in self._gone:
                self._nodes[name] = Node(name, time.monotonic())

    def _hear(self, node: Node) -> None:
        for told in self._mailbox.taken(f"out/{node.box}"):
            node.heard = time.monotonic()
            match told.pop("kind"):
                case "hello":
                    self._seat(node, str(told["seat"]), str(told["name"]))
                case "bye":
                    self._drop(node)
                case "beat":
                    continue
                case kind:
                    self._told(node, Message(told.pop("seq"), told.pop("at"), kind, told))

    def _seat(self, node: Node, seat: str, name: str) -> None:
        """A process has come to a place; the one that had it before, if any, is gone."""
        for other in [n for n in self._nodes.values() if n.seat == seat]:
            self._drop(other, "was started again")
        node.seat, node.name, self._own.failed = seat, name, 0
        self._merged.say(f"{name} takes part", level="info")

    def _told(self, node: Node, message: Message) -> None:
        part = node.part
        if part is None:
            return
        if message.kind == "hit" and not self._keep(message.body):
            return
        self._merged.hear(part, message)
        if message.kind == "failed":
            told = str(message.body.get("error") or "The worker failed.")
            if not message.body.get("parked"):
                raise JobError(f"{node.name}: {told}")
            node.part = None
            self._parked.add(node.seat)
            self._merged.park(part, node.name, told)
        elif message.kind == "done":
            node.part = None

    def _keep(self, hit: dict[str, Any]) -> bool:
        """Write a hit's bytes here, where they are submitted from; False when they are not what they should be."""
        data = base64.b64decode(hit.pop("data"))
        if base58.b58encode(checksum(data)).decode() != hit["checksum"]:
            return False
        path = self._folder / "hits" / hit["checksum"]
        path.parent.mkdir(mode=0o700, exist_ok=True)
        write_whole(path, data)
        hit["path"] = str(path)
        return True

    def _give(self, node: Node, part: Part) -> None:
        self._merged.anew(part)
        left = None if part.limit is None else part.limit - part.base
        local = ("board", "weights_dir", "work_dir", "nodes", "gpus", "shards", "limit", "cursor", "threads")
        node.part = part
        self._mailbox.put(f"in/{node.box}", {
            "cmd": "task", "job": {k: v for k, v in self._job.items() if k not in local}, "part": part.index,
            "count": len(self._merged.parts), "cursor": part.cursor, "limit": left, "board": self._board.read_text(),
        })  # fmt: skip

    def _drop(self, node: Node, why: str = "") -> None:
        """Do without this process; its shard waits for another."""
        self._nodes.pop(node.box, None)
        self._gone.add(node.box)
        if why and node.part is not None:
            self._merged.say(f"{node.name} {why}: {self._merged.named(node.part)} goes on elsewhere")
        node.part = None

    def _new_board(self) -> None:
        self._merged.follow(self._board)
        for node in self._nodes.values():
            self._mailbox.put(f"in/{node.box}", {"cmd": "board", "board": self._board.read_text()})

    def _dismiss(self) -> None:
        """Have everybody save their work, and hear what they still have to say."""
        self._greet()
        away = self._session.stopping.is_set() and not self._session.over
        for node in self._nodes.values():
            self._mailbox.put(f"in/{node.box}", {"cmd": "pause" if away else "stop"})
        until = time.monotonic() + BYE_S
        while self._nodes and time.monotonic() < until:
            for node in tuple(self._nodes.values()):
                with contextlib.suppress(JobError, BrokenPipeError):
                    self._hear(node)
            time.sleep(TICK_S / 4)


def served(host: str, port: int, session: Session) -> Any:
    """The store, served at an address once it is free. Raises OSError."""
    until = time.monotonic() + HELD_S
    while True:
        try:
            return opened(host, port, serve=True)
        except OSError as failure:
            if failure.errno != errno.EADDRINUSE or time.monotonic() >= until or session.stopping.wait(TICK_S):
                raise


def work(job: dict[str, Any], session: Session) -> dict[str, Any]:
    """Do the job. Raises JobError for an address that cannot be used, or for cards that are not there."""
    asked = job["nodes"]
    folder = Path(job["work_dir"])
    here = Here(asked["at"], str(folder / KEY), str(folder / "node"), job["weights_dir"], job.get("gpus"))
    at = places(here.gpus, None, look(), visible())
    try:
        host, port = host_port(here.at)
        store = served(host, port, session)
    except ValueError:
        raise JobError(f"{here.at} is no address to meet at: write HOST:PORT.") from None
    except OSError as failure:
        raise JobError(f"Machines cannot meet at {here.at} ({failure.strerror}): name an address of this machine and "
                       "a port that is free.") from None  # fmt: skip
    mailbox = Mailbox(store, own_key(Path(here.key)), begins=True)
    merged = Merged(job, session.emitter, job.get("shards"), len(at) * int(asked["count"]), remembers=True)
    if session.secrets:
        merged.say("the hub's token stays on this machine: sets that need it are not read by a job on many machines")
    return Nodes(job, session, mailbox, merged, Own(here, len(at))).run()


if __name__ == "__main__":
    sys.exit(run("score", work, BoardError))
