"""Screening: numbers near the contract's at a part of its price; what could matter is verified by `contract`.

Two savings, alone or together. Padding: its rows differ by how many came before them and by nothing else, smoothly, so
some twenty of them stand for up to a thousand (scoring.md B, "PAD tail"). Precision: matrices in bf16, for what
multiplies those natively.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from somatui.engine import contract
from somatui.engine.contract import CHUNK, EOS, PAD, Batch, Part, Score
from somatui.engine.resident import Resident
from somatui.engine.weights import ModelConfig, Tensors

LOSS_MARGIN, DISTANCE_MARGIN = 1e-3, 1e-3
"""How far screened numbers may be off: losses relatively, distances absolutely. Nearer decisions are not theirs."""
FEWEST = 96
"""Rows of padding below which nothing is gained by leaving some out."""
_GROWTH = 1.4


@lru_cache(maxsize=256)
def _nodes(rows: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Which of so many rows of padding are computed (counted from 1), and how many each stands for up to each other.

    The second is [nodes, nodes]: row k are the weights of a sum over the first to the k-th node's row, between the
    nodes by interpolation over the logarithm.
    """
    chosen, at = [1], 1.0
    while chosen[-1] < rows:
        at *= _GROWTH
        chosen.append(min(rows, max(chosen[-1] + 1, round(at))))
    count = len(chosen)
    left, right = np.zeros(count), np.zeros(count)
    for i, (here, there) in enumerate(zip(chosen, chosen[1:], strict=False)):
        between = np.arange(here + 1, there)
        share = np.log(between / here) / math.log(there / here)
        left[i], right[i + 1] = (1 - share).sum(), share.sum()
    full = np.tril(np.broadcast_to(1 + left + right, (count, count)), -1) + np.diag(1 + right)
    return torch.tensor(chosen), torch.from_numpy(full.astype(np.float32))


def _mask(real: int, stands: torch.Tensor) -> torch.Tensor:
    """Attention of `real` rows and the nodes behind them: causal, each node counted as often as it stands for rows."""
    size = real + len(stands)
    mask = torch.full((size, size), -math.inf).triu(1)
    mask[real:, real:] = stands.log()
    return mask


@torch.inference_mode()
def part(config: ModelConfig, tensors: Tensors, chunk: bytes, seed: int = 0) -> Part:
    """A chunk's part with most of its padding left out. Raises ValueError unless it has FEWEST rows of it."""
    padding, real = CHUNK - len(chunk) - 1, len(chunk) + 1
    if not chunk or padding < FEWEST:
        raise ValueError(f"A chunk of {len(chunk)} bytes has too little padding to leave out.")
    chosen, stands = _nodes(padding)
    tokens = torch.full((1, real + len(chosen)), PAD)
    tokens[0, : real - 1] = torch.from_numpy(np.frombuffer(chunk, dtype=np.uint8).astype(np.int64))
    tokens[0, real - 1] = EOS
    places = torch.arange(real + len(chosen)).clamp(max=len(chunk)).unsqueeze(0)
    mask = _mask(real, stands).to(tensors["encoder.layers.0.pwff.linear_inner.weight"].dtype)
    hidden = contract.encode(config, tensors, Batch(tokens, tokens, places), mask)[0]
    logits = hidden[: real - 1] @ tensors["predictor.weight"] + tensors["predictor.bias"]
    cross = functional.cross_entropy(logits, tokens[0, 1:real], reduction="sum") / CHUNK
    weight = torch.cat((torch.ones(real), stands[-1])) / CHUNK
    regular = contract.stray(hidden, contract.projections(config.dim, seed)) @ weight
    embedding: NDArray[np.float32] = (weight @ hidden).numpy()
    return Part(float(cross), float(regular), embedding)


def parts(model: Resident, chunks: Sequence[bytes], seed: int = 0) -> list[Part]:
    """Parts of chunks: on a processor most of the padding is left out, on a card all shapes stay the same."""
    short = {n for n, chunk in enumerate(chunks) if model.device.type == "cpu" and CHUNK - len(chunk) - 1 >= FEWEST}
    whole = iter(model.parts([chunk for n, chunk in enumerate(chunks) if n not in short], seed))
    return [
        part(model.config, model.tensors, chunk, seed) if n in short else next(whole) for n, chunk in enumerate(chunks)
    ]


def score(model: Resident, data: bytes, seed: int = 0) -> Score:
    """Nearly what `contract.score` answers, see LOSS_MARGIN and DISTANCE_MARGIN. Raises ValueError for empty data."""
    return contract.together([parts(model, group, seed + n) for n, group in enumerate(contract.cut(data))])
