"""How near scored candidates came to the open targets: the nearest misses, the best of the hour, what is covered."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from somatui.workers.tables import MISSES

HOUR_S, MINUTE_S = 3600.0, 60.0
COVERED = 0.9
"""The share of open targets whose covering is worth waiting for: each further one takes longer than the last."""
_LAST, _LEAST = 20, 5
"""From so many of the targets covered last is learnt how long the others take; fewer than the least say nothing."""


class Nearest:
    """By target of the board, the nearest candidate so far; memory grows with the board alone."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ids: tuple[str, ...] = ()
        self._places: dict[str, int] = {}
        self._far: NDArray[np.float32] = np.empty(0, dtype=np.float32)
        self._names: NDArray[np.object_] = np.empty(0, dtype=object)
        self._threshold = 0.0
        self._met = 0
        """How often a candidate met a target that was not covered."""
        self._covers: deque[int] = deque(maxlen=_LAST)
        """How many such meetings there had been before each of the targets that were covered last."""
        self._minutes: deque[tuple[float, float]] = deque(maxlen=int(HOUR_S / MINUTE_S) + 1)
        """When each minute began, and its best distance."""

    def follow(self, ids: Sequence[str], threshold: float, hit: Collection[str] = ()) -> None:
        """Take over another board; what is known of targets that stay is kept, and those `hit` count as covered."""
        far, names = np.full(len(ids), np.inf, dtype=np.float32), np.full(len(ids), "", dtype=object)
        for place, target in enumerate(ids):
            if (before := self._places.get(target)) is not None:
                far[place], names[place] = self._far[before], self._names[before]
            if target in hit:
                far[place] = -np.inf
        self._ids, self._places = tuple(ids), {target: place for place, target in enumerate(ids)}
        self._far, self._names, self._threshold = far, names, threshold

    def see(self, far: NDArray[np.float32], names: Sequence[str], ids: Sequence[str] | None = None) -> None:
        """Take in distances [candidates, targets] of these targets.

        Without `ids` they are the whole board's and the candidates are new: from those is learnt how long it takes.
        """
        places = None if ids is None else np.array([self._places[i] for i in ids], dtype=np.intp)
        before = self._far if places is None else self._far[places]
        best = far.min(axis=0)
        self._note(float(best.min()))
        nearer = np.flatnonzero(best < before)
        if ids is None:
            fresh = (before[nearer] > self._threshold) & (best[nearer] <= self._threshold)
            self._covers.extend([self._met] * int(np.count_nonzero(fresh)))
            self._met += len(far) * int(np.count_nonzero(before > self._threshold))
        at = nearer if places is None else places[nearer]
        self._far[at] = best[nearer]
        self._names[at] = np.array(names, dtype=object)[far[:, nearer].argmin(axis=0)]

    def cover(self, target: str) -> None:
        """This target of the board was hit, however near it was told to be."""
        place = self._places[target]
        if self._far[place] > self._threshold:
            self._covers.append(self._met)
        self._far[place] = -np.inf

    def misses(self) -> list[dict[str, Any]]:
        """The nearest of the candidates that do not hit, one for each target: name, target, distance, gap."""
        missed = np.flatnonzero((self._far > self._threshold) & np.isfinite(self._far))
        if len(missed) > MISSES:
            missed = missed[np.argpartition(self._far[missed], MISSES - 1)[:MISSES]]
        first = missed[np.argsort(self._far[missed], kind="stable")]
        return [
            {"name": str(self._names[p]), "target": self._ids[p], "distance": round(float(self._far[p]), 6),
             "gap": round(float(self._far[p]) - self._threshold, 6)}
            for p in first
        ]  # fmt: skip

    def figures(self, candidates_per_s: float) -> dict[str, float | None]:
        """Numbers: targets, those covered, the best distance of the last hour, seconds to cover nine in ten.

        What is not known is None. The seconds hold while targets go on being covered as the last ones were.
        """
        now = self._clock()
        covered = int((self._far <= self._threshold).sum())
        told: dict[str, float | None] = {"targets": len(self._ids), "covered": covered, "cover_s": None}
        best = min((best for began, best in self._minutes if began > now - HOUR_S), default=math.inf)
        told["best_hour"] = best if math.isfinite(best) else None
        left, allowed = len(self._ids) - covered, math.floor((1 - COVERED) * len(self._ids) + 1e-9)
        if len(self._covers) >= _LEAST and left > allowed and candidates_per_s > 0:
            chance = (len(self._covers) - 1) / max(1, self._met - self._covers[0])
            told["cover_s"] = math.log(left / max(allowed, 0.5)) / -math.log1p(-min(chance, 0.999)) / candidates_per_s
        return told

    def _note(self, distance: float) -> None:
        now = self._clock()
        if not self._minutes or now - self._minutes[-1][0] >= MINUTE_S:
            self._minutes.append((now, distance))
        began, best = self._minutes[-1]
        self._minutes[-1] = (began, min(best, distance))
