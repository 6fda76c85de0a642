"""A machine takes part once, tries again where it does not reach the job, and keeps its logs within bounds."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from somatui.agent import joblog
from somatui.cli import joining
from somatui.cli.main import entry
from somatui.workers.mailbox import own_key
from somatui.workers.meeting import OVER

AT = "127.0.0.1:29400"


@pytest.fixture(autouse=True)
def handler() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def join(home: Path) -> int:
    own_key(home / "nodes.key")
    line = ["--home", str(home), "score", "join", AT, "--key", str(home / "nodes.key"), "--gpus", "none", "--json"]
    return entry(line)


def folder(home: Path) -> Path:
    return next(path for path in home.rglob("nodes/*") if path.is_dir())


def test_it_tries_again_until_the_job_is_over_with_a_log_that_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(joining, "AGAIN_S", 0.0)
    monkeypatch.setattr(joblog, "MOST_KEPT", 5_000)
    monkeypatch.setattr(joblog, "MOST_READ", 1_000)
    runs: list[int] = []

    def torchrun(places: int) -> list[str]:
        runs.append(places)
        ends = f"open({str(folder(tmp_path) / OVER)!r}, 'w')" if len(runs) == 3 else "exit(1)"
        return [sys.executable, "-I", "-S", "-c", f"print('x' * 4000); {ends}"]

    monkeypatch.setattr(joining, "torchrun", torchrun)
    assert join(tmp_path) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["ended"] == "over" and shown.err.count("is not reached: tried again") == 2
    assert runs == [1, 1, 1] and (folder(tmp_path) / "torchrun.log").stat().st_size < 6_000


def test_a_second_time_it_is_refused_while_the_first_or_its_torchrun_lives_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    again: list[int] = []

    def part(command: list[str], env: dict[str, str], log: Path, over: Path, held: int) -> bool:
        (log.parent / "record").write_text("mine")
        again.append(join(tmp_path))
        return (log.parent / "record").read_text() == "mine"

    monkeypatch.setattr(joining, "_part", part)
    assert join(tmp_path) == 0 and again == [2]
    assert f"takes part at {AT} already" in capsys.readouterr().out
    assert join(tmp_path) == 0
