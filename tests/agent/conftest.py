"""What tests of the agent share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.agent import vaults


@pytest.fixture
def quick_vaults() -> Iterator[None]:
    """Vaults of this process open at once."""
    with vaults.quick():
        yield
