"""What an auditor makes of a score: how far numbers may be off, whether the winner is safe (scoring.md 0.6, 0.7)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

CHUNK, BATCH = 1024, 16
"""Bytes of a chunk and chunks of a batch: a file of more than one batch has no single loss (scoring.md 0.6)."""
ONE_ANSWER = BATCH * CHUNK
TOLERANCE = 0.01
"""How far an auditor's number may be from the submitted one, absolutely or as a part of the larger (scoring.md 0.7)."""
CLOSE, CLOSE_IN_BATCHES = 1e-3, 5e-3
"""Parts of the winner's loss by which it should lead: rounding (scoring.md B), or the order of batches as well."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How bytes are cut: chunks of 1,024, batches of 16 of them, and places of the last chunk that hold no byte."""

    bytes: int
    chunks: int
    batches: int
    padding: int

    @classmethod
    def of(cls, size: int) -> Shape:
        """The shape of so many bytes, of which there must be one."""
        chunks = -(-size // CHUNK)
        return cls(size, chunks, -(-chunks // BATCH), chunks * CHUNK - size)


@dataclass(frozen=True, slots=True)
class Margin:
    """By how much the winner leads: the index of the next best model, the losses' difference, its part of the loss."""

    runner_up: int
    loss: float
    share: float


def margin(losses: Sequence[float]) -> Margin | None:
    """The winner's lead; None where one model stands alone."""
    if len(losses) < 2:
        return None
    best, second = sorted(range(len(losses)), key=lambda i: losses[i])[:2]
    lead = losses[second] - losses[best]
    return Margin(second, lead, lead / abs(losses[best]) if losses[best] else 0.0)


def passing(value: float) -> tuple[float, float]:
    """The least and the largest number that an auditor may find where `value` was submitted."""
    return min(value - TOLERANCE, value * (1 - TOLERANCE)), max(value + TOLERANCE, value / (1 - TOLERANCE))


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether there is one answer and whether its winner is safe, and what both mean, in sentences."""

    one_answer: bool
    winner_is_safe: bool
    says: tuple[str, ...]


def verdict(size: int, losses: Sequence[float], distance: float | None, threshold: float | None = None) -> Verdict:
    """What to expect of an audit of a file of `size` bytes with these losses, whose winner has this distance."""
    shape, lead, best = Shape.of(size), margin(losses), min(losses)
    one = shape.batches == 1
    needed = CLOSE if one else CLOSE_IN_BATCHES
    safe = lead is None or lead.share >= needed
    says = []
    if one:
        says.append("It is one batch, so everybody who scores it exactly finds the same.")
    else:
        says.append(
            f"It has {shape.chunks} chunks: above {BATCH} the network's own loss changes by a thousandth or two with "
            f"the order in which its threads arrive; {ONE_ANSWER:,} bytes are the most that have one answer."
        )
    if lead is None:
        says.append("One model was scored: whether it wins is not known.")
    elif safe:
        says.append(f"The winner leads by {lead.share * 100:.2f} % of its loss: an auditor finds the same one.")
    else:
        says.append(
            f"The winner leads by {lead.share * 100:.3f} % of its loss, less than the {needed * 100:g} % by which "
            "scorers may differ: an auditor can find another winner, which counts as fraud; do not submit it."
        )
    low, high = passing(best)
    says.append(f"An auditor lets a loss from {low:.4f} to {high:.4f} pass" + _with_distance(distance))
    if distance is not None and threshold is not None:
        says.append(_against(distance, threshold))
    return Verdict(one, safe, tuple(says))


def _with_distance(distance: float | None) -> str:
    if distance is None:
        return "."
    low, high = passing(distance)
    return f" and a distance from {low:.4f} to {high:.4f}."


def _against(distance: float, threshold: float) -> str:
    gap = distance - threshold
    if gap > 0:
        return f"It is no hit: its distance is {gap:.6f} above the threshold of {threshold:.6f}, and is refused."
    return f"It is a hit: its distance is {-gap:.6f} below the threshold of {threshold:.6f}."
