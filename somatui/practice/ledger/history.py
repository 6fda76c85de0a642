"""What is remembered of each epoch (its times, checkpoints and first state), and checkpoints by their digest."""

from __future__ import annotations

import sqlite3
import zlib
from dataclasses import dataclass

STATES = 100
"""So many epochs keep their portrait; older ones only their times and numbers."""
_TABLES = """
CREATE TABLE IF NOT EXISTS epoch (
    number INTEGER PRIMARY KEY, start_ms INTEGER NOT NULL, first INTEGER NOT NULL, portrait BLOB
);
CREATE TABLE IF NOT EXISTS sealed (digest TEXT PRIMARY KEY, sequence INTEGER NOT NULL) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Epoch:
    """One epoch; `end_ms` and `last` are None while it goes on, `portrait` is what `begin` got, empty when not kept."""

    number: int
    start_ms: int
    first: int
    end_ms: int | None
    last: int | None
    portrait: bytes


def prepare(sql: sqlite3.Connection) -> None:
    """Make the tables where they are not."""
    for table in filter(str.strip, _TABLES.split(";")):
        sql.execute(table)


def sealed(sql: sqlite3.Connection, digest: bytes, sequence: int) -> None:
    """Remember a checkpoint by its digest; call inside its writing."""
    sql.execute("INSERT OR REPLACE INTO sealed VALUES (?, ?)", (digest.hex(), sequence))


def sequence_of(sql: sqlite3.Connection, digest: bytes) -> int | None:
    """The number of the checkpoint with this digest."""
    row = sql.execute("SELECT sequence FROM sealed WHERE digest = ?", (digest.hex(),)).fetchone()
    return row[0] if row else None


def begin(sql: sqlite3.Connection, number: int, start_ms: int, first: int, portrait: bytes) -> None:
    """Remember that an epoch began, with checkpoint `first` and a state whose portrait these bytes are."""
    row = (number, start_ms, first, zlib.compress(portrait, 1) if portrait else None)
    sql.execute("INSERT OR REPLACE INTO epoch VALUES (?, ?, ?, ?)", row)
    sql.execute("UPDATE epoch SET portrait = NULL WHERE number = ?", (number - STATES,))


def find(sql: sqlite3.Connection, number: int, *, with_portrait: bool) -> Epoch | None:
    """One epoch; None when nothing is known of it."""
    column = "portrait" if with_portrait else "NULL"
    row = sql.execute(f"SELECT start_ms, first, {column} FROM epoch WHERE number = ?", (number,)).fetchone()
    if row is None:
        return None
    after = sql.execute("SELECT start_ms, first FROM epoch WHERE number = ?", (number + 1,)).fetchone()
    end_ms, last = (after[0], after[1] - 1) if after else (None, None)
    return Epoch(number, row[0], row[1], end_ms, last, zlib.decompress(row[2]) if row[2] else b"")


def closes(sql: sqlite3.Connection, sequence: int) -> int | None:
    """The epoch that begins after this checkpoint, if it is the last of one."""
    row = sql.execute("SELECT number FROM epoch WHERE first = ? AND number > 0", (sequence + 1,)).fetchone()
    return row[0] if row else None
