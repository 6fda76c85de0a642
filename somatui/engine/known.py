"""One candidate whose answer the network's reference scorer gave: who answers otherwise here must not be trusted.

Weights, bytes and target are drawn from the recorded case's seeds (tests/golden/scoring), so that nothing is kept but
two numbers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
import torch
from arrgen import normal_array

from somatui.engine import contract
from somatui.engine.contract import Score
from somatui.engine.weights import SMALL, ModelConfig, Tensors, tensor_shapes

SIZE, DATA_SEED, MODEL_SEED, TARGET_SEED = 10_000, 12, 1, 7
LOSS, DISTANCE = 5.949436664581299, 0.8898851871490479
"""Of the first model of the case `small-noise-10000`: ten chunks, the last one padded."""
NEAR = 1e-4
"""How far an answer may be off, the loss relatively: a hundredth of what an auditor allows. Products in TF32 are within
a seventh of it, as far as that can be tried on a processor."""


def tensors() -> Tensors:
    """The weights, of the small architecture."""
    found: Tensors = {}
    for number, (name, shape) in enumerate(sorted(tensor_shapes(SMALL).items())):
        mean, spread = (1.0 if name.endswith("gamma") else 0.0), 0.1
        if name.endswith("weight"):
            spread = 1.0 if name == "embedding.weight" else float(shape[0]) ** -0.5
        drawn = normal_array(1000 * MODEL_SEED + number, list(shape), mean, spread)
        found[name] = torch.from_numpy(np.array(drawn, dtype=np.float32))
    return found


def data() -> bytes:
    """The candidate."""
    blocks = (hashlib.blake2b(f"{DATA_SEED}:{n}".encode()).digest() for n in range(-(-SIZE // 64)))
    return b"".join(blocks)[:SIZE]


def answered(way: Callable[[ModelConfig, Tensors, bytes], Score] = contract.score) -> tuple[float, float]:
    """Loss and distance that this machine gives, one way or the other."""
    target = np.array(normal_array(TARGET_SEED, [SMALL.dim], 0.0, 1.0), dtype=np.float32)
    score = way(SMALL, tensors(), data())
    return score.loss, contract.distance(score.embedding, target)


def is_right(loss: float, distance: float) -> bool:
    """Whether these are the reference's numbers."""
    return abs(loss - LOSS) <= NEAR * LOSS and abs(distance - DISTANCE) <= NEAR
