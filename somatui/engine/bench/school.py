"""A model that has learnt something, in seconds: what random weights forgive shows on it."""

from __future__ import annotations

import numpy as np
import torch

from somatui.corpora.files import FileCorpus
from somatui.engine import contract, weights
from somatui.engine.weights import ModelConfig, Tensors

ROWS, LENGTH = 8, 128
RATE = 0.5
"""Learning rate times dimensions: wide models would fall into one constant answer at the rate of narrow ones."""


def texts(count: int = 100, seed: int = 1) -> bytes:
    """Sources of the running interpreter, one behind the other."""
    return b"".join(candidate.data for _, candidate in zip(range(count), FileCorpus(seed=seed), strict=False))


def taught(config: ModelConfig, steps: int, seed: int, text: bytes) -> Tensors:
    """Weights after some steps of the contract's loss on a text of at least some thousand bytes."""
    tensors = {name: t.requires_grad_() for name, t in weights.initial(config, seed).items()}
    optimizer = torch.optim.AdamW(tensors.values(), lr=RATE / config.dim, weight_decay=0.0)
    chance, array = np.random.default_rng(seed), np.frombuffer(text, dtype=np.uint8)
    for _ in range(steps):
        starts = chance.integers(0, len(array) - LENGTH - 1, ROWS)
        rows = torch.from_numpy(np.stack([array[at : at + LENGTH + 1] for at in starts]).astype(np.int64))
        batch = contract.Batch(rows[:, :-1], rows[:, 1:], torch.arange(LENGTH).expand(ROWS, LENGTH))
        hidden = contract.encode(config, tensors, batch)
        loss = contract.cross_entropy(tensors, hidden, batch.targets)
        optimizer.zero_grad()
        (loss + contract.SIGREG_WEIGHT * contract.sigreg(hidden[:, ::16], 0)).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return {name: t.detach() for name, t in tensors.items()}
