"""`somatui score join`: this machine takes part in a score job of an agent elsewhere, with its cards or processor."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from somatui.agent import joblog
from somatui.cli.options import Arguments, paths_of
from somatui.cli.output import Answer, note
from somatui.cli.problem import USAGE, Problem
from somatui.workers.gpu import look
from somatui.workers.mailbox import read_key
from somatui.workers.meeting import OVER, Here, environment, torchrun
from somatui.workers.places import places, visible
from somatui.workers.session import JobError
from somatui.workers.shelf import locked

AGAIN_S = 5.0
CUT_EVERY_S = 60.0


def join(args: Arguments) -> Answer:
    """Take part until the job is over or Ctrl-C; where the agent's machine is gone, try again.

    Raises:
        Problem: the key is none, the cards are not there, or this machine takes part already.
    """
    key = Path(args.key)
    try:
        read_key(key)
        seats = places(args.gpus, None, look(), visible())
    except (OSError, ValueError) as failure:
        raise Problem(
            str(failure) if isinstance(failure, JobError) else
            f"{key} is no key of a job: copy nodes.key from the job's folder on the agent's machine.", USAGE
        ) from None  # fmt: skip
    paths = paths_of(args)
    folder = paths.cache_dir / "nodes" / args.at.replace(":", "-").replace("/", "-")
    held = _held(folder.with_name(f"{folder.name}.lock"), args.at)
    # What another job at this address left here is not this one's; where this one stands is told by its agent.
    shutil.rmtree(folder, ignore_errors=True)
    here = Here(args.at, str(key.resolve()), str(folder), str(paths.weights_cache), args.gpus)
    env, log = environment(here), folder / "torchrun.log"
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    note(f"Takes part at {args.at} with {', '.join(s.name for s in seats)}; Ctrl-C leaves. Log: {log}")
    try:
        while not _part(torchrun(len(seats)), env, log, folder / OVER, held):
            note(f"{args.at} is not reached: tried again in {AGAIN_S:g} s")
            time.sleep(AGAIN_S)
    except KeyboardInterrupt:
        return Answer({"ended": "left"}, "Left: the job goes on without this machine.")
    finally:
        os.close(held)
    return Answer({"ended": "over"}, "The job is over.")


def _held(path: Path, at: str) -> int:
    """The lock of who takes part there with this machine's cards. Raises Problem when somebody has it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if (held := locked(path)) is None:
        raise Problem(
            f"This machine takes part at {at} already: end that somatui score join first, or the torch.distributed.run "
            "that it left behind.", USAGE,
        )  # fmt: skip
    return held


def _part(command: list[str], env: dict[str, Any], log: Path, over: Path, held: int) -> bool:
    """Take part once; whether the job came to its end meanwhile. While torchrun lives it has the lock as well."""
    over.unlink(missing_ok=True)
    with log.open("ab") as out:
        process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out, pass_fds=(held,))
    try:
        while process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(CUT_EVERY_S)
            for file in (log, *log.parent.glob(f"*/*/shards/*/{joblog.STDERR}")):
                joblog.cut(file)
    except KeyboardInterrupt:
        process.send_signal(signal.SIGTERM)
        process.wait()
        raise
    return over.exists()
