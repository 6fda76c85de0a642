"""Our scores are the reference scorer's, case by case (tests/golden/scoring)."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from somatui.engine import contract, weights
from tests.golden.scoring import recipe

GOLDEN = Path(__file__).parent.parent / "golden" / "scoring"
CASES: list[dict[str, Any]] = json.loads((GOLDEN / "cases.json").read_text())
ANSWERS = {a["name"]: a for a in map(json.loads, (GOLDEN / "expected.jsonl").read_text().splitlines())}
ONE_BATCH = contract.BATCH * contract.CHUNK


@cache
def a_model(config: tuple[tuple[str, int], ...], seed: int) -> tuple[weights.ModelConfig, weights.Tensors]:
    sizes = dict(config)
    tensors = {k: torch.from_numpy(v) for k, v in recipe.weights(sizes, seed).items()}
    return weights.check(tensors, sizes["num_heads"]), tensors


def _marks(case: dict[str, Any]) -> list[pytest.MarkDecorator]:
    """The weights of full width alone take a minute to draw."""
    return [pytest.mark.slow, pytest.mark.timeout(600)] if case["config"]["embedding_dim"] > 1024 else []


@pytest.mark.parametrize("case", [pytest.param(c, id=c["name"], marks=_marks(c)) for c in CASES])
def test_every_recorded_answer_is_ours(case: dict[str, Any]) -> None:
    answer = ANSWERS[case["name"]]
    data = recipe.data_bytes(**case["data"])
    target = recipe.target(case["config"]["embedding_dim"], case["target_seed"])
    config = tuple(sorted(case["config"].items()))
    scores = [contract.score(*a_model(config, s), data, case["seed"]) for s in case["model_seeds"]]
    assert contract.winner(scores) == answer["winner"]
    for ours, theirs in zip(scores, answer["models"], strict=True):
        # Above 16 chunks the reference draws its noise in order of arrival, so its loss has no single value.
        assert ours.loss == pytest.approx(theirs["loss"], rel=1e-5 if len(data) <= ONE_BATCH else 1e-3)
        assert np.abs(ours.embedding - np.float32(theirs["embedding"])).max() <= 1e-4
        assert contract.distance(ours.embedding, target) == pytest.approx(theirs["distance"], abs=1e-5)


def test_the_recordings_hold_both_kinds_of_case() -> None:
    sizes = [c["data"]["size"] for c in CASES]
    assert min(sizes) <= ONE_BATCH < max(sizes)
    assert set(ANSWERS) == {c["name"] for c in CASES}


def test_empty_data_has_no_score() -> None:
    with pytest.raises(ValueError, match="empty"):
        next(contract.batches(b""))


def test_an_embedding_without_a_loss_is_the_same_embedding() -> None:
    tensors = weights.initial(weights.SMALL, 3)
    data = bytes(range(256)) * 9
    scored = contract.score(weights.SMALL, tensors, data)
    assert (contract.embed(weights.SMALL, tensors, data) == scored.embedding).all()
