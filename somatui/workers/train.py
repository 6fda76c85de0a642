"""Worker that trains a model of the small architecture on local files: `python -m somatui.workers.train`.

Job: {"job": "train", "version": 1, "config": "small", "init": path | null, "corpus": {"paths": [path] | null,
"max_bytes": n}, "steps": n, "micro_batch": n, "accumulate": n, "lr": x, "seed": n, "checkpoint_every": n,
"work_dir": path, "threads": n}. It resumes from the checkpoint in its work folder, and ends with weights and embedding.
"""

from __future__ import annotations

import base64
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from somatui.corpora.files import CorpusError, FileCorpus
from somatui.engine import contract, weights
from somatui.engine.trainer import CheckpointError, Plan, Trainer, embedding_of
from somatui.workers.session import JobError, Session, run

METRIC_EVERY_S = 0.5
EMBEDDING_SAMPLES = 64


class Source:
    """Windows of 1,024 bytes from a corpus that begins anew, with another order, whenever it ends."""

    def __init__(
        self, paths: tuple[Path, ...], max_bytes: int, seed: int, cursor: dict[str, Any] | None = None
    ) -> None:
        self._paths, self._max_bytes = paths, max_bytes
        self.given = 0
        self._corpus = FileCorpus(paths, max_bytes, seed)
        self._pieces = self._cut()
        for _ in range(cursor["given"] if cursor else 0):
            self.next()

    def _cut(self) -> Any:
        while True:
            some = False
            for candidate in self._corpus:
                some = True
                for at in range(0, len(candidate.data), contract.CHUNK):
                    yield candidate.data[at : at + contract.CHUNK]
            if not some:
                raise JobError("The corpus holds nothing to train on: name other files or folders.")
            self._corpus = FileCorpus(self._paths, self._max_bytes, self._corpus.seed + 1)

    def next(self) -> bytes:
        """The next window."""
        self.given += 1
        piece: bytes = next(self._pieces)
        return piece

    def cursor(self) -> dict[str, Any]:
        """How many windows have been given out, as JSON."""
        return {"given": self.given}


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
    source = Source(paths, int(corpus.get("max_bytes", 16_384)), trainer.plan.seed, cursor)
    loss = _steps(trainer, source.next, steps, session, lambda: _save(trainer, source, checkpoint, session), job)
    _save(trainer, source, checkpoint, session)
    made = folder / "model.safetensors"
    made.write_bytes(trainer.export())
    config, tensors = weights.open_file(made)
    embedding = embedding_of(config, tensors, [source.next() for _ in range(EMBEDDING_SAMPLES)])
    told = base64.b64encode(embedding.tobytes()).decode()
    return {"weights": str(made), "embedding": told, "loss": loss, "step": trainer.step, "steps": steps}


def _steps(
    trainer: Trainer,
    sample: Callable[[], bytes],
    steps: int,
    session: Session,
    save: Callable[[], None],
    job: dict[str, Any],
) -> float | None:
    every, tokens = (
        int(job.get("checkpoint_every", 50)),
        trainer.plan.micro_batch * trainer.plan.accumulate * contract.CHUNK,
    )
    loss: float | None = None
    began, begun_at, told = time.monotonic(), trainer.step, 0.0
    while trainer.step < steps and not session.stopping.is_set():
        loss = trainer.advance(sample)
        now = time.monotonic()
        if now - told >= METRIC_EVERY_S or trainer.step == steps:
            told = now
            rate = (trainer.step - begun_at) * tokens / (now - began)
            session.emitter.send("metric", step=trainer.step, steps=steps, loss=loss, tokens_per_s=rate)
            session.emitter.send("progress", done=trainer.step / steps)
        if trainer.step % every == 0:
            save()
    return loss


def _save(trainer: Trainer, source: Source, path: Path, session: Session) -> None:
    trainer.save(path, source.cursor())
    session.emitter.send("checkpoint", path=str(path), step=trainer.step)


if __name__ == "__main__":
    sys.exit(run("train", train, CorpusError, CheckpointError, weights.WeightsError))
