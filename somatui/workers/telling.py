"""What a score worker tells while it works: rates, counts of the corpus, how far it is; at most twice a second."""

from __future__ import annotations

import time
from collections import deque

from somatui.corpora.opening import Corpus
from somatui.engine.chunks import Chunks
from somatui.workers.session import Session
from somatui.workers.stand import Stand

TELL_EVERY_S = 0.5
RATE_OVER_S = 10.0


class Telling:
    """Numbers of one job for its parent; `limit` is the number of candidates it ends at."""

    def __init__(self, session: Session, stand: Stand, corpus: Corpus, parts: Chunks, limit: int | None) -> None:
        self._session, self._stand, self._corpus, self._parts, self._limit = session, stand, corpus, parts, limit
        self._told = 0.0
        self._rates: deque[tuple[float, int, int]] = deque()

    def start(self) -> None:
        """Count the rates from here on."""
        self._rates.append((time.monotonic(), self._stand.scored, self._parts.made))

    def tell(self, now: bool = False) -> None:
        """Metrics and progress, unless they were just told; rates are those of the last seconds."""
        at = time.monotonic()
        if not now and at - self._told < TELL_EVERY_S:
            return
        self._told = at
        self._rates.append((at, self._stand.scored, self._parts.made))
        while len(self._rates) > 2 and at - self._rates[1][0] >= RATE_OVER_S:
            self._rates.popleft()
        since, scored, chunks = self._rates[0]
        span = max(at - since, 1e-3)
        dropped = {f"dropped_{reason}": count for reason, count in sorted(self._corpus.dropped.items())}
        sources = {
            f"source_{name}_{what}": count
            for name, told in self._corpus.shares().items()
            for what, count in (("given", told.given), ("hits", told.hits))
        }
        best = {} if self._stand.best_distance is None else {"best_distance": self._stand.best_distance}
        self._session.emitter.send(
            "metric",
            candidates_per_s=(self._stand.scored - scored) / span, chunks_per_s=(self._parts.made - chunks) / span,
            scored=self._stand.scored, hits=self._stand.hits, owed=len(self._stand.owed), dropped=sum(dropped.values()),
            **dropped, **best, **sources,
        )  # fmt: skip
        if self._limit:
            done = self._stand.scored / (self._limit + len(self._stand.owed))
            self._session.emitter.send("progress", done=min(1.0, done))
