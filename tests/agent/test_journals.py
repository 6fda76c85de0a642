"""Each wallet has a journal: the first one that comes keeps the profile's own, others get files beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from somatui.agent.journal import Journal, JournalError, Money
from somatui.agent.journals import of_wallet
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


def test_a_journal_that_cannot_be_opened_leaves_the_open_one_open(paths: Paths) -> None:
    opened = of_wallet(Journal.open(paths.journal), FIRST, paths)
    paths.journal.with_name(f"journal-{SECOND[:16]}.sqlite3").write_bytes(b"no database at all" * 99)
    with pytest.raises(JournalError, match="damaged"):
        of_wallet(opened, SECOND, paths)
    assert opened.claim(FIRST)
    opened.close()
