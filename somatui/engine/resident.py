"""A model that stays on a device, ready for many chunks: shapes that stay the same, one copy each way for a batch.

In f32 its numbers are the contract's up to rounding, in bf16 those of screening (scoring.md B). Padding is computed
here, `screen` leaves it out; which numbers count is decided elsewhere.
"""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from somatui.engine import contract
from somatui.engine.contract import CHUNK, EOS, FUSED, PAD, Batch, Part
from somatui.engine.weights import ModelConfig, Tensors

SIZES = (1, 2, 4, 8, 16)
"""Chunks of one forward on a card, each size captured once; elsewhere any number up to the largest."""
FEWEST_DIMENSIONS = 64
"""Of models that may be screened in bf16: in narrower ones single roundings weigh more than the margins."""
TF32_LOSS, TF32_DISTANCE = 1e-4, 1e-3
"""What products in TF32 may change, relatively and of any distance: a hundredth and a tenth of what audits allow."""
_KNOWN = bytes(range(256)) * 4
Rows = list[Part]


def bf16_is_native() -> bool:
    """Whether the processor multiplies bf16 itself, as far as the system tells."""
    try:
        told = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return any(name in told for name in ("avx512_bf16", "amx_bf16", " bf16"))


def prepared(config: ModelConfig, tensors: Tensors, dtype: torch.dtype = torch.float32) -> Tensors:
    """The same weights with attention matrices fused, the layers' in `dtype`; table, norms and predictor stay f32."""
    made: Tensors = {}
    for layer in range(config.layers):
        at = f"encoder.layers.{layer}.attention."
        for kind in ("weight", "bias"):
            each = [tensors[f"{at}{name}.{kind}"].to(dtype) for name in ("query", "key", "value")]
            made[f"{at}{FUSED}.{kind}"] = torch.cat(each, dim=-1)
    for name, tensor in tensors.items():
        if not name.rpartition(".")[0].endswith(("query", "key", "value")):
            made[name] = tensor.to(dtype) if is_matrix(name) else tensor
    return made


def is_matrix(name: str) -> bool:
    """Whether a tensor of this name is one of a layer's matrices, or its bias: what may have fewer bits."""
    return name.startswith("encoder.") and "norm" not in name


def size_of(tensors: Tensors) -> int:
    """Bytes of some tensors."""
    return sum(t.nbytes for t in tensors.values())


def tokens(chunks: Sequence[bytes]) -> torch.Tensor:
    """Tokens, int16 [chunks, 1024]: bytes, EOS if there is room, padding. Raises ValueError for what is no chunk."""
    rows = np.full((len(chunks), CHUNK), PAD, dtype=np.int16)
    for row, chunk in zip(rows, chunks, strict=True):
        if not 0 < len(chunk) <= CHUNK:
            raise ValueError(f"A chunk has 1 to {CHUNK} bytes, not {len(chunk)}.")
        row[: len(chunk)] = np.frombuffer(chunk, dtype=np.uint8)
        row[len(chunk) : len(chunk) + 1] = EOS
    return torch.from_numpy(rows)


class Resident:
    """One model on one device. `tensors` are as `prepared` made them, on any device; one thread at a time on a card."""

    def __init__(self, config: ModelConfig, tensors: Tensors, device: torch.device) -> None:
        self.config, self.device = config, device
        self._pinned = device.type == "cuda"
        self.tf32 = False
        """Whether a card takes its f32 products in TF32."""
        with torch.inference_mode():
            self.tensors = {name: t.to(device, non_blocking=True) for name, t in tensors.items()}
            # A processor's cosines wherever they are used: so the same as the contract's to the bit.
            cos, sin = contract.turns(config, torch.arange(CHUNK + 1))
            self._turns = cos.to(device), sin.to(device)
            self._order = torch.arange(CHUNK, device=device)
            self._noise = contract.projections(config.dim, 0, device).clone()
        self._seed = 0
        self._graphs: dict[int, _Graph | None] = {}
        self._met: set[int] = set()

    @property
    def nbytes(self) -> int:
        """Bytes of its weights."""
        return size_of(self.tensors)

    def parts(self, chunks: Sequence[bytes], seed: int = 0) -> Rows:
        """The parts of chunks of 1 to 1,024 bytes; what lies beside one changes no number by more than 1e-6 (f32)."""
        found: Rows = []
        under_way: deque[Callable[[], Rows]] = deque()
        for at in range(0, len(chunks), SIZES[-1]):
            under_way.append(self.begin(chunks[at : at + SIZES[-1]], seed))
            if len(under_way) > 1:
                found += under_way.popleft()()
        for end in under_way:
            found += end()
        return found

    @torch.inference_mode()
    def begin(self, chunks: Sequence[bytes], seed: int = 0) -> Callable[[], Rows]:
        """Send up to 16 chunks on their way; what is given back waits for their parts."""
        given = tokens(chunks)
        if not self._pinned:
            found = self._means(given, contract.projections(self.config.dim, seed, self.device))
            return lambda: _parts(found.numpy())
        # Streams, events and captures are of the current card unless they are told another.
        with torch.cuda.device(self.device):
            return self._sent(given, seed)

    def _sent(self, given: torch.Tensor, seed: int) -> Callable[[], Rows]:
        """`begin` on a card; all of it in the card's current stream, one after the other."""
        if seed != self._seed:
            self._noise.copy_(contract.projections(self.config.dim, seed, self.device))
            self._seed = seed
        # PyTorch's switches are the process's. Sums of bf16 stay f32, as where the margins of screening were measured.
        torch.backends.cuda.matmul.allow_tf32 = self.tf32
        torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
        size = next(size for size in SIZES if size >= len(given))
        sent = torch.full((size, CHUNK), PAD, dtype=torch.int16, pin_memory=True)
        sent[: len(given)] = given
        # The first batch of a size goes through as it is: it warms up what a capture needs, and a model that soon makes
        # place for another is spared one.
        if size in self._met and size not in self._graphs:
            self._graphs[size] = self._captured(size)
        self._met.add(size)
        if (graph := self._graphs.get(size)) is None:
            found = self._means(sent.to(self.device, non_blocking=True), self._noise)
        else:
            graph.tokens.copy_(sent, non_blocking=True)
            graph.graph.replay()
            found = graph.found
        got = torch.empty(found.shape, pin_memory=True)
        got.copy_(found, non_blocking=True)
        # Blocking: who waits sleeps, and leaves the core to those who read and cut candidates.
        done = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        done.record(torch.cuda.current_stream(self.device))

        def end() -> Rows:
            # The only moment at which the processor waits for the card; `sent` has to live until then.
            done.synchronize()
            return _parts(got[: len(given)].numpy(), sent)

        return end

    def again(self) -> None:
        """Capture anew from here on: a captured forward keeps the precision in which it was captured."""
        self._graphs.clear()
        self._met.clear()

    def _means(self, given: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Of tokens [chunks, 1024]: cross-entropy, SIGReg and mean state, f32 [chunks, 2 + dim], on the device."""
        ids = given.to(torch.int64)
        places = torch.minimum(self._order, (ids < PAD).sum(1, keepdim=True))
        targets = torch.full_like(ids, PAD)
        targets[:, :-1] = ids[:, 1:]
        known = (self._turns[0][places], self._turns[1][places])
        hidden = contract.encode(self.config, self.tensors, Batch(ids, targets, places), None, known)
        cross = contract.surprise(self.tensors, hidden, targets).mean(1, keepdim=True)
        regular = contract.stray(hidden.flatten(0, 1), noise).view(ids.shape).mean(1, keepdim=True)
        return torch.cat((cross, regular, hidden.mean(1)), dim=1)

    def _captured(self, size: int) -> _Graph | None:
        """The forward of this many chunks as one launch, None where the card or the driver will not have it."""
        now = torch.cuda.current_stream(self.device)
        try:
            return _Graph(self._means, size, self._noise, self.device)
        except RuntimeError as failure:
            # PyTorch leaves a failed capture's stream the current one.
            torch.cuda.set_stream(now)
            if isinstance(failure, torch.OutOfMemoryError):
                raise
            torch.cuda.synchronize(self.device)
            return None


def tf32(device: Resident) -> bool:
    """Let a card take this model's f32 products in TF32 if its numbers stay what they are; whether that is so.

    The network's own scorer takes them so on such cards (scoring.md 0.8).
    """
    found, good = [], False
    try:
        for quick in (False, True):
            device.tf32 = quick
            device.again()
            found.append(contract.together([device.parts([_KNOWN])]))
        good = near(*found)
    finally:
        device.tf32 = good
        device.again()
    return good


def near(plain: contract.Score, quick: contract.Score) -> bool:
    """Whether two answers differ by less than TF32_LOSS and, whatever the target, TF32_DISTANCE."""
    one, other = (s.embedding / np.linalg.norm(s.embedding) for s in (plain, quick))
    apart = float(np.linalg.norm(one - other))
    return abs(quick.loss / plain.loss - 1) <= TF32_LOSS and apart <= TF32_DISTANCE


@dataclass(frozen=True)
class _Ground:
    """Where a card's forwards are captured: their memory, a graph of nothing that keeps it, and a stream.

    PyTorch takes no more captures into a pool whose graphs were all let go of, as when models are exchanged. With any
    graph that ends it (2.12 and later) also lets go of the cuBLAS workspace of the stream that the graph was captured
    on, though others still write there. So that workspace has to lie in the pool, where nothing outlasts a launch:
    nothing but captures is done in their stream.
    """

    pool: Any
    keeper: torch.cuda.CUDAGraph
    stream: torch.cuda.Stream


@lru_cache(maxsize=8)
def _ground(device: torch.device) -> _Ground:
    with torch.cuda.device(device), warnings.catch_warnings():
        stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        ground = _Ground(torch.cuda.graph_pool_handle(), torch.cuda.CUDAGraph(), stream)
        warnings.simplefilter("ignore")  # that it is empty
        with _capturing(ground.keeper, ground):
            pass
    return ground


def _capturing(graph: torch.cuda.CUDAGraph, ground: _Ground) -> torch.cuda.graph:
    return torch.cuda.graph(graph, pool=ground.pool, stream=ground.stream, capture_error_mode="thread_local")


class _Graph:
    """A captured forward: it reads `tokens` and the noise, and writes `found`, always in the same places."""

    def __init__(
        self, means: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], size: int, noise: torch.Tensor,
        device: torch.device,
    ) -> None:  # fmt: skip
        self.tokens = torch.full((size, CHUNK), PAD, dtype=torch.int16, device=device)
        self.graph = torch.cuda.CUDAGraph()
        # One pool for all: they run one after the other, and what one has found is copied away before the next begins.
        with _capturing(self.graph, _ground(device)):
            self.found = means(self.tokens, noise)


def _parts(found: np.ndarray[tuple[int, int], np.dtype[np.float32]], *_alive: torch.Tensor) -> Rows:
    return [Part(float(row[0]), float(row[1]), row[2:].copy()) for row in found]
