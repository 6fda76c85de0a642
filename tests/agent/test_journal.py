"""The journal: what it keeps, what it refuses, and that a kill leaves exactly what was entered."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from somatui.agent import states
from somatui.agent.journal import Journal, JournalError, Money


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite3"


def test_an_intent_comes_back_as_it_was_left(path: Path) -> None:
    journal = Journal.open(path)
    intent = journal.begin("submit", "0xab", {"loss": 1.5}, "k1", 10)
    journal.enter(intent.id, states.UPLOADED, 20, result={"url": "http://x/y"})
    journal.enter(intent.id, states.SIGNED, 30, digest="D1", signed=b"\x00\x01", result={"size": 3})
    journal.close()
    found = Journal.open(path).unfinished()
    assert [(i.state, i.digest, i.signed, i.args, i.result) for i in found] == [
        ("signed", "D1", b"\x00\x01", {"loss": 1.5}, {"url": "http://x/y", "size": 3})
    ]
    assert found[0].in_flight and not found[0].ended and b"\x00\x01" not in repr(found[0]).encode()


def test_the_same_key_is_the_same_intent(path: Path) -> None:
    journal = Journal.open(path)
    first = journal.begin("claim", "0x1", {}, "k", 1)
    assert journal.begin("claim", "0x2", {"other": 1}, "k", 2) == first
    assert journal.by_key("absent") is None
    with pytest.raises(KeyError):
        journal.get("absent")


def test_bytes_in_flight_go_when_the_state_leaves_and_the_digest_stays(path: Path) -> None:
    journal = Journal.open(path)
    intent = journal.begin("reveal", "0x1", {}, "k", 1)
    journal.enter(intent.id, states.SIGNED, 2, digest="D", signed=b"b")
    assert journal.enter(intent.id, states.SIGNED, 3, note="looking").signed == b"b"
    ended = journal.enter(intent.id, states.DONE, 4)
    assert (ended.signed, ended.digest, ended.ended, journal.unfinished()) == (None, "D", True, ())
    assert [state for state, _ in journal.events(intent.id)] == ["planned", "signed", "signed", "done"]


def test_one_digest_counts_once_per_kind(path: Path) -> None:
    journal = Journal.open(path)
    intent = journal.begin("submit", "0x1", {}, "k", 1)
    rows = [Money("D", "fee", 2_200, 3), Money("D", "bond", 650, 3), Money("D", "fee", 9, 3)]
    journal.enter(intent.id, states.DONE, 2, money=rows)
    journal.record(rows, 3)
    assert (journal.sums()["fee"], journal.sums()["bond"]) == (2_200, 650)
    assert [e["amount_shannons"] for e in journal.entries()] == [-2_200, -650]


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.sampled_from(["fee", "bond", "staked", "earned", "bond_returned", "received"]),
                          st.integers(0, 2**50)), max_size=12))  # fmt: skip
def test_the_expected_balance_is_what_came_in_less_what_went_out(moves: list[tuple[str, int]]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        journal = Journal.open(Path(folder) / "j.sqlite3")
        journal.record([Money(f"D{n}", kind, amount, 1) for n, (kind, amount) in enumerate(moves)], 1)
        came = sum(a for k, a in moves if k in ("earned", "bond_returned", "received"))
        went = sum(a for k, a in moves if k in ("fee", "bond", "staked"))
        assert journal.expected_free_shannons() == came - went == sum(e["amount_shannons"] for e in journal.entries())
        journal.close()


def test_the_ledger_counts_what_came_to_a_good_end(path: Path) -> None:
    journal = Journal.open(path)
    for n, (action, state) in enumerate(
        [("submit", "done"), ("submit", "lost"), ("claim", "done"), ("reveal", "done")]
    ):
        intent = journal.begin(action, "s", {}, f"k{n}", n)
        journal.enter(intent.id, state, n)
    seen = journal.ledger()
    assert (seen.hits, seen.claims, seen.reveals) == (1, 1, 1)


def test_a_movement_without_a_direction_is_a_defect(path: Path) -> None:
    journal = Journal.open(path)
    with pytest.raises(ValueError):
        journal.record([Money("D", "gift", 1, 1)], 1)
    assert journal.entries() == []


def test_the_file_is_private_and_every_write_is_synced(path: Path) -> None:
    journal = Journal.open(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert journal._db.execute("PRAGMA synchronous").fetchone()[0] == 2
    assert journal._db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"


@pytest.mark.parametrize(
    "content", [b"", b"not a database, but long enough to be looked at" * 100, b"SQLite format 3\x00" * 9]
)
def test_a_corrupt_journal_is_refused_in_one_sentence_and_left_as_it_is(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(JournalError) as refused:
        Journal.open(path)
    assert "\n" not in str(refused.value) and "damaged" in str(refused.value)
    assert path.read_bytes() == content


def test_a_journal_with_a_broken_page_is_refused(path: Path) -> None:
    journal = Journal.open(path)
    for n in range(200):
        journal.begin("submit", "s" * 100, {"n": n}, f"k{n}", n)
    journal.close()
    held = bytearray(path.read_bytes())
    held[4096 : 4096 * 3] = os.urandom(8192)
    path.write_bytes(held)
    with pytest.raises(JournalError, match="damaged"):
        Journal.open(path)
    assert path.read_bytes() == bytes(held)


def test_a_newer_journal_is_refused_and_kept(path: Path) -> None:
    Journal.open(path).close()
    with sqlite3.connect(path) as newer:
        newer.execute("PRAGMA user_version = 7")
    newer.close()
    before = path.read_bytes()
    with pytest.raises(JournalError, match="newer somatui"):
        Journal.open(path)
    assert path.read_bytes() == before


def test_a_journal_whose_file_is_gone_is_not_begun_anew(path: Path) -> None:
    path.with_name(path.name + "-wal").write_bytes(b"x")
    with pytest.raises(JournalError, match="write-ahead log"):
        Journal.open(path)


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match="cannot be"):
        Journal.open(tmp_path / "file" / "journal.sqlite3")


KILLED = """
import sys
from pathlib import Path
from somatui.agent.journal import Journal, Money
from somatui.agent.states import fault_from_environment
journal = Journal.open(Path(sys.argv[1]), fault_from_environment())
intent = journal.begin("submit", "0x1", {}, "k", 1)
journal.enter(intent.id, "signed", 2, digest="D", signed=b"b")
journal.enter(intent.id, "done", 3, money=[Money("D", "fee", 5, 1)])
"""


@pytest.mark.parametrize(("state", "fee"), [("planned", 0), ("signed", 0), ("done", 5)])
def test_the_fault_hook_kills_right_after_the_state_is_on_disk(path: Path, state: str, fee: int) -> None:
    environment = os.environ | {"SOMATUI_FAULT": f"submit:{state}"}
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    journal = Journal.open(path)
    assert (journal.intents()[0].state, journal.sums()["fee"]) == (state, fee)


def test_what_was_done_to_a_subject_and_when_it_was_signed_is_found_again(path: Path) -> None:
    journal = Journal.open(path)
    lost, done = (journal.begin("submit", "0x1", {}, key, 1) for key in ("a", "b"))
    journal.enter(lost.id, states.SIGNED, 10, digest="A", signed=b"a")
    journal.enter(lost.id, states.LOST, 20)
    assert journal.done("submit", "0x1") is None and not journal.accounted("A") and not journal.accounted()
    journal.enter(done.id, states.SIGNED, 30, digest="B", signed=b"b")
    journal.enter(done.id, states.DONE, 40, money=[Money("B", "fee", 5, 1)])
    found = journal.done("submit", "0x1")
    assert found is not None and found.id == done.id and journal.done("claim", "0x1") is None
    assert journal.signed_since("submit", 10) == [30] and journal.signed_since("submit", 0) == [10, 30]
    assert journal.accounted("B") and not journal.accounted("A") and journal.accounted()
