"""How far a score job is, in a file of its work folder, so that it goes on after any end."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from somatui.corpora.opening import Corpus, is_plain, open_corpus
from somatui.files import write_whole
from somatui.workers.session import JobError, Session

_VERSION = 1


@dataclass(slots=True)
class Stand:
    """Counts of the whole job, whatever ends it had, and the corpus's cursor behind the last candidate dealt with."""

    path: Path
    paths: tuple[str, ...]
    max_bytes: int
    seed: int
    asked: dict[str, Any] = field(default_factory=dict)
    """The whole corpus as the job names it, where that is more than files."""
    cursor: dict[str, Any] | None = None
    scored: int = 0
    hits: int = 0
    best_distance: float | None = None
    reported: set[str] = field(default_factory=set)
    """Targets of the board that a hit was told for."""
    owed: dict[str, str] = field(default_factory=dict)
    """Candidates that have not been through all models: the digest in hex, and where their bytes are."""

    @classmethod
    def of(cls, job: dict[str, Any]) -> Stand:
        """Where the job stands: at its cursor, else where its work folder says, else at the corpus's beginning."""
        folder, corpus = Path(job["work_dir"]), job.get("corpus") or {}
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as failure:
            raise JobError(f"The work folder {folder} cannot be made ({failure.strerror}).") from failure
        paths = tuple(str(p) for p in corpus.get("paths") or ())
        made = cls(folder / "stand.json", paths, int(corpus.get("max_bytes") or 16_384), int(corpus.get("seed") or 0))
        made.asked = {} if is_plain(corpus) else dict(corpus)
        if job.get("cursor"):
            made.cursor = dict(job["cursor"])
        else:
            made._read()
        return made

    def _read(self) -> None:
        """Take over what the file says if it is whole and of the same corpus."""
        try:
            told = json.loads(self.path.read_text("utf-8"))
            if (told["version"], tuple(told["paths"]), told["max_bytes"], told["seed"]) == (
                _VERSION, self.paths, self.max_bytes, self.seed,
            ) and told.get("asked", {}) == self.asked:  # fmt: skip
                self.cursor, self.best_distance = told["cursor"], told["best_distance"]
                self.scored, self.hits, self.reported = int(told["scored"]), int(told["hits"]), set(told["reported"])
                self.owed = {str(d): str(n) for d, n in told.get("owed", {}).items()}
        except (OSError, ValueError, KeyError, TypeError):
            return

    def corpus(self, session: Session) -> Corpus:
        """The corpus from here on. Raises CorpusError; JobError for a cursor that is none."""
        asked = self.asked or {"paths": self.paths, "max_bytes": self.max_bytes, "seed": self.seed}
        try:
            return open_corpus(
                asked, self.path.parent, self.cursor, stop=session.stopping.is_set,
                tell=lambda text: session.emitter.send("log", level="warn", text=text),
                token=session.secrets.get("hf_token", ""),
            )  # fmt: skip
        except (KeyError, TypeError, IndexError):
            raise JobError("The job's cursor is not one of this corpus: start without it.") from None

    def save(self) -> None:
        """Write beside the file, then put it in place."""
        told = asdict(self) | {"version": _VERSION, "paths": self.paths, "reported": sorted(self.reported)}
        del told["path"]
        write_whole(self.path, json.dumps(told).encode())

    def result(self) -> dict[str, Any]:
        """The counts, for the parent."""
        return {
            "scored": self.scored, "hits": self.hits, "best_distance": self.best_distance, "cursor": self.cursor,
            "owed": len(self.owed),
        }  # fmt: skip
