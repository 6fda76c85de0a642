"""Runs what ends when its parent does: `python -m somatui.practice.tied MODULE`, or `… tied -- PROGRAM …`."""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import sys

_PR_SET_PDEATHSIG = 1


def command(module: str) -> list[str]:
    """The command line that runs `module` tied to this process."""
    return [sys.executable, "-P", "-m", "somatui.practice.tied", module]


def program(words: list[str]) -> list[str]:
    """The command line that runs another program tied to this process; on Linux alone does it end with us if killed."""
    return [*command("--"), *words]


def main() -> None:
    """Tie, then become the module or program; elsewhere than on Linux its standard input's end has to tell it."""
    os.umask(0o077)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() == 1:
            sys.exit(1)
    module = sys.argv.pop(1)
    if module == "--":
        os.execv(sys.argv[1], sys.argv[1:])
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
