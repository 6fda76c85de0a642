"""Scored candidates against targets, at numpy's speed: who wins where, how far it is, and what is kept for later."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from somatui.engine.contract import Score
from somatui.workers.board import BoardTarget

Losses = NDArray[np.float64]
Vectors = NDArray[np.float32]
Places = NDArray[np.intp]
KEPT_BYTES = 256 * 1024 * 1024
KEPT_MOST = 20_000
_BLOCK = 1 << 22
"""Distances that are held at once."""


class Aims:
    """Targets as arrays; `columns` tells the column of each model's scores."""

    def __init__(self, targets: Sequence[BoardTarget], columns: Mapping[str, int], dim: int) -> None:
        self.targets = tuple(targets)
        longest = max((len(t.model_ids) for t in targets), default=1)
        # A shorter list repeats its last model: on a tie the first place wins, so repeats never do.
        rows = [[columns[m] for m in t.model_ids] for t in targets]
        padded = [row + row[-1:] * (longest - len(row)) for row in rows]
        self.longest = longest
        self._models = np.array(padded, dtype=np.intp).reshape(len(rows), longest)
        vectors = np.array([t.embedding for t in targets], dtype=np.float32).reshape(len(rows), dim)
        with np.errstate(invalid="ignore", divide="ignore"):
            self._units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def near(self, losses: Losses, embeddings: Vectors, margin: float = 0.0) -> tuple[Vectors, Places, Vectors]:
        """Distances, winners, what is reached, [candidates, targets], of losses [candidates, models] and embeddings.

        The winner is a place in the target's own list: the lowest loss, the first on ties. A candidate that lacks the
        score of one of a target's models is infinitely far from it. Distances are good to about 1e-6. What is reached
        is each candidate's `reach`.
        """
        count, columns = losses.shape
        far = np.full((count, len(self.targets)), np.inf, dtype=np.float32)
        places, reached = np.zeros(far.shape, dtype=np.intp), far.copy()
        step = max(1, _BLOCK // max(1, columns * len(self.targets)))
        with np.errstate(invalid="ignore", divide="ignore"):
            units = embeddings / np.linalg.norm(embeddings, axis=2, keepdims=True)
            for at in range(0, count, step):
                part = slice(at, at + step)
                told = losses[part][:, self._models]
                places[part] = told.argmin(axis=2)
                # All rows as one matrix: many small products take some ten times as long.
                flat = units[part].reshape(len(told) * columns, units.shape[2]) @ self._units.T
                distances = 1 - flat.reshape(len(told), columns, len(self.targets))
                each = distances[:, self._models, np.arange(len(self.targets))[:, None]]
                found = np.take_along_axis(each, places[part][..., None], axis=2)[..., 0]
                known = ~np.isnan(told).any(axis=2) & ~np.isnan(found)
                far[part] = np.where(known, found, np.inf)
                reached[part] = _reached(told, each, margin)
        return far, places, reached

    def reach(self, losses: Losses, embeddings: Vectors, margin: float) -> Vectors:
        """Distances [targets] that one candidate has if any model wins whose loss is within `margin` of the least.

        `losses` [columns] may be unknown, `margin` is relative; infinite for targets none of whose models is known.
        """
        far = np.full((len(losses), len(self.targets)), np.inf, dtype=np.float32)
        columns = np.flatnonzero(~np.isnan(losses))
        with np.errstate(invalid="ignore", divide="ignore"):
            units = embeddings[columns] / np.linalg.norm(embeddings[columns], axis=1, keepdims=True)
            far[columns] = 1 - units @ self._units.T
        each = far[self._models, np.arange(len(self.targets))[:, None]]
        return _reached(losses[self._models], each, margin)

    def winning(self, places: Places) -> Places:
        """The columns of winners, [candidates, targets], by their places in the targets' own lists."""
        return self._models[np.arange(len(self.targets)), places]

    def listing(self, targets: NDArray[np.bool_], columns: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which of some columns [columns] any of some targets [targets] lists."""
        found = np.zeros(len(columns), dtype=bool)
        found[self._models[targets]] = True
        return found & columns

    def apart(self, one: Score, other: Score) -> float:
        """The largest difference of the distances to any target."""
        units = [s.embedding / np.linalg.norm(s.embedding) for s in (one, other)]
        return float(np.abs(self._units @ (units[0] - units[1])).max(initial=0.0))

    def wins(self, losses: Losses) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """By column [columns]: how many targets one candidate's losses give it, of how many that list it.

        Only targets count whose losses are all known.
        """
        told = losses[self._models]
        rows = np.flatnonzero(~np.isnan(told).any(axis=1))
        winning = self._models[rows, told[rows].argmin(axis=1)]
        wins = np.bincount(winning, minlength=len(losses)).astype(np.float64)
        return wins, self._listing(rows, len(losses))

    def listed(self, columns: int) -> NDArray[np.float64]:
        """How many targets list each column, [columns]."""
        return self._listing(np.arange(len(self.targets)), columns)

    def _listing(self, rows: NDArray[np.intp], columns: int) -> NDArray[np.float64]:
        each = np.zeros((len(rows), columns), dtype=bool)
        each[np.arange(len(rows))[:, None], self._models[rows]] = True
        total: NDArray[np.float64] = each.sum(axis=0).astype(np.float64)
        return total


def _reached(told: Losses, each: Vectors, margin: float) -> Vectors:
    """The least distance, [...], of models [..., models] whose loss, NaN where unknown, is near enough to the least."""
    least = np.where(np.isnan(told), np.inf, told).min(axis=-1, keepdims=True)
    able = (told <= least * (1 + margin)) & ~np.isnan(each)
    found: Vectors = np.where(able, each, np.inf).min(axis=-1)
    return found


@dataclass(frozen=True, slots=True)
class Named:
    """Where a kept candidate's bytes come from, and their Blake2b-256 digest (32 bytes)."""

    name: str
    digest: bytes


class Kept:
    """The newest scored candidates with their losses and embeddings, one column per weights; memory is bounded."""

    def __init__(self, columns: Sequence[str], dim: int, most: int = KEPT_MOST) -> None:
        self.columns, self.dim, self._most = tuple(columns), dim, most
        row = max(1, len(columns)) * (8 + 4 * dim)
        self.size = max(1, min(most, KEPT_BYTES // row))
        self._losses: Losses = np.full((self.size, len(columns)), np.nan)
        self._embeddings: Vectors = np.empty((self.size, len(columns), dim), dtype=np.float32)
        self._exact = np.zeros((self.size, len(columns)), dtype=bool)
        self._named: list[Named] = []
        self._rows: dict[Named, int] = {}
        self._next = 0

    def __len__(self) -> int:
        return len(self._named)

    def __getitem__(self, row: int) -> Named:
        return self._named[row]

    def add(self, named: Named, scores: Mapping[str, Score]) -> int:
        """Keep a candidate, in its own row or else in that of the oldest; returns the row.

        Columns without a score stay as they are, unknown at first.
        """
        row = self._rows.get(named)
        if row is None:
            row = self._next
            self._next = (row + 1) % self.size
            if row < len(self._named):
                del self._rows[self._named[row]]
            self._named[row : row + 1] = [named]
            self._rows[named] = row
            self._losses[row], self._embeddings[row], self._exact[row] = np.nan, 0, False
        for place, column in enumerate(self.columns):
            if (score := scores.get(column)) is not None:
                self._losses[row, place], self._embeddings[row, place] = score.loss, score.embedding
                self._exact[row, place] = score.exact
        return row

    def rows(self, named: Iterable[Named]) -> list[int]:
        """Where those of some candidates are that are kept."""
        return [self._rows[one] for one in named if one in self._rows]

    def known(self, named: Named) -> dict[str, Score]:
        """What is known of a candidate: nothing when it is not kept."""
        row = self._rows.get(named)
        return {} if row is None else self.scores(row)

    def scores(self, row: int) -> dict[str, Score]:
        """What is known of a candidate, by column."""
        return {
            column: Score(
                float(self._losses[row, place]), self._embeddings[row, place].copy(), bool(self._exact[row, place])
            )
            for place, column in enumerate(self.columns)
            if not np.isnan(self._losses[row, place])
        }

    def view(self, rows: slice | list[int]) -> tuple[Losses, Vectors]:
        """Losses [rows, columns] and embeddings [rows, columns, dim]."""
        at = slice(*rows.indices(len(self))) if isinstance(rows, slice) else rows
        return self._losses[at], self._embeddings[at]

    def exact(self, rows: slice) -> NDArray[np.bool_]:
        """Which of their scores were not screened, [rows, columns]; False where there is none."""
        return self._exact[slice(*rows.indices(len(self)))]

    def with_columns(self, columns: Sequence[str], dim: int) -> Kept:
        """The same candidates under other columns; what they lack there stays unknown."""
        if (self.columns, self.dim) == (tuple(columns), dim):
            return self
        made = Kept(columns, dim, self._most)
        if dim != self.dim:
            return made
        start = self._next if len(self) == self.size else 0
        rows = np.roll(np.arange(len(self)), -start)[-made.size :]
        made._named = [self._named[row] for row in rows]
        made._rows = {named: row for row, named in enumerate(made._named)}
        made._next = len(rows) % made.size
        made._embeddings[: len(rows)] = 0
        for place, column in enumerate(columns):
            if column in self.columns:
                known, at = self.columns.index(column), np.s_[: len(rows), place]
                made._losses[at], made._exact[at] = self._losses[rows, known], self._exact[rows, known]
                made._embeddings[at] = self._embeddings[rows, known]
        return made
