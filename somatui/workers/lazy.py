"""Which model a candidate goes through next: the one that promises most first, the others when they may matter.

A target can be hit only if the model with the least loss lies near it. So of its models the next is needed while the
best so far is near; while that is far, only another winner could hit, and new candidates are worth more (scoring.md B).
What was screened goes through its model once more, exactly, where its numbers may decide.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from somatui.engine.contract import Score
from somatui.workers.matching import Aims, Losses, Vectors

EVERY = 64
"""Each so many-th candidate goes through all models: the shares of wins are learnt from those, without a slant."""
_BELIEF = 4
"""How many targets' worth of trust the first guess deserves, that all models of a target win alike."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The way of one candidate. `order` holds places of `columns`; a distance up to `within` may matter.

    Of screened scores none is final that has a part in a distance up to `doubt`; a loss that is more by no more than
    the relative `margin` may be the least.
    """

    columns: tuple[str, ...]
    order: tuple[int, ...]
    aims: Aims
    within: float
    everything: bool = False
    margin: float = 0.0
    doubt: float = -math.inf

    def following(self, scores: Mapping[str, Score]) -> str | None:
        """The column to go through next, for the second time if its score was screened; None when all is done."""
        left = [place for place in self.order if self.columns[place] not in scores]
        if left and (self.everything or not scores):
            return self.columns[left[0]]
        screened = np.array([c in scores and not scores[c].exact for c in self.columns])
        if not left and not screened.any():
            return None
        losses, embeddings = self._arrays(scores)
        far = self.aims.reach(losses, embeddings, self.margin)
        wanted = self.aims.listing(far <= self.within, np.isnan(losses))
        doubted = self.aims.listing(far <= self.doubt, screened)
        places = [p for p in left if wanted[p]] or [p for p in self.order if doubted[p]]
        return self.columns[places[0]] if places else None

    def _arrays(self, scores: Mapping[str, Score]) -> tuple[Losses, Vectors]:
        dim = next(iter(scores.values())).embedding.size
        losses = np.full(len(self.columns), np.nan)
        embeddings = np.zeros((len(self.columns), dim), dtype=np.float32)
        for place, column in enumerate(self.columns):
            if (score := scores.get(column)) is not None:
                losses[place], embeddings[place] = score.loss, score.embedding
        return losses, embeddings


class Shares:
    """How often each model wins the targets that list it, and so the order in which models are worth a forward."""

    def __init__(self, columns: Sequence[str], before: Shares | None = None) -> None:
        self.columns = tuple(columns)
        self._wins = np.zeros(len(self.columns))
        self._tried = np.zeros(len(self.columns))
        known = {c: place for place, c in enumerate(before.columns)} if before else {}
        for place, column in enumerate(self.columns):
            if before and column in known:
                self._wins[place] = before._wins[known[column]]
                self._tried[place] = before._tried[known[column]]

    def learn(self, aims: Aims, losses: Losses) -> None:
        """Take in who won the targets whose models have all been tried, for one candidate's losses [columns]."""
        wins, tried = aims.wins(losses)
        self._wins += wins
        self._tried += tried

    def order(self, aims: Aims) -> tuple[int, ...]:
        """Places by expected gain: the targets that list a model times its share of wins; evenly, the first first."""
        listed = aims.listed(len(self.columns))
        gain = listed * (self._wins + _BELIEF / aims.longest) / (self._tried + _BELIEF)
        return tuple(int(place) for place in np.argsort(-gain, kind="stable"))
