"""The console in a real terminal: it gives the terminal back however it ends, and keeps what was typed too early."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from tests.tui.measure import LIVE, Terminal, environment

pytestmark = pytest.mark.slow
CLOSED = b"\x1b[?1049l"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A literal agent in a process of its own, and the environment that leads to it."""
    env = environment(tmp_path)
    agent = subprocess.Popen([sys.executable, "-m", "tests.tui.serve", "--home", str(tmp_path)], env=env, stdout=-1)
    assert agent.stdout is not None
    agent.stdout.readline()
    yield env
    agent.terminate()
    agent.wait()


def rest_of(terminal: Terminal) -> bytes:
    """Everything written until the end."""
    terminal.child.expect(pexpect.EOF)
    said: bytes = terminal.child.before
    terminal.child.close()
    return said


def lflags(terminal: Terminal) -> int:
    return int(termios.tcgetattr(terminal.child.child_fd)[3])


def test_q_gives_the_terminal_back_and_says_what_goes_on(served: dict[str, str]) -> None:
    terminal = Terminal(served)
    before = lflags(terminal)
    terminal.until(LIVE)
    assert not lflags(terminal) & termios.ECHO
    terminal.child.send("q")
    said = rest_of(terminal)
    assert CLOSED in said
    assert b"The agent and 2 jobs go on" in said.split(CLOSED)[-1]
    assert terminal.child.exitstatus == 0
    assert before & termios.ECHO


def test_keys_typed_before_the_console_is_ready_are_not_lost(served: dict[str, str]) -> None:
    terminal = Terminal(served)
    terminal.until(("1 Wallet",))
    terminal.child.send("2")
    terminal.until(("2 Targets  24 open",))
    terminal.child.send("q")
    rest_of(terminal)


def test_a_line_typed_faster_than_it_opens_is_a_line_and_no_row_of_acts(served: dict[str, str]) -> None:
    terminal = Terminal(served)
    terminal.until(LIVE)
    terminal.child.send(":models\r")
    terminal.until(("─ 3 Models",))
    terminal.child.send("/pending\r")
    terminal.until(("/pending",))
    assert "Advance" not in "\n".join(terminal.screen.display)
    terminal.child.send("q")
    rest_of(terminal)


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_gives_the_terminal_back_too(served: dict[str, str], ending: signal.Signals) -> None:
    terminal = Terminal(served)
    terminal.until(LIVE)
    os.kill(terminal.child.pid, ending)
    assert CLOSED in rest_of(terminal)
    assert terminal.child.exitstatus == 128 + ending


def test_ctrl_c_leaves(served: dict[str, str]) -> None:
    terminal = Terminal(served)
    terminal.until(LIVE)
    terminal.child.sendcontrol("c")
    assert CLOSED in rest_of(terminal)
    assert terminal.child.exitstatus == 0


def test_without_colours_every_word_is_still_there(served: dict[str, str]) -> None:
    terminal = Terminal(served | {"NO_COLOR": "1"})
    terminal.until((*LIVE, "PRACTICE", "▲ 1 alert", "c claim"))
    terminal.child.send("q")
    rest_of(terminal)


def test_standard_error_that_is_no_terminal_is_said(served: dict[str, str]) -> None:
    child = pexpect.spawn("sh", ["-c", f"{sys.executable} -m somatui 2>/dev/null"], env=served, timeout=20)
    child.expect("do not redirect it")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 2


@pytest.mark.parametrize(
    ("cells", "shown"), [((24, 80), b"412"), ((24, 80), b"PRACTICE"), ((0, 0), b"412"), ((0, 0), b"\x1b[?1049h")]
)
def test_a_terminal_that_goes_without_a_signal_ends_the_console_too_even_while_it_starts(
    served: dict[str, str], cells: tuple[int, int], shown: bytes
) -> None:
    ours, theirs = os.openpty()
    termios.tcsetwinsize(ours, cells)
    command = [sys.executable, "-m", "somatui"]
    console = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=served, start_new_session=True)
    os.close(theirs)
    said = b""
    while shown not in said:
        said += os.read(ours, 65536)
    os.close(ours)
    assert console.wait(20) == 128 + signal.SIGHUP


STUCK = """
import asyncio
import os
from textual.app import App
from textual.screen import Screen
from somatui.tui import ending

class Stuck(Screen):
    async def on_mount(self):
        os.write(2, b"stuck")
        await asyncio.sleep(3600)

class Console(App):
    def on_ready(self):
        ending.PATIENCE_S = 0.3
        ending.Ending(self)
        self.push_screen(Stuck())

Console().run()
"""


def test_a_screen_that_waits_for_ever_does_not_keep_the_console_from_ending(served: dict[str, str]) -> None:
    child = pexpect.spawn(sys.executable, ["-c", STUCK], env=served, timeout=30)
    child.expect("stuck")
    child.kill(signal.SIGTERM)
    child.expect(pexpect.EOF)
    assert CLOSED in child.before
    child.close()
    assert child.exitstatus == 128 + signal.SIGTERM
