"""Workers as their parent meets them: real processes, a job line in, messages out."""

from __future__ import annotations

import base64
import signal
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from somatui.engine import weights
from tests.workers import inside
from tests.workers.processes import rest, start, tell, until

pytestmark = [pytest.mark.slow]
STEPS = 18


def training(folder: Path, steps: int) -> dict[str, Any]:
    sources = folder / "sources"
    sources.mkdir(exist_ok=True)
    for n in range(9):
        (sources / f"{n}.py").write_text(f"def function_{n}(self):\n    return {n}\n" * 40)
    return {
        "config": "small", "corpus": {"paths": [str(sources)]}, "steps": steps, "micro_batch": 1, "accumulate": 1,
        "seed": 4, "checkpoint_every": 3, "threads": 1, "work_dir": str(folder / "work"),
    }  # fmt: skip


def test_training_ends_with_weights_that_load_and_an_embedding(tmp_path: Path) -> None:
    messages = rest(start("train", training(tmp_path, 15)))
    result = messages[-1].body["result"]
    config, _ = weights.open_file(Path(result["weights"]))
    assert config == weights.SMALL
    assert np.linalg.norm(np.frombuffer(base64.b64decode(result["embedding"]), "<f4")) == pytest.approx(1, abs=1e-5)
    assert (result["step"], result["steps"]) == (15, 15)
    metrics = [m for m in messages if m.kind == "metric"]
    assert all({"step", "steps", "loss", "tokens_per_s", "left_s"} == m.body.keys() for m in metrics)
    assert metrics[0].body["left_s"] is None or metrics[0].body["left_s"] > 0
    assert metrics[-1].body["left_s"] == 0
    assert metrics[-1].body["loss"] == result["loss"]
    assert all(later.at - earlier.at >= 249 for earlier, later in pairwise(metrics[:-1]))
    assert sorted(f.name for f in (tmp_path / "work").iterdir()) == ["checkpoint.pt", "model.safetensors"]
    assert {"hello", "metric", "progress", "checkpoint", "done"} <= {m.kind for m in messages}
    assert [m.seq for m in messages] == list(range(1, len(messages) + 1))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], bytes]:
    """A training that nothing has interrupted: its job and its weights."""
    job = training(tmp_path_factory.mktemp("whole"), STEPS)
    *_, done = inside.done("train", job)
    return job, Path(done.body["result"]["weights"]).read_bytes()


def test_training_that_was_stopped_and_then_killed_goes_on_as_if_it_had_not(
    tmp_path: Path, whole: tuple[dict[str, Any], bytes]
) -> None:
    """Other orderly ends are the session's: SIGTERM in test_score, a parent that is gone in test_launch."""
    job = whole[0] | {"work_dir": str(tmp_path / "work")}
    process = start("train", job)
    until(process, "checkpoint")
    tell(process, 'rubbish\n{"cmd":"stop"}')
    rest(process)
    assert process.returncode == 0
    process = start("train", job)
    until(process, "checkpoint")
    process.kill()
    rest(process)
    assert process.returncode == -signal.SIGKILL
    *_, resumed = rest(start("train", job))
    assert resumed.body["result"]["step"] == STEPS
    assert Path(resumed.body["result"]["weights"]).read_bytes() == whole[1]


def test_training_that_had_ended_tells_the_same_again(tmp_path: Path) -> None:
    job = training(tmp_path, 3)
    first, again = (inside.done("train", job)[-1].body["result"] for _ in range(2))
    assert first == again


def test_the_corpus_has_a_seed_of_its_own(tmp_path: Path) -> None:
    job = training(tmp_path, 2)
    made = []
    for seed in (4, 5, None):
        corpus = job["corpus"] | {"seed": seed}
        *_, told = inside.done("train", job | {"corpus": corpus, "work_dir": str(tmp_path / str(seed))})
        made.append(Path(told.body["result"]["weights"]).read_bytes())
    assert made[0] == made[2] != made[1]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "work").write_text("a file")
    *_, failed = inside.done("train", training(tmp_path, 2))
    assert failed.kind == "failed"
    assert str(tmp_path / "work") in failed.body["error"]
