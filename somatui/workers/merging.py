"""What the workers of one corpus tell becomes what one worker would tell: counts add up, the nearest counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

LEAST = ("best_distance", "best_hour")
MOST = ("targets", "covered", "left_s", "step")
MEAN = ("peak_share",)
WORST = "screen_worst"
"""How names begin whose figures are the worst difference seen."""
Figures = Mapping[str, float]


def figures(told: Iterable[Figures]) -> dict[str, float]:
    """One set of figures out of those of several workers."""
    by_name: dict[str, list[float]] = {}
    for one in told:
        for name, value in one.items():
            by_name.setdefault(name, []).append(value)
    return {name: _one(name, values) for name, values in by_name.items()}


def _one(name: str, values: list[float]) -> float:
    if name in LEAST:
        return min(values)
    if name in MOST or name.startswith(WORST):
        return max(values)
    if name in MEAN:
        return sum(values) / len(values)
    if name == "cover_s":
        # Each alone would need so long: side by side their chances of the next hit add up.
        return 1 / sum(1 / value for value in values) if all(values) else 0.0
    return sum(values)
