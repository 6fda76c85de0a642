"""Runs a program that gives candidates and ends it, and what it started, when its worker is gone: a script of its own.

Standard input is the line to the worker; when that ends, however the worker ended, so does the program. The program's
errors go to standard error up to a limit, since a log is for reading.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
from typing import IO

ERRORS_MOST = 1 << 20
_PR_SET_PDEATHSIG = 1


def _bound() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _end(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _watch(group: int) -> None:
    while os.read(0, 4096):
        continue
    _end(group)


def _tell(errors: IO[bytes]) -> None:
    left = ERRORS_MOST
    while block := os.read(errors.fileno(), 1 << 16):
        if left > 0:
            os.write(2, block[:left])
            left -= len(block)
            if left <= 0:
                os.write(2, b"\n(what the program says further is left out)\n")


def main(command: list[str]) -> int:
    """Run a command to its end; its exit status, or 127 when it cannot be started."""
    try:
        program = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True, preexec_fn=_bound
        )
    except OSError as failure:
        sys.stderr.write(f"{command[0]} cannot be started ({failure.strerror})\n")
        return 127
    assert program.stderr is not None
    os.close(1)
    signal.signal(signal.SIGTERM, lambda *_: _end(program.pid))
    teller = threading.Thread(target=_tell, args=(program.stderr,), daemon=True)
    teller.start()
    threading.Thread(target=_watch, args=(program.pid,), daemon=True).start()
    status = program.wait()
    _end(program.pid)
    teller.join(1)
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
