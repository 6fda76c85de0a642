"""The system state in the ledger's file: a row for each small field, model, validator, pool and exchange rate.

What a transaction costs here depends on what it changed, not on how much there is.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

from somatui.practice.ledger.shared import Registry, Roster
from somatui.practice.ledger.state import SMALL, Model, StakingPool, SystemState, Validator, registry, roster
from somatui.practice.ledger.stored import Form, field_forms, of_fields

TABLES = """
CREATE TABLE state (name TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE part (kind INTEGER, key BLOB, body BLOB NOT NULL, PRIMARY KEY (kind, key));
CREATE TABLE rate (pool BLOB, epoch INTEGER, shannons INTEGER, tokens INTEGER, PRIMARY KEY (pool, epoch)) WITHOUT ROWID;
"""
MODEL, VALIDATOR, MODEL_POOL, VALIDATOR_POOL = 1, 2, 3, 4
_SMALL = field_forms(SystemState, SMALL)
_POOL = of_fields(StakingPool, frozenset({"exchange_rates"}))
_FORMS = {
    MODEL: of_fields(Model, frozenset({"staking_pool"})),
    VALIDATOR: of_fields(Validator, frozenset({"staking_pool"})),
}
LAYOUT = ";".join(
    [*(f"{name}:{form.name}" for name, form in _SMALL.items()), *(f.name for f in (*_FORMS.values(), _POOL))]
)
"""The types in these rows, spelled out: another layout cannot be read."""
_PUT = "INSERT OR REPLACE INTO part VALUES (?, ?, ?)"


def write(sql: sqlite3.Connection, old: SystemState | None, new: SystemState) -> None:
    """Write what differs from the state written before (None: everything)."""
    for name, form in _SMALL.items():
        value = getattr(new, name)
        if old is None or value != getattr(old, name):
            sql.execute("INSERT OR REPLACE INTO state VALUES (?, ?)", (name, form.pack(value)))
    empty: Registry[Model] = Registry()
    models, were = registry(new.models), registry(old.models) if old else empty
    pools: set[bytes] = set()
    for key in sorted(models.touched(were)):
        pools |= _part(sql, MODEL, key, were.peek().get(key), models.peek().get(key))
    nobody: Roster[Validator] = Roster()
    members, before = roster(new.validators), roster(old.validators) if old else nobody
    if not members.same(before):
        now, then = members.peek(), before.peek()
        for number in range(max(len(now), len(then))):
            key = number.to_bytes(4, "big")
            was, one = (row[number] if number < len(row) else None for row in (then, now))
            pools |= _part(sql, VALIDATOR, key, was, one)
        pools -= {v.staking_pool.id for v in now}
    for pool in pools:
        sql.execute("DELETE FROM rate WHERE pool = ?", (pool,))


def _part(
    sql: sqlite3.Connection, kind: int, key: bytes, was: Model | Validator | None, now: Model | Validator | None
) -> set[bytes]:
    """Write one model or validator; returns the id of a pool that is not under this key any more."""
    if now is None:
        sql.execute("DELETE FROM part WHERE key = ? AND kind IN (?, ?)", (key, kind, kind + 2))
        return {was.staking_pool.id} if was else set()
    form = _FORMS[kind]
    if was is None or form.parts(was) != form.parts(now):
        sql.execute(_PUT, (kind, key, form.pack(now)))
    old, new = was.staking_pool if was else None, now.staking_pool
    if old is None or _POOL.parts(old) != _POOL.parts(new):
        sql.execute(_PUT, (kind + 2, key, _POOL.pack(new)))
    moved = old is not None and old.id != new.id
    known = {} if old is None or moved else old.exchange_rates
    if known != new.exchange_rates:
        _rates(sql, new.id, known, new.exchange_rates)
    return {old.id} if old is not None and moved else set()


Rates = Mapping[int, tuple[int, int]]


def _rates(sql: sqlite3.Connection, pool: bytes, was: Rates, now: Rates) -> None:
    added = [(pool, epoch, *rate) for epoch, rate in now.items() if was.get(epoch) != rate]
    sql.executemany("INSERT OR REPLACE INTO rate VALUES (?, ?, ?, ?)", added)
    sql.executemany("DELETE FROM rate WHERE pool = ? AND epoch = ?", [(pool, e) for e in was if e not in now])


def read(sql: sqlite3.Connection) -> SystemState | None:
    """The state as written last; None when none was. Raises ValueError."""
    rows = dict(sql.execute("SELECT name, body FROM state"))
    if not rows:
        return None
    small = {name: form.unpack(rows[name]) for name, form in _SMALL.items()}
    models = {key: Model(**fields) for key, fields in _parts(sql, MODEL)}
    validators = [Validator(**fields) for _, fields in _parts(sql, VALIDATOR)]
    return SystemState(models=Registry(models), validators=Roster(validators), **small)


def _parts(sql: sqlite3.Connection, kind: int) -> Iterable[tuple[bytes, dict[str, Any]]]:
    """Keys and fields of all parts of a kind, pools and their rates among them, in the order of the keys."""
    form: Form = _FORMS[kind]
    query = "SELECT a.key, a.body, b.body FROM part a JOIN part b ON b.kind = a.kind + 2 AND b.key = a.key"
    for key, body, pool in sql.execute(f"{query} WHERE a.kind = ? ORDER BY a.key", (kind,)).fetchall():
        found = _POOL.unpack(pool)
        wanted = "SELECT epoch, shannons, tokens FROM rate WHERE pool = ? ORDER BY epoch"
        rates = {epoch: (shannons, tokens) for epoch, shannons, tokens in sql.execute(wanted, (found["id"],))}
        yield key, form.unpack(body) | {"staking_pool": StakingPool(exchange_rates=rates, **found)}
