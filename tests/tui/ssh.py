"""A bare machine reached over SSH: a server that gives a pty, and a terminal of 80 by 24 at the other end of the line.

The machine has a home folder, a path and a language, and no D-Bus, no systemd and no desktop.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import struct
import subprocess
import sys
import termios
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncssh
import pyte

ROOT = Path(__file__).resolve().parents[2]
SIZE = (80, 24)
SECONDS = 60.0
NOT_ROOT = ("unshare", "--user", "--map-user=1000", "--map-group=1000")
"""Runs what follows as user 1000 without any of root's rights, on files that are root's own."""


def can_leave_root() -> bool:
    """Whether this process can run another as somebody who is not root."""
    if os.geteuid() != 0:
        return True
    with contextlib.suppress(OSError):
        return subprocess.run([*NOT_ROOT, "true"], capture_output=True).returncode == 0
    return False


class Box:
    """The machine: its home folder, the user that logs in, and the SSH server in front of it."""

    def __init__(self, home: Path, *, unprivileged: bool = False) -> None:
        self.home = home
        self._before = NOT_ROOT if unprivileged and os.geteuid() == 0 else ()
        self._server: Any = None
        self.port = 0

    @property
    def environment(self) -> dict[str, str]:
        """What a login gives: no address of a D-Bus, no desktop, nothing of ours."""
        return {
            "HOME": str(self.home),
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "TERM": "xterm-256color",
            "SSH_TTY": "/dev/pts/0",
            "SSH_CONNECTION": "192.0.2.1 50000 192.0.2.2 22",
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run `somatui WORDS` on the machine, without a terminal."""
        return subprocess.run(
            [*self._before, sys.executable, "-m", "somatui", *words],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=self.home, env=self.environment,
            timeout=120,
        )  # fmt: skip

    async def start(self) -> None:
        """Let people log in."""
        key = asyncssh.generate_private_key("ssh-ed25519")
        self._server = await asyncssh.listen(
            "127.0.0.1", 0, server_host_keys=[key], server_factory=_Door, process_factory=self._login, encoding=None
        )
        self.port = self._server.get_port()

    async def stop(self) -> None:
        """Nobody logs in any more."""
        self._server.close()
        await self._server.wait_closed()

    async def _login(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        """A login shell's work: a pty, the command in a session of its own, bytes both ways until either end goes."""
        master, slave = os.openpty()
        columns, rows, *_ = process.get_terminal_size()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        words = [*self._before, sys.executable, "-m", *(process.command or "somatui").split()]
        child = subprocess.Popen(
            words, stdin=slave, stdout=slave, stderr=slave, cwd=self.home, env=self.environment,
            start_new_session=True, preexec_fn=_own_terminal,
        )  # fmt: skip
        os.close(slave)
        loop = asyncio.get_running_loop()
        over: asyncio.Future[None] = loop.create_future()

        def out() -> None:
            try:
                data = os.read(master, 65_536)
            except OSError:
                data = b""
            if data:
                process.stdout.write(data)
            elif not over.done():
                over.set_result(None)

        async def into() -> None:
            with contextlib.suppress(asyncssh.Error, OSError):
                while data := await process.stdin.read(65_536):
                    os.write(master, data)

        loop.add_reader(master, out)
        typing = asyncio.ensure_future(into())
        await asyncio.wait({typing, over}, return_when=asyncio.FIRST_COMPLETED)
        loop.remove_reader(master)
        typing.cancel()
        os.close(master)
        status = await asyncio.to_thread(child.wait)
        with contextlib.suppress(OSError, asyncssh.Error):
            process.exit(status if status >= 0 else 128 - status)


class _Door(asyncssh.SSHServer):
    """Anybody may log in: the server listens on this machine alone."""

    def begin_auth(self, username: str) -> bool:
        return False


def _own_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Line:
    """One line to the machine, and the terminal at its end. `typed` counts keys, pasted text not among them."""

    def __init__(self, box: Box) -> None:
        self._box = box
        self._screen = pyte.Screen(*SIZE)
        self._stream = pyte.ByteStream(self._screen)
        self._connection: Any = None
        self._process: Any = None
        self._task: asyncio.Task[None] | None = None
        self.typed = 0
        self.said = bytearray()

    async def dial(self, command: str) -> None:
        """Log in and run `command`."""
        self._screen.reset()
        self._connection = await asyncssh.connect("127.0.0.1", self._box.port, known_hosts=None, username="operator",
                                                  client_keys=None, agent_path=None, config=None)  # fmt: skip
        self._process = await self._connection.create_process(
            command, term_type="xterm-256color", term_size=SIZE, encoding=None
        )
        self._task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        with contextlib.suppress(asyncssh.Error, OSError):
            while data := await self._process.stdout.read(65_536):
                self.said += data
                self._stream.feed(data.replace(b"\x1b[>", b"\x1b["))

    async def cut(self) -> None:
        """The line breaks in the middle of a word."""
        self._connection.abort()
        await self._connection.wait_closed()
        if self._task is not None:
            await self._task

    async def ended(self) -> int:
        """Wait until the command has ended by itself; its status."""
        await asyncio.wait_for(self._process.wait_closed(), SECONDS)
        status = self._process.exit_status
        self._connection.close()
        await self._connection.wait_closed()
        return int(status if status is not None else -1)

    @property
    def flat(self) -> str:
        """The screen in one line, without frames and runs of spaces."""
        return " ".join(" ".join(self._screen.display).replace("│", " ").split())

    @property
    def screen(self) -> str:
        """The screen's characters, a line for each row."""
        return "\n".join(self._screen.display)

    async def shows(self, text: str, seconds: float = SECONDS) -> None:
        """Wait until the screen shows `text`."""
        until = time.monotonic() + seconds
        while text not in self.flat:
            assert time.monotonic() < until, f"never came: {text}\n{self.screen}"
            await asyncio.sleep(0.02)

    def keys(self, text: str) -> None:
        """Type."""
        self.typed += len(text)
        self._process.stdin.write(text.encode())

    def paste(self, text: str) -> None:
        """Paste, as a terminal brackets it."""
        self._process.stdin.write(b"\x1b[200~" + text.encode() + b"\x1b[201~")


@contextlib.asynccontextmanager
async def reached(home: Path, *, unprivileged: bool = False) -> AsyncIterator[tuple[Box, Line]]:
    """The machine and a line to it."""
    box = Box(home, unprivileged=unprivileged)
    await box.start()
    try:
        yield box, Line(box)
    finally:
        await box.stop()
