"""What tests of the practice network's ledger begin with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from somatui.practice.ledger.ledger import Ledger
from tests.practice.ledgers import network


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    made = network(tmp_path / "ledger.sqlite3")
    yield made
    made.close()
