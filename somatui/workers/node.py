"""One process of a job on many machines, which torchrun starts at each place: it scores the shards it is given.

It says in its box of the store what its worker tells, and hears in another what is to be done. Where the store is gone
or torchrun ends it, its worker saves its work; what was told until then is with the parent.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import queue
import signal
import socket
import sys
import threading
import time
import traceback
import uuid
from pathlib import Path
from typing import Any

from somatui.files import write_whole
from somatui.workers.board import BoardError
from somatui.workers.gpu import look
from somatui.workers.mailbox import Mailbox, opened, read_key
from somatui.workers.meeting import OVER, SAFE, Here, host_port
from somatui.workers.merging import Merged
from somatui.workers.places import Place, places, visible
from somatui.workers.protocol import Emitter
from somatui.workers.score_many import Many
from somatui.workers.session import Session, answer, bind_process

LISTEN_S, BEAT_S = 0.2, 1.0


class _Out:
    """Takes an emitter's lines for the box, a hit with its bytes: its path is one of this machine."""

    def __init__(self, mailbox: Mailbox, box: str) -> None:
        self._mailbox, self._box = mailbox, box

    def write(self, line: str) -> None:
        told = json.loads(line)
        if told["kind"] == "hit":
            told["data"] = base64.b64encode(Path(told["path"]).read_bytes()).decode()
        self._mailbox.put(self._box, told)

    def flush(self) -> None:
        pass


class Seat:
    """This process's place at the job."""

    def __init__(self, here: Here, place: Place, mailbox: Mailbox, seat: str, seats: int) -> None:
        self._here, self._place, self._mailbox, self._seats = here, place, mailbox, seats
        self._name, self._folder = uuid.uuid4().hex, Path(here.folder) / seat
        self._hello = {"kind": "hello", "seat": f"{here.run}/{seat}",
                       "name": f"{socket.gethostname()}, {place.name}"}  # fmt: skip
        self._tasks: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._over, self.left = threading.Event(), False
        self._session = Session(Emitter(_Out(mailbox, f"out/{self._name}")))  # type: ignore[arg-type]

    def run(self) -> None:
        """Do what is given until there is a stop."""
        self._mailbox.put(f"out/{self._name}", self._hello)
        self._mailbox.knock(self._name)
        listens = threading.Thread(target=self._listen, name="commands", daemon=True)
        listens.start()
        try:
            while (task := self._tasks.get()) is not None and not self._session.stopping.is_set():
                answer(self._session.emitter, lambda: self._score(task), BoardError)
            self._mailbox.put(f"out/{self._name}", {"kind": "bye"})
        finally:
            # A process that ends while the store is asked something is aborted.
            self._over.set()
            listens.join()

    def end(self) -> None:
        """Stop; from any thread."""
        self._session.stopping.set()
        self._tasks.put(None)

    def _listen(self) -> None:
        beaten = 0.0
        try:
            while not self._over.wait(LISTEN_S):
                for told in self._mailbox.taken(f"in/{self._name}"):
                    self._told(told)
                if time.monotonic() - beaten >= BEAT_S:
                    beaten = time.monotonic()
                    self._mailbox.put(f"out/{self._name}", {"kind": "beat"})
        except Exception:
            traceback.print_exc()
            self.end()

    def _told(self, told: dict[str, Any]) -> None:
        match told["cmd"]:
            case "task":
                self._tasks.put(told)
            case "board":
                self._board(told["board"])
                self._session.board_changed.set()
            case "leave":
                self.left = True
                self.end()
            case "pause":
                self.end()
            case "stop":
                (Path(self._here.folder) / OVER).touch()
                self.end()

    def _board(self, text: str) -> Path:
        path = self._folder / "board.json"
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(path, text.encode())
        return path

    def _score(self, task: dict[str, Any]) -> dict[str, Any]:
        """One shard, from its cursor on."""
        index, count = int(task["part"]), int(task["count"])
        folder = self._folder / f"{index}-of-{count}"
        (folder / "shards.json").unlink(missing_ok=True)
        job = task["job"] | {
            "board": str(self._board(task["board"])), "weights_dir": self._here.weights_dir, "work_dir": str(folder),
            "threads": max(1, (os.cpu_count() or 1) // self._seats), "workers": self._seats, "limit": None,
        }  # fmt: skip
        merged = Merged(job, self._session.emitter, count, count)
        part = merged.parts[index]
        part.cursor, part.limit = task["cursor"], task["limit"]
        return asyncio.run(Many(job, self._session, [self._place], merged, [index]).run())


def main() -> int:
    """Take the seat that torchrun's environment names."""
    bind_process()
    os.environ.pop(SAFE, None)
    here, local = Here.handed(os.environ), int(os.environ["LOCAL_RANK"])
    host, port = host_port(here.at)
    seats = places(here.gpus, None, look(), visible())
    try:
        mailbox = Mailbox(opened(host, port, serve=False), read_key(Path(here.key)))
        seat = Seat(here, seats[local], mailbox, str(local), len(seats))
        # A handler may set no event that its own thread may wait for; another thread may.
        signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=seat.end).start())
        seat.run()
    except RuntimeError:
        # Who started torchrun tries again, and says so; torchrun would for hours, and say nothing.
        traceback.print_exc()
        return 0
    return int(seat.left)


if __name__ == "__main__":
    sys.exit(main())
