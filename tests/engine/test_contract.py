"""The exact path against an independent transcription in f64, and what its parts promise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from somatui.engine import contract, weights
from somatui.engine.weights import ModelConfig, Tensors
from tests.engine import transcription
from tests.long import scoring_contract

TEXT = b"def of(self, given: bytes) -> int:\n    return sum(given)\n" * 60
Plain = dict[str, NDArray[Any]]


@st.composite
def models(draw: st.DrawFn) -> tuple[ModelConfig, Plain, np.random.Generator]:
    """Small models of any proportions."""
    heads, features = draw(st.sampled_from([1, 2, 3, 4])), draw(st.sampled_from([2, 4, 6, 16]))
    config = ModelConfig(heads * features, draw(st.integers(1, 48)), draw(st.integers(1, 3)), heads)
    chance = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return config, wild(config, chance), chance


def wild(config: ModelConfig, chance: np.random.Generator) -> Plain:
    """Weights of a spread at which every part of a model matters."""
    plain: Plain = {}
    for name, shape in weights.tensor_shapes(config).items():
        spread = 1.0 if name == "embedding.weight" else shape[0] ** -0.5 if len(shape) == 2 else 0.3
        plain[name] = (chance.standard_normal(shape) * spread + name.endswith("gamma")).astype(np.float32)
    return plain


def ours(plain: Plain) -> Tensors:
    return {name: torch.from_numpy(array) for name, array in plain.items()}


@settings(max_examples=30, deadline=None)
@given(models(), st.integers(1, 3), st.integers(2, 40), st.integers(0, 16_000), st.integers(0, 2**32))
def test_any_model_answers_as_the_transcription_does(
    drawn: tuple[ModelConfig, Plain, np.random.Generator], count: int, length: int, offset: int, seed: int
) -> None:
    config, plain, chance = drawn
    tokens = chance.integers(0, weights.VOCABULARY, (count, length))
    targets = np.where(chance.random((count, length)) < 0.3, transcription.PAD, chance.integers(0, 256, tokens.shape))
    places = np.sort(chance.integers(0, 1024, tokens.shape)) + offset
    loss, embedding = transcription.batch(plain, config.heads, transcription.Rows(tokens, targets, places), seed)
    batch = contract.Batch(*map(torch.from_numpy, (tokens, targets, places)))
    with torch.inference_mode():
        found, hidden = contract.loss_of(config, ours(plain), batch, seed)
    assert float(found) == pytest.approx(loss, rel=1e-5, abs=1e-6)
    assert np.abs(hidden.mean(dim=(0, 1)).numpy() - embedding).max() <= 1e-4
    together = contract.together([contract.parts(config, ours(plain), batch, seed)])
    assert together.loss == pytest.approx(loss, rel=1e-5, abs=1e-6)
    assert np.abs(together.embedding - embedding).max() <= 1e-4


def test_bytes_are_cut_as_the_transcription_cuts_them() -> None:
    data = np.random.default_rng(8).bytes(33 * 1024 + 5)
    for size in (1, 2, 1023, 1024, 1025, 2100, 16 * 1024 - 1, 16 * 1024, 16 * 1024 + 1, 17 * 1024, len(data)):
        rows, found = transcription.sequences(data[:size]), list(contract.batches(data[:size]))
        assert all(len(batch.tokens) == contract.BATCH for batch in found[:-1])
        for name in ("tokens", "targets", "positions"):
            whole = torch.cat([getattr(batch, name) for batch in found])
            assert whole.dtype == torch.int64
            assert np.array_equal(whole.numpy(), getattr(rows, name))


@pytest.mark.parametrize(("size", "seed"), [
    (1, 0), (1023, 1), (1024, 2**32), (1025, 3), pytest.param(17 * 1024, 2**32 - 1, marks=pytest.mark.slow),
])  # fmt: skip
def test_bytes_on_every_edge_are_answered_as_the_transcription_answers(size: int, seed: int) -> None:
    config, chance = ModelConfig(8, 12, 1, 2), np.random.default_rng(size)
    plain, data = wild(config, chance), chance.bytes(size)
    loss, embedding = transcription.score(plain, config.heads, data, seed)
    found = contract.score(config, ours(plain), data, seed)
    assert found.loss == pytest.approx(loss, rel=1e-5)
    assert np.abs(found.embedding - embedding).max() <= 1e-5


def test_scores_below_those_of_the_masked_let_the_mask_be_seen_through() -> None:
    config, chance = ModelConfig(8, 12, 1, 2), np.random.default_rng(4)
    plain = wild(config, chance)
    plain["encoder.layers.0.attention.query.bias"] += np.float32(150)
    plain["encoder.layers.0.attention.key.bias"] -= np.float32(150)
    tokens = chance.integers(0, weights.VOCABULARY, (2, 12))
    rows = transcription.Rows(tokens, chance.integers(0, 256, tokens.shape), np.zeros_like(tokens))
    loss, embedding = transcription.batch(plain, config.heads, rows, 0)
    batch = contract.Batch(*map(torch.from_numpy, (rows.tokens, rows.targets, rows.positions)))
    found = contract.together([contract.parts(config, ours(plain), batch, 0)])
    assert found.loss == pytest.approx(loss, rel=1e-4)
    assert np.abs(found.embedding - embedding).max() <= 1e-3


@pytest.mark.parametrize(("dtype", "most"), [(torch.float32, 1e-6), (torch.bfloat16, 2**-8)])
def test_on_a_card_heads_turn_as_on_a_processor(dtype: torch.dtype, most: float) -> None:
    generator = torch.Generator().manual_seed(3)
    fused = torch.randn((2, 40, 3 * 4 * 16), generator=generator).to(dtype)
    heads = fused.chunk(3, dim=-1)[1].view(2, 40, 4, 16).transpose(1, 2)
    known = contract.turns(ModelConfig(64, 64, 1, 4), torch.arange(1000, 1040))
    plain, quick = contract._rotate(heads, *known), contract._rotate_on_card(heads, *known)
    assert plain.dtype == quick.dtype == dtype
    assert ((plain - quick).abs() <= most * plain.abs().clamp(min=1)).all()


def test_the_transcription_gives_recorded_answers_and_ours() -> None:
    for name in ("small-text-2", "small-seed-max32"):
        assert scoring_contract.compare(name, models=1).within


def test_a_chunk_alone_is_to_the_bit_the_chunk_among_others() -> None:
    tensors = weights.initial(weights.SMALL, 3)
    (whole,) = contract.batches(TEXT[: 2 * contract.CHUNK + 300])
    found = contract.parts(weights.SMALL, tensors, whole, 0)
    for number, part in enumerate(found):
        (alone,) = contract.batches(TEXT[: 2 * contract.CHUNK + 300][number * contract.CHUNK :][: contract.CHUNK])
        (one,) = contract.parts(weights.SMALL, tensors, alone, 0)
        assert (one.cross, one.regular) == (part.cross, part.regular)
        assert (one.embedding == part.embedding).all()
