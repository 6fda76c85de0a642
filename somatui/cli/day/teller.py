"""Tells what the day does as it goes: a live last line on a terminal, plain lines otherwise, always on stderr."""

from __future__ import annotations

import shutil
import sys
import time


class Teller:
    """Lines with the seconds since the start; `live` rewrites the last line where a terminal shows it."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self._terminal = sys.stderr.isatty()
        self._live = False

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.began

    def say(self, text: str) -> None:
        """A line that stays."""
        self._wipe()
        print(f"{self.seconds:6.1f} s  {text}", file=sys.stderr, flush=True)

    def live(self, text: str) -> None:
        """What is happening now; shown on a terminal only."""
        if self._terminal:
            width = shutil.get_terminal_size().columns
            self._wipe()
            print(f"{self.seconds:6.1f} s  {text}"[: width - 1], end="", file=sys.stderr, flush=True)
            self._live = True

    def end(self) -> None:
        """Nothing more is live: whatever is printed next stands apart, on a line of its own."""
        self._wipe()
        if self._terminal:
            print(file=sys.stderr, flush=True)

    def _wipe(self) -> None:
        if self._live:
            print("\r\x1b[K", end="", file=sys.stderr)
            self._live = False
