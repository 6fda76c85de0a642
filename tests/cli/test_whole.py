"""The command line with the real parts behind it: a worker that scores, and the whole day on the practice network."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.cli.shell import ROOT, one_sentence, somatui
from tests.long import practice_day


def of_state(state: Path) -> list[str]:
    """Command lines of every process that was started on this state."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if any(str(state) in word for word in words):
            found.append(" ".join(words))
    return found


@pytest.mark.slow
def test_one_file_is_scored_exactly_by_a_worker(tmp_path: Path) -> None:
    from somatui.engine import weights

    models = []
    for seed in (1, 2):
        models.append(tmp_path / f"m{seed}.safetensors")
        models[-1].write_bytes(weights.to_bytes(weights.initial(weights.SMALL, seed)))
    (tmp_path / "data").write_bytes(b"some bytes to score" * 20)
    (tmp_path / "target.json").write_text(json.dumps([0.1] * 16))
    words = ["score", "file", *(w for m in models for w in ("--model", str(m))), "--data", str(tmp_path / "data"),
             "--target", str(tmp_path / "target.json"), "--seed", "7"]  # fmt: skip
    ended = somatui(*words, "--json")
    assert ended.status == 0, ended.err
    losses = [m["loss"] for m in ended.json["models"]]
    assert ended.json["winner"] == losses.index(min(losses))
    assert [m["model"] for m in ended.json["models"]] == [str(m) for m in models]
    assert all(len(m["embedding"]) == 16 and m["distance"] >= 0 for m in ended.json["models"])
    (tmp_path / "target.json").write_text("[1, 2]")
    refused = somatui(*words)
    assert refused.status == 1 and one_sentence(refused.err)


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.timeout(400)
@pytest.mark.skipif(
    "CI_DAY_S" in os.environ, reason=f"done just now, in {os.environ.get('CI_DAY_S')} s with installing"
)
@pytest.mark.usefixtures("seeded_home")
def test_the_whole_day_ends_with_money_and_without_a_difference(tmp_path: Path) -> None:
    state = tmp_path / "day"
    spent = practice_day.spend(state, seed=7)
    print(f"the day: {spent.document.get('seconds')} s, {spent.peak_bytes / 1e9:.2f} GB")
    assert spent.faults() == [], spent.said
    assert of_state(state) == []


@pytest.mark.slow
@pytest.mark.timeout(200)
@pytest.mark.usefixtures("seeded_home")
@pytest.mark.parametrize(
    ("what", "name"),
    [(("run",), signal.SIGINT), (("run",), signal.SIGKILL),
     (("rehearse", "missed-reveal"), signal.SIGTERM), (("rehearse", "missed-reveal"), signal.SIGKILL)],
    ids=["day-int", "day-kill", "rehearsal-term", "rehearsal-kill"],
)  # fmt: skip
def test_what_is_cut_short_leaves_no_process(what: tuple[str, ...], name: signal.Signals, tmp_path: Path) -> None:
    state = tmp_path / "day"
    words = [sys.executable, "-m", "somatui", "practice", *what, "--state", str(state)]
    day = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=os.environ)
    assert day.stderr is not None
    for line in day.stderr:
        if "agent started" in line:
            break
    day.send_signal(name)
    day.communicate()
    assert day.returncode == (130 if name is not signal.SIGKILL else -signal.SIGKILL)
    until = time.monotonic() + 90
    while of_state(state):
        assert time.monotonic() < until, of_state(state)
        time.sleep(0.1)
