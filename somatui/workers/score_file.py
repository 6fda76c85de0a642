"""Worker that scores one file on some models, exactly, and ends: `python -m somatui.workers.score_file`.

Job: {"job": "score_file", "version": 1, "models": [path], "data": path, "target": path | null, "threshold": x | null,
"seed": n}. With "board": path, "target_id": id and "weights_dir": path the target is one of the board's, its models are
fetched where none are named, and other targets of theirs are looked at. Its `done` message holds `result` in the shape
of `somatui score file --json`.
"""

from __future__ import annotations

import json
import math
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import base58
import numpy as np
from numpy.typing import NDArray

from somatui.domain import audit
from somatui.engine import contract, weights
from somatui.workers.board import Board, BoardError, BoardTarget, read_board
from somatui.workers.fetch import FetchError, weights_file
from somatui.workers.session import JobError, Session, run

LARGEST_DATA = 4 * 1024 * 1024
"""Bytes of a candidate; the network takes 1 MiB."""
NEAREST = 5
"""Other targets that are told."""


def read_target(path: Path) -> NDArray[np.float32]:
    """The numbers of a file that holds a JSON list of them. Raises JobError."""
    try:
        values = json.loads(path.read_text("utf-8"))
        target = np.array(values, dtype=np.float32)
    except (OSError, ValueError, TypeError, OverflowError, RecursionError) as failure:
        raise JobError(f"{path.name} is not a JSON list of numbers ({failure!s:.200}).") from failure
    return target


def check_target(target: NDArray[np.float32], name: str, dim: int) -> None:
    """Refuse a target that no model of `dim` dimensions can be near to. Raises JobError."""
    if target.shape != (dim,) or not np.isfinite(target).all() or not target.any():
        raise JobError(f"{name} must hold {dim} finite numbers, not all zero, as the models' embeddings do.")


def read_data(path: Path) -> bytes:
    """The candidate's bytes. Raises JobError for a file that is empty or cannot be read."""
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_DATA + 1)
    except OSError as failure:
        raise JobError(f"{path} cannot be read ({failure.strerror}).") from failure
    if not data:
        raise JobError(f"{path.name} is empty: there is nothing to score.")
    if len(data) > LARGEST_DATA:
        raise JobError(f"{path.name} has more than {LARGEST_DATA:,} bytes: the network takes 1 MiB; use a smaller one.")
    return data


def score_file(models: list[Path], data: bytes, target: NDArray[np.float32] | None, name: str,
               seed: int) -> list[tuple[contract.Score, float | None]]:  # fmt: skip
    """Each model's answer, with its distance where there is a target. Raises JobError or WeightsError."""
    found: list[tuple[contract.Score, float | None]] = []
    for path in models:
        if not path.is_file():
            raise JobError(f"There is no model at {path}: name a safetensors file.")
        config, tensors = weights.open_file(path)
        if target is not None:
            check_target(target, name, config.dim)
        answer = contract.score(config, tensors, data, seed)
        distance = None if target is None else contract.distance(answer.embedding, target)
        if not math.isfinite(answer.loss) or not math.isfinite(distance or 0):
            raise JobError(f"{path.name} gives this file a loss or a distance that is no finite number: leave it out.")
        found.append((answer, distance))
    return found


def explained(data: bytes, scores: list[contract.Score], distance: float | None, threshold: float | None
              ) -> dict[str, Any]:  # fmt: skip
    """What the numbers mean: the file's shape, the winner's margin, the gap to the threshold, an auditor's view."""
    losses = [score.loss for score in scores]
    lead, verdict = audit.margin(losses), audit.verdict(len(data), losses, distance, threshold)
    hit = None if distance is None or threshold is None else distance <= threshold
    return {
        "data": asdict(audit.Shape.of(len(data))) | {"checksum": base58.b58encode(weights.checksum(data)).decode()},
        "margin": None if lead is None else asdict(lead),
        "threshold": threshold,
        "hit": hit,
        "audit": asdict(verdict)
        | {"loss": audit.passing(min(losses)), "distance": None if distance is None else audit.passing(distance)},
    }


def nearest(board: Board, besides: str, scored: dict[str, contract.Score]) -> list[dict[str, Any]]:
    """The other targets that this file is nearest to by the models that were scored, by distance.

    `lacks` counts models of a target that were not: until they are, its winner is not known.
    """
    found = []
    for target in board.targets:
        known = [m for m in target.model_ids if m in scored]
        if target.id == besides or not known:
            continue
        best = known[contract.winner([scored[m] for m in known])]
        distance = contract.distance(scored[best].embedding, target.embedding)
        lacks = len(target.model_ids) - len(known)
        found.append({"target": target.id, "model": best, "distance": distance, "lacks": lacks,
                      "hit": distance <= board.threshold})  # fmt: skip
    return sorted(found, key=lambda one: float(str(one["distance"])))[:NEAREST]


def _asked_for(board: Board, wanted: str) -> BoardTarget:
    for target in board.targets:
        if target.id == wanted:
            return target
    raise JobError(f"Target {wanted} is not open in epoch {board.epoch}: somatui targets list shows those that are.")


def _files(job: dict[str, Any], board: Board, target: BoardTarget, session: Session) -> list[Path]:
    """Weights of the target's models, in its order: those named, or else fetched. Raises JobError."""
    named = [Path(m) for m in job["models"]]
    if named and len(named) != len(target.model_ids):
        raise JobError(f"The target has {len(target.model_ids)} models, {len(named)} were named: name all, or none.")
    try:
        return named or [weights_file(board.models[m], Path(job["weights_dir"]), session) for m in target.model_ids]
    except FetchError as failure:
        raise JobError(f"The weights of a model cannot be had: {failure}.") from None


def work(job: dict[str, Any], session: Session) -> dict[str, Any]:
    """Answer the job."""
    data, path = read_data(Path(job["data"])), Path(job["target"]) if job.get("target") else None
    models, threshold, others = [Path(m) for m in job["models"]], job.get("threshold"), None
    target, name = (read_target(path), path.name) if path else (None, "")
    board = read_board(Path(job["board"])) if job.get("board") else None
    asked = _asked_for(board, str(job["target_id"])) if board else None
    if board and asked:
        models, target, name = _files(job, board, asked, session), asked.embedding, "The target"
        threshold = board.threshold if threshold is None else threshold
    scored = score_file(models, data, target, name, int(job.get("seed", 0)))
    scores = [score for score, _ in scored]
    told = [
        {"model": str(model), "loss": score.loss, "embedding": score.embedding.tolist()}
        | ({} if distance is None else {"distance": distance})
        for model, (score, distance) in zip(models, scored, strict=True)
    ]
    if board and asked:
        for one, model in zip(told, asked.model_ids, strict=True):
            one["id"] = model
        others = nearest(board, asked.id, dict(zip(asked.model_ids, scores, strict=True)))
    best = contract.winner(scores)
    found = {"winner": best, "models": told} | explained(data, scores, scored[best][1], threshold)
    return found | {"target": asked.id if asked else None, "nearest": others}


if __name__ == "__main__":
    sys.exit(run("score_file", work, weights.WeightsError, BoardError))
