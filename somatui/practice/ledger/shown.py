"""The ledger as clients see it: read only, as of its newest checkpoint (protocol.md 8, item 2)."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from somatui.practice.ledger.ledger import Ledger
from somatui.practice.ledger.state import SystemState
from somatui.practice.ledger.store import Store

WAL_BYTES = 16 * 1024 * 1024
"""A log that has grown this large is folded into the file while no snapshot is held."""


class _Snapshot(Store):
    """A second connection that stands still until it is told to look again."""

    def __init__(self, path: Path) -> None:
        self._wal = Path(f"{path}-wal")
        self.sql = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self.sql.execute("PRAGMA query_only=1")

    def close(self) -> None:
        """Let go of the connection; the lock is another's."""
        self.sql.close()

    def look_again(self) -> None:
        """Stand where the file is now."""
        if self.sql.in_transaction:
            self.sql.execute("ROLLBACK")
        if self._wal.exists() and self._wal.stat().st_size > WAL_BYTES:
            self.sql.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self.sql.execute("BEGIN")
        self.sql.execute("SELECT 1 FROM meta LIMIT 1").fetchone()


class Shown(Ledger):
    """Reads of a ledger that another object executes on; the state it is given is never changed, only replaced."""

    _store: _Snapshot

    def __init__(self, path: Path, head: Ledger) -> None:
        self._store = _Snapshot(path)
        self.refresh(head.state, head.newest)

    def refresh(self, state: SystemState, newest: int) -> None:
        """Show everything up to checkpoint `newest`, with the state after it."""
        self._store.look_again()
        self.state, self.newest = state, newest

    def close(self) -> None:
        """Let go of the connection."""
        self._store.close()
