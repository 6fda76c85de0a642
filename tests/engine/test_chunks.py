"""A chunk is scored once per model, and files of known chunks are what the contract says of them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import pytest

from somatui.engine import contract, weights
from somatui.engine.chunks import Chunks, Library
from somatui.engine.weights import SMALL

PIECES = [(f"piece {n} of a file\n" * 60).encode()[: contract.CHUNK] for n in range(5)]


@cache
def tensors(seed: int = 3) -> weights.Tensors:
    return weights.initial(SMALL, seed)


def same(ours: contract.Score, data: bytes, seed: int = 0) -> bool:
    theirs = contract.score(SMALL, tensors(), data, seed)
    return ours.loss == theirs.loss and bool((ours.embedding == theirs.embedding).all())


def test_files_of_known_chunks_are_answered_to_the_bit_without_a_forward() -> None:
    chunks = Chunks()
    for piece in PIECES[:3]:
        assert same(chunks.score("w", SMALL, tensors(), piece), piece)
    assert (chunks.made, chunks.known) == (3, 0)
    for order in ((0, 1, 2), (2, 0), (1, 1, 1)):
        data = b"".join(PIECES[n] for n in order)
        assert same(chunks.score("w", SMALL, tensors(), data), data)
    assert (chunks.made, chunks.known) == (3, 8)
    tail = PIECES[1] + b"an end of its own"
    assert same(chunks.score("w", SMALL, tensors(), tail), tail)
    assert chunks.made == 4


def test_other_weights_and_other_seeds_know_nothing() -> None:
    chunks = Chunks()
    chunks.score("w", SMALL, tensors(), PIECES[0])
    chunks.score("w", SMALL, tensors(), PIECES[0], seed=1)
    other = chunks.score("v", SMALL, tensors(4), PIECES[0])
    assert chunks.known == 0
    assert other.loss == contract.score(SMALL, tensors(4), PIECES[0]).loss
    chunks.forget({"v"})
    assert len(chunks) == 1


def test_the_second_batch_has_its_own_noise() -> None:
    chunks, data = Chunks(), PIECES[0] * 17
    found = chunks.score("w", SMALL, tensors(), data)
    assert (len(chunks), chunks.made) == (2, 2)
    (chunk,) = contract.batches(PIECES[0])
    first, second = (contract.parts(SMALL, tensors(), chunk, seed)[0] for seed in (0, 1))
    assert first.regular != second.regular
    assert found.loss == contract.together([[first] * 16, [second]]).loss


def test_memory_is_bounded_and_the_chunks_used_last_stay() -> None:
    chunks = Chunks(most_bytes=2 * (512 + 4 * SMALL.dim))
    for piece in (PIECES[0], PIECES[1], PIECES[0], PIECES[2]):
        chunks.score("w", SMALL, tensors(), piece)
    assert (len(chunks), chunks.made, chunks.known) == (2, 3, 1)
    chunks.score("w", SMALL, tensors(), PIECES[0])
    assert chunks.known == 2


def test_threads_may_share_it() -> None:
    chunks = Chunks()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda n: chunks.score("w", SMALL, tensors(), PIECES[n % 2]).loss, range(8)))
    assert len(set(found)) == len(chunks) == 2
    assert chunks.made + chunks.known == 8


def test_composed_files_are_the_contract_s_to_a_millionth() -> None:
    parts = [contract.parts(SMALL, tensors(), next(contract.batches(piece)), 0)[0] for piece in PIECES]
    library = Library(parts)
    for files in (np.array([[0, 1, 2], [4, 4, 1]]), np.array([[3]]), np.arange(16)[None] % 5):
        losses, embeddings = library.compose(files)
        for row, file in enumerate(files):
            whole = contract.score(SMALL, tensors(), b"".join(PIECES[n] for n in file))
            assert losses[row] == pytest.approx(whole.loss, rel=1e-6)
            assert np.abs(embeddings[row] - whole.embedding).max() <= 1e-6
    with pytest.raises(ValueError, match="17 chunks"):
        library.compose(np.zeros((1, 17), dtype=int))
