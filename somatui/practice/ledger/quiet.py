"""Checkpoints that nobody's transaction is in: one row for a whole run of them (protocol.md 9.6)."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, replace

from somatui.practice.ledger.numbered import number_in, numbered
from somatui.practice.ledger.values import Checkpoint, Fee

PERIOD_MS = 207
"""How far apart the real node seals them (protocol.md 9.6)."""
RESERVED = 290
"""A run is written down for a minute ahead: one write to the disk for so many, and none is numbered twice after a
crash; what was reserved and never sealed stands there as sealed when the network starts again."""
KIND = b"idle"
_TABLE = """
CREATE TABLE IF NOT EXISTS quiet (
    first INTEGER PRIMARY KEY, last INTEGER NOT NULL, epoch INTEGER NOT NULL, start_ms INTEGER NOT NULL,
    period_ms INTEGER NOT NULL, previous BLOB NOT NULL, total INTEGER NOT NULL,
    base INTEGER NOT NULL, operation INTEGER NOT NULL, value INTEGER NOT NULL
)
"""
_COLUMNS = "first, last, epoch, start_ms, period_ms, previous, total, base, operation, value"


def digest_of(sequence: int) -> bytes:
    """The digest of a quiet checkpoint."""
    return numbered(KIND, sequence)


def sequence_in(digest: bytes) -> int | None:
    """The number of the quiet checkpoint that has this digest."""
    found = number_in(KIND, digest)
    return found[0] if found else None


@dataclass(frozen=True, slots=True)
class Run:
    """Quiet checkpoints `first` to `last`, one each `period_ms`; `previous` is the digest before the first."""

    first: int
    last: int
    epoch: int
    start_ms: int
    period_ms: int
    previous: bytes
    total: int
    base: int
    operation: int
    value: int

    def time_ms(self, sequence: int) -> int:
        """When one of them was sealed."""
        return self.start_ms + (sequence - self.first) * self.period_ms

    def checkpoint(self, sequence: int) -> Checkpoint:
        """One of them."""
        return Checkpoint(
            sequence,
            self.epoch,
            digest_of(sequence),
            self.previous if sequence == self.first else digest_of(sequence - 1),
            self.time_ms(sequence),
            [],
            Fee(self.base, self.operation, self.value),
            self.total,
        )


def find(sql: sqlite3.Connection, sequence: int) -> Checkpoint | None:
    """The quiet checkpoint of this number, from the rows alone."""
    query = f"SELECT {_COLUMNS} FROM quiet WHERE first <= ? ORDER BY first DESC LIMIT 1"
    row = sql.execute(query, (sequence,)).fetchone()
    run = Run(*row) if row else None
    return run.checkpoint(sequence) if run and run.last >= sequence else None


class Quiet:
    """The run that goes on at the moment, and its row."""

    def __init__(self, sql: sqlite3.Connection) -> None:
        sql.execute(_TABLE)
        self._sql = sql
        self._run: Run | None = None

    def newest(self) -> int:
        """The highest number that is taken; -1 when none is."""
        found: int = self._sql.execute("SELECT COALESCE(MAX(last), -1) FROM quiet").fetchone()[0]
        return found

    def next(self, last: Checkpoint, epoch: int, fees: Fee, now_ms: int) -> int:
        """Seal one more after `last`, inside a writing; returns its number."""
        sequence, run = last.sequence + 1, self._run
        if run is None or abs(now_ms - run.time_ms(sequence)) >= run.period_ms:
            run = Run(sequence, sequence + RESERVED - 1, epoch, now_ms, PERIOD_MS, last.digest, last.total_transactions,
                      fees.base, fees.operation, fees.value)  # fmt: skip
            self.end(last.sequence)
            self._sql.execute(
                f"INSERT INTO quiet ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                tuple(getattr(run, name) for name in _COLUMNS.split(", ")),
            )
        elif sequence > run.last:
            run = replace(run, last=sequence + RESERVED - 1)
            self._sql.execute("UPDATE quiet SET last = ? WHERE first = ?", (run.last, run.first))
        self._run = run
        return sequence

    def end(self, last: int) -> None:
        """The run is over with number `last`; call inside the writing of what comes after it."""
        if self._run is not None:
            self._sql.execute("UPDATE quiet SET last = ? WHERE first = ?", (last, self._run.first))

    def ended(self) -> None:
        """What `end` wrote has been kept, or the run could not be."""
        self._run = None
