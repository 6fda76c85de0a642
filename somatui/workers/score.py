"""Worker that looks for hits: it scores a corpus on the board's models: `python -m somatui.workers.score`.

Job: {"job": "score", "version": 1, "board": path, "weights_dir": path, "corpus": {"paths": [path] | null, "max_bytes":
n, "seed": n}, "limit": n | null, "max_hits": n | null,
"hits_each": n | null, "cursor": {…} | null, "work_dir": path, "threads": n}. A `board`
command has the board's file read again. Without a cursor it goes on where its work folder says that it stood.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from somatui.corpora.files import Candidate, CorpusError
from somatui.engine import contract, weights
from somatui.engine.contract import Score
from somatui.workers.board import Board, BoardError, read_board
from somatui.workers.fetch import FetchError, weights_file
from somatui.workers.hits import Hits
from somatui.workers.session import JobError, Session, run
from somatui.workers.stand import Stand

TELL_EVERY_S = 0.5
SAVE_EVERY_S = 5.0
RATE_OVER_S = 10.0
NARROW = 256
"""Dimensions up to which candidates side by side use the cores better than one candidate on all of them."""
Loaded = tuple[weights.ModelConfig, weights.Tensors]


class Models:
    """The weights of the board's models, each loaded once."""

    def __init__(self, folder: Path, session: Session) -> None:
        self._folder, self._session = folder, session
        self.loaded: dict[str, Loaded] = {}

    def follow(self, board: Board) -> dict[str, str]:
        """Load what the board names and forget the rest; gives the column of each usable model.

        A model whose weights cannot be had, opened or used is left out and told of.
        """
        wanted = {m.column for m in board.models.values()}
        self.loaded = {c: found for c, found in self.loaded.items() if c in wanted}
        usable: dict[str, str] = {}
        for model in board.models.values():
            if self._session.stopping.is_set():
                break
            try:
                if model.column not in self.loaded:
                    path = weights_file(model, self._folder, self._session)
                    self.loaded[model.column] = weights.open_file(path)
                usable[model.id] = model.column
            except (FetchError, weights.WeightsError) as failure:
                text = f"model {model.id} is left out, its weights cannot be used: {failure}"
                self._session.emitter.send("log", level="warn", text=text)
        return usable


@dataclass(slots=True)
class _Taken:
    """A candidate on its way: its scores to come, and where the corpus stood behind it."""

    candidate: Candidate
    cursor: dict[str, Any]
    scores: Future[dict[str, Score]]


class Scoring:
    """One job: candidates go through the models, a few side by side, and are dealt with in the corpus's order."""

    def __init__(self, job: dict[str, Any], session: Session) -> None:
        self._session, self._board_file = session, Path(job["board"])
        self._stand = Stand.of(job)
        self._limit, self._most_hits = job.get("limit"), job.get("max_hits")
        self._threads = max(1, int(job.get("threads") or torch.get_num_threads()))
        self._corpus = self._stand.corpus()
        self._candidates: Iterator[Candidate] = iter(self._corpus)
        self._models = Models(Path(job["weights_dir"]), session)
        self._hits = Hits(Path(job["work_dir"]), session, self._stand, self._most_hits, job.get("hits_each"))
        self._pending: deque[_Taken] = deque()
        self._told = self._saved = 0.0
        self._rates: deque[tuple[float, int, int]] = deque()
        self._chunks = 0

    def run(self) -> dict[str, Any]:
        """Score until the limit, enough hits, the corpus's end or a stop. Raises JobError for a board of no use."""
        self._follow(read_board(self._board_file))
        if not self._models.loaded and not self._session.stopping.is_set():
            raise JobError("No model of the board can be scored on: its weights cannot be used, see the log.")
        lanes = self._threads if self._hits.dim <= NARROW else 1
        torch.set_num_threads(self._threads if lanes == 1 else 1)
        pool = ThreadPoolExecutor(lanes)
        self._rates.append((time.monotonic(), self._stand.scored, 0))
        try:
            while (reason := self._over()) is None:
                self._renew()
                self._take(pool, lanes + 1)
                if self._pending:
                    self._deal()
                elif self._models.loaded:
                    reason = "corpus"
                    break
                else:
                    self._session.board_changed.wait(TELL_EVERY_S)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        self._tell(True)
        self._save()
        return self._stand.result() | {"reason": reason, "dropped": dict(self._corpus.dropped)}

    def _over(self) -> str | None:
        if self._session.stopping.is_set():
            return "stopped"
        if self._most_hits is not None and self._stand.hits >= self._most_hits:
            return "hits"
        return "limit" if self._limit is not None and self._stand.scored >= self._limit else None

    def _follow(self, board: Board) -> None:
        usable = self._models.follow(board)
        self._hits.follow(board, usable, {c: config.dim for c, (config, _) in self._models.loaded.items()})

    def _renew(self) -> None:
        if not self._session.board_changed.is_set():
            return
        self._session.board_changed.clear()
        try:
            self._follow(read_board(self._board_file))
        except BoardError as failure:
            self._session.emitter.send("log", level="warn", text=f"the board stays as it was: {failure}")

    def _take(self, pool: ThreadPoolExecutor, most: int) -> None:
        """Send candidates on their way, no more than the limit allows."""
        while self._models.loaded and len(self._pending) < most:
            if self._limit is not None and self._stand.scored + len(self._pending) >= self._limit:
                return
            candidate = next(self._candidates, None)
            if candidate is None:
                return
            scores = pool.submit(self._scores, candidate.data, dict(self._models.loaded))
            self._pending.append(_Taken(candidate, self._corpus.cursor(), scores))

    def _scores(self, data: bytes, models: dict[str, Loaded]) -> dict[str, Score]:
        """Every model's answer; those that a stop overtakes are missing."""
        return {c: contract.score(*m, data) for c, m in models.items() if not self._session.stopping.is_set()}

    def _deal(self) -> None:
        """Wait for the first candidate on its way, unless told to stop, and see what it hits."""
        taken = self._pending[0]
        while not taken.scores.done():
            wait((taken.scores,), timeout=TELL_EVERY_S)
            if self._session.stopping.is_set():
                return
        scores = taken.scores.result()
        if self._session.stopping.is_set():
            return
        self._pending.popleft()
        self._chunks += len(scores) * -(-len(taken.candidate.data) // contract.CHUNK)
        self._stand.scored += 1
        self._stand.cursor = taken.cursor
        if self._hits.deal(taken.candidate, scores):
            self._save()
        self._tell(False)

    def _tell(self, now: bool) -> None:
        """Metrics and progress, at most twice a second; rates are those of the last seconds."""
        at = time.monotonic()
        if not now and at - self._told < TELL_EVERY_S:
            return
        self._told = at
        self._rates.append((at, self._stand.scored, self._chunks))
        while len(self._rates) > 2 and at - self._rates[1][0] >= RATE_OVER_S:
            self._rates.popleft()
        since, scored, chunks = self._rates[0]
        span = max(at - since, 1e-3)
        dropped = {f"dropped_{reason}": count for reason, count in sorted(self._corpus.dropped.items())}
        best = {} if self._stand.best_distance is None else {"best_distance": self._stand.best_distance}
        self._session.emitter.send(
            "metric",
            candidates_per_s=(self._stand.scored - scored) / span, chunks_per_s=(self._chunks - chunks) / span,
            scored=self._stand.scored, hits=self._stand.hits, dropped=sum(dropped.values()), **dropped, **best,
        )  # fmt: skip
        if self._limit:
            self._session.emitter.send("progress", done=min(1.0, self._stand.scored / self._limit))
        if at - self._saved >= SAVE_EVERY_S:
            self._save()

    def _save(self) -> None:
        self._saved = time.monotonic()
        self._stand.save()
        self._session.emitter.send(
            "checkpoint", cursor=self._stand.cursor, scored=self._stand.scored, path=str(self._stand.path)
        )


def work(job: dict[str, Any], session: Session) -> dict[str, Any]:
    """Do the job."""
    return Scoring(job, session).run()


if __name__ == "__main__":
    sys.exit(run("score", work, BoardError, CorpusError))
