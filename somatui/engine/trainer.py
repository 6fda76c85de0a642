"""A plain trainer for the small architecture: contract loss, accumulated gradients, checkpoints that resume bit by bit.

Where the bytes come from is left to `corpora`, processes and messages to `workers`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from somatui.engine import contract, weights
from somatui.engine.optimizer import AdamW
from somatui.engine.weights import ModelConfig, Tensors

Sample = Callable[[], bytes]
"""Gives the bytes of one sequence, at most 1,024."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How to train; `micro_batch` sequences go through at once, `accumulate` such passes make a step."""

    learning_rate: float = 1e-3
    micro_batch: int = 2
    accumulate: int = 2
    clip: float = 1.0
    seed: int = 0


class CheckpointError(ValueError):
    """A checkpoint that cannot be resumed from; the text is one sentence."""


class Trainer:
    """Weights in training with everything that a resumed run needs."""

    def __init__(self, config: ModelConfig, tensors: Tensors, plan: Plan) -> None:
        self.config, self.plan, self.step = config, plan, 0
        self.tensors: Tensors = {name: t.clone().requires_grad_() for name, t in sorted(tensors.items())}
        self._optimizer = AdamW(self.tensors.values(), lr=plan.learning_rate, weight_decay=0.0)

    def advance(self, sample: Sample) -> float:
        """Make one step and give its mean contract loss. The noise seed is the network's own, 0 (scoring.md 0.7)."""
        self._optimizer.zero_grad(set_to_none=True)
        total = 0.0
        for _ in range(self.plan.accumulate):
            batch = joined([sample() for _ in range(self.plan.micro_batch)])
            loss, _ = contract.loss_of(self.config, self.tensors, batch, seed=0)
            (loss / self.plan.accumulate).backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
        torch.nn.utils.clip_grad_norm_(self.tensors.values(), self.plan.clip)
        self._optimizer.step()
        self.step += 1
        return total / self.plan.accumulate

    def export(self) -> bytes:
        """Plain safetensors of the weights as they are, in the network's layout."""
        return weights.to_bytes(self.tensors)

    def save(self, path: Path, cursor: dict[str, Any]) -> None:
        """Write weights, optimizer, step and the data's cursor beside `path`, then put it in place."""
        state = {
            "config": asdict(self.config),
            "plan": asdict(self.plan),
            "step": self.step,
            "tensors": {name: t.detach() for name, t in self.tensors.items()},
            "optimizer": self._optimizer.state_dict(),
            "random": torch.get_rng_state(),
            "cursor": cursor,
        }
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        with beside.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)

    @classmethod
    def resume(cls, path: Path) -> tuple[Trainer, dict[str, Any]]:
        """The trainer as it was saved, and the data's cursor. Raises CheckpointError."""
        try:
            state = torch.load(path, weights_only=True)
            made = cls(ModelConfig(**state["config"]), state["tensors"], Plan(**state["plan"]))
            made._optimizer.load_state_dict(state["optimizer"])
            made.step = state["step"]
            torch.set_rng_state(state["random"])
            cursor: dict[str, Any] = state["cursor"]
        except Exception as failure:
            raise CheckpointError(f"{path.name} is no whole checkpoint: resume from an older one.") from failure
        return made, cursor


def joined(pieces: list[bytes]) -> contract.Batch:
    """Sequences of different origin as one batch, each padded as if it stood alone."""
    parts = [next(contract.batches(piece[: contract.CHUNK])) for piece in pieces]
    return contract.Batch(*(torch.cat([getattr(p, f) for p in parts]) for f in ("tokens", "targets", "positions")))


def embedding_of(config: ModelConfig, tensors: Tensors, pieces: list[bytes]) -> NDArray[np.float32]:
    """A model's own embedding: the mean over positions of some representative sequences, of length 1 (f32 [dim])."""
    total = np.zeros(config.dim, dtype=np.float64)
    for piece in pieces:
        total += contract.embed(config, tensors, piece[: contract.CHUNK])
    mean = total / np.linalg.norm(total)
    return mean.astype(np.float32)
