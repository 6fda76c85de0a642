"""What a score job has dealt with, a row each, and where it stands behind the last: one SQLite file in its work folder.

A step is written whole or not at all: a worker that is killed goes on behind the last candidate it has dealt with, and
those in flight are taken again. It is open in one worker at a time.
"""

from __future__ import annotations

import contextlib
import json
import math
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from somatui.corpora.files import Candidate
from somatui.workers.session import JobError

_TIDY_EVERY = 0.01
"""How often older rows are deleted, as a share of those that are kept."""
_BUSY_S = 10.0
"""How long a worker that was just killed may still hold the file."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS stand(job TEXT NOT NULL, told TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS scored(
    n INTEGER PRIMARY KEY, digest BLOB NOT NULL, name TEXT NOT NULL, source TEXT NOT NULL, losses TEXT NOT NULL,
    hits INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS scored_by_digest ON scored(digest);
CREATE TABLE IF NOT EXISTS owed(digest TEXT PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS hits(target TEXT PRIMARY KEY, told TEXT NOT NULL);
"""
_TABLES = ("stand", "scored", "owed", "hits")


class Record:
    """The file at `path` if it is of this `job`, else one without rows; `was_of_another` says so. Raises JobError.

    Its newest `most` rows are kept.
    """

    def __init__(self, path: Path, job: str, *, most: int, anew: bool = False) -> None:
        self.path, self.was_of_another, self._most = path, False, most
        with self._sentences():
            # Nobody else writes here, so no memory need be shared, for which some file systems have no means.
            self._db = sqlite3.connect(path, isolation_level=None, timeout=_BUSY_S)
            for line in ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = NORMAL"):
                self._db.execute(f"PRAGMA {line}")
            with self.step():
                for statement in filter(str.strip, _SCHEMA.split(";")):
                    self._do(statement)
                known = self._do("SELECT job FROM stand")
                self.was_of_another = bool(known) and known[0][0] != job
                if not known or self.was_of_another or anew:
                    for table in _TABLES:
                        self._do(f"DELETE FROM {table}")
                    self._do("INSERT INTO stand VALUES(?, '{}')", job)

    def close(self) -> None:
        """Let go of the file; what was written stays."""
        self._db.close()

    @contextlib.contextmanager
    def step(self) -> Iterator[None]:
        """All that is written within is there afterwards, or none of it. Raises JobError when it cannot be written."""
        with self._sentences():
            self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            with self._sentences():
                self._db.execute("COMMIT")
        finally:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")

    def told(self) -> dict[str, Any]:
        """What was kept last."""
        found: dict[str, Any] = json.loads(self._do("SELECT told FROM stand")[0][0])
        return found

    def keep(self, told: Mapping[str, Any]) -> None:
        """Keep this in place of what was kept."""
        self._do("UPDATE stand SET told = ?", json.dumps(told))

    def add(self, n: int, candidate: Candidate, losses: Mapping[str, float]) -> None:
        """The `n`-th candidate, with its loss under each model's column that it went through; null if screened."""
        row = (n, candidate.digest, candidate.name, candidate.source, _written(losses))
        self._do("INSERT INTO scored(n, digest, name, source, losses) VALUES(?, ?, ?, ?, ?)", *row)
        if n % max(1, round(self._most * _TIDY_EVERY)) == 0:
            self._do("DELETE FROM scored WHERE n <= ?", n - self._most)

    def amend(self, digest: bytes, losses: dict[str, float]) -> None:
        """More losses of a candidate that is there already."""
        for (before,) in self._do("SELECT losses FROM scored WHERE digest = ?", digest):
            known = {column: loss for column, loss in json.loads(before).items() if loss is not None}
            self._do("UPDATE scored SET losses = ? WHERE digest = ?", _written(losses | known), digest)

    def hit(self, digest: bytes, target: str, told: Mapping[str, Any]) -> str | None:
        """Note a hit and what was told of it; the candidate's source where it is its first."""
        self._do("INSERT OR IGNORE INTO hits VALUES(?, ?)", target, json.dumps(told))
        self._do("UPDATE scored SET hits = hits + 1 WHERE digest = ?", digest)
        found = self._do("SELECT source FROM scored WHERE digest = ? AND hits = 1", digest)
        return str(found[0][0]) if found else None

    def hits(self) -> dict[str, dict[str, Any]]:
        """What was told of each target's hit, the first first."""
        return {str(target): json.loads(told) for target, told in self._do("SELECT * FROM hits ORDER BY rowid")}

    def forget(self, targets: Iterable[str]) -> None:
        """These may be hit anew."""
        for target in targets:
            self._do("DELETE FROM hits WHERE target = ?", target)

    def owed(self) -> dict[str, str]:
        """Candidates that are to be come back to, as they were put there: digest in hex, and name."""
        return {str(d): str(n) for d, n in self._do("SELECT digest, name FROM owed ORDER BY rowid")}

    def owe(self, digest: str, name: str) -> None:
        """Come back to this one."""
        self._do("INSERT OR REPLACE INTO owed VALUES(?, ?)", digest, name)

    def settle(self, digest: str) -> None:
        """This one needs nothing more."""
        self._do("DELETE FROM owed WHERE digest = ?", digest)

    def _do(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._sentences():
            return self._db.execute(statement, values).fetchall()

    @contextlib.contextmanager
    def _sentences(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as failure:
            cure = "Free space on its disk, or correct the owner or mode of its folder"
            match getattr(failure, "sqlite_errorname", ""):
                case "SQLITE_BUSY" | "SQLITE_LOCKED":
                    cure = "Stop the other worker of this folder, which holds it"
                case "SQLITE_NOTADB" | "SQLITE_CORRUPT":
                    cure = "Move it away, and the job begins anew"
            raise JobError(f"The record {self.path} cannot be read or written ({failure}). {cure}.") from failure


def _written(losses: Mapping[str, float]) -> str:
    """As JSON, which has no word for a loss that is no number."""
    return json.dumps({column: loss if math.isfinite(loss) else None for column, loss in losses.items()})
