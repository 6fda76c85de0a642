"""Screened numbers stay within their margins on a model that has learnt something."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch

from somatui.engine import contract, resident, screen
from somatui.engine.resident import Resident
from tests.engine.schooling import CONFIG, texts, trained

TARGETS = np.random.default_rng(5).standard_normal((64, CONFIG.dim)).astype(np.float32)


@cache
def exact(size: int) -> contract.Score:
    return contract.score(CONFIG, trained(), texts()[:size])


def distances(score: contract.Score) -> np.ndarray:
    return np.array([contract.distance(score.embedding, target) for target in TARGETS])


@cache
def model(dtype: torch.dtype = torch.float32) -> Resident:
    return Resident(CONFIG, resident.prepared(CONFIG, trained(), dtype), torch.device("cpu"))


def off(size: int, dtype: torch.dtype = torch.float32) -> tuple[float, float]:
    """Relative difference of the loss, and the largest of the distances to many targets."""
    found = screen.score(model(dtype), texts()[:size])
    return abs(found.loss / exact(size).loss - 1), float(np.abs(distances(found) - distances(exact(size))).max())


@pytest.mark.parametrize("size", [1, 50, 300, 700, 926, 1100])
def test_most_of_the_padding_can_be_left_out(size: int) -> None:
    loss, distance = off(size)
    assert loss <= screen.LOSS_MARGIN / 10
    assert distance <= screen.DISTANCE_MARGIN / 2


def test_a_chunk_with_little_or_no_padding_is_the_contract_s_own() -> None:
    for size in (1024, 1000):
        assert off(size) == (0, 0)


@pytest.mark.parametrize("size", [300, 1024])
def test_half_the_bits_are_enough_for_screening(size: int) -> None:
    loss, distance = off(size, torch.bfloat16)
    assert loss <= screen.LOSS_MARGIN
    assert distance <= screen.DISTANCE_MARGIN


def test_positions_in_half_the_bits_would_not_be() -> None:
    """What `soma_models` does under bfloat16() (scoring.md 0.3): positions above 256 collapse."""
    places = torch.arange(contract.CHUNK)
    assert len(places.to(torch.bfloat16).unique()) < contract.CHUNK / 1.9


def test_chunks_with_and_without_padding_keep_their_places() -> None:
    sizes = (300, 1024, 1, 1000)
    found = screen.parts(model(), [texts()[:size] for size in sizes])
    for size, part in zip(sizes, found, strict=True):
        assert contract.together([[part]]).loss == pytest.approx(exact(size).loss, rel=screen.LOSS_MARGIN)


def test_no_data_and_chunks_without_padding_are_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        screen.score(model(), b"")
    for size in (0, 1000, 1025):
        with pytest.raises(ValueError, match=f"{size} bytes"):
            screen.part(CONFIG, trained(), bytes(size))
