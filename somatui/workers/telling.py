"""What a score worker tells while it works: rates, counts, how far it is, and tables; at most twice a second."""

from __future__ import annotations

import time
from collections import deque

from somatui.corpora.opening import Corpus
from somatui.engine.roofline import bf16_peak, chunk_flops
from somatui.engine.weights import ModelConfig
from somatui.workers.gauges import Gauges
from somatui.workers.nearest import Nearest
from somatui.workers.protocol import MOST_ROWS
from somatui.workers.screening import Screening
from somatui.workers.session import Session
from somatui.workers.stand import Stand
from somatui.workers.tables import Tables

TELL_EVERY_S = 0.5
RATE_OVER_S = 10.0
LEFT_OVER_S = 60.0
"""Seconds whose rate tells how long the rest takes."""


class Telling:
    """Figures of one job for its parent; `limit` is the number of candidates it ends at."""

    def __init__(
        self, session: Session, stand: Stand, corpus: Corpus, nearest: Nearest, screening: Screening,
        limit: int | None,
    ) -> None:  # fmt: skip
        self._session, self._stand, self._corpus, self._nearest = session, stand, corpus, nearest
        self._screening, self._limit, self._gauges = screening, limit, Gauges(screening.device)
        self._peak, self._flops = bf16_peak(self._gauges.name), 0.0
        self._told, self._tables = 0.0, Tables()
        self._counts: deque[tuple[float, int, int]] = deque()

    def follow(self, config: ModelConfig | None) -> None:
        """The models that are scored on have this architecture; None while there are none."""
        self._flops = 0.0 if config is None else chunk_flops(config)

    def start(self) -> None:
        """Count the rates from here on."""
        self._counts.append((time.monotonic(), self._stand.scored, self._screening.made))

    def tell(self, under_way: int, now: bool = False) -> None:
        """Send everything, unless that was just done; `under_way` candidates are between taken and dealt with."""
        at = time.monotonic()
        if not now and at - self._told < TELL_EVERY_S:
            return
        self._told = at
        self._counts.append((at, self._stand.scored, self._screening.made))
        while len(self._counts) > 2 and at - self._counts[1][0] >= LEFT_OVER_S:
            self._counts.popleft()
        self._numbers(under_way)
        self._send_tables()
        if self._limit:
            done = self._stand.scored / (self._limit + len(self._stand.owed))
            self._session.emitter.send("progress", done=min(1.0, done))

    def _rates(self, over_s: float) -> tuple[float, float]:
        """Candidates and chunks a second in the last so many seconds, or since one was last dealt with."""
        at, scored, made = self._counts[-1]
        old = (c for c in reversed(self._counts) if at - c[0] >= over_s)
        since, scored_then, made_then = next(old, self._counts[0])
        span = max(at - since, 1e-3)
        return (scored - scored_then) / span, (made - made_then) / span

    def _numbers(self, under_way: int) -> None:
        stand, (candidates, chunks) = self._stand, self._rates(RATE_OVER_S)
        lately, _ = self._rates(LEFT_OVER_S)
        dropped = {f"dropped_{reason}": count for reason, count in sorted(self._corpus.dropped.items())}
        told: dict[str, float | None] = {
            "candidates_per_s": candidates, "chunks_per_s": chunks, "scored": stand.scored, "hits": stand.hits,
            "under_way": under_way, "owed": len(stand.owed), "dropped": sum(dropped.values()),
            "ready": sum(share.ready for share in self._corpus.shares().values()),
        }  # fmt: skip
        if stand.best_distance is not None:
            told["best_distance"] = stand.best_distance
        if self._peak and self._flops:
            told["peak_share"] = chunks * self._flops / self._peak
        if self._limit:
            told["left_s"] = max(0, self._limit - stand.scored) / lately if lately > 0 else None
        self._session.emitter.send(
            "metric", **told, **dropped, **self._nearest.figures(lately), **self._screening.figures()
        )

    def _send_tables(self) -> None:
        shares = self._corpus.shares()
        rows = [
            {"source": name, "given": s.given, "hits": s.hits, "ready": s.ready, "dropped": dict(s.dropped)}
            for name, s in shares.items()
        ] or [
            {"source": "files", "given": self._stand.scored, "hits": self._stand.hit_by, "ready": 0,
             "dropped": dict(self._corpus.dropped)}
        ]  # fmt: skip
        tables = {"sources": rows[:MOST_ROWS], "near": self._nearest.misses(), "gauges": self._gauges.rows(),
                  "plan": [{"says": says} for says in self._screening.says]}  # fmt: skip
        if tables != self._tables:
            self._tables = tables
            self._session.emitter.send("metric", tables=tables)
