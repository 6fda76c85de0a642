"""Parts of chunks that were made once: a file of known chunks costs a sum (scoring.md 0.5).

What a part is, and how parts become an answer, is `contract`'s.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from somatui.engine import contract
from somatui.engine.contract import Part, Score
from somatui.engine.weights import ModelConfig, Tensors

KEPT_BYTES = 64 * 1024 * 1024
_OVERHEAD = 512
"""Bytes of a kept part beside its numbers, about."""
_BLOCK = 1 << 22
"""Numbers that are held at once while files are put together."""
Key = tuple[str, int, bytes]
Make = Callable[[Sequence[bytes], int], Sequence[Part]]
"""Makes the parts of chunks for a seed."""


class Chunks:
    """The parts used last, by checksum of the weights, seed and digest of the chunk.

    Memory is bounded, and threads may share it. `made` counts forwards, `known` those that were saved.
    """

    def __init__(self, most_bytes: int = KEPT_BYTES) -> None:
        self._most, self._bytes = most_bytes, 0
        self._held: OrderedDict[Key, Part] = OrderedDict()
        self._lock = threading.Lock()
        self.made = self.known = 0

    def __len__(self) -> int:
        return len(self._held)

    def score(self, name: str, config: ModelConfig, tensors: Tensors, data: bytes, seed: int = 0) -> Score:
        """To the bit what `contract.score` answers; `name` is the checksum of the weights.

        Raises ValueError for empty data.
        """

        def made(chunks: Sequence[bytes], seed: int) -> list[Part]:
            return [contract.parts(config, tensors, next(contract.batches(chunk)), seed)[0] for chunk in chunks]

        return self.through(name, made, data, seed)

    def through(self, name: str, make: Make, data: bytes, seed: int = 0) -> Score:
        """The answer for some bytes whose unknown parts `make` makes; `name` has to tell the weights and the way."""
        groups: list[list[Part]] = []
        for number, chunks in enumerate(contract.cut(data)):
            keys = [(name, seed + number, digest(chunk)) for chunk in chunks]
            found = self._known(keys)
            missing = {key: chunk for key, chunk in zip(keys, chunks, strict=True) if key not in found}
            if missing:
                made = make(list(missing.values()), seed + number)
                found |= zip(missing, made, strict=True)
                self._keep({key: found[key] for key in missing})
            groups.append([found[key] for key in keys])
        return contract.together(groups)

    def forget(self, names: set[str]) -> None:
        """Drop what was made with any other weights than these."""
        with self._lock:
            for key in [k for k in self._held if k[0] not in names]:
                self._bytes -= _size(self._held.pop(key))

    def _known(self, keys: Sequence[Key]) -> dict[Key, Part]:
        with self._lock:
            found = {key: self._held[key] for key in keys if key in self._held}
            for key in found:
                self._held.move_to_end(key)
            self.known += sum(key in found for key in keys)
        return found

    def _keep(self, made: dict[Key, Part]) -> None:
        with self._lock:
            self.made += len(made)
            for key, part in made.items():
                if key not in self._held:
                    self._held[key] = part
                    self._bytes += _size(part)
            while self._bytes > self._most:
                _, oldest = self._held.popitem(last=False)
                self._bytes -= _size(oldest)


def _size(part: Part) -> int:
    return part.embedding.nbytes + _OVERHEAD


def digest(chunk: bytes) -> bytes:
    """What a chunk is known by, 16 bytes of Blake2b."""
    return hashlib.blake2b(chunk, digest_size=16).digest()


class Library:
    """The parts of many chunks on one model, as arrays: losses f64 [chunks] and embeddings f32 [chunks, dim]."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self.losses = np.array([p.cross + contract.SIGREG_WEIGHT * p.regular for p in parts])
        self.embeddings = np.stack([p.embedding for p in parts])

    def compose(self, files: NDArray[np.integer]) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Losses [files] and embeddings [files, dim] of files that each consist of some chunks, [files, chunks].

        They differ from the contract's by rounding alone (1e-6). Raises ValueError for files of more than 16 chunks:
        those have more than one batch, and so no single answer (scoring.md 0.6).
        """
        count, size = files.shape
        if not 1 <= size <= contract.BATCH:
            raise ValueError(f"A file of {size} chunks has no single answer: 1 to {contract.BATCH} have.")
        total = np.empty((count, self.embeddings.shape[1]), dtype=np.float32)
        step = max(1, _BLOCK // total.shape[1])
        for at in range(0, count, step):
            part = files[at : at + step]
            into = total[at : at + step]
            np.take(self.embeddings, part[:, 0], axis=0, out=into)
            for column in range(1, size):
                into += self.embeddings[part[:, column]]
        total *= np.float32(1 / size)
        losses: NDArray[np.float64] = self.losses[files].mean(axis=1)
        return losses, total
