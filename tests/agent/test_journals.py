"""Each wallet has a journal: the first one that comes keeps the profile's own, others get files beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from somatui.agent.alerts import left_alerts
from somatui.agent.journal import Journal, JournalError, Money
from somatui.agent.journals import left_undone, of_wallet
from somatui.paths import Paths

FIRST, SECOND = "aa" * 32, "bb" * 32


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths.for_profile("ops", tmp_path).create()


def test_a_journal_that_is_nobodys_yet_stays_with_its_first_wallet(paths: Paths) -> None:
    opened = Journal.open(paths.journal)
    opened.record((Money("d1", "received", 5, 1),), 1)
    assert of_wallet(opened, FIRST, paths) is opened
    other = of_wallet(opened, SECOND, paths)
    assert other.entries() == [] and other.claim(SECOND) and not other.claim(FIRST)
    back = of_wallet(other, FIRST, paths)
    assert [e["amount_shannons"] for e in back.entries()] == [5]
    back.close()
    assert sorted(p.name for p in paths.profile_dir.glob("*.sqlite3")) == [
        f"journal-{SECOND[:16]}.sqlite3",
        "journal.sqlite3",
    ]


def test_a_journal_under_another_wallets_name_is_not_written_to(paths: Paths) -> None:
    of_wallet(Journal.open(paths.journal), FIRST, paths).close()
    paths.journal.with_name(f"journal-{SECOND[:16]}.sqlite3").write_bytes(paths.journal.read_bytes())
    opened = Journal.open(paths.journal)
    with pytest.raises(JournalError, match="another wallet's"):
        of_wallet(opened, SECOND, paths)
    assert opened.claim(FIRST)
    opened.close()


def test_acts_that_another_wallet_was_left_with_are_found_and_damage_is_passed_over(paths: Paths) -> None:
    opened = of_wallet(Journal.open(paths.journal), FIRST, paths)
    act = opened.begin("publish", "alpha", {}, "k1", 1)
    assert opened.owner == FIRST and left_undone(paths, FIRST) == {} == left_undone(paths, "")
    other = of_wallet(opened, SECOND, paths)
    paths.journal.with_name("journal-cc.sqlite3").write_bytes(b"no database at all" * 99)
    found = left_undone(paths, SECOND)
    assert [a.id for a in found[FIRST]] == [act.id] and len(found) == 1
    (alert,) = left_alerts(found, {FIRST: "old"})
    assert alert.severity == "warn" and "publish alpha" in alert.text and "somatui wallet use old" in alert.text
    assert f"wallet use {FIRST[:12]} " in left_alerts(found, {})[0].text
    back = of_wallet(other, FIRST, paths)
    back.enter(act.id, "refused", 2)
    assert left_undone(paths, SECOND) == {}
    back.close()


def test_a_journal_that_cannot_be_opened_leaves_the_open_one_open(paths: Paths) -> None:
    opened = of_wallet(Journal.open(paths.journal), FIRST, paths)
    paths.journal.with_name(f"journal-{SECOND[:16]}.sqlite3").write_bytes(b"no database at all" * 99)
    with pytest.raises(JournalError, match="damaged"):
        of_wallet(opened, SECOND, paths)
    assert opened.claim(FIRST)
    opened.close()
