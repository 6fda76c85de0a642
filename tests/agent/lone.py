"""An agent of a profile of its own with no network behind it, as a real process in a home of its own."""

from __future__ import annotations

import asyncio
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from somatui.agent.client import AgentClient, stop_agent
from somatui.paths import Paths
from somatui.vault.file import FileVault
from somatui.vault.held import Held, kernel_keyring

READY_S = 60.0


class Lone:
    """A profile `own` whose node answers to nobody; `table` are more lines of its table in config.toml."""

    def __init__(self, home: Path, table: str = "") -> None:
        self.paths = Paths.for_profile("own", home).create()
        text = f'[profiles.own]\nnetwork = "custom"\nrpc_url = "http://127.0.0.1:9"\n{table}'
        self.paths.config_file.write_text(text)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The agent's process id."""
        assert self._process is not None
        return self._process.pid

    def start(self, *words: str, given: bytes | None = None, **environment: str) -> bytes:
        """Start the agent, with `given` on a descriptor as its passphrase; what it says when it is ready or refuses."""
        ready, told = os.pipe()
        words = (*words, "--ready-fd", str(told))
        passed = [told]
        if given is not None:
            read, write = os.pipe()
            os.write(write, given)
            os.close(write)
            words, passed = (*words, "--passphrase-fd", str(read)), [told, read]
        home = str(self.paths.home)
        with self.paths.agent_log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "somatui.agent", "--profile", "own", "--home", home, *words],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=passed, env=os.environ | environment,
            )  # fmt: skip
        for descriptor in passed:
            os.close(descriptor)
        with os.fdopen(ready, "rb") as said:
            readable, _, _ = select.select([said], [], [], READY_S)
            return said.readline().strip() if readable else b""

    def call(self, method: str, **params: Any) -> Any:
        """One question. Raises AgentError."""

        async def ask() -> Any:
            client = await AgentClient.connect(self.paths)
            try:
                return await client.call(method, **params)
            finally:
                await client.close()

        return asyncio.run(ask())

    def stop(self) -> None:
        """An orderly end."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(30)

    def kill(self) -> None:
        """SIGKILL."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """End it, and leave nothing in the kernel."""
        self.stop()
        asyncio.run(stop_agent(self.paths))
        if self.paths.vault.exists():
            FileVault.open(self.paths.vault, Held(kernel_keyring())).lock()


@contextmanager
def lone(home: Path, table: str = "") -> Iterator[Lone]:
    """A lone agent's home; the agent is not started yet."""
    made = Lone(home, table)
    try:
        yield made
    finally:
        made.close()
