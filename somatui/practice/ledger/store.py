"""The ledger's file: objects in all versions, transactions, checkpoints, state; one SQL transaction each."""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from somatui.practice.ledger.state import SystemState
from somatui.practice.ledger.stored import from_plain, to_plain
from somatui.practice.ledger.values import Checkpoint, Executed, LedgerError
from somatui.wire.objects import Object, ObjectType, Target, parse_coin

SCHEMA = 1
_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE version (id BLOB, version INTEGER, body BLOB NOT NULL, PRIMARY KEY (id, version)) WITHOUT ROWID;
CREATE TABLE live (id BLOB PRIMARY KEY, version INTEGER, type INTEGER, owner BLOB, balance INTEGER, body BLOB NOT NULL);
CREATE INDEX live_owner ON live (owner, type, balance, id);
CREATE TABLE deleted (id BLOB PRIMARY KEY, epoch INTEGER NOT NULL);
CREATE TABLE target (id BLOB PRIMARY KEY, status TEXT, generation INTEGER, fill_epoch INTEGER, submitter BLOB);
CREATE INDEX target_order ON target (status, generation, id);
CREATE TABLE done (number INTEGER PRIMARY KEY, digest BLOB UNIQUE, body TEXT NOT NULL, checkpoint INTEGER);
CREATE INDEX done_unsealed ON done (checkpoint) WHERE checkpoint IS NULL;
CREATE TABLE checkpoint (sequence INTEGER PRIMARY KEY, body TEXT NOT NULL);
"""


def _dump(value: Any) -> str:
    return json.dumps(to_plain(value), separators=(",", ":"))


class Store:
    """An open ledger file; nobody else can open it until it is closed."""

    def __init__(self, path: Path, *, create: bool) -> None:
        """Open or make the file; raises LedgerError with one sentence."""
        if path.exists() == create:
            raise LedgerError(f"{path} {'holds a network already; open or remove it' if create else 'is not there'}")
        self._lock = self._locked(path)
        try:
            self.sql = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self.sql.execute("PRAGMA journal_mode=WAL")
            self.sql.execute("PRAGMA synchronous=FULL")
            if create:
                self.sql.executescript(f"BEGIN;{_TABLES}INSERT INTO meta VALUES ('schema', '{SCHEMA}');COMMIT;")
            found = self.sql.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone()
        except sqlite3.Error as why:
            os.close(self._lock)
            text = f"The practice ledger {path} cannot be read ({why}); remove its folder and start a new network"
            raise LedgerError(text) from None
        if found is None or found[0] != str(SCHEMA):
            self.close()
            raise LedgerError(
                f"The practice ledger {path} has schema {found and found[0]}, this version knows {SCHEMA}; "
                "use the version that made it or start a new network"
            )

    @staticmethod
    def _locked(path: Path) -> int:
        handle = os.open(f"{path}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(handle)
            raise LedgerError(f"Another practice network uses {path}; stop it first") from None
        return handle

    def close(self) -> None:
        """Let go of file and lock."""
        self.sql.close()
        os.close(self._lock)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One SQL transaction: everything inside is kept, or nothing."""
        self.sql.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.sql.execute("ROLLBACK")
            raise
        self.sql.execute("COMMIT")

    def object(self, object_id: bytes, version: int | None = None) -> Object | None:
        """The live object, or one old version."""
        if version is None:
            row = self.sql.execute("SELECT body FROM live WHERE id = ?", (object_id,)).fetchone()
        else:
            query = "SELECT body FROM version WHERE id = ? AND version = ?"
            row = self.sql.execute(query, (object_id, version)).fetchone()
        return Object.from_bytes(row[0]) if row else None

    def deleted_in(self, object_id: bytes) -> int | None:
        """The epoch in which an object was deleted."""
        row = self.sql.execute("SELECT epoch FROM deleted WHERE id = ?", (object_id,)).fetchone()
        return row[0] if row else None

    def state(self) -> SystemState:
        """The system state as last kept."""
        row = self.sql.execute("SELECT value FROM meta WHERE key = 'state'").fetchone()
        if row is None:
            raise LedgerError("The practice ledger was never finished; remove its folder and start a new network")
        found: SystemState = from_plain(SystemState, json.loads(row[0]))
        return found

    def keep(self, done: Executed, state: SystemState) -> None:
        """Write one executed transaction with all it changed; call inside `writing`."""
        written = {o.id: o for o in done.objects}
        for one in written.values():
            body, coin = one.to_bytes(), one.type == ObjectType.COIN
            self.sql.execute("INSERT INTO version VALUES (?, ?, ?)", (one.id, one.version, body))
            row = (one.id, one.version, int(one.type), one.owner.address, parse_coin(one.contents) if coin else 0, body)
            self.sql.execute("INSERT OR REPLACE INTO live VALUES (?, ?, ?, ?, ?, ?)", row)
            if one.type == ObjectType.TARGET:
                target = Target.from_bytes(one.contents)
                filled = target.filled
                status = (
                    ("filled", target.generation_epoch, filled.epoch, filled.submitter)
                    if filled
                    else ("open", target.generation_epoch, None, None)
                )
                self.sql.execute("INSERT OR REPLACE INTO target VALUES (?, ?, ?, ?, ?)", (one.id, *status))
        for change in done.effects.changed:
            if change.output is None:
                self.sql.execute("DELETE FROM live WHERE id = ?", (change.id,))
                self.sql.execute("DELETE FROM target WHERE id = ?", (change.id,))
                self.sql.execute("INSERT OR REPLACE INTO deleted VALUES (?, ?)", (change.id, done.effects.epoch))
        self.sql.execute("INSERT INTO done (digest, body) VALUES (?, ?)", (done.digest, _dump(done)))
        self.sql.execute("INSERT OR REPLACE INTO meta VALUES ('state', ?)", (_dump(state),))

    def done(self, digest: bytes) -> Executed | None:
        """An executed transaction with the checkpoint that holds it."""
        row = self.sql.execute("SELECT body, checkpoint FROM done WHERE digest = ?", (digest,)).fetchone()
        if row is None:
            return None
        plain = json.loads(row[0])
        plain[5] = row[1]
        found: Executed = from_plain(Executed, plain)
        return found

    def unsealed(self) -> list[bytes]:
        """Digests that no checkpoint holds yet, in order of execution."""
        query = "SELECT digest FROM done WHERE checkpoint IS NULL ORDER BY number"
        return [row[0] for row in self.sql.execute(query)]

    def seal(self, made: Checkpoint) -> None:
        """Write a checkpoint; call inside `writing`."""
        self.sql.execute("INSERT INTO checkpoint VALUES (?, ?)", (made.sequence, _dump(made)))
        self.sql.execute("UPDATE done SET checkpoint = ? WHERE checkpoint IS NULL", (made.sequence,))

    def checkpoint(self, sequence: int | None) -> Checkpoint | None:
        """One checkpoint, or the newest."""
        if sequence is None:
            row = self.sql.execute("SELECT body FROM checkpoint ORDER BY sequence DESC LIMIT 1").fetchone()
        else:
            row = self.sql.execute("SELECT body FROM checkpoint WHERE sequence = ?", (sequence,)).fetchone()
        return from_plain(Checkpoint, json.loads(row[0])) if row else None
