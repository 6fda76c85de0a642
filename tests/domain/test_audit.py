"""What an auditor makes of a score."""

from __future__ import annotations

import pytest

from somatui.domain.audit import CLOSE, Margin, Shape, margin, passing, verdict


@pytest.mark.parametrize(
    ("size", "shape"),
    [(1, (1, 1, 1023)), (1024, (1, 1, 0)), (1025, (2, 1, 1023)), (16_384, (16, 1, 0)), (16_385, (17, 2, 1023)),
     (40_000, (40, 3, 960))],
)  # fmt: skip
def test_bytes_are_cut_into_chunks_and_batches(size: int, shape: tuple[int, int, int]) -> None:
    found = Shape.of(size)
    assert (found.bytes, found.chunks, found.batches, found.padding) == (size, *shape)


def test_the_margin_is_the_winners_lead_over_the_next_best() -> None:
    assert margin([5.0]) is None
    assert margin([5.0, 4.0, 4.5]) == Margin(2, 0.5, 0.125)
    assert margin([4.0, 4.0]) == Margin(1, 0.0, 0.0)


@pytest.mark.parametrize("value", [0.02, 0.9, 1.0, 4.5, 100.0])
def test_what_passes_is_what_the_validators_tolerance_lets_pass(value: float) -> None:
    def lets_pass(found: float) -> bool:
        return abs(value - found) < max(0.01, 0.01 * max(abs(value), abs(found)))

    low, high = passing(value)
    assert lets_pass(low + 1e-9) and lets_pass(high - 1e-9)
    assert not lets_pass(low - 1e-9) and not lets_pass(high + 1e-9)


def test_a_clear_winner_of_one_batch_is_safe() -> None:
    found = verdict(5000, [4.5, 4.6], 0.94, 0.95)
    assert found.one_answer and found.winner_is_safe
    assert "It is a hit: its distance is 0.010000 below the threshold of 0.950000." in found.says


def test_a_close_winner_is_not_and_says_what_it_counts_as() -> None:
    found = verdict(5000, [4.5, 4.5 * (1 + CLOSE / 2)], 0.96, 0.95)
    assert found.one_answer and not found.winner_is_safe
    assert any("counts as fraud; do not submit it" in one for one in found.says)
    assert any(one.startswith("It is no hit") for one in found.says)


def test_more_than_one_batch_needs_a_clearer_winner() -> None:
    assert verdict(16_384, [4.5, 4.51], None).winner_is_safe
    found = verdict(16_385, [4.5, 4.51], None)
    assert not found.one_answer and not found.winner_is_safe
    assert "It has 17 chunks" in found.says[0] and "16,384 bytes" in found.says[0]


def test_one_model_proves_no_winner() -> None:
    assert "whether it wins is not known" in " ".join(verdict(10, [1.0], None).says)
