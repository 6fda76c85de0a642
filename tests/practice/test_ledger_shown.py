"""What readers see while others write: always one checkpoint, whole; the log behind it stays short."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from somatui.practice.ledger.ledger import FAUCET_SHANNONS, Ledger
from somatui.practice.ledger.shown import Shown
from tests.practice.ledgers import NOW, network

OTHER = bytes(31) + b"\x02"


def test_nothing_is_seen_before_its_checkpoint_and_a_read_that_runs_sees_nothing_change(tmp_path: Path) -> None:
    network(tmp_path / "l.sqlite3").close()
    head = Ledger.open(tmp_path / "l.sqlite3")
    shown = Shown(tmp_path / "l.sqlite3", head)
    head.faucet(OTHER, NOW)
    assert (head.balance(OTHER), shown.read(lambda one: one.balance(OTHER))) == (FAUCET_SHANNONS, 0)
    head.seal_checkpoint(NOW)
    inside, goes_on = threading.Event(), threading.Event()

    def slow(one: Ledger) -> tuple[int, int]:
        before = one.balance(OTHER)
        inside.set()
        assert goes_on.wait(30)
        return before, one.balance(OTHER)

    found: list[tuple[int, int]] = []
    reader = threading.Thread(target=lambda: found.append(shown.read(slow)))
    reader.start()
    assert inside.wait(30)
    turn = threading.Thread(target=lambda: shown.refresh(head.state, head.newest))
    turn.start()
    goes_on.set()
    reader.join(30)
    turn.join(30)
    assert found == [(0, 0)]
    assert shown.read(lambda one: (one.balance(OTHER), one.newest)) == (FAUCET_SHANNONS, head.newest)
    shown.close()
    head.close()


def test_the_log_is_folded_while_it_is_read_and_stays_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = 400_000
    monkeypatch.setattr("somatui.practice.ledger.shown.WAL_BYTES", limit)
    network(tmp_path / "l.sqlite3").close()
    head = Ledger.open(tmp_path / "l.sqlite3")
    shown = Shown(tmp_path / "l.sqlite3", head)
    log = tmp_path / "l.sqlite3-wal"
    longest = folded = 0
    for number in range(1, 61):
        head.faucet(OTHER, NOW)
        head.seal_checkpoint(NOW)
        before = log.stat().st_size
        shown.refresh(head.state, head.newest)
        shown.shorten_log(head)
        assert shown.read(lambda one: one.balance(OTHER)) == number * FAUCET_SHANNONS
        folded += before > limit
        longest = max(longest, before)
    assert folded > 2 and longest < 2 * limit
    shown.close()
    head.close()
    again = Ledger.open(tmp_path / "l.sqlite3")
    assert again.balance(OTHER) == 60 * FAUCET_SHANNONS
    again.close()
