"""Worker that trains a model of the small architecture on local files: `python -m somatui.workers.train`.

Job: {"job": "train", "version": 1, "config": "small", "init": path | null, "corpus": {"paths": [path] | null,
"max_bytes": n, "seed": n}, "steps": n, "micro_batch": n, "accumulate": n, "lr": x, "seed": n, "checkpoint_every": n,
"work_dir": path, "threads": n}. It resumes from the checkpoint in its work folder, and ends with weights and embedding.
"""

from __future__ import annotations

import base64
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from somatui.corpora.files import CorpusError, FileCorpus
from somatui.engine import contract, weights
from somatui.engine.trainer import CheckpointError, Plan, Trainer, embedding_of
from somatui.files import write_whole
from somatui.workers.session import JobError, Session, run

METRIC_EVERY_S = 0.25
EMBEDDING_SAMPLES = 16


class Source:
    """Windows of 1,024 bytes from a corpus that begins anew, with another order, whenever it ends."""

    def __init__(
        self, paths: tuple[Path, ...], max_bytes: int, seed: int, cursor: dict[str, Any] | None = None
    ) -> None:
        self._paths, self._max_bytes = paths, max_bytes
        self._begin(FileCorpus(paths, max_bytes, seed) if cursor is None else self._resumed(cursor))
        if cursor is not None:
            self._turn()
            self._at = int(cursor["piece"])

    def _resumed(self, cursor: dict[str, Any]) -> FileCorpus:
        try:
            return FileCorpus.resumed(cursor["corpus"], self._paths, self._max_bytes)
        except (KeyError, TypeError, IndexError):
            raise CheckpointError("The checkpoint does not fit this corpus: train in another work folder.") from None

    def _begin(self, corpus: FileCorpus) -> None:
        self._corpus, self._candidates = corpus, iter(corpus)
        self._before, self._data, self._at = corpus.cursor(), b"", 0

    def _turn(self) -> None:
        """Go to the next candidate, of the next round when this one is over."""
        for _ in range(2):
            self._before = self._corpus.cursor()
            candidate = next(self._candidates, None)
            if candidate is not None:
                self._data, self._at = candidate.data, 0
                return
            self._begin(FileCorpus(self._paths, self._max_bytes, self._corpus.seed + 1))
        raise JobError("The corpus holds nothing to train on: name other files or folders.")

    def next(self) -> bytes:
        """The next window."""
        start = self._at * contract.CHUNK
        if start >= len(self._data):
            self._turn()
            start = 0
        self._at += 1
        return self._data[start : start + contract.CHUNK]

    def cursor(self) -> dict[str, Any]:
        """The corpus before the candidate at hand, and how many of its windows have been given out, as JSON."""
        return {"corpus": self._before, "piece": self._at}


def _begin(job: dict[str, Any], checkpoint: Path) -> tuple[Trainer, dict[str, Any] | None]:
    if checkpoint.exists():
        return Trainer.resume(checkpoint)
    if job.get("config", "small") != "small":
        raise JobError("Only the small architecture can be trained here.")
    plan = Plan(
        learning_rate=float(job.get("lr", 1e-3)),
        micro_batch=int(job.get("micro_batch", 2)),
        accumulate=int(job.get("accumulate", 2)),
        seed=int(job.get("seed", 0)),
    )
    config, tensors = weights.SMALL, weights.initial(weights.SMALL, plan.seed)
    if job.get("init"):
        config, tensors = weights.open_file(Path(job["init"]))
    torch.manual_seed(plan.seed)
    return Trainer(config, tensors, plan), None


def train(job: dict[str, Any], session: Session) -> dict[str, Any]:
    """Train to the last step or until told to stop; a checkpoint is written then as well."""
    torch.set_num_threads(int(job.get("threads") or 2))
    folder, steps = Path(job["work_dir"]), int(job["steps"])
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / "checkpoint.pt"
    trainer, cursor = _begin(job, checkpoint)
    corpus = job.get("corpus") or {}
    paths = tuple(Path(p) for p in corpus.get("paths") or ())
    seed = trainer.plan.seed if corpus.get("seed") is None else int(corpus["seed"])
    source = Source(paths, int(corpus.get("max_bytes") or 16_384), seed, cursor)
    run = _Run(trainer, source, checkpoint, session, (cursor or {}).get("loss"))
    run.advance(steps, int(job.get("checkpoint_every") or 50))
    run.save()
    made = folder / "model.safetensors"
    write_whole(made, trainer.export())
    config, tensors = weights.open_file(made)
    embedding = embedding_of(config, tensors, [source.next() for _ in range(EMBEDDING_SAMPLES)])
    told = base64.b64encode(embedding.astype("<f4").tobytes()).decode()
    return {"weights": str(made), "embedding": told, "loss": run.loss, "step": trainer.step, "steps": steps}


@dataclass(slots=True)
class _Run:
    """Steps with what is told and saved along the way; `loss` is the last step's."""

    trainer: Trainer
    source: Source
    checkpoint: Path
    session: Session
    loss: float | None

    def advance(self, steps: int, save_every: int) -> None:
        """Make steps up to `steps` or until the worker is to stop; metrics come at most four times a second."""
        plan, send = self.trainer.plan, self.session.emitter.send
        tokens = plan.micro_batch * plan.accumulate * contract.CHUNK
        began, begun_at, told = time.monotonic(), self.trainer.step, 0.0
        while self.trainer.step < steps and not self.session.stopping.is_set():
            self.loss = self.trainer.advance(self.source.next)
            step, now = self.trainer.step, time.monotonic()
            if now - told >= METRIC_EVERY_S or step == steps:
                told = now
                made, took = step - begun_at, now - began
                left_s = (steps - step) * took / made if made > 1 or step == steps else None
                send("metric", step=step, steps=steps, loss=self.loss, tokens_per_s=made * tokens / took, left_s=left_s)
                send("progress", done=step / steps)
            if step % save_every == 0:
                self.save()

    def save(self) -> None:
        """Write the checkpoint and tell of it."""
        self.trainer.save(self.checkpoint, self.source.cursor() | {"loss": self.loss})
        self.session.emitter.send("checkpoint", path=str(self.checkpoint), step=self.trainer.step)


if __name__ == "__main__":
    sys.exit(run("train", train, CorpusError, CheckpointError, weights.WeightsError))
