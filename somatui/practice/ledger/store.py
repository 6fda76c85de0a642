"""The ledger's file: objects in all versions, transactions, checkpoints, state; one SQL transaction each."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from somatui.practice.ledger import rows
from somatui.practice.ledger.state import SystemState
from somatui.practice.ledger.stored import Cursor, form
from somatui.practice.ledger.system import data_in_file
from somatui.practice.ledger.values import Checkpoint, Effects, Executed, LedgerError
from somatui.practice.ledger.view import Deletion
from somatui.wire.hashes import blake2b256
from somatui.wire.objects import Object, ObjectType, Target, parse_coin
from somatui.wire.transaction import SignedTransaction

SCHEMA = 2
_TABLES = f"""
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE version (id BLOB, version INTEGER, body BLOB NOT NULL, UNIQUE (id, version));
CREATE TABLE live (id BLOB PRIMARY KEY, version INTEGER, type INTEGER, owner BLOB, balance INTEGER, body BLOB NOT NULL);
CREATE INDEX live_owner ON live (owner, type, balance, id);
CREATE TABLE deleted (id BLOB PRIMARY KEY, epoch INTEGER NOT NULL, version INTEGER NOT NULL, digest BLOB NOT NULL);
CREATE TABLE target (id BLOB PRIMARY KEY, status TEXT, generation INTEGER, fill_epoch INTEGER, submitter BLOB);
CREATE INDEX target_order ON target (status, generation, id);
CREATE TABLE done (number INTEGER PRIMARY KEY, digest BLOB UNIQUE, signed INTEGER, data BLOB, effects BLOB);
CREATE TABLE checkpoint (sequence INTEGER PRIMARY KEY, last INTEGER UNIQUE, body BLOB NOT NULL);
{rows.TABLES}
"""
_EFFECTS, _BALANCES, _CHECKPOINT = form(Effects), form(list[tuple[bytes, int]]), form(Checkpoint)
_LAYOUT = blake2b256(";".join([rows.LAYOUT, *(f.name for f in (_EFFECTS, _BALANCES, _CHECKPOINT))]).encode()).hex()
_CACHE_KIB = 2_048
"""Pages in memory: with half of it 100,000 objects cost four times as much a transaction, with more no less."""


class Store:
    """An open ledger file; nobody else can open it until it is closed."""

    _kept: SystemState | None = None
    _depth = 0

    def __init__(self, path: Path, *, create: bool) -> None:
        """Open or make the file; raises LedgerError with one sentence."""
        if path.exists() == create:
            raise LedgerError(f"{path} {'holds a network already; open or remove it' if create else 'is not there'}")
        self._lock = self._locked(path)
        try:
            self.sql = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self.sql.execute("PRAGMA journal_mode=WAL")
            self.sql.execute("PRAGMA synchronous=FULL")
            self.sql.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
            if create:
                marks = f"INSERT INTO meta VALUES ('schema', '{SCHEMA}'), ('layout', '{_LAYOUT}');"
                self.sql.executescript(f"BEGIN;{_TABLES}{marks}COMMIT;")
            found = dict(self.sql.execute("SELECT key, value FROM meta WHERE key IN ('schema', 'layout')"))
        except sqlite3.Error as why:
            os.close(self._lock)
            text = f"The practice ledger {path} cannot be read ({why}); remove its folder and start a new network"
            raise LedgerError(text) from None
        if found.get("schema") != str(SCHEMA) or found.get("layout") != _LAYOUT:
            self.close()
            schema = found.get("schema")
            other = f"schema {schema}, this version knows {SCHEMA}" if schema != str(SCHEMA) else "another layout"
            raise LedgerError(
                f"The practice ledger {path} was made by another version of somatui (it has {other}); "
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
        """All inside is kept, or nothing. The outermost is one commit on the disk, those within are parts of it."""
        kept, outer = self._kept, self._depth == 0
        if not outer and not self.sql.in_transaction:
            raise sqlite3.OperationalError("what this belongs to was given up")
        self.sql.execute("BEGIN IMMEDIATE" if outer else "SAVEPOINT part")
        self._depth += 1
        try:
            yield
            if outer:
                self.sql.execute("COMMIT")
            else:
                self.sql.execute("RELEASE part")
        except BaseException:
            self._kept = kept
            if self.sql.in_transaction:
                self.sql.execute("ROLLBACK" if outer else "ROLLBACK TO part")
                if not outer:
                    self.sql.execute("RELEASE part")
            raise
        finally:
            self._depth -= 1

    def let_log_grow(self) -> None:
        """From now on only `fold` takes the log into the file, and no commit has to do it on the way."""
        self.sql.execute("PRAGMA wal_autocheckpoint=0")
        self.sql.execute("PRAGMA journal_size_limit=0")

    def fold(self) -> None:
        """Take the log into the file; nobody is kept from reading. Call outside `writing`."""
        self.sql.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()

    def object(self, object_id: bytes, version: int | None = None) -> Object | None:
        """The live object, or one old version."""
        if version is None:
            row = self.sql.execute("SELECT body FROM live WHERE id = ?", (object_id,)).fetchone()
        else:
            query = "SELECT body FROM version WHERE id = ? AND version = ?"
            row = self.sql.execute(query, (object_id, version)).fetchone()
        return Object.from_bytes(row[0]) if row else None

    def deletion(self, object_id: bytes, epoch: int) -> Deletion | None:
        """How an object was deleted or reported as gone, if it was in this epoch."""
        query = "SELECT version, digest FROM deleted WHERE id = ? AND epoch = ?"
        row = self.sql.execute(query, (object_id, epoch)).fetchone()
        return (row[0], row[1]) if row else None

    def state(self) -> SystemState:
        """The system state as last kept, sealed."""
        try:
            found = rows.read(self.sql)
        except (ValueError, KeyError, TypeError) as why:
            text = f"The practice ledger cannot be read ({why}); remove its folder and start a new network"
            raise LedgerError(text) from None
        if found is None:
            raise LedgerError("The practice ledger was never finished; remove its folder and start a new network")
        found.seal()
        self._kept = found
        return found

    def keep(self, done: Executed, state: SystemState) -> None:
        """Write one executed transaction with all it changed; call inside `writing`. The state is sealed."""
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
            if change.output is None and change.operation == "deleted":
                self.sql.execute("DELETE FROM live WHERE id = ?", (change.id,))
                self.sql.execute("DELETE FROM target WHERE id = ?", (change.id,))
        effects = done.effects
        for object_id in (*(c.id for c in effects.changed if c.output is None), *(i for i, _ in effects.gone)):
            went = (object_id, effects.epoch, effects.lamport_version, done.digest)
            self.sql.execute("INSERT OR REPLACE INTO deleted VALUES (?, ?, ?, ?)", went)
        data = done.data.to_bytes() if done.signed is None else done.signed
        out = bytearray()
        _EFFECTS.write(out, done.effects)
        _BALANCES.write(out, done.balance_changes)
        out += done.timestamp_ms.to_bytes(8, "little")
        found = (done.digest, done.signed is not None, data, bytes(out))
        self.sql.execute("INSERT INTO done (digest, signed, data, effects) VALUES (?, ?, ?, ?)", found)
        rows.write(self.sql, self._kept, state)
        state.seal()
        self._kept = state

    def done(self, digest: bytes) -> Executed | None:
        """An executed transaction with the checkpoint that holds it."""
        query = (
            "SELECT signed, data, effects, (SELECT sequence FROM checkpoint WHERE last >= number ORDER BY last LIMIT 1)"
            " FROM done WHERE digest = ?"
        )
        row = self.sql.execute(query, (digest,)).fetchone()
        if row is None:
            return None
        signed, data, body, checkpoint = row
        cursor = Cursor(body)
        effects: Effects = _EFFECTS.read(cursor)
        balances: list[tuple[bytes, int]] = _BALANCES.read(cursor)
        written = [self.object(c.id, c.output[0]) for c in effects.changed if c.output is not None]
        return Executed(
            digest,
            data if signed else None,
            SignedTransaction.from_bytes(data).data if signed else data_in_file(data),
            effects,
            balances,
            checkpoint,
            int.from_bytes(cursor.take(8), "little"),
            [one for one in written if one is not None],
        )

    def unsealed(self) -> list[bytes]:
        """Digests that no checkpoint holds yet, in order of execution."""
        query = "SELECT digest FROM done WHERE number > (SELECT COALESCE(MAX(last), 0) FROM checkpoint) ORDER BY number"
        return [row[0] for row in self.sql.execute(query)]

    def last(self) -> int:
        """How many transactions have been executed."""
        found: int = self.sql.execute("SELECT COALESCE(MAX(number), 0) FROM done").fetchone()[0]
        return found

    def after(self, number: int) -> list[bytes]:
        """Digests of all that were executed after so many, in order of execution."""
        query = "SELECT digest FROM done WHERE number > ? ORDER BY number"
        return [row[0] for row in self.sql.execute(query, (number,))]

    def seal(self, made: Checkpoint) -> None:
        """Write a checkpoint of all that none holds yet; call inside `writing`."""
        query = "INSERT INTO checkpoint VALUES (?, (SELECT MAX(number) FROM done), ?)"
        self.sql.execute(query, (made.sequence, _CHECKPOINT.pack(made)))

    def checkpoint(self, sequence: int | None) -> Checkpoint | None:
        """One checkpoint, or the newest."""
        if sequence is None:
            row = self.sql.execute("SELECT body FROM checkpoint ORDER BY sequence DESC LIMIT 1").fetchone()
        else:
            row = self.sql.execute("SELECT body FROM checkpoint WHERE sequence = ?", (sequence,)).fetchone()
        return _CHECKPOINT.unpack(row[0]) if row else None
