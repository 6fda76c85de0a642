"""How soon the verbs answer that are typed when something is new or wrong: processor time of their own, best of some.

Processor time, since other work on the machine only adds to the clock's; none of them waits for anybody before it
shows something.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest

from tests.tui.measure import environment

pytestmark = [pytest.mark.slow, pytest.mark.alone]
MOST_SECONDS = 0.3


def best(spent: list[float]) -> float:
    return min(spent[1:])


def whole(home: Path, *words: str) -> float:
    """Seconds of the processor that a verb takes to its end."""
    before = os.times()
    subprocess.run([sys.executable, "-m", "somatui", *words], env=environment(home), capture_output=True, check=False)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def until_shown(home: Path, words: list[str], shown: str) -> float:
    """Seconds of the processor until the terminal shows something of it."""
    child = pexpect.spawn(
        sys.executable, ["-m", "somatui", *words], env=environment(home), dimensions=(24, 80), timeout=20
    )
    child.expect(shown)
    fields = Path(f"/proc/{child.pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    child.close(force=True)
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processor time of another process is read from /proc")
def test_setup_and_doctor_show_something_within_300_ms(tmp_path: Path) -> None:
    for words, shown in ((["setup"], "Setup"), (["doctor"], "settings")):
        assert best([until_shown(tmp_path, words, shown) for _ in range(4)]) <= MOST_SECONDS, words


def test_help_of_setup_and_doctor_and_the_vaults_status_come_within_300_ms(tmp_path: Path) -> None:
    for words in (["setup", "--help"], ["doctor", "--help"], ["vault", "status"]):
        assert best([whole(tmp_path, *words) for _ in range(4)]) <= MOST_SECONDS, words
