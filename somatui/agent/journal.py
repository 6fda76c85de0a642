"""What the chain cannot remember: intents with their signed bytes, the events of each, and every shannon moved.

One SQLite file, write-ahead log, synchronous=FULL: what a method has returned from is on disk. Secrets never enter it.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from somatui.agent import states
from somatui.agent.states import ENDED, Fault, no_fault
from somatui.domain.snapshot import IntentView, LedgerView

VERSION = 1
CACHE_KIB = 256
"""Of the file's pages in memory; SQLite's own 2 MiB fill up with the first 650 acts or so and make nothing faster."""
LIVE = tuple(sorted({s for order in states.ORDER.values() for s in order} - ENDED))

SCHEMA = """
CREATE TABLE intents(
    id TEXT PRIMARY KEY, key TEXT NOT NULL UNIQUE, action TEXT NOT NULL, subject TEXT NOT NULL, state TEXT NOT NULL,
    args TEXT NOT NULL, result TEXT NOT NULL, digest TEXT, signed BLOB, note TEXT,
    created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL) STRICT;
CREATE INDEX intents_by_state ON intents(state, action);
CREATE INDEX intents_by_action ON intents(action, created_ms);
CREATE INDEX intents_by_subject ON intents(action, subject, state);
CREATE INDEX intents_by_age ON intents(created_ms);
CREATE TABLE events(
    seq INTEGER PRIMARY KEY AUTOINCREMENT, intent TEXT NOT NULL REFERENCES intents(id), state TEXT NOT NULL,
    at_ms INTEGER NOT NULL, digest TEXT, detail TEXT) STRICT;
CREATE TABLE money(
    seq INTEGER PRIMARY KEY AUTOINCREMENT, digest TEXT NOT NULL, kind TEXT NOT NULL, amount_shannons INTEGER NOT NULL,
    epoch INTEGER NOT NULL, subject TEXT NOT NULL, intent TEXT, at_ms INTEGER NOT NULL, UNIQUE(digest, kind)) STRICT;
CREATE INDEX money_by_kind ON money(kind, amount_shannons);
"""

SIGN = {"fee": -1, "bond": -1, "staked": -1, "earned": 1, "bond_returned": 1, "received": 1, "bond_lost": 0}
"""What each kind of entry does to the free balance; a lost bond left it already when it was locked."""


class JournalError(Exception):
    """The journal cannot be read or written; the text is one sentence with the cure. Nothing was overwritten."""


@dataclass(frozen=True, slots=True)
class Money:
    """One movement: `amount_shannons` is never negative, `kind` says which way it went. Once per digest and kind."""

    digest: str
    kind: str
    amount_shannons: int
    epoch: int
    subject: str = ""


@dataclass(frozen=True, slots=True)
class Intent:
    """One act that changes the chain, as far as it has come. `signed` are the bytes in flight, `digest` names them."""

    id: str
    key: str
    action: str
    subject: str
    state: str
    created_ms: int
    updated_ms: int
    digest: str | None = None
    signed: bytes | None = field(default=None, repr=False)
    note: str | None = None
    args: dict[str, Any] = field(default_factory=dict)
    result: dict[str, Any] = field(default_factory=dict)

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in ENDED

    @property
    def in_flight(self) -> bool:
        """Whether signed bytes may land at any moment."""
        return self.state in states.IN_FLIGHT

    def view(self) -> IntentView:
        """What screens show of it."""
        return IntentView(self.id, self.action, self.subject, self.state, self.updated_ms, self.digest, self.note)


class Journal:
    """The journal of one profile, used from one thread."""

    def __init__(self, connection: sqlite3.Connection, path: Path, fault: Fault) -> None:
        self._db = connection
        self._path = path
        self._fault = fault

    @classmethod
    def open(cls, path: Path, fault: Fault = no_fault) -> Journal:
        """Open the journal, or make an empty one where there is none. Raises JournalError for anything else."""
        try:
            if not path.exists():
                _create(path)
            connection = _connect(path)
            _check(connection, path)
        except sqlite3.Error as failure:
            raise _as_error(path, failure) from failure
        except OSError as failure:
            raise JournalError(
                f"The journal {path} cannot be made ({(failure.strerror or str(failure)).lower()}): "
                "free space, or correct the owner or mode of its folder."
            ) from failure
        return cls(connection, path, fault)

    def close(self) -> None:
        """Close the file; what was written stays."""
        self._db.close()

    def claim(self, address: str) -> bool:
        """Make this the journal of a wallet, and say whether it is: the first one that claims it keeps it."""
        with self._transaction():
            self._db.execute("CREATE TABLE IF NOT EXISTS owner(address TEXT NOT NULL) STRICT")
            self._db.execute("INSERT INTO owner SELECT ? WHERE NOT EXISTS (SELECT 1 FROM owner)", (address,))
        return bool(self._read("SELECT 1 FROM owner WHERE address = ?", address))

    @property
    def owner(self) -> str:
        """The address of the wallet whose journal this is; empty while none has claimed it."""
        there = self._read("SELECT 1 FROM sqlite_master WHERE name = 'owner'")
        found = self._read("SELECT address FROM owner") if there else []
        return str(found[0]["address"]) if found else ""

    def begin(self, action: str, subject: str, args: dict[str, Any], key: str, now_ms: int) -> Intent:
        """Write an intent in its first state; with a key that is known, the intent that has it."""
        known = self.by_key(key)
        if known is not None:
            return known
        name = f"{action}-{uuid.uuid4().hex[:12]}"
        with self._transaction():
            self._db.execute(
                "INSERT INTO intents(id, key, action, subject, state, args, result, created_ms, updated_ms)"
                " VALUES(?, ?, ?, ?, ?, ?, '{}', ?, ?)",
                (name, key, action, subject, states.PLANNED, json.dumps(args), now_ms, now_ms),
            )
            self._event(name, states.PLANNED, now_ms, None, None)
        self._fault(action, states.PLANNED)
        return self.get(name)

    def enter(
        self,
        intent: str,
        state: str,
        now_ms: int,
        *,
        digest: str | None = None,
        signed: bytes | None = None,
        result: dict[str, Any] | None = None,
        note: str | None = None,
        money: Iterable[Money] = (),
    ) -> Intent:
        """Bring an intent into a state together with all that is known then, in one step that is on disk on return.

        `result` is added to what is there. Bytes in flight are kept until the state leaves `IN_FLIGHT`.
        """
        found = self.get(intent)
        merged = found.result | (result or {})
        bytes_kept = signed if signed is not None else found.signed if state in states.IN_FLIGHT else None
        with self._transaction():
            self._db.execute(
                "UPDATE intents SET state = ?, digest = ?, signed = ?, result = ?, note = ?, updated_ms = ?"
                " WHERE id = ?",
                (state, digest or found.digest, bytes_kept, json.dumps(merged), note, now_ms, intent),
            )
            self._event(intent, state, now_ms, digest, note)
            self._add(money, intent, now_ms)
        self._fault(found.action, state)
        return self.get(intent)

    def record(self, money: Iterable[Money], now_ms: int) -> None:
        """Write movements that belong to no intent; one that is known already changes nothing."""
        with self._transaction():
            self._add(money, None, now_ms)

    def get(self, intent: str) -> Intent:
        """The intent of that id; KeyError when there is none."""
        found = self._intents("WHERE id = ?", intent)
        if not found:
            raise KeyError(intent)
        return found[0]

    def by_key(self, key: str) -> Intent | None:
        """The intent with that idempotency key."""
        found = self._intents("WHERE key = ?", key)
        return found[0] if found else None

    def begun(self, key: str) -> bool:
        """Whether an act with that key is known, or one of the several that it stands for (`key:…`)."""
        prefix = f"{key}:"
        query = "SELECT 1 FROM intents WHERE key = ? OR substr(key, 1, ?) = ? LIMIT 1"
        return bool(self._read(query, key, len(prefix), prefix))

    @property
    def revision(self) -> int:
        """A number that grows with every write of this process: what was read at the same number is still so."""
        return self._db.total_changes

    def unfinished(self) -> tuple[Intent, ...]:
        """All intents that have not ended, the oldest first."""
        marks = ", ".join("?" * len(LIVE))
        return self._intents(f"WHERE state IN ({marks}) ORDER BY created_ms, rowid", *LIVE)

    def intents(self, action: str | None = None, last: int = 1_000_000) -> tuple[Intent, ...]:
        """The `last` newest intents (of one action), the oldest of them first."""
        where = "WHERE action = ?" if action else "WHERE ? IS NULL"
        found = self._intents(f"{where} ORDER BY created_ms DESC, rowid DESC LIMIT ?", action, last)
        return tuple(reversed(found))

    def done(self, action: str, subject: str) -> Intent | None:
        """The newest intent that did this to that."""
        where = "WHERE action = ? AND subject = ? AND state = ? ORDER BY created_ms DESC LIMIT 1"
        found = self._intents(where, action, subject, states.DONE)
        return found[0] if found else None

    def signed_since(self, action: str, since_ms: int) -> list[int]:
        """When each transaction of that act was signed, the oldest first."""
        marks = ", ".join("?" * len(states.IN_FLIGHT))
        rows = self._read(
            f"SELECT at_ms FROM events JOIN intents ON intents.id = events.intent WHERE at_ms > ? AND action = ?"
            f" AND events.state IN ({marks}) ORDER BY at_ms",
            since_ms, action, *sorted(states.IN_FLIGHT),
        )  # fmt: skip
        return [row["at_ms"] for row in rows]

    def events(self, intent: str) -> tuple[tuple[str, int], ...]:
        """The states an intent has been in, with their times."""
        rows = self._read("SELECT state, at_ms FROM events WHERE intent = ? ORDER BY seq", intent)
        return tuple((row["state"], row["at_ms"]) for row in rows)

    def entries(self) -> list[dict[str, Any]]:
        """The money table as JSON objects, amounts signed by what they did to the free balance."""
        rows = self._read("SELECT digest, kind, amount_shannons, epoch, subject, intent, at_ms FROM money ORDER BY seq")
        return [dict(r) | {"amount_shannons": (SIGN[r["kind"]] or -1) * r["amount_shannons"]} for r in rows]

    def accounted(self, digest: str | None = None) -> bool:
        """Whether any movement of that transaction is written down; without a digest, whether there is any at all."""
        if digest is None:
            return bool(self._read("SELECT 1 FROM money LIMIT 1"))
        return bool(self._read("SELECT 1 FROM money WHERE digest = ? LIMIT 1", digest))

    def sums(self) -> dict[str, int]:
        """The sum of each kind of entry, in shannons."""
        rows = self._read("SELECT kind, SUM(amount_shannons) AS total FROM money GROUP BY kind")
        return dict.fromkeys(SIGN, 0) | {row["kind"]: row["total"] for row in rows}

    def expected_free_shannons(self) -> int:
        """What the wallet's coins must hold if every movement is in the journal."""
        return sum(SIGN[kind] * total for kind, total in self.sums().items())

    def ledger(self) -> LedgerView:
        """The sums, and how often each act has come to a good end."""
        total = self.sums()
        rows = self._read("SELECT action, COUNT(*) AS n FROM intents WHERE state = ? GROUP BY action", states.DONE)
        count = {row["action"]: row["n"] for row in rows}
        return LedgerView(
            earned_shannons=total["earned"],
            fees_shannons=total["fee"],
            bonded_shannons=total["bond"],
            bonds_returned_shannons=total["bond_returned"],
            bonds_lost_shannons=total["bond_lost"],
            staked_shannons=total["staked"],
            received_shannons=total["received"],
            hits=count.get("submit", 0),
            claims=count.get("claim", 0),
            reveals=count.get("reveal", 0),
        )

    def _add(self, money: Iterable[Money], intent: str | None, now_ms: int) -> None:
        for entry in money:
            if entry.kind not in SIGN or entry.amount_shannons < 0:
                raise ValueError(f"not a movement: {entry}")
            self._db.execute(
                "INSERT INTO money(digest, kind, amount_shannons, epoch, subject, intent, at_ms)"
                " VALUES(?, ?, ?, ?, ?, ?, ?) ON CONFLICT(digest, kind) DO NOTHING",
                (entry.digest, entry.kind, entry.amount_shannons, entry.epoch, entry.subject, intent, now_ms),
            )

    def _event(self, intent: str, state: str, now_ms: int, digest: str | None, detail: str | None) -> None:
        self._db.execute(
            "INSERT INTO events(intent, state, at_ms, digest, detail) VALUES(?, ?, ?, ?, ?)",
            (intent, state, now_ms, digest, detail),
        )

    def _intents(self, where: str, *values: Any) -> tuple[Intent, ...]:
        return tuple(_intent(row) for row in self._read(f"SELECT * FROM intents {where}", *values))

    def _read(self, query: str, *values: Any) -> list[sqlite3.Row]:
        try:
            return self._db.execute(query, values).fetchall()
        except sqlite3.DatabaseError as failure:
            raise _as_error(self._path, failure) from failure

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
        except sqlite3.Error as failure:
            raise _as_error(self._path, failure) from failure


def _intent(row: sqlite3.Row) -> Intent:
    values = {name: row[name] for name in row.keys()}  # noqa: SIM118
    return Intent(**values | {"args": json.loads(row["args"]), "result": json.loads(row["result"])})


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, timeout=5)
    connection.row_factory = sqlite3.Row
    return connection


def _create(path: Path) -> None:
    """Make the file whole beside its place and move it there: an unfinished one is never taken for a journal."""
    if path.with_name(path.name + "-wal").exists():
        raise JournalError(
            f"The journal {path} is gone but its write-ahead log is there: put the file back from a backup."
        )
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    with contextlib.closing(_connect(draft)) as connection:
        connection.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")
    os.chmod(draft, 0o600)
    _sync(draft)
    os.replace(draft, path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _check(connection: sqlite3.Connection, path: Path) -> None:
    try:
        found = connection.execute("PRAGMA user_version").fetchone()[0]
        if found > VERSION:
            raise JournalError(
                f"The journal {path} was written by a newer somatui (version {found}, this one reads {VERSION}): "
                "install that version again."
            )
        verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != VERSION or verdict != "ok":
            raise _damaged(path, verdict if verdict != "ok" else "it is no journal")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    except BaseException:
        connection.close()
        raise


def _damaged(path: Path, why: object) -> JournalError:
    reason = " ".join(str(why).split())[:120]
    return JournalError(
        f"The journal {path} is damaged ({reason}): put it back from a backup, or move it aside to begin a new one; "
        "nothing was changed."
    )


def _as_error(path: Path, failure: sqlite3.Error) -> JournalError:
    name = getattr(failure, "sqlite_errorname", "")
    if name.startswith("SQLITE_FULL"):
        return JournalError(f"The disk that holds the journal {path} is full: free some space; nothing was sent.")
    if name.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_IOERR", "SQLITE_PERM")):
        return JournalError(f"The journal {path} cannot be written ({failure}): correct its folder's owner or space.")
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return JournalError(f"The journal {path} is held by another process: stop that one first.")
    return _damaged(path, failure)
