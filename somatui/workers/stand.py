"""How far a score job is, in the record of its work folder, so that it goes on after any end."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from somatui.corpora.files import Candidate
from somatui.corpora.opening import Corpus, is_plain, open_corpus
from somatui.corpora.source import WHOLE, Shard
from somatui.workers.matching import KEPT_MOST
from somatui.workers.record import Record
from somatui.workers.session import JobError, Session

_VERSION = 2
ROWS = 5
"""Rows of the record for each candidate that is kept."""


class Stand:
    """Counts of the whole job, whatever ends it had, and the corpus's cursor behind the last candidate dealt with.

    What changes them is done within a `step`.
    """

    def __init__(self, record: Record, corpus: Mapping[str, Any], shard: Shard = WHOLE, kept: int = KEPT_MOST) -> None:
        self._record, self._asked, self._shard, self.kept = record, corpus, shard, kept
        told = record.told()
        self.cursor: dict[str, Any] | None = told.get("cursor")
        self.scored, self.hits = int(told.get("scored", 0)), int(told.get("hits", 0))
        self.best_distance: float | None = told.get("best_distance")
        self._source_hits = Counter(told.get("source_hits", {}))
        self.told = record.hits()
        """Hits that earlier lives of this job have told of, by target."""
        self.reported = set(self.told)
        """Targets of the board that a hit was told for."""
        self.owed = record.owed()
        """Candidates that have not been through all models: the digest in hex, and where they came from."""

    @classmethod
    def of(cls, job: dict[str, Any], tell: Callable[[str], None] = lambda text: None) -> Stand:
        """Where the job stands: at its cursor, else where its work folder says, else at the corpus's beginning.

        A folder that stands elsewhere, in another corpus or another share of it, is begun anew and told of.
        """
        folder, corpus = Path(job["work_dir"]), job.get("corpus") or {}
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as failure:
            raise JobError(f"The work folder {folder} cannot be made ({failure.strerror}).") from failure
        asked = {
            "paths": [str(p) for p in corpus.get("paths") or ()], "max_bytes": int(corpus.get("max_bytes") or 16_384),
            "seed": int(corpus.get("seed") or 0), **({} if is_plain(corpus) else corpus),
        }  # fmt: skip
        shard = Shard(*map(int, job.get("shard") or (0, 1)))
        known = [_VERSION, asked, [shard.index, shard.count]]
        kept, told = int(job.get("kept") or KEPT_MOST), json.dumps(known, sort_keys=True)
        record = Record(folder / "record.sqlite3", told, anew=bool(job.get("cursor")), most=ROWS * kept)
        if record.was_of_another:
            tell("this work folder stood in another corpus or in another share of it: it is begun anew")
        stand = cls(record, asked, shard, kept)
        if job.get("cursor"):
            stand.cursor = dict(job["cursor"])
        return stand

    @property
    def path(self) -> Path:
        """The record's file."""
        return self._record.path

    def close(self) -> None:
        """Let go of the record; what was written stays."""
        self._record.close()

    def corpus(self, session: Session) -> Corpus:
        """The corpus from here on. Raises CorpusError; JobError for a cursor that is none."""
        try:
            opened = open_corpus(
                self._asked, self.path.parent, self.cursor, stop=session.stopping.is_set,
                tell=partial(session.say, "warn"),
                token=session.secrets.get("hf_token", ""), shard=self._shard, spooled=2 * self.kept,
            )  # fmt: skip
        except (KeyError, TypeError, IndexError):
            raise JobError("The job's cursor is not one of this corpus: start without it.") from None
        for source, hits in self._source_hits.items():
            opened.learn(source, hits)
        return opened

    @contextlib.contextmanager
    def step(self) -> Iterator[None]:
        """What is done within is written down at its end, all of it at once. Raises JobError when it cannot be."""
        with self._record.step():
            yield
            self._record.keep({
                "cursor": self.cursor, "scored": self.scored, "hits": self.hits, "best_distance": self.best_distance,
                "source_hits": self._source_hits,
            })  # fmt: skip

    def deal(self, candidate: Candidate, losses: dict[str, float], cursor: dict[str, Any] | None) -> None:
        """Note a candidate with the corpus's cursor behind it, or more losses of one that is noted: None."""
        if cursor is None:
            self._record.amend(candidate.digest, losses)
            return
        self.scored += 1
        self.cursor = cursor
        self._record.add(self.scored, candidate, losses)

    def hit(self, target: str, digest: bytes, told: Mapping[str, Any]) -> str | None:
        """Note a hit and what is told of it; the candidate's source where it is its first."""
        self.hits += 1
        self.reported.add(target)
        source = self._record.hit(digest, target, told)
        if source is not None:
            self._source_hits[source] += 1
        return source

    @property
    def hit_by(self) -> int:
        """How many candidates have hit anything; one may have hit many targets."""
        return self._source_hits.total()

    def keep_targets(self, there: Iterable[str]) -> None:
        """Forget the hits on all other targets."""
        gone = self.reported - set(there)
        self._record.forget(gone)
        self.reported -= gone

    def owe(self, digest: str, name: str) -> None:
        """Come back to this candidate."""
        self.owed[digest] = name
        self._record.owe(digest, name)

    def settle(self, digest: str) -> None:
        """This candidate needs nothing more."""
        del self.owed[digest]
        self._record.settle(digest)

    def result(self) -> dict[str, Any]:
        """The counts, for the parent."""
        return {
            "scored": self.scored, "hits": self.hits, "best_distance": self.best_distance, "cursor": self.cursor,
            "owed": len(self.owed),
        }  # fmt: skip
