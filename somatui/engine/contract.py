"""The scoring contract in f32: what the network's reference scorer answers for a model and some bytes.

Sources: scoring.md 0 and B, protocol.md 5; settled by the recorded answers in tests/golden/scoring. It holds for
training as well: the loss here is the one that decides who wins. Answers are put together from parts, one for each
chunk; who keeps parts so that none is made twice is `chunks`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from arrgen import normal_array
from numpy.typing import NDArray
from torch.nn import functional

from somatui.engine.weights import ModelConfig, Tensors

CHUNK = 1024
"""Bytes and positions of one sequence."""
BATCH = 16
"""Sequences of one batch; more than one batch has no single answer (scoring.md 0.6)."""
PAD, EOS = 256, 257
SLICES, POINTS, T_MAX, SIGREG_WEIGHT = 256, 17, 3.0, 0.02
MASKED = -1e4
"""The score of what attention may not see (protocol.md 5.2); elsewhere it is taken for minus infinity."""
FUSED = "fused"
"""Where an attention's three first matrices lie side by side, [in, 3 out], if they do (`resident`)."""
_BLOCK, _BLOCK_ON_CARD = 256, 16 * 1024
"""Positions whose projections are held at once: what stays in a processor's cache, what fills a card."""
_CPU = torch.device("cpu")
_PLACES = np.arange(BATCH * CHUNK, dtype=np.int64)
# Threads that make the first calls of MKL's cosine and sine at once may get them in its least accurate mode, off by
# 1.5e-4: here one thread makes them.
for _first in (torch.cos, torch.sin):
    _first(torch.ones(64))


@dataclass(frozen=True, slots=True)
class Batch:
    """Up to 16 sequences: int64 tensors [sequences, 1024] of tokens, shifted targets and global positions."""

    tokens: torch.Tensor
    targets: torch.Tensor
    positions: torch.Tensor


@dataclass(frozen=True, slots=True)
class Score:
    """The answer of one model: its loss and its embedding of the data (f32 [dim]); `exact` unless it was screened."""

    loss: float
    embedding: NDArray[np.float32]
    exact: bool = True


@dataclass(frozen=True, slots=True)
class Part:
    """What one chunk adds to an answer: means over its 1,024 positions, and the mean hidden state (f32 [dim])."""

    cross: float
    regular: float
    embedding: NDArray[np.float32]


def batches(data: bytes) -> Iterator[Batch]:
    """Cut bytes into chunks of 1,024, with one EOS after the last byte if there is room, and 16 chunks a batch.

    Positions are global offsets; EOS and padding all take the offset after the last byte (protocol.md 5.1).
    """
    if not data:
        raise ValueError("There is nothing to score: the data is empty.")
    everything = np.frombuffer(data, dtype=np.uint8)
    for start in range(0, len(data), _PLACES.size):
        here = everything[start : start + _PLACES.size]
        size, room = here.size, -(-here.size // CHUNK) * CHUNK
        # One allocation for all three: this is most of the time that it takes.
        whole = np.empty((3, room), dtype=np.int64)
        tokens, targets, positions = whole
        tokens[:size] = here
        tokens[size:] = PAD
        tokens[size : size + 1] = EOS
        targets[:-1] = tokens[1:]
        targets[CHUNK - 1 :: CHUNK] = PAD
        np.add(_PLACES[:room], start, out=positions)
        positions[size:] = start + size
        yield Batch(*torch.from_numpy(whole).view(3, -1, CHUNK))


def _rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    if x.device != _CPU and not torch.is_grad_enabled():
        return _rotate_on_card(x, cos, sin)
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1).to(x.dtype)


def _rotate_on_card(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """The same in a third of the passes over memory, which are what it costs there."""
    (first, second), found = x.chunk(2, dim=-1), torch.empty_like(x)
    left, right = found.chunk(2, dim=-1)
    torch.addcmul(first * cos, second, sin, value=-1, out=left)
    torch.addcmul(second * cos, first, sin, out=right)
    return found


def _norm(x: torch.Tensor, tensors: Tensors, at: str) -> torch.Tensor:
    return functional.layer_norm(x, x.shape[-1:], tensors[at + ".gamma"], tensors[at + ".beta"], 1e-5)


def _linear(x: torch.Tensor, tensors: Tensors, at: str) -> torch.Tensor:
    matrix = tensors[at + ".weight"]
    return functional.linear(x.to(matrix.dtype), matrix.t(), tensors[at + ".bias"])


Turns = tuple[torch.Tensor, torch.Tensor]


def turns(config: ModelConfig, positions: torch.Tensor) -> Turns:
    """Cosines and sines of rotary positions, each f32 [*positions, features of a head / 2]."""
    half = config.dim // config.heads // 2
    scale = 10_000.0 ** (torch.arange(half, dtype=torch.float32, device=positions.device) / half)
    angles = positions.to(torch.float32).unsqueeze(-1) / scale
    return angles.cos(), angles.sin()


def _heads(normed: torch.Tensor, config: ModelConfig, tensors: Tensors, at: str) -> Iterator[torch.Tensor]:
    """Query, key and value [sequences, heads, positions, features], of one matrix where the three are side by side."""
    fused = _linear(normed, tensors, at + FUSED).chunk(3, dim=-1) if at + FUSED + ".weight" in tensors else None
    for part in fused or (_linear(normed, tensors, at + name) for name in ("query", "key", "value")):
        yield part.view(*normed.shape[:2], config.heads, -1).transpose(1, 2)


def _masks_little(query: torch.Tensor, key: torch.Tensor) -> bool:
    """Whether scores may be so low that masked ones, which the network sets to MASKED, weigh beside them.

    Weights can be made for that. Looked for on a processor alone: a card would have to be waited for.
    """
    if query.device != _CPU or torch.is_grad_enabled():
        return False
    lowest = float(query.norm(dim=-1).max()) * float(key.norm(dim=-1).max()) / math.sqrt(query.shape[-1])
    return lowest > 0.9 * -MASKED


def _masked(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    scores = query.float() @ key.float().transpose(-1, -2) / math.sqrt(query.shape[-1])
    later = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
    return (scores.masked_fill(later, MASKED).softmax(-1) @ value.float()).to(value.dtype)


def _attended(
    normed: torch.Tensor, config: ModelConfig, tensors: Tensors, at: str, known: Turns, mask: torch.Tensor | None
) -> torch.Tensor:
    query, key, value = _heads(normed, config, tensors, at)
    query, key = (_rotate(part, *known) for part in (query, key))
    if mask is None and _masks_little(query, key):
        mixed = _masked(query, key, value)
    else:
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, is_causal=mask is None)
    return _linear(mixed.transpose(1, 2).reshape(normed.shape), tensors, at + "output")


def encode(
    config: ModelConfig, tensors: Tensors, batch: Batch, mask: torch.Tensor | None = None, known: Turns | None = None
) -> torch.Tensor:
    """Hidden states after the final norm, f32 [sequences, positions, dim] (protocol.md 5.2).

    Attention is causal, or has `mask` [positions, positions] added to its scores. With matrices of fewer bits products
    are taken in those; positions, norms and the sum that runs through the layers stay f32 (scoring.md 0.3). `known` are
    the turns of the batch's positions.
    """
    cos, sin = (turn.unsqueeze(1) for turn in known or turns(config, batch.positions))
    # Not by indexing: its gradient adds up in the order in which threads arrive, so runs would differ.
    x = functional.embedding(batch.tokens, tensors["embedding.weight"])
    for layer in range(config.layers):
        at = f"encoder.layers.{layer}."
        # What a step needs ends with it: on a card, where many sequences go through at once, that is a gigabyte.
        x = x + _attended(_norm(x, tensors, at + "norm_1"), config, tensors, at + "attention.", (cos, sin), mask)
        x = x + _linear(
            functional.gelu(_linear(_norm(x, tensors, at + "norm_2"), tensors, at + "pwff.linear_inner")),
            tensors, at + "pwff.linear_outer",
        )  # fmt: skip
    return _norm(x, tensors, "final_norm")


def surprise(tensors: Tensors, hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The cross-entropy of each position, zero where the target is padding, [sequences, positions]."""
    logits = _linear(hidden, tensors, "predictor")
    flat = logits.flatten(0, 1), targets.flatten()
    return functional.cross_entropy(*flat, ignore_index=PAD, reduction="none").view_as(targets)


def cross_entropy(tensors: Tensors, hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Padded targets count as zero and the mean is over all positions, as the network computes it (scoring.md 0.1)."""
    return surprise(tensors, hidden, targets).mean()


@lru_cache(maxsize=8)
def projections(dim: int, seed: int, device: torch.device = _CPU) -> torch.Tensor:
    """The noise [dim, 256] of one batch with columns of length 1; the same seed gives the same numbers everywhere."""
    # Scoring and training share the cache, and autograd refuses tensors made in inference mode.
    with torch.inference_mode(False), torch.no_grad():
        noise = torch.from_numpy(np.array(normal_array(seed, [dim, SLICES], 0.0, 1.0), dtype=np.float32))
        unit: torch.Tensor = noise / noise.norm(dim=0)
        return unit.to(device)


@lru_cache(maxsize=8)
def _points(device: torch.device) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Of the 17 points: what a normal's harmonics are there, the weights, the signs in which `_means` needs them."""
    with torch.inference_mode(False), torch.no_grad():
        phi, step = torch.exp(-0.5 * torch.linspace(0, T_MAX, POINTS) ** 2), T_MAX / (POINTS - 1)
        weight = phi * torch.full((POINTS,), 2 * step).index_fill_(0, torch.tensor([0, POINTS - 1]), step)
        signs = torch.tensor([(1.0, 1.0, -1.0, -1.0)[k % 4] for k in range(POINTS)])
        return phi.to(device), weight.to(device), signs.to(device)


def _means(before: torch.Tensor, now: torch.Tensor, twice: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    """Means over slices, [positions, 17], of the harmonics that begin with `before` and `now`.

    Every step is one pass over memory: with signs that go + + - - the recurrence needs no negation of its own.
    """
    found = [before @ share, now @ share]
    while len(found) < POINTS:
        before, now = now, torch.addcmul(before, twice, now, value=-1 if len(found) % 2 == 0 else 1)
        found.append(now @ share)
    return torch.stack(found, dim=-1) * _points(before.device)[2]


def stray(hidden: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """How far each of some hidden states [positions, dim] is from normal, [positions] (protocol.md 5.4).

    `noise` are the `projections`. The 17 points lie evenly, so cos((k+1)x) = 2 cos x cos kx - cos((k-1)x) replaces 17
    cosines and as many sines.
    """
    phi, weight, _ = _points(hidden.device)
    share, noise = hidden.new_full((SLICES,), 1 / SLICES), noise * (T_MAX / (POINTS - 1))
    found = []
    for block in torch.split(hidden, _BLOCK if hidden.device == _CPU else _BLOCK_ON_CARD):
        turn = block @ noise
        cos, sin = turn.cos(), turn.sin()
        twice = 2 * cos
        real = _means(torch.ones_like(cos), cos, twice, share)
        imaginary = _means(torch.zeros_like(sin), sin, twice, share)
        found.append((((real - phi) ** 2 + imaginary**2) * weight).sum(-1))
    return torch.cat(found) * SLICES


def sigreg(hidden: torch.Tensor, seed: int) -> torch.Tensor:
    """The regulariser of hidden states [sequences, 1024, dim], without its weight of 0.02: the mean stray."""
    return stray(hidden.flatten(0, -2), projections(hidden.shape[-1], seed, hidden.device)).mean()


def loss_of(config: ModelConfig, tensors: Tensors, batch: Batch, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss of one batch, and its hidden states."""
    hidden = encode(config, tensors, batch)
    return cross_entropy(tensors, hidden, batch.targets) + SIGREG_WEIGHT * sigreg(hidden, seed), hidden


def _chunks(batch: Batch) -> Iterator[Batch]:
    """One batch for each chunk, whose positions count from the chunk's own beginning.

    They act through differences alone (scoring.md 0.2), so a chunk's part is the same wherever in a file it stands.
    """
    for row in range(batch.tokens.shape[0]):
        tokens, targets, places = (t[row : row + 1] for t in (batch.tokens, batch.targets, batch.positions))
        yield Batch(tokens, targets, places - places[:, :1])


@torch.inference_mode()
def parts(config: ModelConfig, tensors: Tensors, batch: Batch, seed: int) -> list[Part]:
    """The parts of a batch's chunks, one forward each: nothing that lies beside a chunk can change its numbers."""
    found = []
    for chunk in _chunks(batch):
        hidden = encode(config, tensors, chunk)
        cross, regular = cross_entropy(tensors, hidden, chunk.targets), sigreg(hidden, seed)
        found.append(Part(float(cross), float(regular), hidden.mean(dim=(0, 1)).numpy()))
    return found


def together(groups: Sequence[Sequence[Part]]) -> Score:
    """The answer for parts batch by batch: plain means within a batch and over batches, whatever the size of each."""
    losses = [math.fsum(p.cross + SIGREG_WEIGHT * p.regular for p in group) / len(group) for group in groups]
    return Score(math.fsum(losses) / len(losses), _mean([[p.embedding for p in group] for group in groups]))


def _mean(groups: Sequence[Sequence[NDArray[np.float32]]]) -> NDArray[np.float32]:
    each = [np.mean(group, axis=0, dtype=np.float64) for group in groups]
    mean: NDArray[np.float32] = np.mean(each, axis=0).astype(np.float32)
    return mean


def cut(data: bytes) -> list[list[bytes]]:
    """The chunks of some bytes, batch by batch. Raises ValueError for empty data."""
    if not data:
        raise ValueError("There is nothing to score: the data is empty.")
    pieces = [data[at : at + CHUNK] for at in range(0, len(data), CHUNK)]
    return [pieces[at : at + BATCH] for at in range(0, len(pieces), BATCH)]


def score(config: ModelConfig, tensors: Tensors, data: bytes, seed: int = 0) -> Score:
    """What the network answers for these bytes; submissions and audits use seed 0.

    Batch number n draws its noise with `seed + n`. Raises ValueError for empty data.
    """
    return together([parts(config, tensors, batch, seed + n) for n, batch in enumerate(batches(data))])


@torch.inference_mode()
def embed(config: ModelConfig, tensors: Tensors, data: bytes) -> NDArray[np.float32]:
    """The embedding that `score` answers, without the loss and at a fraction of its cost."""
    return _mean(
        [
            [encode(config, tensors, chunk).mean(dim=(0, 1)).numpy() for chunk in _chunks(batch)]
            for batch in batches(data)
        ]
    )


def distance(embedding: NDArray[np.float32], target: NDArray[np.float32]) -> float:
    """1 - cosine of two f32 vectors, in f32 as the network computes it."""
    if embedding.shape != target.shape:
        raise ValueError(f"The embedding has {embedding.size} numbers, the target {target.size}.")
    a, b = torch.from_numpy(np.asarray(embedding)), torch.from_numpy(np.asarray(target))
    return float(1 - (a @ b) / (a.norm() * b.norm()))


def winner(scores: list[Score]) -> int:
    """The index of the lowest loss, the first on ties."""
    return min(range(len(scores)), key=lambda i: scores[i].loss)
