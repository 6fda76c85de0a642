"""A model that has learnt something, in seconds: what random weights forgive shows on it."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch

from somatui.corpora.files import FileCorpus
from somatui.engine import contract, weights
from somatui.engine.weights import ModelConfig, Tensors

CONFIG = ModelConfig(64, 128, 2, 4)
STEPS, ROWS, LENGTH = 40, 8, 128


@cache
def texts() -> bytes:
    """Sources of the running interpreter, one behind the other."""
    return b"".join(candidate.data for _, candidate in zip(range(100), FileCorpus(seed=1), strict=False))


@cache
def trained() -> Tensors:
    """Weights after a few steps of the contract's loss on source code."""
    tensors = {name: t.requires_grad_() for name, t in weights.initial(CONFIG, 1).items()}
    optimizer = torch.optim.AdamW(tensors.values(), lr=1e-2, weight_decay=0.0)
    chance, text = np.random.default_rng(0), np.frombuffer(texts(), dtype=np.uint8)
    for _ in range(STEPS):
        starts = chance.integers(0, len(text) - LENGTH - 1, ROWS)
        rows = torch.from_numpy(np.stack([text[at : at + LENGTH + 1] for at in starts]).astype(np.int64))
        batch = contract.Batch(rows[:, :-1], rows[:, 1:], torch.arange(LENGTH).expand(ROWS, LENGTH))
        hidden = contract.encode(CONFIG, tensors, batch)
        loss = contract.cross_entropy(tensors, hidden, batch.targets)
        optimizer.zero_grad()
        (loss + contract.SIGREG_WEIGHT * contract.sigreg(hidden[:, ::16], 0)).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return {name: t.detach() for name, t in tensors.items()}
