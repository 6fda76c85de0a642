"""An operator's whole day by keys alone, in a real terminal of 80 by 24, on a real practice network and agent."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from somatui.practice.client import stop_network
from tests.conftest import with_seeds
from tests.tui import measure
from tests.tui.measure import Terminal, environment

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

BY_HAND = """
[profiles.practice]
network = "practice"
[profiles.practice.settings]
auto_reveal = false
auto_claim = false
threads = 1
fill_pace_per_minute = 600
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seeds: Path) -> Iterator[dict[str, str]]:
    """A machine with nothing set up but the wish to reveal and claim by hand; everything started there is stopped."""
    monkeypatch.setattr(measure, "LIMIT_S", 150.0)
    (tmp_path / "config").mkdir(mode=0o700)
    (tmp_path / "config" / "config.toml").write_text(BY_HAND, "utf-8")
    env = environment(with_seeds(tmp_path, seeds))
    yield env
    words = [sys.executable, "-m", "somatui", "practice", "reset", "--yes"]
    subprocess.run(words, env=env, check=True, timeout=120, stdout=subprocess.DEVNULL)


class Day:
    """Keys in, words on the screen out."""

    def __init__(self, env: dict[str, str]) -> None:
        self.terminal = Terminal(env)

    def see(self, *words: str) -> None:
        """Wait until the screen shows all these words."""
        self.terminal.restart_clock()
        self.terminal.until(words)

    def press(self, keys: str, *words: str) -> None:
        """Press keys, then wait for words."""
        self.terminal.child.send(keys)
        self.see(*words)

    def say(self, line: str, *words: str) -> None:
        """Type a line behind `:`."""
        self.press(":", ": ")
        self.press(line + "\r", *words)

    @property
    def text(self) -> str:
        return "\n".join(self.terminal.screen.display)


def test_a_day_by_keys_alone(home: dict[str, str]) -> None:
    day = Day(home)
    day.see("Nothing is set up on this machine yet.")
    day.press("f", "epoch 0 ·", "No coins yet")
    day.press("f", "Faucet: done, received")
    day.say("train steps=2", "Train: started")
    day.press("5", "✓ done")
    day.press("p", "Publish the trained model", "tried by the node", "cannot be undone")
    day.press("y", "Publish the trained model: done")
    day.press("3", "◐ pending")
    day.press("e", "epoch 1 ·", "Advance: done")
    day.press("r", "Reveal", "the only one that accepts it")
    day.press("y", ": done", "4 of 4 active")
    day.press("5s", "Score and submit", "locks a bond")
    day.press("y", "Score and submit: started", "▶ running")
    day.see(" hits")
    day.press("g", "▶ running")
    day.press("x", "Stop: stopped")
    day.press("2", "◐ filled ★")
    day.press("e", "epoch 2 ·")
    day.press("c", "Nothing is claimable yet")
    day.press("e", "epoch 3 ·", "● claimable ★")
    day.press("1c", "Claim ", "tried by the node")
    day.press("y", " claimed, earned")
    assert day.terminal.close() == 0

    again = Day(home)
    again.see("epoch 3 ·", "nothing yet", "1 reveal")
    earned = re.search(r"earned\s+\+(0\.\d+)", again.text)
    assert earned is not None and float(earned[1]) > 0
    assert any(again.terminal.quiet_bytes(3.0) == 0 for _ in range(10)), "it never came to rest"
    stop_network(Path(home["SOMATUI_HOME"]) / "state" / "practice")
    again.see("network silent", "a start the network")
    again.press("a", "The practice network is there again.", "s score")
    assert again.terminal.close() == 0
    stopped = subprocess.run([sys.executable, "-m", "somatui", "practice", "stop"], env=home, check=True, stdout=-1)
    assert (
        b"have stopped" in stopped.stdout and not (Path(home["SOMATUI_HOME"]) / "state/practice/network.json").exists()
    )
    assert os.path.exists(Path(home["SOMATUI_HOME"]) / "state" / "profiles" / "practice" / "journal.sqlite3")
