"""What every worker does around its work: the job line, commands on standard input, orderly ends."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

from somatui.hardening import harden_process
from somatui.workers.protocol import VERSION, Emitter, ProtocolError, parse_job
from somatui.workers.secrets import SecretsError, take
from somatui.workers.trouble import of_failure

ORPHAN_S = 30
"""Seconds that a worker whose parent is gone may take to save its work."""
_PR_SET_PDEATHSIG = 1


class JobError(ValueError):
    """The job cannot be done; the text is one sentence with the cure."""


class ParkedError(JobError):
    """The card, not the job, is what cannot go on: the work is left as it stands until somebody asks again."""


class Session:
    """The line to the parent. `stopping` is set by a stop or pause command, by SIGTERM, and when the parent is gone;
    `over` by a stop alone: the job itself is to end."""

    def __init__(self, emitter: Emitter, secrets: dict[str, str] | None = None, orphan_s: float = ORPHAN_S) -> None:
        self.emitter = emitter
        self._orphan_s = orphan_s
        self.secrets = secrets or {}
        self.stopping, self.over = threading.Event(), False
        self.board_changed = threading.Event()

    def say(self, level: str, text: str) -> None:
        """Write a line in the job's log, of level info or warn."""
        self.emitter.send("log", level=level, text=text)

    def listen(self) -> None:
        """Follow commands and SIGTERM in the background until standard input ends.

        A handler runs in the main thread between any two of its steps; were it to set `stopping` while that thread
        waits for it, it would wait for itself for ever. So the signal only writes a byte that another thread reads.
        """
        read_end, write_end = os.pipe()
        os.set_blocking(write_end, False)
        signal.signal(signal.SIGTERM, lambda *_: None)
        signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
        threading.Thread(target=self._told, args=(read_end,), name="signals", daemon=True).start()
        threading.Thread(target=self._follow, name="commands", daemon=True).start()

    def _told(self, read_end: int) -> None:
        while signal.SIGTERM not in os.read(read_end, 16):
            continue
        self.stopping.set()

    def _follow(self) -> None:
        for line in sys.stdin:
            try:
                command = json.loads(line)["cmd"]
            except (ValueError, KeyError, TypeError):
                self.say("warn", "a line that is no command was ignored")
                continue
            if command in ("stop", "pause"):
                self.over = self.over or command == "stop"
                self.stopping.set()
            elif command == "board":
                self.board_changed.set()
        self.stopping.set()
        time.sleep(self._orphan_s)
        os._exit(1)


def bind_process() -> None:
    """Keep what is secret in this process, and have the kernel tell it when its parent is gone."""
    harden_process()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


Work = Callable[[dict[str, Any], Session], dict[str, Any]]


def run(jobs: str | tuple[str, ...], work: Work, *refusals: type[Exception], orphan_s: float = ORPHAN_S) -> int:
    """Do one of these jobs: hello, work, then `done` with its result (exit 0) or `failed` with a sentence (exit 1).

    `orphan_s` is how long it may go on once its parent is gone. Anything but the named refusals is a defect: it leaves
    its traceback on standard error and still says `failed`.
    """
    bind_process()
    emitter = Emitter()
    emitter.send("hello", version=VERSION, pid=os.getpid())

    def done() -> dict[str, Any]:
        asked = parse_job(sys.stdin.readline(), *((jobs,) if isinstance(jobs, str) else jobs))
        session = Session(emitter, take(asked.pop("secrets_fd")) if "secrets_fd" in asked else None, orphan_s)
        session.listen()
        return work(asked, session)

    return answer(emitter, done, *refusals)


def answer(emitter: Emitter, done: Callable[[], dict[str, Any]], *refusals: type[Exception]) -> int:
    """Tell how the work ended; the exit status that says the same."""
    expected: tuple[type[Exception], ...] = (JobError, ProtocolError, SecretsError, *refusals)
    try:
        result = done()
    except ParkedError as parked:
        emitter.send("failed", error=str(parked), parked=True)
        return 1
    except expected as refused:
        emitter.send("failed", error=str(refused))
        return 1
    except OSError as failure:
        traceback.print_exc()
        where = failure.filename or "A file of this job"
        emitter.send("failed", error=f"{where} cannot be read or written ({failure.strerror or failure}).")
        return 1
    except Exception as defect:
        if (trouble := of_failure(defect)) is not None:
            traceback.print_exc()
            emitter.send("failed", error=trouble, parked=True)
            return 1
        emitter.send("failed", error=f"The worker met something unforeseen ({type(defect).__name__}): see its log.")
        raise
    emitter.send("done", result=result)
    return 0
