"""What the ledger's file keeps: changed parts of the state, several changes by one commit, no other layout."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from somatui.practice.group import Group
from somatui.practice.ledger.ledger import Ledger
from somatui.practice.ledger.state import SMALL, SystemState
from somatui.practice.ledger.stored import form
from somatui.practice.ledger.values import LedgerError, Refused
from somatui.wire.hashes import derive_id
from somatui.wire.kinds import AddStakeToModel, CreateModel, DeactivateModel, TransferCoin
from tests.practice.ledgers import NOW, Wallet, commit, network, reveal

SOMA = 10**9
OTHER = b"\x44" * 32


def alike(one: SystemState, other: SystemState) -> bool:
    """Whether two states hold the same."""
    small = all(getattr(one, name) == getattr(other, name) for name in SMALL)
    return small and one.models == other.models and one.validators == other.validators


def test_a_state_read_back_is_the_state_that_was_kept(tmp_path: Path) -> None:
    ledger = network(tmp_path / "l.sqlite3")
    wallet = Wallet(ledger, faucet=4)
    ids = [derive_id(wallet.send(CreateModel(SOMA, 0, 1)).digest, 0) for _ in range(2)]
    wallet.send(commit(ids[0]))
    ledger.advance_epoch(NOW)
    wallet.send(reveal(ids[0]))
    wallet.send(AddStakeToModel(ids[0], wallet.coins()[1].ref, 5))
    ledger.advance_epoch(NOW + 1)
    wallet.send(DeactivateModel(ids[0]))
    kept = ledger.state
    ledger.close()
    again = Ledger.open(tmp_path / "l.sqlite3")
    assert alike(again.state, kept) and kept.models[ids[0]].staking_pool.exchange_rates.keys() == {1, 2}
    again.close()


def test_a_transaction_writes_as_many_rows_whatever_the_number_of_models(tmp_path: Path) -> None:
    written = []
    for models in (3, 200):
        ledger = network(tmp_path / f"{models}.sqlite3", models)
        wallet = Wallet(ledger)
        before = ledger._store.sql.total_changes
        wallet.send(TransferCoin(wallet.coins()[0].ref, 5, OTHER))
        wallet.send(AddStakeToModel(sorted(ledger.state.models)[0], wallet.coins()[0].ref, 5))
        written.append(ledger._store.sql.total_changes - before)
        ledger.close()
    assert written[0] == written[1] < 40


def test_a_transaction_copies_only_the_models_it_asks_for(tmp_path: Path) -> None:
    ledger = network(tmp_path / "l.sqlite3", 5)
    kept, made = ledger.state, ledger.state.copy()
    first, *others = sorted(kept.models)
    made.models[first].commission_rate = 77
    del made.models[others[0]]
    made.validators[0].commission_rate = 78
    inner = made.copy()
    inner.models[first].staking_pool.exchange_rates[9] = (1, 1)
    assert kept.models[first].commission_rate == 0 and others[0] in kept.models
    assert kept.validators[0].commission_rate == 200
    assert 9 not in made.models[first].staking_pool.exchange_rates
    assert made.all_models()[others[1]] is kept.models[others[1]]
    with pytest.raises(TypeError, match="change a copy"):
        kept.models[first] = made.models[first]
    with pytest.raises(TypeError, match="change a copy"):
        kept.validators.append(made.validators[0])
    ledger.close()


def test_a_file_of_an_older_version_or_of_another_layout_is_refused_with_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite3"
    with sqlite3.connect(path) as sql:
        sql.execute("CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)")
        sql.execute("INSERT INTO meta VALUES ('schema', '1'), ('state', '[]')")
    with pytest.raises(LedgerError, match="schema 1, this version knows 2.*start a new network"):
        Ledger.open(path)
    path.unlink()
    network(path).close()
    with sqlite3.connect(path) as sql:
        sql.execute("UPDATE meta SET value = 'x' WHERE key = 'layout'")
    with pytest.raises(LedgerError, match="another layout.*start a new network"):
        Ledger.open(path)


def test_stored_bytes_that_are_cut_short_or_go_on_are_not_read(tmp_path: Path) -> None:
    whole = form(dict[int, tuple[int, bytes]])
    body = whole.pack({-300: (2**64, b"x"), 5: (0, b"")})
    assert whole.unpack(body) == {-300: (2**64, b"x"), 5: (0, b"")}
    for broken in (body[:-1], body + b"\0"):
        with pytest.raises(ValueError, match="stored bytes"):
            whole.unpack(broken)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit takes all that waits, however slow the machine is."""
    monkeypatch.setattr("somatui.practice.group.SECONDS", 60.0)


async def together(ledger: Ledger, *works: Callable[[Ledger], object]) -> list[object]:
    """All of these by one commit: the thread is busy until they wait."""
    gate = threading.Event()
    with ThreadPoolExecutor(1) as thread:
        thread.submit(gate.wait)
        group = Group(thread, ledger, lambda kept: kept.seal_checkpoint(NOW))
        asked = [asyncio.ensure_future(group.run(work, seals=True)) for work in works]
        await asyncio.sleep(0)
        gate.set()
        return await asyncio.gather(*asked, return_exceptions=True)


@pytest.mark.usefixtures("patient")
def test_changes_that_wait_share_a_commit_and_one_that_fails_harms_none(tmp_path: Path) -> None:
    ledger = network(tmp_path / "l.sqlite3")
    commits: list[str] = []
    ledger._store.sql.set_trace_callback(lambda said: commits.append(said) if said == "COMMIT" else None)

    def broken(one: Ledger) -> object:
        one.faucet(OTHER, NOW)
        raise Refused("INTERNAL", "on purpose")

    def faucet(one: Ledger) -> object:
        return one.faucet(OTHER, NOW)

    answers = asyncio.run(together(ledger, faucet, faucet, broken, *[faucet] * 20))
    assert isinstance(answers[2], Refused) and len(commits) < 22
    assert ledger.balance(OTHER) == 44 * SOMA and not ledger._store.unsealed()
    kept = ledger.state
    ledger.close()
    again = Ledger.open(tmp_path / "l.sqlite3")
    assert again.balance(OTHER) == 44 * SOMA and alike(again.state, kept)
    again.close()


@pytest.mark.usefixtures("patient")
def test_a_commit_that_cannot_be_kept_answers_nobody_with_success_and_leaves_nothing(tmp_path: Path) -> None:
    ledger = network(tmp_path / "l.sqlite3")
    before, newest = ledger.state, ledger.newest

    def torn(one: Ledger) -> object:
        one.faucet(OTHER, NOW)
        one._store.sql.execute("ROLLBACK")
        return None

    answers = asyncio.run(together(ledger, lambda one: one.faucet(OTHER, NOW), torn, lambda one: one.balance(OTHER)))
    assert all(isinstance(answer, sqlite3.OperationalError) for answer in answers[:2])
    assert ledger.balance(OTHER) == 0 and (ledger.state, ledger.newest) == (before, newest)
    assert ledger.faucet(OTHER, NOW) and ledger.balance(OTHER) == 2 * SOMA
    ledger.close()
    again = Ledger.open(tmp_path / "l.sqlite3")
    assert again.balance(OTHER) == 2 * SOMA
    again.close()
