"""The ledger as clients see it: read only, as of its newest checkpoint (protocol.md 8, item 2)."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from somatui.practice.ledger.ledger import Ledger
from somatui.practice.ledger.state import SystemState
from somatui.practice.ledger.store import Store

T = TypeVar("T")
WAL_BYTES = 8 * 1024 * 1024
"""A log that has grown this large is folded into the file and begun anew."""
_CACHE_KIB = 512


class _Snapshot(Store):
    """A second connection that stands still until it is told to look again."""

    def __init__(self, path: Path) -> None:
        self.sql = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self.sql.execute("PRAGMA query_only=1")
        self.sql.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")

    def close(self) -> None:
        """Let go of the connection; the lock is another's."""
        self.sql.close()

    def look_again(self) -> None:
        """Stand where the file is now."""
        if self.sql.in_transaction:
            self.sql.execute("ROLLBACK")
        self.sql.execute("BEGIN")
        self.sql.execute("SELECT 1 FROM meta LIMIT 1").fetchone()


class Shown(Ledger):
    """Reads of a ledger that another object executes on; the state it is given is never changed, only replaced.

    It is read on one thread and refreshed on the thread that executes, between two commits, so that nothing is seen
    before its checkpoint.
    """

    _store: _Snapshot

    def __init__(self, path: Path, head: Ledger) -> None:
        self._store = _Snapshot(path)
        self._wal = Path(f"{path}-wal")
        self._turn = threading.Lock()
        head.let_log_grow()
        self.refresh(head.state, head.newest)

    def read(self, work: Callable[[Ledger], T]) -> T:
        """What `work` finds, all of it as of one checkpoint."""
        with self._turn:
            return work(self)

    def refresh(self, state: SystemState, newest: int) -> None:
        """Show everything up to checkpoint `newest`, with the state after it; for the thread that executes."""
        with self._turn:
            self._store.look_again()
            self.state, self.newest = state, newest

    def shorten_log(self, head: Ledger) -> None:
        """Keep the log short; for the thread that executes, right after `refresh`.

        Nobody is kept from reading: everything in the log goes into the file, and who looks again needs the log no
        more, so that the next commit begins it anew.
        """
        if self._wal.exists() and self._wal.stat().st_size > WAL_BYTES:
            head.fold()
            with self._turn:
                self._store.look_again()

    def close(self) -> None:
        """Let go of the connection."""
        self._store.close()
