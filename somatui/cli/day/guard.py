"""Outlives the day only to tidy up: when the process that began it vanishes, even by SIGKILL, it stops what is left.

Runs as `python -m somatui.cli.day.guard PROFILE HOME` and waits on its standard input.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from somatui.cli.stop import GUARD, stop_everything
from somatui.paths import Paths, private_umask

WORD = b"done"


@contextlib.contextmanager
def guarded(paths: Paths) -> Iterator[None]:
    """Keep a guard over everything that runs on this state, until the block ends and the word is given."""
    words = [sys.executable, "-P", "-m", GUARD, paths.profile, str(paths.home)]
    guard = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True)
    assert guard.stdin is not None
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            guard.stdin.write(WORD)
            guard.stdin.close()
        guard.wait()


def main() -> int:
    """Wait for the word; without it stop everything."""
    private_umask()
    for name in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(name, signal.SIG_IGN)
    if sys.stdin.buffer.read() != WORD:
        stop_everything(Paths.for_profile(sys.argv[1], Path(sys.argv[2])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
