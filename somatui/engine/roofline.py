"""What a forward costs in arithmetic, and what a graphics card could do at most (scoring.md A)."""

from __future__ import annotations

import re

from somatui.engine.contract import CHUNK
from somatui.engine.weights import VOCABULARY, ModelConfig

_BF16_PEAK = {
    "L4": 121e12, "L40S": 362e12, "4090": 165e12, "5090": 209e12, "A100": 312e12, "H100": 989e12, "H200": 989e12,
    "B200": 2250e12,
}  # fmt: skip
"""Operations a second of the tensor cores with dense bf16 matrices, sums in f32, as published; of the SXM builds."""
_LESS = {("H100", "PCIe"): 756e12, ("H100", "NVL"): 835e12, ("H200", "NVL"): 835e12}
_UNLIKE = {"Laptop", "D", "MIG"}
"""Words in the names of what is less than the card of that name."""


def chunk_flops(config: ModelConfig) -> float:
    """Operations of one chunk of 1024 bytes through a model: matrices and causal attention."""
    d = config.dim
    matrices = config.layers * (4 * d * d + 2 * d * config.hidden) + d * VOCABULARY
    return 2.0 * CHUNK * matrices + 2.0 * CHUNK * CHUNK * d * config.layers


def bf16_peak(card: str) -> float | None:
    """Operations a second of the card of that name, None for one whose peak is not known here."""
    words = set(re.findall(r"\w+", card))
    name = next((n for n in _BF16_PEAK if n in words), None)
    if name is None or words & _UNLIKE:
        return None
    return next((peak for (of, build), peak in _LESS.items() if of == name and build in words), _BF16_PEAK[name])
