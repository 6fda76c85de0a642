"""Worker that looks for hits: it scores a corpus on the board's models: `python -m somatui.workers.score`.

Job: {"job": "score", "version": 1, "board": path, "weights_dir": path, "corpus": {"paths": [path] | null, "max_bytes":
n, "seed": n}, "limit": n | null, "max_hits": n | null, "hits_each": n | null, "kept": n | null, "cursor": {…} | null,
"work_dir": path, "threads": n, "lazy": true, "device": "cpu" | "cuda" | "cuda:N" | null, "precision": "exact" |
"screen" | null}. A `board` command has the board's file read again. Without a cursor it goes on where its work folder
says that it stood. So many scored candidates are `kept` for targets to come, and chunks in that measure.

A candidate goes through the model that promises most, through others when they may matter, and once there are no new
candidates through those it still lacks, if it is among the first that lack any (`owed.MOST`): hits come sooner. With
"lazy": false it goes through all. A model lacks as well while its weights are on their way.
Where it is screened, what is told of it is exact all the same (`screening`).
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import sys
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from somatui.corpora.files import Candidate, CorpusError
from somatui.engine.chunks import KEPT_BYTES
from somatui.engine.contract import Score
from somatui.workers.board import Board, BoardError, read_board
from somatui.workers.hits import Hits
from somatui.workers.lazy import EVERY, Plan
from somatui.workers.matching import KEPT_MOST
from somatui.workers.models import Models
from somatui.workers.owed import Owed
from somatui.workers.screening import VERIFY_EVERY, Loaded, Screening, device_of, screens
from somatui.workers.session import JobError, Session, run
from somatui.workers.stand import Stand
from somatui.workers.telling import TELL_EVERY_S, Telling

SAVE_EVERY_S = 5.0
NARROW = 256
"""Dimensions up to which candidates side by side use the cores better than one candidate on all of them."""
SIDE_BY_SIDE = {"cpu": 4, "cuda": 64}
"""Candidates under way where what waits for the same model goes through it together."""


@dataclass(slots=True)
class _Taken:
    """A candidate on its way: its scores to come, and where the corpus stood behind it, None for an old one."""

    candidate: Candidate
    cursor: dict[str, Any] | None
    plan: Plan
    scores: Future[dict[str, Score]]


class Scoring:
    """One job: candidates go through the models, a few side by side, and are dealt with in the corpus's order."""

    def __init__(self, job: dict[str, Any], session: Session, stand: Stand) -> None:
        self._session, self._board_file, self._stand = session, Path(job["board"]), stand
        self._limit, self._most_hits = job.get("limit"), job.get("max_hits")
        self._threads = max(1, int(job.get("threads") or torch.get_num_threads()))
        self._corpus = self._stand.corpus(session)
        self._models = Models(Path(job["weights_dir"]), session)
        self._each = job.get("hits_each")
        device = device_of(job)
        self._screening = Screening(
            device, screens(job, device), session.say, int(job.get("workers") or 1),
            kept=KEPT_BYTES * stand.kept // KEPT_MOST,
        )  # fmt: skip
        self._hits = Hits(
            Path(job["work_dir"]), session, stand, self._most_hits, self._each, self._corpus.learn,
            lambda column, data: self._screening.exact(column, self._models.loaded[column], data),
        )  # fmt: skip
        self._pending: deque[_Taken] = deque()
        self._lazy = bool(job.get("lazy", True))
        self._taken, self._owed = 0, Owed(Path(job["work_dir"]) / "owed", stand)
        self._saved, self._said, self._ended = 0.0, False, False
        self._telling = Telling(session, stand, self._corpus, self._hits.nearest, self._screening, self._limit)

    def run(self) -> dict[str, Any]:
        """Score until the limit, enough hits, the corpus's end or a stop. Raises JobError for a board of no use."""
        self._follow(read_board(self._board_file))
        self._hits.tell_again()
        if not self._models.loaded and not self._session.stopping.is_set():
            raise JobError("No model of the board can be scored on: its weights cannot be used, see the log.")
        lanes = self._threads if self._hits.dim <= NARROW else 1
        torch.set_num_threads(self._threads if lanes == 1 or self._screening.gathers else 1)
        lanes = SIDE_BY_SIDE[self._screening.device.type] if self._screening.gathers else lanes
        pool = ThreadPoolExecutor(lanes)
        self._telling.start()
        try:
            while (reason := self._over()) is None:
                self._renew()
                self._take(pool, lanes + 1)
                if self._pending:
                    self._deal()
                elif self._models.loaded and self._is_at_end() and not self._waits():
                    reason = "limit" if self._is_at_limit() else "corpus"
                    break
                else:
                    more = self._models.loaded and not self._is_at_end()
                    self._session.board_changed.wait(0 if more else TELL_EVERY_S)
                    self._tell()
        finally:
            self._ended = True
            self._corpus.close()
            self._screening.close()
            pool.shutdown(wait=False, cancel_futures=True)
        self._telling.tell(len(self._pending), now=True)
        self._save()
        return self._stand.result() | {"reason": reason, "dropped": dict(self._corpus.dropped)}

    def _over(self) -> str | None:
        if self._session.stopping.is_set():
            return "stopped"
        return "hits" if self._most_hits is not None and self._stand.hits >= self._most_hits else None

    def _is_at_limit(self) -> bool:
        fresh = sum(taken.cursor is not None for taken in self._pending)
        return self._limit is not None and self._stand.scored + fresh >= self._limit

    def _is_at_end(self) -> bool:
        return self._is_at_limit() or self._corpus.over

    def _waits(self) -> bool:
        """Whether candidates have been through all models but such as are on their way; says so at first."""
        waits = bool(self._stand.owed) and self._models.coming
        if waits and not self._said:
            self._session.say("info", f"{len(self._stand.owed)} candidates wait for weights that are on their way")
        self._said = waits
        return waits

    def _follow(self, board: Board) -> None:
        before = set(self._models.loaded)
        usable = self._models.follow(board)
        self._screening.follow(self._models.loaded)
        self._telling.follow(next((config for config, _ in self._models.loaded.values()), None))
        with self._stand.step():
            self._hits.follow(board, usable, {c: config.dim for c, (config, _) in self._models.loaded.items()})
        if self._models.loaded.keys() - before:
            self._owed.again(partial(self._hits.promising, screened=self._screening.at_work))

    def _renew(self) -> None:
        if not self._session.board_changed.is_set():
            return
        self._session.board_changed.clear()
        try:
            self._follow(read_board(self._board_file))
        except BoardError as failure:
            self._session.say("warn", f"the board stays as it was: {failure}")

    def _take(self, pool: ThreadPoolExecutor, most: int) -> None:
        """Send candidates on their way, new ones up to the limit and then those that lack models.

        Those that may hit once they have been through a model that has just come go first.
        """
        while self._models.loaded and len(self._pending) < most:
            cursor: dict[str, Any] | None = None
            candidate = self._owed.first()
            if candidate is None and not self._is_at_limit() and (candidate := self._corpus.take()) is not None:
                cursor = self._corpus.cursor()
            if candidate is None and (candidate := self._owed.next()) is None:
                return
            known = self._hits.known(candidate) if cursor is None else {}
            plan = self._hits.plan(not self._lazy or cursor is None or self._taken % EVERY == 0)
            if self._screening.at_work:
                plan = self._hits.screening(plan)
                if self._taken % VERIFY_EVERY == 0:
                    plan = replace(plan, doubt=math.inf)
            self._taken += 1
            scores = pool.submit(self._scores, candidate.data, plan, dict(self._models.loaded), known)
            self._pending.append(_Taken(candidate, cursor, plan, scores))

    def _scores(self, data: bytes, plan: Plan, models: dict[str, Loaded], known: dict[str, Score]) -> dict[str, Score]:
        """The answers of the models that the plan goes through, beside the known ones; a stop cuts it short."""
        scores = dict(known)
        while not (self._session.stopping.is_set() or self._ended):
            if not self._screening.go_on(plan, scores, models, data):
                break
        return scores

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
        with self._stand.step():
            self._stand.deal(
                taken.candidate, {c: s.loss if s.exact else math.nan for c, s in scores.items()}, taken.cursor
            )
            hit = self._hits.deal(taken.candidate, scores, learn=taken.plan.everything)
            # One that has hit is done where hits are counted for each.
            lacks = self._hits.lacks(scores)
            if (lacks or self._models.awaited - scores.keys()) and not (hit and self._each):
                self._owed.add(taken.candidate, lacks)
            else:
                self._owed.done(taken.candidate)
        self._owed.tidy()
        if hit:
            self._save()
        self._tell()

    def _tell(self) -> None:
        self._telling.tell(len(self._pending))
        if time.monotonic() - self._saved >= SAVE_EVERY_S:
            self._save()

    def _save(self) -> None:
        self._saved = time.monotonic()
        _trim()
        self._session.emitter.send(
            "checkpoint", cursor=self._stand.cursor, scored=self._stand.scored, path=str(self._stand.path)
        )


def _trim() -> None:
    """Give the system back what glibc holds between small things that are kept: some 100 KiB a candidate otherwise."""
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def work(job: dict[str, Any], session: Session) -> dict[str, Any]:
    """Do the job."""
    stand = Stand.of(job, partial(session.say, "warn"))
    with contextlib.closing(stand):
        return Scoring(job, session, stand).run()


if __name__ == "__main__":
    status = run("score", work, BoardError, CorpusError)
    # Candidates under way are not wanted any more, and Python would wait for their threads, minutes with large models.
    sys.stderr.flush()
    os._exit(status)
