"""Worker that scores one file on some models, exactly, and ends: `python -m somatui.workers.score_file`.

Job: {"job": "score_file", "version": 1, "models": [path], "data": path, "target": path | null, "seed": n}. Its `done`
message holds `result` in the shape of `somatui score file --json`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from somatui.engine import contract, weights
from somatui.workers.session import JobError, Session, run


def read_target(path: Path) -> NDArray[np.float32]:
    """The numbers of a file that holds a JSON list of them. Raises JobError."""
    try:
        values = json.loads(path.read_text("utf-8"))
        target = np.array(values, dtype=np.float32)
    except (OSError, ValueError, TypeError) as failure:
        raise JobError(f"{path.name} is not a JSON list of numbers ({failure}).") from failure
    return target


def check_target(target: NDArray[np.float32], path: Path, dim: int) -> None:
    """Refuse a target that no model of `dim` dimensions can be near to. Raises JobError."""
    if target.shape != (dim,) or not np.isfinite(target).all() or not target.any():
        raise JobError(f"{path.name} must hold {dim} finite numbers, not all zero, as the models' embeddings do.")


def read_data(path: Path) -> bytes:
    """The candidate's bytes. Raises JobError for a file that is empty or cannot be read."""
    try:
        data = path.read_bytes()
    except OSError as failure:
        raise JobError(f"{path} cannot be read ({failure.strerror}).") from failure
    if not data:
        raise JobError(f"{path.name} is empty: there is nothing to score.")
    return data


def score_file(models: list[Path], data: Path, target: Path | None, seed: int) -> dict[str, Any]:
    """Winner, and for each model loss, embedding and, with a target, distance. Raises JobError or WeightsError."""
    content = read_data(data)
    wanted = None if target is None else read_target(target)
    scores: list[contract.Score] = []
    told: list[dict[str, Any]] = []
    for path in models:
        if not path.is_file():
            raise JobError(f"There is no model at {path}: name a safetensors file.")
        config, tensors = weights.open_file(path)
        answer = contract.score(config, tensors, content, seed)
        entry: dict[str, Any] = {"model": str(path), "loss": answer.loss, "embedding": answer.embedding.tolist()}
        if target is not None and wanted is not None:
            check_target(wanted, target, config.dim)
            entry["distance"] = contract.distance(answer.embedding, wanted)
        scores.append(answer)
        told.append(entry)
    return {"winner": contract.winner(scores), "models": told}


def work(job: dict[str, Any], _session: Session) -> dict[str, Any]:
    """Answer the job."""
    target = Path(job["target"]) if job.get("target") else None
    return score_file([Path(m) for m in job["models"]], Path(job["data"]), target, int(job.get("seed", 0)))


if __name__ == "__main__":
    sys.exit(run("score_file", work, weights.WeightsError))
