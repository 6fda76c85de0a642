"""The scoring contract once more, in f64 and numpy, written from the sheets and from nothing of the engine.

It is slow and plain on purpose: full attention with a mask, a sine and a cosine for every point, a batch at a time.
Sources: protocol.md 5, scoring.md 0.1 and 0.4; its judge are the recorded answers in tests/golden/scoring.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from arrgen import normal_array
from numpy.typing import NDArray

Array = NDArray[np.float64]
Ids = NDArray[np.int64]
Weights = Mapping[str, NDArray[Any]]
PAD, EOS = 256, 257
_erf = np.frompyfunc(math.erf, 1, 1)


@dataclass(frozen=True)
class Rows:
    """Tokens, targets and positions, each [sequences, length]."""

    tokens: Ids
    targets: Ids
    positions: Ids


def sequences(data: bytes, length: int = 1024) -> Rows:
    """All chunks of some bytes, one position after the other (protocol.md 5.1)."""
    tokens, targets, positions = [], [], []
    for start in range(0, len(data), length):
        piece = list(data[start : start + length])
        row = piece + [EOS] * (len(piece) < length)
        row += [PAD] * (length - len(row))
        tokens.append(row)
        targets.append([*row[1:], PAD])
        positions.append([start + min(i, len(piece)) for i in range(length)])
    return Rows(*(np.array(a, dtype=np.int64) for a in (tokens, targets, positions)))


def _norm(x: Array, w: Weights, at: str) -> Array:
    centred = x - x.mean(-1, keepdims=True)
    spread = np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
    return centred / spread * w[at + ".gamma"].astype(np.float64) + w[at + ".beta"].astype(np.float64)


def _linear(x: Array, w: Weights, at: str) -> Array:
    return x @ w[at + ".weight"].astype(np.float64) + w[at + ".bias"].astype(np.float64)


def _turned(x: Array, positions: Ids) -> Array:
    """Rotary positions, halves apart, of [heads, length, features]."""
    half = x.shape[-1] // 2
    angle = positions[:, None] / 10_000.0 ** (np.arange(half) / half)
    first, second = x[..., :half], x[..., half:]
    return np.concatenate(
        [first * np.cos(angle) - second * np.sin(angle), second * np.cos(angle) + first * np.sin(angle)], axis=-1
    )


def _attended(x: Array, w: Weights, at: str, positions: Ids, heads: int) -> Array:
    length, dim = x.shape

    def parted(name: str) -> Array:
        return _linear(x, w, f"{at}.{name}").reshape(length, heads, dim // heads).transpose(1, 0, 2)

    query, key, value = _turned(parted("query"), positions), _turned(parted("key"), positions), parted("value")
    scores = query @ key.transpose(0, 2, 1) / math.sqrt(dim // heads)
    scores = np.where(np.tril(np.ones((length, length), dtype=bool)), scores, -1e4)
    scores = np.exp(scores - scores.max(-1, keepdims=True))
    mixed = (scores / scores.sum(-1, keepdims=True)) @ value
    return _linear(mixed.transpose(1, 0, 2).reshape(length, dim), w, f"{at}.output")


def hidden(w: Weights, heads: int, tokens: Ids, positions: Ids) -> Array:
    """States of one sequence after the final norm, [length, dim] (protocol.md 5.2)."""
    x = w["embedding.weight"].astype(np.float64)[tokens]
    for layer in range(sum(name.endswith("norm_1.gamma") for name in w)):
        at = f"encoder.layers.{layer}"
        x = x + _attended(_norm(x, w, f"{at}.norm_1"), w, f"{at}.attention", positions, heads)
        inner = _linear(_norm(x, w, f"{at}.norm_2"), w, f"{at}.pwff.linear_inner")
        inner = inner * 0.5 * (1 + _erf(inner / math.sqrt(2)).astype(np.float64))
        x = x + _linear(inner, w, f"{at}.pwff.linear_outer")
    return _norm(x, w, "final_norm")


def cross(w: Weights, states: Array, targets: Ids) -> float:
    """The mean over all positions, those before padding counted as zero (scoring.md 0.1)."""
    logits = _linear(states, w, "predictor")
    top = logits.max(-1, keepdims=True)
    spread = np.log(np.exp(logits - top).sum(-1)) + top[:, 0]
    each = spread - logits[np.arange(len(targets)), targets]
    return float(np.where(targets == PAD, 0.0, each).mean())


def regular(states: Array, seed: int) -> float:
    """SIGReg of some states [positions, dim], times 0.02 (protocol.md 5.4)."""
    noise = np.asarray(normal_array(seed, [states.shape[1], 256], 0.0, 1.0), dtype=np.float64)
    shades = states @ (noise / np.sqrt((noise**2).sum(0)))
    total, step = np.zeros(len(states)), 3.0 / 16
    for k in range(17):
        t, weight = k * step, step if k in (0, 16) else 2 * step
        phi = math.exp(-(t**2) / 2)
        error = (np.cos(t * shades).mean(-1) - phi) ** 2 + np.sin(t * shades).mean(-1) ** 2
        total += weight * phi * error
    return float(total.mean()) * 256 * 0.02


def batch(w: Weights, heads: int, rows: Rows, seed: int) -> tuple[float, Array]:
    """Loss and embedding of up to 16 sequences."""
    states = [hidden(w, heads, t, p) for t, p in zip(rows.tokens, rows.positions, strict=True)]
    each = [cross(w, s, t) for s, t in zip(states, rows.targets, strict=True)]
    together = np.concatenate(states)
    return float(np.mean(each)) + regular(together, seed), together.mean(0)


def score(w: Weights, heads: int, data: bytes, seed: int = 0) -> tuple[float, Array]:
    """Loss and embedding [dim] of some bytes: means over batches of 16, noise drawn with the seed + batch number."""
    rows, found = sequences(data), []
    for number, at in enumerate(range(0, len(rows.tokens), 16)):
        part = Rows(*(a[at : at + 16] for a in (rows.tokens, rows.targets, rows.positions)))
        found.append(batch(w, heads, part, (seed + number) % 2**64))
    return float(np.mean([loss for loss, _ in found])), np.mean([e for _, e in found], axis=0)


def distance(embedding: Array, target: NDArray[Any]) -> float:
    """1 - cosine."""
    goal = target.astype(np.float64)
    return float(1 - embedding @ goal / np.sqrt((embedding @ embedding) * (goal @ goal)))
