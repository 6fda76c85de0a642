"""Starts a practice network from the first screen: the same verb as in a shell, in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys

from somatui.paths import Paths

LOG = "serve.log"


class StartFailed(Exception):
    """The network did not start; the text is its own sentence."""


class PracticeStart:
    """One start under way. `stop` takes it back without leaving anything behind."""

    def __init__(self, paths: Paths, ports: str = "") -> None:
        self._paths = paths
        self._ports = ports
        self._child: asyncio.subprocess.Process | None = None

    @property
    def words(self) -> list[str]:
        """The command line."""
        words = [sys.executable, "-P", "-m", "somatui", "practice", "serve", "--background", *self._paths.options()]
        return words + (["--ports", self._ports] if self._ports else [])

    async def run(self) -> None:
        """Start it and wait until it answers. Raises StartFailed."""
        self._child = await asyncio.create_subprocess_exec(
            *self.words, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        _, told = await self._child.communicate()
        if self._child.returncode != 0:
            lines = told.decode("utf-8", "replace").strip().splitlines()
            raise StartFailed(lines[-1] if lines else f"The practice network did not start: see {self.log}.")

    async def stop(self) -> None:
        """Take the start back; the verb ends the network that it was starting."""
        if self._child is not None and self._child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._child.send_signal(signal.SIGINT)
            await self._child.wait()

    @property
    def log(self) -> str:
        """Where the network writes what it does."""
        return str(self._paths.network_dir / LOG)

    def progress(self) -> str:
        """What the network said last, '' before it says anything."""
        try:
            with open(self.log, encoding="utf-8", errors="replace") as log:
                return next((line.strip() for line in reversed(log.readlines()[-20:]) if line.strip()), "")
        except OSError:
            return ""
